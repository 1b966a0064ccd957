//! One run: the bytes of consecutive records for one segment, written and synced at once, and what becomes true when they are.

use bytes::Bytes;

use super::Offset;
use super::appender::{AppendError, Ticket};
use super::ledger::HotRecord;
use super::replay::Spans;
use crate::control::{CursorEntry, Mark};
use crate::record::{self, Entry, Kind, QueueId};
use crate::seal::QueueSpan;

/// What a resting writer keeps of its buffer: a busy one rests between any two commits, and large memory costs more to get than to fill.
const KEPT_BYTES: usize = 1024 * 1024;
/// Bytes of one run, about: a larger batch is written and synced in parts, so that memory stays bounded.
const LARGE_BYTES: usize = 2 * 1024 * 1024;
/// Records of one run, about. Well below what a record's `unsynced` field can count.
const LARGE_RECORDS: usize = 16 * 1024;

/// A submission that is answered when the run is on disk.
pub(crate) struct Waiting {
    pub(crate) ticket: Ticket,
    /// So many of its records went to disk with earlier runs.
    pub(crate) durable: usize,
    /// The first of its records that was refused, and why.
    pub(crate) refused: Option<(usize, AppendError)>,
}

/// What a run adds to one queue.
pub(crate) struct RunQueue {
    pub(crate) queue: QueueId,
    pub(crate) first: Mark,
    pub(crate) end: Mark,
    /// When the last of the records expires.
    pub(crate) expires: u64,
    /// The records, if they may be kept in memory for a reader.
    pub(crate) hot: Option<Vec<HotRecord>>,
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
    /// Was something refused since it was begun? Then what is accepted in it does not mean that all is well.
    pub(crate) refused: bool,
    /// Messages in it.
    messages: usize,
    /// Messages per queue.
    pub(crate) queues: Vec<RunQueue>,
    /// Queues that the disk will know by name.
    pub(crate) named: Vec<QueueId>,
    /// Cursors that the disk will know.
    pub(crate) cursors: Vec<CursorEntry>,
    /// Records of the journal's own in it.
    pub(crate) control_records: u64,
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
        self.refused = false;
        self.queues.clear();
        self.named.clear();
        self.cursors.clear();
        self.control_records = 0;
        self.retired = 0;
    }

    /// Does somebody wait for it?
    pub(crate) const fn has_messages(&self) -> bool {
        self.messages > 0
    }

    /// Is it time to write it?
    pub(crate) const fn is_large(&self) -> bool {
        self.buffer.len() >= LARGE_BYTES || self.messages >= LARGE_RECORDS
    }

    /// Position after the last record gathered.
    pub(crate) const fn end(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    /// What is gathered for a queue, if anything. `hint` is where it was last time, and is put right.
    pub(crate) fn queue(&mut self, queue: QueueId, hint: &mut usize) -> Option<&mut RunQueue> {
        if self.queues.get(*hint).is_none_or(|gathered| gathered.queue != queue) {
            *hint = self.queues.iter().position(|gathered| gathered.queue == queue)?;
        }
        self.queues.get_mut(*hint)
    }

    /// Adds a message's record. Each of its queues has been begun; `hints` are where.
    pub(crate) fn message(&mut self, seed: u32, place: (Offset, u16), entries: &[Entry], hints: &[usize], payload: &Bytes) {
        record::encode(&mut self.buffer, seed, place, Kind::Message, entries, payload);
        self.messages += 1;
        let bytes = record::encoded_len(entries.len(), payload.len()) as u64;
        for (Entry { number, expires, .. }, hint) in entries.iter().zip(hints) {
            let Some(gathered) = self.queues.get_mut(*hint) else { continue };
            gathered.end = Mark { number: number + 1, bytes: gathered.end.bytes + bytes };
            gathered.expires = gathered.expires.max(*expires);
            if let Some(hot) = &mut gathered.hot {
                hot.push(HotRecord { number: *number, offset: place.0, expires: *expires, bytes, payload: payload.clone() });
            }
        }
    }

    /// Adds what the run holds to what a segment holds.
    pub(crate) fn add_to(&self, spans: &mut Spans) {
        for RunQueue { queue, first, end, expires, .. } in &self.queues {
            let span = spans.entry(*queue).or_insert(QueueSpan { queue: *queue, first: *first, end: *end, expires: 0 });
            (span.end, span.expires) = (*end, span.expires.max(*expires));
        }
    }

    /// Adds a record of the journal's own.
    pub(crate) fn control(&mut self, seed: u32, place: (Offset, u16), kind: Kind, payload: &[u8]) {
        record::encode(&mut self.buffer, seed, place, kind, &[], payload);
        self.control_records += 1;
    }

    /// Gives back the memory that a large run needed.
    pub(crate) fn rest(&mut self) {
        if self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        self.waiting.shrink_to(64);
    }
}
