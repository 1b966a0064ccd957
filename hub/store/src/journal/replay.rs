//! Replaying: what the journal's own records say about the queues, and what each segment holds.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tracing::{error, warn};

use super::Offset;
use super::ledger::{Holding, Ledger, Queue, Segment};
use super::open::Found;
use super::scan::{Scanner, Span, Step};
use crate::control::{self, Mark, Snapshot};
use crate::destination::Priority;
use crate::queue::QueueName;
use crate::record::{self, FIXED_BYTES, Kind, QueueId, RecordRef};
use crate::seal::QueueSpan;
use crate::segment::SegmentKind;

/// What a segment holds, by queue.
pub(crate) type Spans = BTreeMap<QueueId, QueueSpan>;

/// How the newest segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With its last record.
    Clean,
    /// With something that is no record, after which none of this segment comes.
    Cut,
    /// With something that is no record, and there are records after it, none of which was synced. They must not come to life
    /// again when something is written in between, so this segment is not written on.
    CutBeforeMore,
}

/// What the newest segments say.
pub(crate) struct Replayed {
    /// For each replayed segment, its generation and what it holds.
    pub(crate) holds: BTreeMap<u64, Spans>,
    pub(crate) ending: Ending,
    /// Position after the newest segment's last record.
    pub(crate) end_position: u64,
    pub(crate) corrupt_records: u64,
    pub(crate) newest_holds_nothing: bool,
}

/// Replays the newest log segment into the ledger; more, if its list of queues is not readable. `segments` are all, the oldest first.
/// Nothing counts from offset `bound` on.
pub(crate) fn replay(segments: &[Found], bound: Offset, ledger: &mut Ledger) -> io::Result<Replayed> {
    let newest = segments.iter().rposition(|found| found.header.kind == SegmentKind::Log).unwrap_or(0);
    let mut snapshot = None;
    let mut first = segments.len();
    while first > 0 && snapshot.is_none() {
        first -= 1;
        snapshot = read_snapshot(&segments[first])?;
    }
    let mut replayed = Replayed {
        holds: BTreeMap::new(),
        ending: Ending::Clean,
        end_position: 0,
        corrupt_records: 0,
        newest_holds_nothing: true,
    };
    if let Some(snapshot) = snapshot {
        begin_with(ledger, &snapshot);
    }
    for (at, found) in segments.iter().enumerate().skip(first) {
        let end_offset = end_offset_of(segments, at, bound);
        // The newest may have a seal without the records that were written with it; where one was begun after it, it has them all.
        let at_end = match (at == newest, bound == Offset::MAX) {
            (true, true) => AtEnd::MayBeTorn,
            (true, false) => AtEnd::Newest,
            (false, _) => AtEnd::Older,
        };
        replay_segment(found, end_offset, at_end, ledger, &mut replayed)?;
    }
    Ok(replayed)
}

/// What a segment means to the end of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtEnd {
    Older,
    /// The newest that holds something.
    Newest,
    /// The same, and its last commit may not have been synced.
    MayBeTorn,
}

/// Where a segment ends: as its seal says, or else where the next log segment was begun.
pub(crate) fn end_offset_of(segments: &[Found], at: usize, bound: Offset) -> Offset {
    let Some(found) = segments.get(at) else { return bound };
    if let Some(seal) = &found.seal {
        return seal.end_offset;
    }
    let mut later = segments.iter().skip(at + 1).filter(|later| later.header.generation > found.header.covers.1);
    later.find(|later| later.header.kind == SegmentKind::Log).map_or(bound, |later| later.header.first_offset)
}

fn scanner_of(found: &Found, end_offset: Offset) -> Scanner {
    Scanner::new(Span {
        file: Arc::clone(&found.file),
        seed: found.header.seed(),
        position: u64::from(found.header.records_at),
        offset: found.header.first_offset,
        end_position: found.header.file_bytes,
        end_offset,
        has_gaps: found.header.kind == SegmentKind::Compacted,
    })
}

/// The list of queues at the head of a segment, if it is readable.
fn read_snapshot(found: &Found) -> io::Result<Option<Snapshot>> {
    if found.header.kind == SegmentKind::Compacted {
        return Ok(None);
    }
    let mut scanner = scanner_of(found, Offset::MAX);
    Ok(match scanner.step()? {
        Step::Record(record) if record.kind == Kind::Snapshot => Snapshot::decode(record.payload),
        _ => None,
    })
}

fn begin_with(ledger: &mut Ledger, snapshot: &Snapshot) {
    ledger.next_queue_id = snapshot.next_queue_id;
    ledger.clock = snapshot.clock;
    for entry in &snapshot.entries {
        let mut queue = Queue::new(entry.endpoint.clone(), entry.priority);
        (queue.cursor, queue.durable) = (entry.cursor, entry.cursor);
        queue.next = entry.next;
        queue.named = true;
        ledger.insert(entry.id, queue);
    }
}

fn replay_segment(
    found: &Found,
    end_offset: Offset,
    at_end: AtEnd,
    ledger: &mut Ledger,
    replayed: &mut Replayed,
) -> io::Result<()> {
    let mut scanner = scanner_of(found, end_offset);
    let mut spans = Spans::new();
    let mut holds_something = false;
    loop {
        let (position, expected) = (scanner.span.position, scanner.span.offset);
        if let Step::Record(record) = scanner.step()? {
            holds_something = true;
            apply(ledger, &record, &mut spans);
            ledger.end_offset = ledger.end_offset.max(record.offset + 1);
            continue;
        }
        if expected >= end_offset {
            break;
        }
        // Damage, or the end. What comes after tells: any record proves that everything before its commit was synced.
        let more = scanner.resync()?;
        if more && proves_durable(scanner.span.clone(), expected)? {
            note_damage(ledger, found, position, scanner.span.offset - expected, replayed);
            continue;
        }
        // Where the next segment was begun, everything before had been synced, even if that one holds nothing.
        if at_end == AtEnd::MayBeTorn {
            let torn = more || is_torn_record(found, position, expected)?;
            replayed.ending = match (more, torn) {
                (true, _) => Ending::CutBeforeMore,
                (false, true) => Ending::Cut,
                (false, false) => Ending::Clean,
            };
            scanner.span.position = position;
        } else {
            note_damage(ledger, found, position, end_offset - expected, replayed);
            ledger.end_offset = ledger.end_offset.max(end_offset);
        }
        break;
    }
    if at_end != AtEnd::Older {
        replayed.end_position = scanner.span.position;
        replayed.newest_holds_nothing = !holds_something;
    }
    replayed.holds.insert(found.header.generation, spans);
    Ok(())
}

fn note_damage(ledger: &mut Ledger, found: &Found, position: u64, records: u64, replayed: &mut Replayed) {
    // Where offsets have gaps, how many records stood there is not known.
    let records = if found.header.kind == SegmentKind::Compacted { 1 } else { records };
    ledger.note_damage(found.header.generation, position, records);
    replayed.corrupt_records += records;
}

/// Does a record from here on prove that `offset` was on disk when it was written?
fn proves_durable(span: Span, offset: Offset) -> io::Result<bool> {
    let mut scanner = Scanner::new(span);
    loop {
        if let Step::Record(record) = scanner.step()? {
            if record.proves_durable_before() > offset {
                return Ok(true);
            }
            continue;
        }
        if !scanner.resync()? {
            return Ok(false);
        }
    }
}

/// Does something that meant to be the record of this offset stand at `position`? What an earlier use of the segment left there
/// does not count: it is where records end in most segments.
fn is_torn_record(found: &Found, position: u64, offset: Offset) -> io::Result<bool> {
    let mut bytes = [0; FIXED_BYTES];
    let count = found.file.read_at(&mut bytes, position)?;
    Ok(record::claimed_offset(&bytes[..count]) == Some(offset))
}

/// What one record changes. Notes where it stands in its queues.
fn apply(ledger: &mut Ledger, record: &RecordRef<'_>, spans: &mut Spans) {
    match record.kind {
        Kind::Message => {
            for entry in record.entries() {
                keep_unnamed(ledger, entry.queue, entry.number);
                let Some(queue) = ledger.queues.get_mut(&entry.queue) else { continue };
                let bytes = record.len() as u64;
                let start = Mark { number: entry.number, bytes: queue.next.bytes };
                let end = Mark { number: entry.number + 1, bytes: queue.next.bytes + bytes };
                if end.number > queue.next.number {
                    let _told = ledger.change(entry.queue, |queue| queue.next = end);
                }
                note(spans, entry.queue, start, end, entry.expires);
            }
        }
        Kind::Named => {
            if let Some((id, endpoint, priority)) = control::decode_named(record.payload) {
                // A name gets a new id only after the queue that bore it was done with.
                if let Some(former) = ledger.id(&endpoint, priority).filter(|former| *former != id) {
                    ledger.remove(former);
                }
                if !ledger.queues.contains_key(&id) {
                    let mut queue = Queue::new(endpoint, priority);
                    queue.named = true;
                    ledger.insert(id, queue);
                }
            }
        }
        Kind::Cursors => {
            let Some((clock, entries)) = control::decode_cursors(record.payload) else { return };
            ledger.clock = clock;
            for entry in entries {
                let _told = ledger.change(entry.id, |queue| {
                    (queue.cursor, queue.durable) = (entry.cursor, entry.cursor);
                    if queue.next.number < entry.cursor.number {
                        queue.next = entry.cursor;
                    }
                });
            }
        }
        Kind::Retired => {
            if let Some(id) = control::decode_retired(record.payload) {
                ledger.remove(id);
            }
        }
        // The list of queues that replay began with, or one that repeats what was replayed.
        Kind::Snapshot => {}
    }
}

/// A record of a queue stands in the segment whose spans these are.
fn note(spans: &mut Spans, queue: QueueId, start: Mark, end: Mark, expires: u64) {
    let span = spans.entry(queue).or_insert(QueueSpan { queue, first: start, end, expires });
    if span.end.number < end.number {
        span.end = end;
    }
    span.expires = span.expires.max(expires);
}

/// If the record of a queue's name was damaged, what it holds is not thrown away for that.
fn keep_unnamed(ledger: &mut Ledger, id: QueueId, number: u64) {
    if ledger.queues.contains_key(&id) {
        return;
    }
    let name = format!("unnamed-{id}");
    error!(queue = name, "the name of a queue was damaged: its records are kept under this name");
    if let Ok(name) = name.parse::<QueueName>() {
        let mut queue = Queue::new(name, Priority::DEFAULT);
        queue.cursor.number = number;
        (queue.durable, queue.next) = (queue.cursor, queue.cursor);
        ledger.insert(id, queue);
    }
}

/// Tells the ledger of all segments: which records of which queues they hold. Of those that were not replayed, the seal is looked at,
/// or, if it is damaged or was never written, the records.
pub(crate) fn take_stock(segments: &[Found], replayed: &Replayed, ledger: &mut Ledger) -> io::Result<()> {
    let newest = segments.iter().rposition(|found| found.header.kind == SegmentKind::Log);
    for (at, found) in segments.iter().enumerate() {
        let is_newest = Some(at) == newest;
        let (spans, end_offset, end_position) = match (replayed.holds.get(&found.header.generation), &found.seal) {
            (Some(spans), _) if is_newest => (spans.values().copied().collect(), ledger.end_offset, replayed.end_position),
            (_, Some(seal)) => (seal.spans.clone(), seal.end_offset, seal.end_position),
            (_, None) => {
                warn!(generation = found.header.generation, "a segment of the journal has no readable seal: reading it whole");
                scan(found, end_offset_of(segments, at, ledger.end_offset), ledger)?
            }
        };
        ledger.add_segment(segment_of(found, end_offset, end_position));
        for span in spans {
            // What a newer list of queues does not know of was never acknowledged, or is over.
            let Some(queue) = ledger.queues.get(&span.queue) else { continue };
            let (next, cursor) = (queue.next, queue.cursor.number);
            if span.first.number >= next.number || span.end.number <= cursor {
                continue;
            }
            let end = if span.end.number > next.number { next } else { span.end };
            let generation = found.header.generation;
            ledger.hold(span.queue, Holding { segment: generation, first: span.first, end, expires: span.expires });
        }
    }
    Ok(())
}

/// What a segment holds, by its records, and offset and position after the last of them. Bytes are counted within it; where they began
/// is not known.
fn scan(found: &Found, end_offset: Offset, ledger: &Ledger) -> io::Result<(Vec<QueueSpan>, Offset, u64)> {
    let mut scanner = scanner_of(found, end_offset);
    let mut spans = Spans::new();
    let mut end = (scanner.span.offset, scanner.span.position);
    loop {
        if let Step::Record(record) = scanner.step()? {
            if record.kind == Kind::Message {
                for entry in record.entries() {
                    let before = spans.get(&entry.queue).map_or_else(|| bytes_before(ledger, entry.queue), |span| span.end.bytes);
                    let start = Mark { number: entry.number, bytes: before };
                    let end = Mark { number: entry.number + 1, bytes: before + record.len() as u64 };
                    note(&mut spans, entry.queue, start, end, entry.expires);
                }
            }
            end = (scanner.span.offset, scanner.span.position);
            continue;
        }
        if scanner.span.offset >= end_offset || !scanner.resync()? {
            return Ok((spans.into_values().collect(), end.0, end.1));
        }
    }
}

/// Bytes of a queue before what is found next, as far as is known.
fn bytes_before(ledger: &Ledger, queue: QueueId) -> u64 {
    let queue = ledger.queues.get(&queue);
    queue.map_or(0, |queue| queue.holdings.back().map_or(queue.cursor.bytes, |holding| holding.end.bytes))
}

/// A segment as the ledger knows it.
fn segment_of(found: &Found, end_offset: Offset, end_position: u64) -> Segment {
    let header = &found.header;
    Segment {
        slot: found.slot,
        generation: header.generation,
        seed: header.seed(),
        covers: header.covers,
        compacted: header.kind == SegmentKind::Compacted,
        file_bytes: header.file_bytes,
        records_at: u64::from(header.records_at),
        first_offset: header.first_offset,
        end_offset,
        end_position,
        needed_by: 0,
        suspect: false,
        measured: None,
    }
}
