//! The seal of a segment: what it holds, of which queues. Written when the segment is ended, so that opening reads no records. Pure.
//!
//! ```text
//! len u32 | crc32 u32, seeded as the records' | end offset u64 | end position u64
//! | (queue id u32, first number u64, first bytes u64, end number u64, end bytes u64, latest expiry u64)*
//! ```

use crc32fast::Hasher;

use crate::control::Mark;
use crate::journal::Offset;
use crate::record::{QueueId, u32_at, u64_at};

const FIXED_BYTES: usize = 24;
const SPAN_BYTES: usize = 44;
/// The room for it is a multiple of what a disk writes at a time.
const SECTOR_BYTES: usize = 512;

/// The records of one queue in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueSpan {
    pub(crate) queue: QueueId,
    pub(crate) first: Mark,
    pub(crate) end: Mark,
    /// When the last of them expires.
    pub(crate) expires: u64,
}

/// What a segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seal {
    /// Offset after the last record.
    pub(crate) end_offset: Offset,
    /// Position after the last record.
    pub(crate) end_position: u64,
    pub(crate) spans: Vec<QueueSpan>,
}

/// Bytes to keep free for the seal of a segment with so many queues.
pub(crate) const fn area_bytes(queues: usize) -> usize {
    (FIXED_BYTES + queues * SPAN_BYTES).next_multiple_of(SECTOR_BYTES)
}

/// Bytes that the seal at the beginning of `bytes` claims to have.
pub(crate) fn claimed_len(bytes: &[u8]) -> usize {
    if bytes.len() < 4 { usize::MAX } else { usize::try_from(u32_at(bytes, 0)).unwrap_or(usize::MAX) }
}

impl Seal {
    pub(crate) fn encode(&self, seed: u32) -> Vec<u8> {
        let len = FIXED_BYTES + self.spans.len() * SPAN_BYTES;
        let mut out = Vec::with_capacity(len);
        out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.end_offset.to_le_bytes());
        out.extend_from_slice(&self.end_position.to_le_bytes());
        for span in &self.spans {
            out.extend_from_slice(&span.queue.to_le_bytes());
            span.first.encode(&mut out);
            span.end.encode(&mut out);
            out.extend_from_slice(&span.expires.to_le_bytes());
        }
        let crc = checksum(&out, seed);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None`: the segment has not been ended, or its seal is damaged.
    pub(crate) fn decode(bytes: &[u8], seed: u32) -> Option<Self> {
        let bytes = bytes.get(..claimed_len(bytes)).filter(|bytes| bytes.len() >= FIXED_BYTES)?;
        if checksum(bytes, seed) != u32_at(bytes, 4) {
            return None;
        }
        let spans = bytes[FIXED_BYTES..].chunks_exact(SPAN_BYTES);
        let decode = |span: &[u8]| QueueSpan {
            queue: u32_at(span, 0),
            first: Mark::decode(span, 4),
            end: Mark::decode(span, 20),
            expires: u64_at(span, 36),
        };
        spans.remainder().is_empty().then(|| Self {
            end_offset: u64_at(bytes, 8),
            end_position: u64_at(bytes, 16),
            spans: spans.map(decode).collect(),
        })
    }
}

fn checksum(seal: &[u8], seed: u32) -> u32 {
    let mut hasher = Hasher::new_with_initial(seed);
    hasher.update(&seal[..4]);
    hasher.update(&seal[8..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_read_as_it_was_written_and_nothing_else_passes() {
        let span = QueueSpan {
            queue: 3,
            first: Mark { number: 1, bytes: 2 },
            end: Mark { number: 3, bytes: 1 << 50 },
            expires: u64::MAX,
        };
        let seal = Seal { end_offset: 7, end_position: 99, spans: vec![span, QueueSpan { queue: 4, ..span }] };
        let bytes = seal.encode(5);
        assert!(bytes.len() <= area_bytes(2) && area_bytes(2).is_multiple_of(SECTOR_BYTES));
        assert_eq!(Seal::decode(&[bytes.clone(), vec![1; 9]].concat(), 5), Some(seal));
        assert_eq!(Seal::decode(&bytes, 6), None, "of another segment");
        for cut in 0..bytes.len() {
            assert_eq!(Seal::decode(&bytes[..cut], 5), None, "cut at {cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Seal::decode(&bytes, 5), None, "bit {bit}");
        }
        assert_eq!(Seal::decode(&[0; 64], 5), None);
    }
}
