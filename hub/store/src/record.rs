//! One record as bytes. Pure: no I/O, no state.
//!
//! ```text
//! len u32 | crc32 u32 | offset u64 | unsynced u16 | kind u8 | entries u8 | (queue id u32, number u64, expires u64)* | payload
//! ```
//! `len` counts the whole record; the checksum covers everything but itself and starts from the segment's seed, so bytes of an
//! earlier use of the segment, or bytes that a sender made look like a record, do not pass. `unsynced` says how many records
//! before this one were not yet synced when it was written: all others were, and that is how a torn tail is told from damage.
//! `number` counts the records of one queue without gaps, so that each queue knows exactly what it misses. `expires` is a time of the
//! journal's clock in milliseconds, [`NEVER`] for a record that does not.

use crc32fast::Hasher;

use crate::destination::MAX_DESTINATIONS;
use crate::journal::{MAX_PAYLOAD_BYTES, Offset};

/// Bytes before the entries.
pub(crate) const FIXED_BYTES: usize = 20;
/// Bytes of one entry.
pub(crate) const ENTRY_BYTES: usize = 20;
/// The time at which nothing expires.
pub(crate) const NEVER: u64 = u64::MAX;
/// Largest record: a message with the largest payload and the most destinations.
pub(crate) const MAX_RECORD_BYTES: usize = FIXED_BYTES + MAX_DESTINATIONS * ENTRY_BYTES + MAX_PAYLOAD_BYTES;

/// A queue's id in the journal. Never used twice.
pub(crate) type QueueId = u32;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A payload for some queues.
    Message = 1,
    /// All queues with names, next numbers and cursors; the first record of every segment.
    Snapshot = 2,
    /// Cursors that moved.
    Cursors = 3,
    /// A queue that came into being.
    Named = 4,
    /// A queue that was retired.
    Retired = 5,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Message,
            2 => Self::Snapshot,
            3 => Self::Cursors,
            4 => Self::Named,
            5 => Self::Retired,
            _ => return None,
        })
    }
}

/// A message's place in one of its queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) queue: QueueId,
    pub(crate) number: u64,
    /// When it expires there.
    pub(crate) expires: u64,
}

/// A record read from bytes; its checksum was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordRef<'a> {
    pub(crate) offset: Offset,
    pub(crate) unsynced: u16,
    pub(crate) kind: Kind,
    entries: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl RecordRef<'_> {
    /// Its places in the queues it is for.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.entries.chunks_exact(ENTRY_BYTES).map(|bytes| Entry {
            queue: u32_at(bytes, 0),
            number: u64_at(bytes, 4),
            expires: u64_at(bytes, 12),
        })
    }

    /// Everything before this offset was on disk when the record was written.
    pub(crate) fn proves_durable_before(&self) -> Offset {
        self.offset.saturating_sub(u64::from(self.unsynced))
    }

    /// Bytes of the record.
    pub(crate) fn len(&self) -> usize {
        FIXED_BYTES + self.entries.len() + self.payload.len()
    }
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded<'a> {
    /// A record.
    Record(RecordRef<'a>),
    /// Perhaps a record, of which this many bytes are needed.
    NeedMore(usize),
    /// No record.
    Bad,
}

/// Bytes of a record with so many entries and so large a payload.
pub(crate) fn encoded_len(entries: usize, payload: usize) -> usize {
    FIXED_BYTES + entries * ENTRY_BYTES + payload
}

/// Appends one record to `out`. The caller keeps to [`MAX_RECORD_BYTES`] and [`MAX_DESTINATIONS`].
pub(crate) fn encode(
    out: &mut Vec<u8>,
    seed: u32,
    (offset, unsynced): (Offset, u16),
    kind: Kind,
    entries: &[Entry],
    payload: &[u8],
) {
    let start = out.len();
    let len = u32::try_from(encoded_len(entries.len(), payload.len())).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&unsynced.to_le_bytes());
    out.push(kind as u8);
    out.push(u8::try_from(entries.len()).unwrap_or(u8::MAX));
    for entry in entries {
        out.extend_from_slice(&entry.queue.to_le_bytes());
        out.extend_from_slice(&entry.number.to_le_bytes());
        out.extend_from_slice(&entry.expires.to_le_bytes());
    }
    out.extend_from_slice(payload);
    let crc = checksum(&out[start..], seed);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// Reads the record that `bytes` begin with.
pub(crate) fn decode(bytes: &[u8], seed: u32) -> Decoded<'_> {
    if bytes.len() < FIXED_BYTES {
        return Decoded::NeedMore(FIXED_BYTES);
    }
    let Ok(len) = usize::try_from(u32_at(bytes, 0)) else { return Decoded::Bad };
    let payload_at = FIXED_BYTES + usize::from(bytes[19]) * ENTRY_BYTES;
    let Some(kind) = Kind::from_byte(bytes[18]) else { return Decoded::Bad };
    if len < payload_at || len > MAX_RECORD_BYTES {
        return Decoded::Bad;
    }
    if bytes.len() < len {
        return Decoded::NeedMore(len);
    }
    let bytes = &bytes[..len];
    if checksum(bytes, seed) != u32_at(bytes, 4) {
        return Decoded::Bad;
    }
    Decoded::Record(RecordRef {
        offset: u64_at(bytes, 8),
        unsynced: u16::from_le_bytes([bytes[16], bytes[17]]),
        kind,
        entries: &bytes[FIXED_BYTES..payload_at],
        payload: &bytes[payload_at..],
    })
}

/// Bytes that the record at the beginning of `bytes` claims to have, if its fixed part is there.
pub(crate) fn claimed_len(bytes: &[u8]) -> Option<usize> {
    (bytes.len() >= FIXED_BYTES).then(|| usize::try_from(u32_at(bytes, 0)).unwrap_or(usize::MAX))
}

/// The offset that a record at the beginning of `bytes` would have, without looking at its checksum.
pub(crate) fn claimed_offset(bytes: &[u8]) -> Option<Offset> {
    (bytes.len() >= FIXED_BYTES).then(|| u64_at(bytes, 8))
}

fn checksum(record: &[u8], seed: u32) -> u32 {
    let mut hasher = Hasher::new_with_initial(seed);
    hasher.update(&record[..4]);
    hasher.update(&record[8..]);
    hasher.finalize()
}

/// Little-endian number at `at`; the caller has checked the length.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// Little-endian number at `at`; the caller has checked the length.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(seed: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let entries = [Entry { queue: 3, number: 9, expires: 5 }, Entry { queue: 4, number: u64::MAX, expires: NEVER }];
        encode(&mut out, seed, (77, 2), Kind::Message, &entries, b"payload");
        out
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let bytes = example(5);
        let Decoded::Record(record) = decode(&bytes, 5) else { panic!("not a record") };
        assert_eq!((record.offset, record.unsynced, record.kind, record.payload), (77, 2, Kind::Message, &b"payload"[..]));
        assert_eq!(record.len(), bytes.len());
        assert_eq!(record.proves_durable_before(), 75);
        assert_eq!(
            record.entries().map(|entry| (entry.queue, entry.number, entry.expires)).collect::<Vec<_>>(),
            [(3, 9, 5), (4, u64::MAX, NEVER)]
        );
    }

    #[test]
    fn a_record_of_another_segment_does_not_pass() {
        assert_eq!(decode(&example(5), 6), Decoded::Bad);
    }

    #[test]
    fn no_single_flipped_bit_passes() {
        let good = example(5);
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(decode(&bytes, 5), Decoded::Record(_)), "bit {bit}");
        }
    }

    #[test]
    fn a_cut_record_asks_for_the_rest() {
        let bytes = example(5);
        assert_eq!(decode(&bytes[..19], 5), Decoded::NeedMore(FIXED_BYTES));
        assert_eq!(decode(&bytes[..bytes.len() - 1], 5), Decoded::NeedMore(bytes.len()));
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(decode(&[0; 64], 5), Decoded::Bad);
    }
}
