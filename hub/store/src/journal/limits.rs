//! What follows from the options: how many segments, queues and bytes there may be.

use super::{JournalOptions, MAX_PAYLOAD_BYTES, OpenError};
use crate::control;
use crate::record::{self, FIXED_BYTES};
use crate::seal;
use crate::segment::{MAX_SEGMENT_BYTES, SEAL_AT};

/// Smallest segment: below that, its head and the list of queues would leave no room for messages.
const MIN_SEGMENT_BYTES: u64 = 64 * 1024;
/// Segments are a multiple of what disks and file systems write at a time.
const BLOCK_BYTES: u64 = 4096;
/// Fewest segments: one that is written, one that is read, one that can be begun.
const MIN_SEGMENTS: u64 = 3;
/// Most queues. Their list stands at the head of every segment.
const MAX_QUEUES: u64 = 1024;
/// Of a record, what is not payload: fixed part and entries, rounded up.
const OVERHEAD_BYTES: u64 = 6144;

/// Room for more cursor records at the end of a segment than the one that has all queues: a full journal drops a little at a time.
const MORE_CURSORS_BYTES: u64 = 4096;

/// Limits of one journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) segment_bytes: u64,
    /// Where the records of a segment begin: behind its header and the room for its seal.
    pub(crate) records_at: u64,
    /// Most queues.
    pub(crate) max_queues: usize,
    /// Largest payload.
    pub(crate) max_payload: usize,
    /// Bytes at the end of a segment that only a cursor record may use, so that a full journal can still say what has been read.
    pub(crate) reserve: u64,
}

impl Limits {
    pub(crate) fn of(options: &JournalOptions) -> Result<Self, OpenError> {
        let JournalOptions { segment_bytes, max_bytes, .. } = *options;
        let refuse = |problem: String| Err(OpenError::Options { problem });
        if !(MIN_SEGMENT_BYTES..=MAX_SEGMENT_BYTES).contains(&segment_bytes) || segment_bytes % BLOCK_BYTES != 0 {
            return refuse(format!(
                "segment_bytes is {segment_bytes}: a multiple of {BLOCK_BYTES} from {MIN_SEGMENT_BYTES} to {MAX_SEGMENT_BYTES} is needed"
            ));
        }
        if max_bytes / segment_bytes < MIN_SEGMENTS {
            return refuse(format!(
                "max_bytes is {max_bytes}: room for {MIN_SEGMENTS} segments of {segment_bytes} bytes is needed"
            ));
        }
        // A quarter of a segment for the list of queues and the seal, half for the largest record.
        let entry_bytes = (control::max_snapshot_len(1) + seal::area_bytes(1)) as u64;
        let max_queues = usize::try_from((segment_bytes / 4 / entry_bytes).min(MAX_QUEUES)).unwrap_or(usize::MAX);
        let half = usize::try_from(segment_bytes / 2 - OVERHEAD_BYTES).unwrap_or(usize::MAX);
        let reserve = record::encoded_len(0, control::cursors_len(max_queues)) as u64 + MORE_CURSORS_BYTES;
        let records_at = SEAL_AT + seal::area_bytes(max_queues) as u64;
        debug_assert!(
            records_at + (FIXED_BYTES + control::max_snapshot_len(max_queues)) as u64 + segment_bytes / 2 + reserve
                <= segment_bytes
        );
        Ok(Self { segment_bytes, records_at, max_queues, max_payload: half.min(MAX_PAYLOAD_BYTES), reserve })
    }

    /// The least that a journal may have.
    pub(crate) const fn min_bytes(&self) -> u64 {
        MIN_SEGMENTS * self.segment_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(segment_bytes: u64, max_bytes: u64) -> Result<Limits, OpenError> {
        Limits::of(&JournalOptions { segment_bytes, max_bytes, ..JournalOptions::DEFAULT })
    }

    #[test]
    fn every_allowed_segment_has_room_for_the_queues_and_the_largest_record() {
        for blocks in MIN_SEGMENT_BYTES / BLOCK_BYTES..=2048 {
            let segment_bytes = blocks * BLOCK_BYTES;
            let limits = limits(segment_bytes, segment_bytes * 3).unwrap();
            let snapshot = (FIXED_BYTES + control::max_snapshot_len(limits.max_queues)) as u64;
            let record = limits.max_payload as u64 + OVERHEAD_BYTES;
            assert!(limits.records_at + snapshot + record + limits.reserve <= segment_bytes, "{segment_bytes}");
        }
    }

    #[test]
    fn options_that_make_no_journal_are_refused_by_name() {
        assert!(limits(4096, 1 << 30).unwrap_err().to_string().starts_with("segment_bytes is 4096"));
        assert!(limits(65537, 1 << 30).unwrap_err().to_string().starts_with("segment_bytes is 65537"));
        assert!(limits(65536, 65536 * 3 - 1).unwrap_err().to_string().starts_with("max_bytes is 196607"));
    }

    #[test]
    fn the_default_takes_the_largest_payload_and_many_queues() {
        let limits = Limits::of(&JournalOptions::default()).unwrap();
        assert_eq!((limits.max_payload, limits.max_queues), (MAX_PAYLOAD_BYTES, 1024));
        assert_eq!(limits.min_bytes(), JournalOptions::MIN_BYTES);
    }
}
