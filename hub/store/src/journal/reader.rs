//! Reading what waits for one endpoint: of its queues the most urgent first, each in order.
//!
//! A reader that keeps up is handed records from memory. One that does not walks over the segments that hold records of its queues, a
//! chunk at a time, on the blocking pool. The ledger remembers what was handed out until that is settled; of the backlog nothing is in
//! memory beyond a chunk per queue.

mod lane;

use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use self::lane::{Item, Lane, Next};
use super::Offset;
use super::fetch::{self, Fetched};
use super::ledger::Ledger;
use super::shared::Shared;
use super::window::Handing;
use super::writer::WriterHandle;
use crate::queue::QueueName;
use crate::record::QueueId;

/// Most records from the first that is not settled to the last handed out, per endpoint. Past this [`QueueReader::next`] waits.
pub const MAX_UNSETTLED: usize = 4096;

/// One record of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the journal; grows along a queue, with gaps where records of other queues are. An endpoint gets a record once, so
    /// it tells one from another.
    pub offset: Offset,
    /// Handed out before, since the journal was opened, and not settled since.
    pub redelivered: bool,
    /// What was appended.
    pub payload: Bytes,
}

/// Why an endpoint cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReaderError {
    /// An endpoint has at most one reader at a time.
    #[error("queue {queue} has a reader already")]
    InUse {
        /// The endpoint.
        queue: String,
    },
    /// The journal has as many endpoints as it can name.
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

/// The one reader of an endpoint. Dropping it makes room for another, which starts at the first record not settled.
pub struct QueueReader {
    shared: Arc<Shared>,
    writer: Weak<WriterHandle>,
    endpoint: QueueName,
    arrived: Arc<Notify>,
    /// One per queue, the most urgent first.
    lanes: Vec<Lane>,
    /// A read under way: kept when `next` is dropped, so that it is not repeated.
    fetching: Option<(QueueId, JoinHandle<Result<Fetched, ReadError>>)>,
}

/// Why no record was taken.
enum Stop {
    /// There is enough, or more than may be handed out.
    Enough,
    /// The next record must be read from disk first.
    Fetch(usize),
    /// Until something arrives.
    Wait,
    Closed,
}

impl QueueReader {
    pub(crate) const fn new(shared: Arc<Shared>, writer: Weak<WriterHandle>, endpoint: QueueName, arrived: Arc<Notify>) -> Self {
        Self { shared, writer, endpoint, arrived, lanes: Vec::new(), fetching: None }
    }

    /// The next record, waiting for one if need be; also for the oldest to be settled, once it is [`MAX_UNSETTLED`] behind. May be
    /// dropped and called again at any time without losing a record.
    pub async fn next(&mut self) -> Result<Record, ReadError> {
        let mut record = None;
        self.wait_for(&mut |found| record = Some(found), 1, usize::MAX).await?;
        record.ok_or(ReadError::Closed)
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
        self.wait_for(&mut |record| records.push(record), max_records.max(1), max_bytes).await
    }

    /// The next record, if it is in memory already.
    pub fn try_next(&mut self) -> Option<Record> {
        let mut record = None;
        self.take(&mut |found| record = Some(found), 1, usize::MAX);
        record
    }

    /// The same, for several at once.
    pub fn try_next_batch(&mut self, records: &mut Vec<Record>, max_records: usize, max_bytes: usize) -> usize {
        self.take(&mut |record| records.push(record), max_records, max_bytes).0
    }

    async fn wait_for(
        &mut self,
        hand_out: &mut (dyn FnMut(Record) + Send),
        max_records: usize,
        max_bytes: usize,
    ) -> Result<usize, ReadError> {
        loop {
            let (count, stop) = self.take(hand_out, max_records, max_bytes);
            if count > 0 {
                return Ok(count);
            }
            match stop {
                // Only `settle` and `rewind` change that, and they need this future dropped.
                Stop::Enough => std::future::pending::<()>().await,
                Stop::Closed => return Err(ReadError::Closed),
                Stop::Wait => {
                    self.arrived.notified().await;
                    continue;
                }
                Stop::Fetch(lane) => self.begin_fetch(lane),
            }
            let Some((queue, fetching)) = &mut self.fetching else { continue };
            let queue = *queue;
            let fetched = tokio::select! {
                biased;
                fetched = fetching => fetched,
                // Perhaps something more urgent.
                () = self.arrived.notified() => continue,
            };
            self.fetching = None;
            match fetched {
                Ok(Ok(fetched)) => {
                    if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.queue == queue) {
                        lane.take_in(fetched);
                    }
                }
                Ok(Err(error)) => return Err(error),
                // The runtime is going down.
                Err(_) => return Err(ReadError::Closed),
            }
        }
    }

    /// Begins to read for a lane, unless something is being read already.
    fn begin_fetch(&mut self, lane: usize) {
        if self.fetching.is_some() {
            return;
        }
        let Some(lane) = self.lanes.get_mut(lane) else { return };
        let plan = lane.plan(&self.shared);
        if let Some(plan) = plan {
            let shared = Arc::clone(&self.shared);
            self.fetching = Some((lane.queue, tokio::task::spawn_blocking(move || fetch::fetch(&shared, plan))));
        }
    }

    /// Hands out what is in memory.
    fn take(&mut self, hand_out: &mut dyn FnMut(Record), max_records: usize, max_bytes: usize) -> (usize, Stop) {
        let now = self.shared.time.now();
        let mut ledger = self.shared.ledger();
        let mut taking = Taking { hand_out, now, count: 0, bytes: 0, max_records, max_bytes, tell_writer: false };
        let stop = take_from(&mut ledger, &self.endpoint, &mut self.lanes, &mut taking);
        let (count, tell_writer) = (taking.count, taking.tell_writer);
        let room = tell_writer && ledger.room_is_awaited;
        drop(ledger);
        self.told(tell_writer, room);
        (count, stop)
    }

    /// Marks a record as done with. May come in any order; the cursor moves up to the first record that is not settled.
    /// Returns whether it was this call that settled the record: not if it was not handed out, was settled before, or was dropped
    /// meanwhile and counted as that.
    pub fn settle(&mut self, offset: Offset) -> bool {
        self.settle_all([offset]) > 0
    }

    /// Settles several records; returns how many of them this call settled.
    pub fn settle_all(&mut self, offsets: impl IntoIterator<Item = Offset>) -> usize {
        let mut ledger = self.shared.ledger();
        let Some(queues) = ledger.endpoint(&self.endpoint).map(|endpoint| endpoint.queues.clone()) else { return 0 };
        let (mut settled, mut tell_writer) = (0, false);
        let mut touched = [false; crate::destination::Priority::COUNT + 1];
        for offset in offsets {
            for (at, id) in queues.iter().enumerate() {
                let found = ledger.queues.get_mut(id).is_some_and(|queue| queue.window.settle(offset));
                if found {
                    settled += 1;
                    if let Some(queue) = ledger.queues.get_mut(id) {
                        queue.counts.settled += 1;
                    }
                    touched[at.min(crate::destination::Priority::COUNT)] = true;
                    break;
                }
            }
        }
        for (id, _) in queues.iter().zip(touched).filter(|(_, touched)| *touched) {
            tell_writer |= ledger.change(*id, super::ledger::Queue::advance).1;
        }
        let room = settled > 0 && ledger.room_is_awaited;
        drop(ledger);
        self.told(tell_writer, room);
        settled
    }

    fn told(&self, tell_writer: bool, room: bool) {
        if tell_writer {
            WriterHandle::cursors_moved(&self.writer);
        }
        if room {
            self.shared.room_was_made();
        }
    }

    /// Starts again at the first record not settled; those settled out of order are not handed out again.
    pub fn rewind(&mut self) {
        self.lanes.clear();
        // What is being read is read on for nothing.
        self.fetching = None;
    }

    /// Records handed out and not settled.
    pub fn unsettled(&self) -> usize {
        let ledger = self.shared.ledger();
        let queues = ledger.endpoint(&self.endpoint).map(|endpoint| endpoint.queues.iter());
        queues.into_iter().flatten().filter_map(|id| ledger.queues.get(id)).map(|queue| queue.window.out()).sum()
    }
}

impl Drop for QueueReader {
    fn drop(&mut self) {
        let mut ledger = self.shared.ledger();
        if ledger.endpoint(&self.endpoint).is_none() {
            return;
        }
        let endpoint = ledger.endpoint_mut(&self.endpoint);
        endpoint.has_reader = false;
        for id in endpoint.queues.clone() {
            ledger.cool(id, u64::MAX);
            if let Some(queue) = ledger.queues.get_mut(&id) {
                queue.read = 0;
            }
        }
        ledger.forget_if_unused(&self.endpoint);
    }
}

/// One round of taking records.
struct Taking<'a> {
    hand_out: &'a mut dyn FnMut(Record),
    now: u64,
    count: usize,
    bytes: usize,
    max_records: usize,
    max_bytes: usize,
    tell_writer: bool,
}

impl Taking<'_> {
    const fn is_enough(&self) -> bool {
        self.count >= self.max_records || (self.count > 0 && self.bytes >= self.max_bytes)
    }
}

/// Takes from the most urgent queue that has something.
fn take_from(ledger: &mut Ledger, endpoint: &QueueName, lanes: &mut Vec<Lane>, taking: &mut Taking<'_>) -> Stop {
    let Some(queues) = ledger.endpoint(endpoint).map(|endpoint| endpoint.queues.as_slice()) else { return Stop::Closed };
    if !lanes.iter().map(|lane| lane.queue).eq(queues.iter().copied()) {
        let mut former = std::mem::take(lanes);
        let mut lane_of = |id: &QueueId| match former.iter().position(|lane| lane.queue == *id) {
            Some(at) => former.swap_remove(at),
            None => Lane::new(*id),
        };
        *lanes = queues.iter().map(&mut lane_of).collect();
    }
    let mut in_windows: usize = queues.iter().filter_map(|id| ledger.queues.get(id)).map(|queue| queue.window.len()).sum();
    for (at, lane) in lanes.iter_mut().enumerate() {
        loop {
            if taking.is_enough() {
                return Stop::Enough;
            }
            let item = match lane.next(ledger) {
                Next::Item(item) => item,
                Next::OnDisk => return Stop::Fetch(at),
                Next::Nothing => break,
            };
            if !pass(ledger, lane, item, taking, &mut in_windows) {
                return Stop::Enough;
            }
        }
    }
    if ledger.closed { Stop::Closed } else { Stop::Wait }
}

/// Passes one record, or a gap: hands it out or counts it. False: there is no more room in the window.
fn pass(ledger: &mut Ledger, lane: &mut Lane, item: Item, taking: &mut Taking<'_>, in_windows: &mut usize) -> bool {
    let record = match item {
        Item::Gap { first, end } => {
            taking.tell_writer |= ledger.change(lane.queue, |queue| queue.miss(first, end)).1;
            return true;
        }
        Item::Record(record) => record,
    };
    let Some(queue) = ledger.queues.get_mut(&lane.queue) else { return true };
    if *in_windows >= MAX_UNSETTLED && !queue.window.has(record.number) {
        lane.put_back(Item::Record(record));
        return false;
    }
    if record.expires <= taking.now {
        let (_, told) = ledger.change(lane.queue, |queue| {
            queue.counts.expired += u64::from(queue.window.skip(record.number, record.offset, record.bytes));
            queue.advance();
        });
        taking.tell_writer |= told;
        return true;
    }
    let handing = queue.window.hand_out(record.number, record.offset, record.bytes);
    if handing != Handing::Not {
        *in_windows += usize::from(handing == Handing::First);
        taking.count += 1;
        taking.bytes += record.payload.len();
        let redelivered = handing == Handing::Again;
        (taking.hand_out)(Record { offset: record.offset, redelivered, payload: record.payload });
    }
    true
}
