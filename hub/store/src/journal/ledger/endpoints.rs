//! The endpoints of the ledger: which queues each has, its reader, and what it holds.

use std::sync::Arc;

use tokio::sync::Notify;

use super::shares::Shares;
use super::{HotRecord, Ledger, Queue, Retired, TooManyQueues};
use crate::destination::Priority;
use crate::queue::QueueName;
use crate::record::QueueId;

/// Bytes of payload kept in memory for readers that keep up, over all queues. Past this the oldest are read from disk.
pub(crate) const HOT_BYTES: usize = 1024 * 1024;
/// What a record in memory counts beside its payload.
const HOT_OVERHEAD_BYTES: usize = 128;
/// Most groups of records in memory that are remembered by age.
const HOT_GROUPS: usize = 8192;

/// An endpoint.
#[derive(Debug, Default)]
pub(crate) struct Endpoint {
    /// The most urgent first.
    pub(crate) queues: Vec<QueueId>,
    pub(crate) has_reader: bool,
    /// Bytes that its queues hold.
    pub(crate) held_bytes: u64,
    /// Is a part of the room kept for it although it holds nothing?
    pub(crate) expected: bool,
    /// Was the last append for it refused?
    pub(crate) refusing: bool,
    /// Wakes the reader.
    pub(crate) arrived: Arc<Notify>,
}

impl Ledger {
    pub(crate) fn endpoint(&self, name: &QueueName) -> Option<&Endpoint> {
        self.endpoints.get(name)
    }

    /// The endpoint, which comes into being if need be.
    pub(crate) fn endpoint_mut(&mut self, name: &QueueName) -> &mut Endpoint {
        if !self.endpoints.contains_key(name) {
            self.endpoints.insert(name.clone(), Endpoint::default());
            self.share_out();
        }
        self.endpoints.entry(name.clone()).or_default()
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&QueueName, &Endpoint)> {
        self.endpoints.iter()
    }

    /// The queue of an endpoint and priority.
    pub(crate) fn id(&self, endpoint: &QueueName, priority: Priority) -> Option<QueueId> {
        let queues = self.endpoints.get(endpoint)?.queues.iter();
        queues.copied().find(|id| self.queues.get(id).is_some_and(|queue| queue.priority == priority))
    }

    /// The same; it comes into being if need be.
    pub(crate) fn id_or_new(&mut self, endpoint: &QueueName, priority: Priority) -> Result<QueueId, TooManyQueues> {
        if let Some(id) = self.id(endpoint, priority) {
            return Ok(id);
        }
        if self.queues.len() >= self.limits.max_queues {
            return Err(TooManyQueues);
        }
        let id = self.next_queue_id;
        self.insert(id, Queue::new(endpoint.clone(), priority));
        Ok(id)
    }

    pub(crate) fn insert(&mut self, id: QueueId, queue: Queue) {
        self.next_queue_id = self.next_queue_id.max(id.saturating_add(1));
        let (endpoint, priority, held) = (queue.endpoint.clone(), queue.priority, queue.held_bytes());
        self.queues.insert(id, queue);
        let mut queues = self.endpoint_mut(&endpoint).queues.clone();
        queues.retain(|other| *other != id);
        let at = queues.partition_point(|other| self.queues.get(other).is_some_and(|queue| queue.priority < priority));
        queues.insert(at, id);
        let entry = self.endpoint_mut(&endpoint);
        entry.queues = queues;
        let before = entry.held_bytes;
        entry.held_bytes += held;
        self.shares.change(before, before + held);
    }

    pub(crate) fn remove(&mut self, id: QueueId) -> Option<Queue> {
        // Settles what it holds with its endpoint first.
        let _told = self.change(id, |queue| queue.cursor = queue.next);
        self.cool(id, u64::MAX);
        let queue = self.queues.remove(&id)?;
        self.dirty.remove(&id);
        self.unsaved.remove(&id);
        self.queues_epoch += 1;
        self.gone.add(&queue.counts);
        if let Some(endpoint) = self.endpoints.get_mut(&queue.endpoint) {
            endpoint.queues.retain(|other| *other != id);
        }
        self.forget_if_unused(&queue.endpoint);
        Some(queue)
    }

    /// Forgets an endpoint without queues that nobody reads or expects.
    pub(crate) fn forget_if_unused(&mut self, name: &QueueName) {
        let unused = |endpoint: &Endpoint| endpoint.queues.is_empty() && !endpoint.has_reader && !endpoint.expected;
        if self.endpoints.get(name).is_some_and(unused) {
            self.endpoints.remove(name);
            self.share_out();
        }
    }

    /// Retires all queues of an endpoint. Returns how many records they held.
    pub(crate) fn retire(&mut self, name: &QueueName) -> u64 {
        let ids = self.endpoints.get(name).map(|endpoint| endpoint.queues.clone()).unwrap_or_default();
        let mut records = 0;
        for id in ids {
            let depth = self.queues.get(&id).map_or(0, Queue::depth);
            records += depth;
            let _told = self.change(id, |queue| queue.counts.retired += depth);
            if let Some(queue) = self.remove(id) {
                // Until the disk knows, it would look for the records again.
                self.retired.push(Retired { id, holdings: queue.holdings });
            }
        }
        records
    }

    /// Shares the room out anew: the limit has changed, or an endpoint has come or gone.
    pub(crate) fn share_out(&mut self) {
        self.shares = Shares::of(self.quota.max_bytes, self.endpoints.values().map(|endpoint| endpoint.held_bytes));
    }

    /// Keeps the newest records of a queue in memory, if its reader keeps up.
    pub(crate) fn warm(&mut self, id: QueueId, records: &mut Vec<HotRecord>) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        let follows = match queue.hot.back() {
            Some(newest) => newest.number + 1 == first.number,
            None => queue.read >= first.number,
        };
        if !follows {
            records.clear();
            return;
        }
        self.hot_order.push_back((id, last.number + 1));
        self.hot_bytes += records.iter().map(hot_size).sum::<usize>();
        queue.hot.extend(records.drain(..));
        while self.hot_bytes > HOT_BYTES || self.hot_order.len() > HOT_GROUPS {
            let Some((id, end)) = self.hot_order.pop_front() else { break };
            self.cool(id, end);
        }
    }

    /// Drops a queue's records before `end` from memory.
    pub(crate) fn cool(&mut self, id: QueueId, end: u64) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        while let Some(record) = queue.hot.pop_front_if(|record| record.number < end) {
            self.hot_bytes = self.hot_bytes.saturating_sub(hot_size(&record));
        }
    }

    /// Takes the record of this number from memory, if it is there, and drops those before it.
    pub(crate) fn take_hot(&mut self, id: QueueId, number: u64) -> Option<HotRecord> {
        let queue = self.queues.get_mut(&id)?;
        while let Some(record) = queue.hot.pop_front_if(|record| record.number <= number) {
            self.hot_bytes = self.hot_bytes.saturating_sub(hot_size(&record));
            if record.number == number {
                return Some(record);
            }
        }
        None
    }
}

fn hot_size(record: &HotRecord) -> usize {
    record.payload.len() + HOT_OVERHEAD_BYTES
}
