//! Walking over the records of one segment file, past damage if there is some. Blocking.

use std::io;
use std::sync::Arc;

use super::Offset;
use crate::disk::DiskFile;
use crate::record::{self, Decoded, FIXED_BYTES, MAX_RECORD_BYTES, RecordRef};

/// What is read from disk at a time: large enough that a hard read pays, small enough for one per queue.
const CHUNK_BYTES: usize = 64 * 1024;

/// A part of a segment in which records are expected.
#[derive(Clone)]
pub(crate) struct Span {
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where the segment's checksums start from.
    pub(crate) seed: u32,
    /// Where the next record starts.
    pub(crate) position: u64,
    /// The offset it should have.
    pub(crate) offset: Offset,
    /// Nothing counts from here on, because of its position …
    pub(crate) end_position: u64,
    /// … or its offset.
    pub(crate) end_offset: Offset,
    /// May offsets be left out? After damage they tell less then of where a record may be.
    pub(crate) has_gaps: bool,
}

/// The state of a walk.
pub(crate) struct Scanner {
    pub(crate) span: Span,
    buffer: Vec<u8>,
    /// Position of the buffer's first byte.
    buffer_at: u64,
}

/// What a step of the walk found.
pub(crate) enum Step<'a> {
    /// A record.
    Record(RecordRef<'a>),
    /// No record here: the end, or damage.
    Nothing,
}

impl Scanner {
    pub(crate) fn new(span: Span) -> Self {
        let buffer_at = span.position;
        Self { span, buffer: Vec::new(), buffer_at }
    }

    /// The next record, if one stands where it should.
    pub(crate) fn step(&mut self) -> io::Result<Step<'_>> {
        if self.span.offset >= self.span.end_offset || !self.fill(FIXED_BYTES)? {
            return Ok(Step::Nothing);
        }
        let len = record::claimed_len(self.window()).unwrap_or(usize::MAX);
        if len > MAX_RECORD_BYTES || !self.fill(len)? {
            return Ok(Step::Nothing);
        }
        let position = self.span.position;
        let at = usize::try_from(position - self.buffer_at).unwrap_or(usize::MAX);
        let Decoded::Record(found) = record::decode(&self.buffer[at..], self.span.seed) else { return Ok(Step::Nothing) };
        if found.offset < self.span.offset || found.offset >= self.span.end_offset {
            return Ok(Step::Nothing);
        }
        self.span.position += found.len() as u64;
        self.span.offset = found.offset + 1;
        Ok(Step::Record(found))
    }

    /// Looks for the next record past something that is none, byte by byte, and makes it the next step. Returns whether there is one.
    ///
    /// The rest of the segment is in memory meanwhile: this happens after damage only.
    pub(crate) fn resync(&mut self) -> io::Result<bool> {
        let rest = usize::try_from(self.span.end_position.saturating_sub(self.span.position)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; rest];
        let count = self.span.file.read_at(&mut bytes, self.span.position)?;
        bytes.truncate(count);
        let smallest_record = FIXED_BYTES as u64;
        for at in 1..bytes.len() {
            let Some(offset) = record::claimed_offset(&bytes[at..]) else { break };
            let plausible = (offset > self.span.offset || self.span.has_gaps && offset == self.span.offset)
                && offset < self.span.end_offset
                && (self.span.has_gaps || offset - self.span.offset <= at as u64 / smallest_record + 1);
            if plausible && matches!(record::decode(&bytes[at..], self.span.seed), Decoded::Record(_)) {
                self.span.position += at as u64;
                self.span.offset = offset;
                self.buffer.clear();
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Does the next step need the disk?
    pub(crate) fn needs_disk(&self) -> bool {
        record::claimed_len(self.window()).is_none_or(|len| self.window().len() < len)
    }

    fn window(&self) -> &[u8] {
        let at = usize::try_from(self.span.position - self.buffer_at).unwrap_or(usize::MAX);
        self.buffer.get(at..).unwrap_or(&[])
    }

    /// Makes `wanted` bytes from the current position available; false if the span has fewer.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if self.window().len() >= wanted {
            return Ok(true);
        }
        let rest = self.span.end_position.saturating_sub(self.span.position);
        if rest < wanted as u64 {
            return Ok(false);
        }
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(wanted.max(CHUNK_BYTES));
        self.buffer.resize(count, 0);
        self.buffer_at = self.span.position;
        let read = self.span.file.read_at(&mut self.buffer, self.buffer_at)?;
        self.buffer.truncate(read);
        Ok(read >= wanted)
    }
}
