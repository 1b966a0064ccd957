//! One read of a queue's records from disk. Blocking; bounded by a chunk, or by one record if that is larger.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use super::Offset;
use super::ledger::Segment;
use super::reader::ReadError;
use super::scan::{Scanner, Span, Step};
use super::shared::Shared;
use super::slots;
use crate::record::{Kind, QueueId};
use crate::segment::RECORDS_AT;

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
    pub(crate) fn start_of(generation: u64, first_offset: Offset) -> Self {
        Self { generation, position: RECORDS_AT, offset: first_offset }
    }
}

/// What to read.
pub(crate) struct Fetch {
    path: PathBuf,
    seed: u32,
    place: Place,
    end_position: u64,
    end_offset: Offset,
    queue: QueueId,
    /// Records before this number are not wanted.
    from: u64,
    /// Number after the queue's last record in the segment, if that is known.
    through: Option<u64>,
}

/// A record read for its queue.
#[derive(Debug)]
pub(crate) struct FetchedRecord {
    pub(crate) offset: Offset,
    pub(crate) number: u64,
    pub(crate) place: Place,
    pub(crate) payload: Bytes,
}

/// What was read.
pub(crate) enum Fetched {
    Records {
        records: Vec<FetchedRecord>,
        /// Where to read on.
        place: Place,
        /// The segment has been read to its end; the queue's numbers in it end here.
        whole_segment_through: Option<u64>,
    },
    /// The segment is no longer in use.
    Outdated,
}

impl Fetch {
    pub(crate) fn of(shared: &Shared, segment: &Segment, place: Place, queue: QueueId, from: u64) -> Self {
        Self {
            path: shared.directory.join(slots::file_name(segment.slot)),
            seed: segment.seed,
            place,
            end_position: segment.end_position,
            end_offset: segment.end_offset,
            queue,
            from,
            through: segment.end_for(queue, from).filter(|end| *end != u64::MAX),
        }
    }
}

/// Reads.
pub(crate) fn fetch(shared: &Shared, fetch: Fetch) -> Result<Fetched, ReadError> {
    let generation = fetch.place.generation;
    let path = fetch.path.clone();
    let outcome = walk(shared, fetch);
    // Looked at after reading: a segment that is still in use now was not written over while it was read.
    let ledger = shared.ledger();
    let in_use = ledger.segments.iter().any(|segment| segment.generation == generation);
    drop(ledger);
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
    let Fetch { path, seed, place, end_position, end_offset, queue, from, through } = fetch;
    let file = shared.disk.open(&path)?;
    let Place { generation, position, offset } = place;
    let mut scanner = Scanner::new(Span { file, seed, position, offset, end_position, end_offset });
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    let whole = loop {
        let expected = scanner.span.offset;
        let found = match scanner.step()? {
            Step::Record(record, position) => {
                let entry = record.entries().find(|entry| entry.queue == queue);
                if let Some(entry) = entry.filter(|entry| record.kind == Kind::Message && entry.number >= from) {
                    bytes += record.payload.len();
                    records.push(FetchedRecord {
                        offset: record.offset,
                        number: entry.number,
                        place: Place { generation, position, offset: record.offset },
                        // A copy of its own: a slice would keep the whole chunk in memory as long as one record is in flight.
                        payload: Bytes::copy_from_slice(record.payload),
                    });
                    if Some(entry.number + 1) == through {
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
            damage.push(Damage { position, records: next - expected });
            if !found_more {
                scanner.span.offset = end_offset;
                scanner.span.position = end_position;
                break true;
            }
        }
        let enough = bytes >= READ_AHEAD_BYTES || records.len() >= READ_AHEAD_RECORDS;
        let walked_far = scanner.span.position - position >= WALK_BYTES;
        if scanner.span.offset < end_offset && (enough || walked_far || (!records.is_empty() && scanner.needs_disk())) {
            break false;
        }
    };
    let place = Place { generation, position: scanner.span.position, offset: scanner.span.offset };
    let whole_segment_through = if whole { through } else { None };
    Ok((Fetched::Records { records, place, whole_segment_through }, damage))
}
