//! One run: the bytes of consecutive records for one segment, written and synced at once, and what becomes true when they are.

use super::Offset;
use super::appender::{AppendError, Ticket};
use super::ledger::Numbers;
use crate::control::CursorEntry;
use crate::record::{self, Entry, Kind, QueueId};

/// Bytes of one run, about: a larger batch is written and synced in parts, so that memory stays bounded.
const LARGE_BYTES: usize = 2 * 1024 * 1024;
/// Records of one run, about. Well below what a record's `unsynced` field can count.
const LARGE_RECORDS: usize = 16 * 1024;

/// What a resting writer keeps of its buffer.
const KEPT_BYTES: usize = 64 * 1024;

/// A submission that is answered when the run is on disk.
pub(crate) struct Waiting {
    pub(crate) ticket: Ticket,
    /// So many of its records went to disk with earlier runs.
    pub(crate) durable: usize,
    /// The first of its records that was refused, and why.
    pub(crate) refused: Option<(usize, AppendError)>,
}

/// Records being gathered.
#[derive(Default)]
pub(crate) struct Run {
    pub(crate) buffer: Vec<u8>,
    /// Position in the segment of the buffer's first byte.
    pub(crate) start: u64,
    /// Submissions to answer, all of whose records are placed.
    pub(crate) waiting: Vec<Waiting>,
    /// Records of the submission being placed that are in this run …
    pub(crate) gathered: usize,
    /// … and that went to disk with earlier ones.
    pub(crate) durable: usize,
    /// Messages in it.
    messages: usize,
    /// Messages per queue.
    pub(crate) numbers: Vec<Numbers>,
    /// Queues that the disk will know by name.
    pub(crate) named: Vec<QueueId>,
    /// Cursors that the disk will know.
    pub(crate) cursors: Vec<CursorEntry>,
    /// Retired queues that the disk will have forgotten: so many of the ledger's list.
    pub(crate) retired: usize,
}

impl Run {
    /// Begins anew at a position of the segment, keeping the buffer's memory.
    pub(crate) fn restart(&mut self, start: u64) {
        self.buffer.clear();
        self.start = start;
        self.waiting.clear();
        self.messages = 0;
        self.numbers.clear();
        self.named.clear();
        self.cursors.clear();
        self.retired = 0;
    }

    /// Records that only say how far queues are: all there is in a run without appends.
    pub(crate) fn control_records(&self) -> u64 {
        u64::from(!self.cursors.is_empty()) + self.retired as u64
    }

    /// Does somebody wait for it?
    pub(crate) fn has_messages(&self) -> bool {
        self.messages > 0
    }

    /// Is it time to write it?
    pub(crate) fn is_large(&self) -> bool {
        self.buffer.len() >= LARGE_BYTES || self.messages >= LARGE_RECORDS
    }

    /// Position after the last record gathered.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    /// The number that the next record of a queue gets, given the one that the disk is at.
    pub(crate) fn next_number(&self, queue: QueueId, on_disk: u64) -> u64 {
        self.numbers.iter().find(|numbers| numbers.queue == queue).map_or(on_disk, |numbers| numbers.end)
    }

    /// Adds a message's record.
    pub(crate) fn message(&mut self, seed: u32, place: (Offset, u16), entries: &[Entry], payload: &[u8]) {
        record::encode(&mut self.buffer, seed, place, Kind::Message, entries, payload);
        self.messages += 1;
        for Entry { queue, number, .. } in entries {
            match self.numbers.iter_mut().find(|numbers| numbers.queue == *queue) {
                Some(numbers) => numbers.end = number + 1,
                None => self.numbers.push(Numbers { queue: *queue, first: *number, end: number + 1 }),
            }
        }
    }

    /// Adds a record of the journal's own.
    pub(crate) fn control(&mut self, seed: u32, place: (Offset, u16), kind: Kind, payload: &[u8]) {
        record::encode(&mut self.buffer, seed, place, kind, &[], payload);
    }

    /// Gives back the memory that a large run needed.
    pub(crate) fn rest(&mut self) {
        if self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        self.waiting.shrink_to(64);
    }
}
