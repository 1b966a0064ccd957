//! Replaying: what the journal's own records say about the queues.

use std::io;
use std::sync::Arc;

use tracing::error;

use super::Offset;
use super::ledger::{Ledger, Numbers, Queue, Segment};
use super::open::{Found, segment_of};
use super::scan::{Scanner, Span, Step};
use crate::control::{self, Snapshot};
use crate::queue::QueueName;
use crate::record::{self, FIXED_BYTES, Kind, QueueId, RecordRef};
use crate::segment::RECORDS_AT;

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
    /// Index of the segment that replay began with.
    first: usize,
    /// For each replayed segment, what it holds.
    holds: Vec<Vec<Numbers>>,
    /// The list of queues that replay began with.
    snapshot: Option<Snapshot>,
    pub(crate) ending: Ending,
    /// Position after the newest segment's last record.
    pub(crate) end_position: u64,
    pub(crate) corrupt_records: u64,
    pub(crate) newest_holds_nothing: bool,
}

/// Replays the newest segment into the ledger; more, if its list of queues is not readable. Nothing counts from offset `bound` on.
pub(crate) fn replay(segments: &[Found], bound: Offset, ledger: &mut Ledger) -> io::Result<Replayed> {
    let mut snapshot = None;
    let mut first = segments.len();
    while first > 0 && snapshot.is_none() {
        first -= 1;
        snapshot = read_snapshot(&segments[first])?;
    }
    let mut replayed = Replayed {
        first,
        holds: Vec::new(),
        snapshot,
        ending: Ending::Clean,
        end_position: RECORDS_AT,
        corrupt_records: 0,
        newest_holds_nothing: true,
    };
    if let Some(snapshot) = &replayed.snapshot {
        begin_with(ledger, snapshot);
    }
    for (at, found) in segments.iter().enumerate().skip(first) {
        let next = segments.get(at + 1);
        let end_offset = next.map_or(bound, |next| next.header.first_offset);
        replay_segment(found, end_offset, next.is_none(), ledger, &mut replayed)?;
    }
    Ok(replayed)
}

fn scanner_of(found: &Found, end_offset: Offset) -> Scanner {
    Scanner::new(Span {
        file: Arc::clone(&found.file),
        seed: found.header.seed(),
        position: RECORDS_AT,
        offset: found.header.first_offset,
        end_position: found.header.segment_bytes,
        end_offset,
    })
}

/// The list of queues at the head of a segment, if it is readable.
fn read_snapshot(found: &Found) -> io::Result<Option<Snapshot>> {
    let mut scanner = scanner_of(found, Offset::MAX);
    Ok(match scanner.step()? {
        Step::Record(record, _) if record.kind == Kind::Snapshot => Snapshot::decode(record.payload),
        _ => None,
    })
}

fn begin_with(ledger: &mut Ledger, snapshot: &Snapshot) {
    ledger.next_queue_id = snapshot.next_queue_id;
    for entry in &snapshot.entries {
        let mut queue = Queue::new(entry.name.clone(), entry.cursor.offset);
        (queue.cursor, queue.durable) = (entry.cursor, entry.cursor);
        queue.next_number = entry.next_number;
        queue.named = true;
        ledger.insert(entry.id, queue);
    }
}

fn replay_segment(
    found: &Found,
    end_offset: Offset,
    is_newest: bool,
    ledger: &mut Ledger,
    replayed: &mut Replayed,
) -> io::Result<()> {
    let mut scanner = scanner_of(found, end_offset);
    let mut segment = segment_of(found, end_offset);
    segment.holds = Some(Vec::new());
    let mut holds_something = false;
    loop {
        let (position, expected) = (scanner.span.position, scanner.span.offset);
        if let Step::Record(record, _) = scanner.step()? {
            holds_something = true;
            let numbers = apply(ledger, &record);
            segment.add(&numbers);
            ledger.end_offset = record.offset + 1;
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
        if is_newest && end_offset == Offset::MAX {
            let torn = more || is_torn_record(found, position, expected)?;
            replayed.ending = match (more, torn) {
                (true, _) => Ending::CutBeforeMore,
                (false, true) => Ending::Cut,
                (false, false) => Ending::Clean,
            };
            scanner.span.position = position;
        } else {
            note_damage(ledger, found, position, end_offset - expected, replayed);
            ledger.end_offset = end_offset;
        }
        break;
    }
    if is_newest {
        replayed.end_position = scanner.span.position;
        replayed.newest_holds_nothing = !holds_something;
    }
    replayed.holds.push(segment.holds.unwrap_or_default());
    Ok(())
}

fn note_damage(ledger: &mut Ledger, found: &Found, position: u64, records: u64, replayed: &mut Replayed) {
    ledger.note_damage(found.header.generation, position, records);
    replayed.corrupt_records += records;
}

/// Does a record from here on prove that `offset` was on disk when it was written?
fn proves_durable(span: Span, offset: Offset) -> io::Result<bool> {
    let mut scanner = Scanner::new(span);
    loop {
        if let Step::Record(record, _) = scanner.step()? {
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

/// What one record changes. Returns the numbers it has in its queues.
fn apply(ledger: &mut Ledger, record: &RecordRef<'_>) -> Vec<Numbers> {
    match record.kind {
        Kind::Message => {
            let entries = record.entries().collect::<Vec<_>>();
            let numbers = entries.iter().map(|entry| Numbers { queue: entry.queue, first: entry.number, end: entry.number + 1 });
            for entry in &entries {
                keep_unnamed(ledger, entry.queue, record.offset, entry.number);
                if let Some(queue) = ledger.queues.get_mut(&entry.queue) {
                    queue.next_number = queue.next_number.max(entry.number + 1);
                }
            }
            return numbers.collect();
        }
        Kind::Named => {
            if let Some((id, name)) = control::decode_named(record.payload) {
                // A name gets a new id only after the queue that bore it was done with.
                if let Some(former) = ledger.id(&name).filter(|former| *former != id) {
                    ledger.remove(former);
                }
                if !ledger.queues.contains_key(&id) {
                    let mut queue = Queue::new(name, record.offset);
                    queue.named = true;
                    ledger.insert(id, queue);
                }
            }
        }
        Kind::Cursors => {
            for entry in control::decode_cursors(record.payload).unwrap_or_default() {
                if let Some(queue) = ledger.queues.get_mut(&entry.id) {
                    (queue.cursor, queue.durable) = (entry.cursor, entry.cursor);
                    queue.next_number = queue.next_number.max(entry.cursor.number);
                }
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
    Vec::new()
}

/// If the record of a queue's name was damaged, what it holds is not thrown away for that.
fn keep_unnamed(ledger: &mut Ledger, id: QueueId, offset: Offset, number: u64) {
    if ledger.queues.contains_key(&id) {
        return;
    }
    let name = format!("unnamed-{id}");
    error!(queue = name, "the name of a queue was damaged: its records are kept under this name");
    if let Ok(name) = name.parse::<QueueName>() {
        let mut queue = Queue::new(name, offset);
        queue.cursor.number = number;
        queue.durable = queue.cursor;
        ledger.insert(id, queue);
    }
}

/// The segments that some queue needs, and the newest, oldest first. Of those before the replayed ones, only the lists of queues are
/// read: what a segment holds is the difference between its own list and the next one's.
pub(crate) fn segments_in_use(segments: &[Found], replayed: &Replayed, ledger: &Ledger) -> io::Result<Vec<Segment>> {
    let mut in_use = Vec::new();
    for (at, found) in segments.iter().enumerate().skip(replayed.first) {
        let end_offset = segments.get(at + 1).map_or(ledger.end_offset, |next| next.header.first_offset);
        let mut segment = segment_of(found, end_offset);
        if at + 1 == segments.len() {
            segment.end_position = replayed.end_position;
        }
        segment.holds = replayed.holds.get(at - replayed.first).cloned();
        in_use.push(segment);
    }
    let mut next_snapshot = replayed.snapshot.clone();
    for at in (0..replayed.first).rev() {
        let needed = ledger
            .queues
            .iter()
            .any(|(id, queue)| next_snapshot.as_ref().is_none_or(|snapshot| queue.cursor.number < snapshot.next_number(*id)));
        if !needed {
            break;
        }
        let snapshot = read_snapshot(&segments[at])?;
        let mut segment = segment_of(&segments[at], segments[at + 1].header.first_offset);
        segment.holds = match (&snapshot, &next_snapshot) {
            (Some(own), Some(next)) => Some(difference(own, next)),
            _ => None,
        };
        in_use.insert(0, segment);
        next_snapshot = snapshot;
    }
    Ok(in_use)
}

fn difference(own: &Snapshot, next: &Snapshot) -> Vec<Numbers> {
    let ends = next.entries.iter().map(|entry| (entry.id, own.next_number(entry.id), entry.next_number));
    ends.filter(|(_, first, end)| first < end).map(|(queue, first, end)| Numbers { queue, first, end }).collect()
}
