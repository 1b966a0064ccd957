//! Payloads of the journal's own records: who the queues are and how far each has been read. Pure.

use std::str;

use crate::destination::Priority;
use crate::queue::{MAX_QUEUE_NAME_BYTES, QueueName};
use crate::record::{QueueId, u32_at, u64_at};

/// A point in a queue: so many records, and bytes of records, came before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Number of the record that follows.
    pub(crate) number: u64,
    /// Bytes of the records before. Where records were damaged, only about right.
    pub(crate) bytes: u64,
}

/// The time of the journal's clock, and of the clock below it, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClockMark {
    /// Milliseconds that the journal has counted.
    pub(crate) journal: u64,
    /// Milliseconds since the machine was started.
    pub(crate) boot: u64,
    /// Which start of the machine that was.
    pub(crate) boot_id: [u8; 16],
}

/// One queue of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotEntry {
    pub(crate) id: QueueId,
    pub(crate) endpoint: QueueName,
    pub(crate) priority: Priority,
    /// Where the next record goes.
    pub(crate) next: Mark,
    /// The first record that is not done with.
    pub(crate) cursor: Mark,
}

/// All queues at the moment when a segment was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) next_queue_id: QueueId,
    pub(crate) clock: ClockMark,
    pub(crate) entries: Vec<SnapshotEntry>,
}

/// How far one queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CursorEntry {
    pub(crate) id: QueueId,
    pub(crate) cursor: Mark,
}

const MARK_BYTES: usize = 16;
const CLOCK_BYTES: usize = 32;
const CURSOR_ENTRY_BYTES: usize = 4 + MARK_BYTES;
const SNAPSHOT_HEAD_BYTES: usize = 8 + CLOCK_BYTES;
const SNAPSHOT_ENTRY_FIXED_BYTES: usize = 4 + 2 * MARK_BYTES + 1 + 2;
const NAMED_FIXED_BYTES: usize = 5;

/// Most bytes of a snapshot of so many queues.
pub(crate) const fn max_snapshot_len(queues: usize) -> usize {
    SNAPSHOT_HEAD_BYTES + queues * (SNAPSHOT_ENTRY_FIXED_BYTES + MAX_QUEUE_NAME_BYTES)
}

/// Bytes of a cursor record's payload.
pub(crate) const fn cursors_len(queues: usize) -> usize {
    CLOCK_BYTES + queues * CURSOR_ENTRY_BYTES
}

/// Bytes of the payload that gives an id to a queue.
pub(crate) fn named_len(endpoint: &QueueName) -> usize {
    NAMED_FIXED_BYTES + endpoint.len()
}

impl Mark {
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.bytes.to_le_bytes());
    }

    pub(crate) fn decode(bytes: &[u8], at: usize) -> Self {
        Self { number: u64_at(bytes, at), bytes: u64_at(bytes, at + 8) }
    }
}

impl ClockMark {
    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.journal.to_le_bytes());
        out.extend_from_slice(&self.boot.to_le_bytes());
        out.extend_from_slice(&self.boot_id);
    }

    fn decode(bytes: &[u8], at: usize) -> Self {
        let mut boot_id = [0; 16];
        boot_id.copy_from_slice(&bytes[at + 16..at + 32]);
        Self { journal: u64_at(bytes, at), boot: u64_at(bytes, at + 8), boot_id }
    }
}

impl Snapshot {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SNAPSHOT_HEAD_BYTES + self.entries.len() * 96);
        out.extend_from_slice(&self.next_queue_id.to_le_bytes());
        out.extend_from_slice(&u32::try_from(self.entries.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.clock.encode(&mut out);
        for entry in &self.entries {
            let name = entry.endpoint.as_str().as_bytes();
            out.extend_from_slice(&entry.id.to_le_bytes());
            entry.next.encode(&mut out);
            entry.cursor.encode(&mut out);
            out.push(entry.priority.rank());
            out.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
            out.extend_from_slice(name);
        }
        out
    }

    /// `None`: not a snapshot that we wrote.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let head = take(&mut bytes, SNAPSHOT_HEAD_BYTES)?;
        let (next_queue_id, count, clock) = (u32_at(head, 0), u32_at(head, 4), ClockMark::decode(head, 8));
        let mut entries = Vec::new();
        for _ in 0..count {
            let fixed = take(&mut bytes, SNAPSHOT_ENTRY_FIXED_BYTES)?;
            let name = take(&mut bytes, usize::from(u16::from_le_bytes([fixed[37], fixed[38]])))?;
            entries.push(SnapshotEntry {
                id: u32_at(fixed, 0),
                next: Mark::decode(fixed, 4),
                cursor: Mark::decode(fixed, 20),
                priority: Priority::of_rank(fixed[36])?,
                endpoint: name_from(name)?,
            });
        }
        bytes.is_empty().then_some(Self { next_queue_id, clock, entries })
    }
}

/// Payload of a cursor record.
pub(crate) fn encode_cursors(clock: ClockMark, entries: &[CursorEntry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(cursors_len(entries.len()));
    clock.encode(&mut out);
    for entry in entries {
        out.extend_from_slice(&entry.id.to_le_bytes());
        entry.cursor.encode(&mut out);
    }
    out
}

/// The clock and the entries of a cursor record.
pub(crate) fn decode_cursors(mut bytes: &[u8]) -> Option<(ClockMark, Vec<CursorEntry>)> {
    let clock = ClockMark::decode(take(&mut bytes, CLOCK_BYTES)?, 0);
    let entries = bytes.chunks_exact(CURSOR_ENTRY_BYTES);
    let decode = |entry: &[u8]| CursorEntry { id: u32_at(entry, 0), cursor: Mark::decode(entry, 4) };
    entries.remainder().is_empty().then(|| (clock, entries.map(decode).collect()))
}

/// Payload of the record that gives an id to a queue.
pub(crate) fn encode_named(id: QueueId, endpoint: &QueueName, priority: Priority) -> Vec<u8> {
    let mut out = id.to_le_bytes().to_vec();
    out.push(priority.rank());
    out.extend_from_slice(endpoint.as_str().as_bytes());
    out
}

/// An id, its endpoint and its priority.
pub(crate) fn decode_named(mut bytes: &[u8]) -> Option<(QueueId, QueueName, Priority)> {
    let fixed = take(&mut bytes, NAMED_FIXED_BYTES)?;
    Some((u32_at(fixed, 0), name_from(bytes)?, Priority::of_rank(fixed[4])?))
}

/// Payload of the record that retires a queue.
pub(crate) fn encode_retired(id: QueueId) -> Vec<u8> {
    id.to_le_bytes().to_vec()
}

/// The retired queue.
pub(crate) fn decode_retired(bytes: &[u8]) -> Option<QueueId> {
    (bytes.len() == 4).then(|| u32_at(bytes, 0))
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn name_from(bytes: &[u8]) -> Option<QueueName> {
    str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: ClockMark = ClockMark { journal: 5, boot: 6, boot_id: [7; 16] };

    #[test]
    fn a_snapshot_is_read_as_it_was_written() {
        let entry = |id: u32, name: &str| SnapshotEntry {
            id,
            endpoint: name.parse().unwrap(),
            priority: Priority::of_rank(u8::try_from(id).unwrap()).unwrap(),
            next: Mark { number: u64::from(id) * 7, bytes: 1 << 40 },
            cursor: Mark { number: 5, bytes: 3 },
        };
        let entries = vec![entry(1, "$upstream"), entry(8, "modules/ä/inputs/x")];
        let snapshot = Snapshot { next_queue_id: 9, clock: CLOCK, entries };
        let bytes = snapshot.encode();
        assert!(bytes.len() <= max_snapshot_len(2));
        assert_eq!(Snapshot::decode(&bytes), Some(snapshot));
        for cut in 0..bytes.len() {
            assert_eq!(Snapshot::decode(&bytes[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_snapshot_that_claims_more_entries_than_it_has_is_refused() {
        let mut bytes = Snapshot::default().encode();
        bytes[4..8].fill(255);
        assert_eq!(Snapshot::decode(&bytes), None);
    }

    #[test]
    fn cursors_and_names_are_read_as_they_were_written() {
        let entries = vec![CursorEntry { id: 1, cursor: Mark { number: 2, bytes: 3 } }];
        let bytes = encode_cursors(CLOCK, &entries);
        assert_eq!(bytes.len(), cursors_len(1));
        assert_eq!(decode_cursors(&bytes), Some((CLOCK, entries)));
        assert_eq!(decode_cursors(&[0; 33]), None);
        let name: QueueName = "a".parse().unwrap();
        let bytes = encode_named(4, &name, Priority::DEFAULT);
        assert_eq!(bytes.len(), named_len(&name));
        assert_eq!(decode_named(&bytes), Some((4, name, Priority::DEFAULT)));
        assert_eq!(decode_named(&[0; 5]), None);
        assert_eq!(decode_retired(&encode_retired(6)), Some(6));
    }
}
