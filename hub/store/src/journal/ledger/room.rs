//! Room: how much there is, who may take it, and what gives way.

use std::cmp::Reverse;

use super::{Ledger, Queue};
use crate::destination::Priority;
use crate::journal::quota::OnFull;
use crate::queue::QueueName;
use crate::record::{NEVER, QueueId};

/// Most segments' worth of records dropped before the cursors are saved: one sync for many.
const MAX_DROPS: usize = 256;

/// What was dropped to make room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) endpoint: QueueName,
    pub(crate) priority: Priority,
    pub(crate) records: u64,
}

/// What a sweep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) records: u64,
    /// Must the writer be told that there is a cursor to save?
    pub(crate) tell_writer: bool,
}

impl Ledger {
    /// Bytes for which no file is in use. `tail` of them are left in the segment being written.
    fn room(&self, tail: u64) -> u64 {
        self.quota.max_bytes.saturating_sub(self.bytes_in_use) + tail
    }

    /// Is it time for the cleaner to look? Some way before appends find no room.
    pub(crate) fn room_is_short(&self) -> bool {
        let segment = self.limits.segment_bytes;
        let ahead = (self.quota.max_bytes / 8).clamp(segment * 2, segment * 8);
        let reserved = if self.quota.on_full == OnFull::RejectNew { self.shares.reserved() } else { 0 };
        self.room(0) < ahead + reserved
    }

    /// May a file of that size be created, as far as the quota goes?
    pub(crate) const fn may_create(&self, bytes: u64) -> bool {
        self.bytes_on_disk + bytes <= self.quota.max_bytes
    }

    /// Do the files in use take more than they may?
    pub(crate) const fn is_over_quota(&self) -> bool {
        self.bytes_in_use > self.quota.max_bytes
    }

    /// Must a record of so many bytes for an endpoint be refused? `tail` bytes are left in the segment being written.
    pub(crate) fn refuses(&self, endpoint: &QueueName, bytes: u64, tail: u64) -> bool {
        if self.quota.on_full == OnFull::DropOldest {
            return false;
        }
        let held = self.endpoint(endpoint).map_or(0, |endpoint| endpoint.held_bytes);
        held + bytes > self.shares.part() && self.room(tail) < self.shares.reserved() + bytes
    }

    /// May an endpoint that was refused be tried again? Once it is well below its part, or there is room for some more segments.
    pub(crate) fn has_room_again(&self, endpoint: &QueueName) -> bool {
        !self.refuses(endpoint, self.limits.segment_bytes.min(self.shares.part() / 2), 0)
    }

    /// Is it worth while to try an append again that found no room?
    pub(crate) fn may_begin_segment(&self) -> bool {
        let segment = self.limits.segment_bytes;
        let within_quota = self.refused_over_quota && !self.is_over_quota();
        let ready = self.closed || within_quota || !self.free.is_empty() || self.may_create(segment) || self.could_free();
        // The last: there is more to be moved once the disk knows what was settled, and the append sees to that.
        ready || self.may_drop() || self.unsaved_bytes() >= segment
    }

    /// Bytes that are settled, and of which the disk does not know it.
    fn unsaved_bytes(&self) -> u64 {
        let unsaved = self.unsaved.iter().filter_map(|id| self.queues.get(id));
        unsaved.map(|queue| queue.cursor.bytes.saturating_sub(queue.durable.bytes)).sum()
    }

    /// Has the cleaner something new to look at, and a reason to look?
    pub(crate) fn is_to_be_looked_at(&self) -> bool {
        self.room_is_short() && self.lookout.is_due(self.limits.segment_bytes)
    }

    /// Is there room for one more file, until what is moved there is given back? One file more than the quota allows is enough,
    /// whoever makes it; but where those in use are more than that already, moving is the way back.
    pub(crate) const fn may_move(&self) -> bool {
        self.bytes_on_disk <= self.quota.max_bytes || self.is_over_quota()
    }

    fn may_drop(&self) -> bool {
        self.quota.on_full == OnFull::DropOldest && self.queues.values().any(|queue| queue.depth() > 0)
    }

    /// Drops a segment's worth of records: of the endpoint that holds most, of its least urgent queue, the oldest.
    ///
    /// All endpoints have equal parts, so the one that holds most is the one furthest over its part.
    fn drop_oldest(&mut self) -> Option<Dropped> {
        let held = self.endpoints().filter(|(_, endpoint)| endpoint.held_bytes > 0);
        let (_, most) = held.max_by_key(|(name, endpoint)| (endpoint.held_bytes, Reverse(*name)))?;
        let queues = most.queues.iter().rev().copied();
        let id = queues.into_iter().find(|id| self.queues.get(id).is_some_and(|queue| queue.depth() > 0))?;
        let drop = |queue: &mut Queue| {
            let end = queue.holding_of(queue.cursor.number).map_or(queue.next.number, |holding| holding.end.number);
            let records = queue.end_before(end);
            queue.counts.dropped += records;
            Dropped { endpoint: queue.endpoint.clone(), priority: queue.priority, records }
        };
        self.change(id, drop).0
    }

    /// Drops what has to go, if records may be dropped: a segment's worth, or as much as covers what is over the quota. Not more than
    /// some at once, so that the disk learns of it before there are more.
    pub(crate) fn drop_for_room(&mut self) -> Vec<Dropped> {
        let mut all = Vec::new();
        while self.quota.on_full == OnFull::DropOldest && all.len() < MAX_DROPS {
            let Some(dropped) = self.drop_oldest() else { break };
            all.push(dropped);
            if self.bytes_in_use.saturating_sub(self.freeable_bytes()) <= self.quota.max_bytes {
                break;
            }
        }
        all
    }

    /// Ends what has expired in queues that nobody reads at the moment: whole segments' worth, from the oldest on. What a reader is
    /// at is left to it.
    pub(crate) fn sweep(&mut self, now: u64) -> Swept {
        let expired = |queue: &Queue| queue.holding_of(queue.cursor.number).filter(|holding| holding.expires <= now);
        let ids: Vec<QueueId> = self.queues.iter().filter(|(_, queue)| expired(queue).is_some()).map(|(id, _)| *id).collect();
        let mut swept = Swept::default();
        for id in ids {
            let reader_is_at_it = self.queues.get(&id).is_some_and(|queue| {
                queue.window.out() > 0 && self.endpoint(&queue.endpoint).is_some_and(|endpoint| endpoint.has_reader)
            });
            if reader_is_at_it {
                continue;
            }
            let sweep = |queue: &mut Queue| {
                let before = queue.counts.expired;
                while let Some(holding) = queue.holding_of(queue.cursor.number).filter(|holding| holding.expires <= now) {
                    queue.counts.expired += queue.end_before(holding.end.number);
                }
                queue.counts.expired - before
            };
            let (records, tell_writer) = self.change(id, sweep);
            swept.records += records.unwrap_or_default();
            swept.tell_writer |= tell_writer;
        }
        swept
    }

    /// Does anything wait that will expire?
    pub(crate) fn something_expires(&self) -> bool {
        self.queues.values().any(|queue| queue.holdings.iter().any(|holding| holding.expires != NEVER))
    }
}
