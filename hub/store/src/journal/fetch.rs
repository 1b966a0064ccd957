//! One read of a queue's records from disk. Blocking; bounded by a chunk, or by one record if that is larger.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;

use super::Offset;
use super::ledger::{Holding, Segment};
use super::reader::ReadError;
use super::scan::{Scanner, Span, Step};
use super::shared::Shared;
use super::slots;
use crate::record::{Kind, QueueId};

/// Most payload bytes read ahead, before the record that goes over.
const READ_AHEAD_BYTES: usize = 64 * 1024;
/// Most records read ahead: empty payloads are bounded too.
const READ_AHEAD_RECORDS: usize = 256;
/// Most bytes of other queues' records walked over in one read, so that a reader can be dropped in between.
const WALK_BYTES: u64 = 4 * 1024 * 1024;

/// A place in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) generation: u64,
    pub(crate) position: u64,
    /// The offset expected there.
    pub(crate) offset: Offset,
}

impl Place {
    pub(crate) const fn start_of(segment: &Segment) -> Self {
        Self { generation: segment.generation, position: segment.records_at, offset: segment.first_offset }
    }
}

/// What to read.
pub(crate) struct Fetch {
    path: PathBuf,
    seed: u32,
    place: Place,
    end_position: u64,
    end_offset: Offset,
    has_gaps: bool,
    queue: QueueId,
    /// Records before this number are not wanted.
    from: u64,
    /// Number after the queue's last record in the segment.
    through: u64,
}

/// A record read for its queue.
#[derive(Clone, Debug)]
pub(crate) struct FetchedRecord {
    pub(crate) number: u64,
    pub(crate) offset: Offset,
    pub(crate) expires: u64,
    /// Of the whole record on disk.
    pub(crate) bytes: u64,
    pub(crate) payload: Bytes,
}

/// What was read.
pub(crate) enum Fetched {
    Records {
        records: Vec<FetchedRecord>,
        /// Where to read on.
        place: Place,
        /// The segment has been read as far as it has records of the queue; the queue's numbers in it end here.
        whole_segment_through: Option<u64>,
    },
    /// The segment is no longer in use.
    Outdated,
}

impl Fetch {
    pub(crate) fn of(shared: &Shared, segment: &Segment, place: Place, queue: QueueId, holding: Holding, from: u64) -> Self {
        Self {
            path: shared.directory.join(slots::file_name(segment.slot)),
            seed: segment.seed,
            place,
            end_position: segment.end_position,
            end_offset: segment.end_offset,
            has_gaps: segment.compacted,
            queue,
            from,
            through: holding.end.number,
        }
    }
}

/// Reads.
pub(crate) fn fetch(shared: &Shared, fetch: Fetch) -> Result<Fetched, ReadError> {
    let generation = fetch.place.generation;
    let path = fetch.path.clone();
    let outcome = walk(shared, fetch);
    // Looked at after reading: a segment that is still in use now was not written over while it was read.
    let in_use = shared.ledger().segments.contains_key(&generation);
    if !in_use {
        return Ok(Fetched::Outdated);
    }
    let (fetched, damage) = outcome.map_err(|source| ReadError::Disk { file: path.display().to_string(), source })?;
    for Damage { position, records } in damage {
        shared.ledger().note_damage(generation, position, records);
    }
    Ok(fetched)
}

struct Damage {
    position: u64,
    records: u64,
}

fn walk(shared: &Shared, fetch: Fetch) -> io::Result<(Fetched, Vec<Damage>)> {
    let Fetch { path, seed, place, end_position, end_offset, has_gaps, queue, from, through } = fetch;
    let file = shared.disk.open(&path)?;
    let Place { generation, position, offset } = place;
    let mut scanner = Scanner::new(Span { file, seed, position, offset, end_position, end_offset, has_gaps });
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    let mut payloads = Payloads::default();
    let whole = loop {
        let expected = scanner.span.offset;
        let found = match scanner.step()? {
            Step::Record(record) => {
                let entry = record.entries().find(|entry| entry.queue == queue);
                if let Some(entry) = entry.filter(|entry| record.kind == Kind::Message && entry.number >= from) {
                    payloads.add(record.payload);
                    records.push(FetchedRecord {
                        number: entry.number,
                        offset: record.offset,
                        expires: entry.expires,
                        bytes: record.len() as u64,
                        payload: Bytes::new(),
                    });
                    if entry.number + 1 == through {
                        break true;
                    }
                }
                true
            }
            Step::Nothing => false,
        };
        if !found {
            let position = scanner.span.position;
            if expected >= end_offset {
                break true;
            }
            let found_more = scanner.resync()?;
            let next = if found_more { scanner.span.offset } else { end_offset };
            // Where offsets have gaps, how many records stood there is not known.
            damage.push(Damage { position, records: if has_gaps { 1 } else { next - expected } });
            if !found_more {
                scanner.span.offset = end_offset;
                scanner.span.position = end_position;
                break true;
            }
        }
        let enough = payloads.len() >= READ_AHEAD_BYTES || records.len() >= READ_AHEAD_RECORDS;
        let walked_far = scanner.span.position - position >= WALK_BYTES;
        if scanner.span.offset < end_offset && (enough || walked_far || (!records.is_empty() && scanner.needs_disk())) {
            break false;
        }
    };
    payloads.hand_to(&mut records);
    let place = Place { generation, position: scanner.span.position, offset: scanner.span.offset };
    let whole_segment_through = whole.then_some(through);
    Ok((Fetched::Records { records, place, whole_segment_through }, damage))
}

/// The payloads of one read, in one piece of memory of just their size. It lives as long as one of them is in flight; by itself each
/// would cost an allocation.
#[derive(Default)]
struct Payloads {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl Payloads {
    fn add(&mut self, payload: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.ranges.push(start..self.bytes.len());
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn hand_to(self, records: &mut [FetchedRecord]) {
        let bytes = Bytes::from(self.bytes.into_boxed_slice());
        for (record, range) in records.iter_mut().zip(self.ranges) {
            record.payload = bytes.slice(range);
        }
    }
}
