//! Payloads of the journal's own records: who the queues are and how far each has been read. Pure.

use std::str;

use crate::journal::Offset;
use crate::queue::{MAX_QUEUE_NAME_BYTES, QueueName};
use crate::record::{QueueId, u32_at, u64_at};

/// How far a queue has been settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// No record of the queue that is not settled stands before this offset.
    pub(crate) offset: Offset,
    /// Number of the first record that is not settled.
    pub(crate) number: u64,
}

/// One queue of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotEntry {
    pub(crate) id: QueueId,
    pub(crate) name: QueueName,
    pub(crate) next_number: u64,
    pub(crate) cursor: Cursor,
}

/// All queues at the moment when a segment was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) next_queue_id: QueueId,
    pub(crate) entries: Vec<SnapshotEntry>,
}

/// One cursor record's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CursorEntry {
    pub(crate) id: QueueId,
    pub(crate) cursor: Cursor,
}

const CURSOR_ENTRY_BYTES: usize = 20;
const SNAPSHOT_HEAD_BYTES: usize = 8;
const SNAPSHOT_ENTRY_FIXED_BYTES: usize = 30;

/// Most bytes of a snapshot of so many queues.
pub(crate) const fn max_snapshot_len(queues: usize) -> usize {
    SNAPSHOT_HEAD_BYTES + queues * (SNAPSHOT_ENTRY_FIXED_BYTES + MAX_QUEUE_NAME_BYTES)
}

/// Bytes of a cursor record's payload.
pub(crate) const fn cursors_len(queues: usize) -> usize {
    queues * CURSOR_ENTRY_BYTES
}

impl Snapshot {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SNAPSHOT_HEAD_BYTES + self.entries.len() * 64);
        out.extend_from_slice(&self.next_queue_id.to_le_bytes());
        out.extend_from_slice(&u32::try_from(self.entries.len()).unwrap_or(u32::MAX).to_le_bytes());
        for entry in &self.entries {
            let name = entry.name.as_str().as_bytes();
            out.extend_from_slice(&entry.id.to_le_bytes());
            out.extend_from_slice(&entry.next_number.to_le_bytes());
            out.extend_from_slice(&entry.cursor.offset.to_le_bytes());
            out.extend_from_slice(&entry.cursor.number.to_le_bytes());
            out.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
            out.extend_from_slice(name);
        }
        out
    }

    /// `None`: not a snapshot that we wrote.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let head = take(&mut bytes, SNAPSHOT_HEAD_BYTES)?;
        let (next_queue_id, count) = (u32_at(head, 0), u32_at(head, 4));
        let mut entries = Vec::new();
        for _ in 0..count {
            let fixed = take(&mut bytes, SNAPSHOT_ENTRY_FIXED_BYTES)?;
            let name = take(&mut bytes, usize::from(u16::from_le_bytes([fixed[28], fixed[29]])))?;
            entries.push(SnapshotEntry {
                id: u32_at(fixed, 0),
                next_number: u64_at(fixed, 4),
                cursor: Cursor { offset: u64_at(fixed, 12), number: u64_at(fixed, 20) },
                name: name_from(name)?,
            });
        }
        bytes.is_empty().then_some(Self { next_queue_id, entries })
    }

    /// The number that the next record of a queue gets; 0 for a queue that is not listed.
    pub(crate) fn next_number(&self, id: QueueId) -> u64 {
        self.entries.iter().find(|entry| entry.id == id).map_or(0, |entry| entry.next_number)
    }
}

/// Payload of a cursor record.
pub(crate) fn encode_cursors(entries: &[CursorEntry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(cursors_len(entries.len()));
    for entry in entries {
        out.extend_from_slice(&entry.id.to_le_bytes());
        out.extend_from_slice(&entry.cursor.offset.to_le_bytes());
        out.extend_from_slice(&entry.cursor.number.to_le_bytes());
    }
    out
}

/// The entries of a cursor record.
pub(crate) fn decode_cursors(bytes: &[u8]) -> Option<Vec<CursorEntry>> {
    let entries = bytes.chunks_exact(CURSOR_ENTRY_BYTES);
    entries.remainder().is_empty().then(|| {
        entries
            .map(|entry| CursorEntry {
                id: u32_at(entry, 0),
                cursor: Cursor { offset: u64_at(entry, 4), number: u64_at(entry, 12) },
            })
            .collect()
    })
}

/// Payload of the record that gives an id to a name.
pub(crate) fn encode_named(id: QueueId, name: &QueueName) -> Vec<u8> {
    let mut out = id.to_le_bytes().to_vec();
    out.extend_from_slice(name.as_str().as_bytes());
    out
}

/// An id and its name.
pub(crate) fn decode_named(mut bytes: &[u8]) -> Option<(QueueId, QueueName)> {
    let id = u32_at(take(&mut bytes, 4)?, 0);
    Some((id, name_from(bytes)?))
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

    #[test]
    fn a_snapshot_is_read_as_it_was_written() {
        let entry = |id: u32, name: &str| SnapshotEntry {
            id,
            name: name.parse().unwrap(),
            next_number: u64::from(id) * 7,
            cursor: Cursor { offset: 5, number: 3 },
        };
        let snapshot = Snapshot { next_queue_id: 9, entries: vec![entry(1, "$upstream"), entry(8, "modules/ä/inputs/x")] };
        let bytes = snapshot.encode();
        assert!(bytes.len() <= max_snapshot_len(2));
        assert_eq!(Snapshot::decode(&bytes), Some(snapshot));
        for cut in 0..bytes.len() {
            assert_eq!(Snapshot::decode(&bytes[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_snapshot_that_claims_more_entries_than_it_has_is_refused() {
        assert_eq!(Snapshot::decode(&[1, 0, 0, 0, 255, 255, 255, 255]), None);
    }

    #[test]
    fn cursors_and_names_are_read_as_they_were_written() {
        let entries = vec![CursorEntry { id: 1, cursor: Cursor { offset: 2, number: 3 } }];
        assert_eq!(decode_cursors(&encode_cursors(&entries)), Some(entries));
        assert_eq!(decode_cursors(&[0; 19]), None);
        let name: QueueName = "a".parse().unwrap();
        assert_eq!(decode_named(&encode_named(4, &name)), Some((4, name)));
        assert_eq!(decode_named(&[0; 4]), None);
        assert_eq!(decode_retired(&encode_retired(6)), Some(6));
    }
}
