//! Reading one queue.
//!
//! A reader walks over the segments that hold records of its queue, a chunk at a time, on the blocking pool. It remembers what it
//! handed out until that is settled, and nothing of the backlog beyond the chunk in hand.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::Offset;
use super::fetch::{self, Fetch, Fetched, FetchedRecord, Place};
use super::shared::Shared;
use super::writer::WriterHandle;
use crate::control::Cursor;
use crate::record::QueueId;

/// Most records from the first that is not settled to the last handed out, per queue. Past this [`QueueReader::next`] waits.
pub const MAX_UNSETTLED: usize = 4096;

/// One record of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the journal; grows along a queue, with gaps where records of other queues are.
    pub offset: Offset,
    /// Handed out before, by this reader, and not settled since.
    pub redelivered: bool,
    /// What was appended.
    pub payload: Bytes,
}

/// Why a queue cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReaderError {
    /// A queue has at most one reader at a time.
    #[error("queue {queue} has a reader already")]
    InUse {
        /// The queue.
        queue: String,
    },
    /// The journal has as many queues as it can name.
    #[error("the journal has {max} queues already")]
    TooManyQueues {
        /// The limit.
        max: usize,
    },
}

/// Why there is no next record.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A segment could not be read. Calling `next` again tries again.
    #[error("failed to read {file}")]
    Disk {
        /// The segment.
        file: String,
        /// What the operating system answered.
        source: std::io::Error,
    },
    /// The journal was closed and everything in it has been handed out.
    #[error("the journal is closed")]
    Closed,
}

/// A record that was handed out and may have to be again.
struct HandedOut {
    offset: Offset,
    number: u64,
    place: Place,
    settled: bool,
}

/// The one reader of a queue. Dropping it makes room for another, which starts at the first record not settled.
pub struct QueueReader {
    shared: Arc<Shared>,
    writer: Weak<WriterHandle>,
    queue: QueueId,
    arrived: Arc<Notify>,
    /// Where to read on; `None`: in the first segment that holds the next number.
    place: Option<Place>,
    /// Number of the next record to read.
    next_number: u64,
    /// A read under way: kept when `next` is dropped, so that it is not repeated.
    fetching: Option<JoinHandle<Result<Fetched, ReadError>>>,
    /// Read and not handed out.
    ready: VecDeque<FetchedRecord>,
    /// Handed out, from the first that is not settled.
    window: VecDeque<HandedOut>,
    unsettled: usize,
    /// Everything before is settled.
    cursor: Cursor,
}

impl QueueReader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        writer: Weak<WriterHandle>,
        queue: QueueId,
        arrived: Arc<Notify>,
        cursor: Cursor,
    ) -> Self {
        Self {
            shared,
            writer,
            queue,
            arrived,
            place: None,
            next_number: cursor.number,
            fetching: None,
            ready: VecDeque::new(),
            window: VecDeque::new(),
            unsettled: 0,
            cursor,
        }
    }

    /// The next record, waiting for one if need be; also for the oldest to be settled, once it is [`MAX_UNSETTLED`] behind. May be
    /// dropped and called again at any time without losing a record.
    pub async fn next(&mut self) -> Result<Record, ReadError> {
        loop {
            if let Some(record) = self.try_next() {
                return Ok(record);
            }
            if self.window_is_full() {
                // Only `settle` and `rewind` change that, and they need this future dropped.
                std::future::pending::<()>().await;
            }
            let fetching = match &mut self.fetching {
                Some(fetching) => fetching,
                None => match self.plan() {
                    Plan::Fetch(fetch) => {
                        let shared = Arc::clone(&self.shared);
                        self.fetching.insert(tokio::task::spawn_blocking(move || fetch::fetch(&shared, fetch)))
                    }
                    Plan::Again => continue,
                    Plan::Wait => {
                        self.arrived.notified().await;
                        continue;
                    }
                    Plan::Closed => return Err(ReadError::Closed),
                },
            };
            let fetched = fetching.await;
            self.fetching = None;
            match fetched {
                Ok(Ok(fetched)) => self.take_in(fetched),
                Ok(Err(error)) => return Err(error),
                // The runtime is going down.
                Err(_) => return Err(ReadError::Closed),
            }
        }
    }

    /// Adds the next records to `records`, waiting for the first if need be: up to `max_records`, and no more once they have
    /// `max_bytes` of payload. Returns how many they are, at least one. May be dropped and called again at any time without losing a
    /// record.
    pub async fn next_batch(
        &mut self,
        records: &mut Vec<Record>,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<usize, ReadError> {
        let first = self.next().await?;
        let (mut count, mut bytes) = (1, first.payload.len());
        records.push(first);
        while count < max_records && bytes < max_bytes {
            let Some(record) = self.try_next() else { break };
            (count, bytes) = (count + 1, bytes + record.payload.len());
            records.push(record);
        }
        Ok(count)
    }

    /// The next record, if it is in memory already.
    pub fn try_next(&mut self) -> Option<Record> {
        while !self.window_is_full() {
            let FetchedRecord { offset, number, place, payload } = self.ready.pop_front()?;
            if number < self.cursor.number {
                continue;
            }
            let handed_out = self.window.binary_search_by_key(&offset, |handed_out| handed_out.offset);
            let redelivered = match handed_out {
                Ok(at) if self.window[at].settled => continue,
                Ok(_) => true,
                Err(_) => {
                    self.window.push_back(HandedOut { offset, number, place, settled: false });
                    self.unsettled += 1;
                    false
                }
            };
            return Some(Record { offset, redelivered, payload });
        }
        None
    }

    /// Marks a record as done with. May come in any order; the cursor moves up to the first record that is not settled.
    /// Returns whether it was this call that settled the record: not if it was not handed out, was settled before, or was dropped
    /// meanwhile and counted as that.
    pub fn settle(&mut self, offset: Offset) -> bool {
        let Ok(at) = self.window.binary_search_by_key(&offset, |handed_out| handed_out.offset) else { return false };
        if self.window[at].settled {
            return false;
        }
        self.window[at].settled = true;
        self.unsettled -= 1;
        let mut last = None;
        while let Some(first) = self.window.pop_front_if(|first| first.settled) {
            last = Some(first);
        }
        if let Some(last) = last {
            self.move_cursor(match self.window.front() {
                Some(first) => Cursor { offset: first.offset, number: first.number },
                None => self.cursor_past_window(last.offset + 1, last.number + 1),
            });
        }
        true
    }

    /// Settles several records; returns how many of them this call settled.
    pub fn settle_all(&mut self, offsets: impl IntoIterator<Item = Offset>) -> usize {
        offsets.into_iter().map(|offset| usize::from(self.settle(offset))).sum()
    }

    /// Starts again at the first record not settled; those settled out of order are not handed out again.
    pub fn rewind(&mut self) {
        let Some(first) = self.window.front() else { return };
        self.place = Some(first.place);
        self.next_number = first.number;
        self.ready.clear();
        // What is being read is read on for nothing; it is told by its number.
        self.fetching = None;
    }

    /// Records handed out and not settled.
    pub fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// May no record be handed out that was not handed out before?
    fn window_is_full(&self) -> bool {
        let next = self.ready.front().map_or(self.next_number, |record| record.number);
        let is_rewound = self.window.back().is_some_and(|last| next <= last.number);
        self.window.len() >= MAX_UNSETTLED && !is_rewound
    }

    /// Where the cursor stands once everything handed out is settled.
    fn cursor_past_window(&self, offset: Offset, number: u64) -> Cursor {
        match self.ready.front() {
            Some(next) => Cursor { offset: next.offset, number: next.number.max(number) },
            None => Cursor { offset, number: self.next_number.max(number) },
        }
    }

    fn move_cursor(&mut self, cursor: Cursor) {
        self.cursor = cursor;
        // After a rewind, what is settled meanwhile need not be read again, and may be gone.
        self.next_number = self.next_number.max(cursor.number);
        let mut ledger = self.shared.ledger();
        let tell_writer = ledger.settle(self.queue, cursor);
        let room = ledger.full && ledger.could_free();
        drop(ledger);
        if tell_writer {
            WriterHandle::cursors_moved(&self.writer);
        }
        if room {
            self.shared.room.notify_waiters();
        }
    }

    /// What to do for the next record.
    fn plan(&mut self) -> Plan {
        let ledger = self.shared.ledger();
        let Some(queue) = ledger.queues.get(&self.queue) else { return Plan::Closed };
        if self.next_number >= queue.next_number {
            return if ledger.closed { Plan::Closed } else { Plan::Wait };
        }
        let reached = self.place.map_or(0, |place| place.generation);
        let candidate = ledger.segments.iter().filter(|segment| segment.generation >= reached).find(|segment| {
            let read_through =
                self.place.is_some_and(|place| place.generation == segment.generation && place.offset >= segment.end_offset);
            !read_through && segment.end_for(self.queue, self.next_number).is_some()
        });
        let Some(segment) = candidate else {
            // The queue has more numbers than its segments have records.
            let end = queue.next_number;
            drop(ledger);
            self.miss_through(end);
            return Plan::Again;
        };
        let place = self.place.filter(|place| place.generation == segment.generation);
        let place = place.unwrap_or_else(|| Place::start_of(segment.generation, segment.first_offset));
        Plan::Fetch(Fetch::of(&self.shared, segment, place, self.queue, self.next_number))
    }

    /// Takes what was read, and notes what is missing.
    fn take_in(&mut self, fetched: Fetched) {
        match fetched {
            // The segment was used again while it was read: nothing of ours was left in it.
            Fetched::Outdated => self.place = None,
            Fetched::Records { records, place, whole_segment_through } => {
                self.place = Some(place);
                for record in records {
                    if record.number < self.next_number {
                        continue;
                    }
                    self.miss_through(record.number);
                    self.next_number = record.number + 1;
                    self.ready.push_back(record);
                }
                if let Some(end) = whole_segment_through {
                    self.miss_through(end);
                }
            }
        }
    }

    /// The records before number `end` that were not found are lost.
    fn miss_through(&mut self, end: u64) {
        if end <= self.next_number {
            return;
        }
        if let Some(queue) = self.shared.ledger().queues.get_mut(&self.queue) {
            queue.note_lost(self.next_number, end);
        }
        self.next_number = end;
        if self.window.is_empty() && self.ready.is_empty() {
            self.move_cursor(self.cursor_past_window(self.place.map_or(self.cursor.offset, |place| place.offset), end));
        }
    }
}

impl Drop for QueueReader {
    fn drop(&mut self) {
        if let Some(queue) = self.shared.ledger().queues.get_mut(&self.queue) {
            queue.has_reader = false;
        }
    }
}

enum Plan {
    Fetch(Fetch),
    /// Something changed: look again.
    Again,
    /// Until something arrives.
    Wait,
    Closed,
}
