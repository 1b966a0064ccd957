//! The head of a segment file. Pure.
//!
//! ```text
//! 0     header     magic "EDGJ" | format u16 | kind u16 | generation u64 | first offset u64 | file bytes u64 | salt u64
//!                  | covers from u64 | covers through u64 | records at u32 | crc32 u32
//! 512   the same header again: a disk writes 512 bytes or nothing, so one of the two survives whatever hits the other
//! 1024  seal       what the segment holds, written when it is ended: see `seal.rs`
//! ...   records, from `records at` on
//! ```

use crc32fast::Hasher;

use crate::journal::Offset;
use crate::record::{u32_at, u64_at};

/// The format this version writes, and the only one it reads.
pub(crate) const FORMAT: u16 = 2;
/// Bytes before the seal.
pub(crate) const HEAD_BYTES: usize = 1024;
/// Where the seal stands.
pub(crate) const SEAL_AT: u64 = HEAD_BYTES as u64;
/// Largest segment. After damage the rest of a segment is searched in memory.
pub(crate) const MAX_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Greatest generation and offset.
const MAX_COUNT: u64 = u64::MAX / 2;
const COPY_AT: usize = 512;
const HEADER_BYTES: usize = 64;
const MAGIC: &[u8; 4] = b"EDGJ";

/// What a segment file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentKind {
    /// Written as records come: begins with the list of all queues, and its offsets have no gaps.
    Log,
    /// What was still wanted of one or more segments, copied by the cleaner.
    Compacted,
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: SegmentKind,
    /// Of each segment its own; grows each time one is begun.
    pub(crate) generation: u64,
    /// Offset of the first record. The log segment before it ends here, whatever stands in it beyond.
    pub(crate) first_offset: Offset,
    /// Size of the file.
    pub(crate) file_bytes: u64,
    /// A number that no sender can know; part of every checksum.
    pub(crate) salt: u64,
    /// First and last generation whose records it holds: its own, or those that a compacted one took the place of.
    pub(crate) covers: (u64, u64),
    /// Where the records begin.
    pub(crate) records_at: u32,
}

/// What the head of a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// A segment.
    Valid(Header),
    /// Not begun yet, or torn while it was begun for the first time: it holds nothing.
    Blank,
    /// Written by a version that we do not know.
    UnknownFormat(u16),
    /// Both copies of the header are damaged.
    Damaged,
}

impl Header {
    /// Where the checksums of this segment's records start from.
    pub(crate) fn seed(&self) -> u32 {
        let mut hasher = Hasher::new();
        hasher.update(&self.generation.to_le_bytes());
        hasher.update(&self.salt.to_le_bytes());
        hasher.finalize()
    }

    /// The first [`HEAD_BYTES`] bytes of the file.
    pub(crate) fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(MAGIC);
        header[4..6].copy_from_slice(&FORMAT.to_le_bytes());
        header[6..8].copy_from_slice(&u16::from(self.kind == SegmentKind::Compacted).to_le_bytes());
        let numbers =
            [self.generation, self.first_offset, self.file_bytes, self.salt, self.covers.0, self.covers.1].map(u64::to_le_bytes);
        for (at, number) in numbers.iter().enumerate() {
            header[8 + at * 8..16 + at * 8].copy_from_slice(number);
        }
        header[56..60].copy_from_slice(&self.records_at.to_le_bytes());
        let crc = crc32fast::hash(&header[..60]);
        header[60..].copy_from_slice(&crc.to_le_bytes());
        let mut head = [0; HEAD_BYTES];
        head[..HEADER_BYTES].copy_from_slice(&header);
        head[COPY_AT..COPY_AT + HEADER_BYTES].copy_from_slice(&header);
        head
    }
}

impl Head {
    /// Reads the first [`HEAD_BYTES`] bytes of a file.
    pub(crate) fn decode(head: &[u8; HEAD_BYTES]) -> Self {
        let copies = [decode_copy(&head[..HEADER_BYTES]), decode_copy(&head[COPY_AT..COPY_AT + HEADER_BYTES])];
        // Two different valid copies: the plug was pulled while the segment was begun again. The newer one is what was meant.
        let newest = copies.iter().filter_map(|copy| if let Head::Valid(header) = copy { Some(*header) } else { None });
        if let Some(header) = newest.max_by_key(|header| header.generation) {
            return Head::Valid(header);
        }
        let unknown = copies.iter().find(|copy| matches!(copy, Head::UnknownFormat(_)));
        match (unknown, copies) {
            (Some(unknown), _) => *unknown,
            // A header that was ever synced has two copies: one alone that is not readable was torn.
            (None, [_, Head::Blank] | [Head::Blank, _]) => Head::Blank,
            _ => Head::Damaged,
        }
    }
}

fn decode_copy(header: &[u8]) -> Head {
    if header.iter().all(|byte| *byte == 0) {
        return Head::Blank;
    }
    if &header[..4] != MAGIC {
        return Head::Damaged;
    }
    let crc_is_right = crc32fast::hash(&header[..60]) == u32_at(header, 60);
    let format = u16::from_le_bytes([header[4], header[5]]);
    match (format, crc_is_right) {
        (FORMAT, true) => plausible(Header {
            kind: if header[6] == 0 { SegmentKind::Log } else { SegmentKind::Compacted },
            generation: u64_at(header, 8),
            first_offset: u64_at(header, 16),
            file_bytes: u64_at(header, 24),
            salt: u64_at(header, 32),
            covers: (u64_at(header, 40), u64_at(header, 48)),
            records_at: u32_at(header, 56),
        }),
        // A later format may keep its checksum elsewhere, so the format alone decides.
        (FORMAT, false) => Head::Damaged,
        (other, _) => Head::UnknownFormat(other),
    }
}

/// A checksum is no proof of who wrote it: what no journal comes to must not be counted on from, or be taken for a size of memory.
const fn plausible(header: Header) -> Head {
    let Header { generation, first_offset, file_bytes, covers, .. } = header;
    let counts = generation <= MAX_COUNT && first_offset <= MAX_COUNT && covers.0 <= covers.1 && covers.1 <= generation;
    if counts && file_bytes <= MAX_SEGMENT_BYTES { Head::Valid(header) } else { Head::Damaged }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        kind: SegmentKind::Compacted,
        generation: 7,
        first_offset: 99,
        file_bytes: 65536,
        salt: 0x1234_5678_9abc_def0,
        covers: (3, 5),
        records_at: 1536,
    };

    #[test]
    fn a_header_is_read_as_it_was_written_and_from_its_copy() {
        let mut head = HEADER.encode();
        assert_eq!(Head::decode(&head), Head::Valid(HEADER));
        head[20] ^= 1;
        assert_eq!(Head::decode(&head), Head::Valid(HEADER));
        head[COPY_AT + 20] ^= 1;
        assert_eq!(Head::decode(&head), Head::Damaged);
    }

    #[test]
    fn a_header_with_numbers_that_no_journal_comes_to_is_damaged() {
        for header in [
            Header { generation: u64::MAX, ..HEADER },
            Header { first_offset: u64::MAX, ..HEADER },
            Header { file_bytes: 1 << 63, ..HEADER },
            Header { covers: (5, 3), ..HEADER },
            Header { covers: (3, 8), ..HEADER },
        ] {
            assert_eq!(Head::decode(&header.encode()), Head::Damaged, "{header:?}");
        }
    }

    #[test]
    fn zeros_and_a_header_torn_at_its_first_use_are_blank() {
        assert_eq!(Head::decode(&[0; HEAD_BYTES]), Head::Blank);
        let mut head = HEADER.encode();
        head[20..].fill(0);
        assert_eq!(Head::decode(&head), Head::Blank);
    }

    #[test]
    fn of_two_valid_copies_the_newer_counts() {
        let mut head = HEADER.encode();
        let newer = Header { generation: 8, ..HEADER };
        head[..COPY_AT].copy_from_slice(&newer.encode()[..COPY_AT]);
        assert_eq!(Head::decode(&head), Head::Valid(newer));
    }

    #[test]
    fn another_format_is_named() {
        let mut head = HEADER.encode();
        head[4] = 1;
        head[COPY_AT + 4] = 1;
        assert_eq!(Head::decode(&head), Head::UnknownFormat(1));
    }

    #[test]
    fn seeds_differ_by_generation_and_by_salt() {
        assert_ne!(HEADER.seed(), Header { generation: 8, ..HEADER }.seed());
        assert_ne!(HEADER.seed(), Header { salt: 1, ..HEADER }.seed());
    }
}
