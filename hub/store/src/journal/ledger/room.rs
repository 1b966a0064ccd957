//! Room: how much there is, who may take it, what gives way, and which segments are worth moving together.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{Ledger, Measured, Queue, Segment};
use crate::destination::Priority;
use crate::journal::quota::OnFull;
use crate::queue::QueueName;
use crate::record::{NEVER, QueueId};

/// Most segments that are moved together: bounds what is read for one file.
const MAX_MOVED: usize = 64;

/// Most segments' worth of records dropped before the cursors are saved: one sync for many.
const MAX_DROPS: usize = 256;

/// What was dropped to make room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) endpoint: QueueName,
    pub(crate) priority: Priority,
    pub(crate) records: u64,
}

/// What is still wanted of a segment, from the queues' numbers alone.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    /// The most that one queue wants: at least so much is.
    most: u64,
    /// All queues together, which counts a record once for each.
    sum: u64,
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
        self.closed || within_quota || !self.free.is_empty() || self.may_create(segment) || self.could_free() || self.may_drop()
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
    /// at is left to it. Returns whether the writer must be told.
    pub(crate) fn sweep(&mut self, now: u64) -> bool {
        let expired = |queue: &Queue| queue.holding_of(queue.cursor.number).filter(|holding| holding.expires <= now);
        let ids: Vec<QueueId> = self.queues.iter().filter(|(_, queue)| expired(queue).is_some()).map(|(id, _)| *id).collect();
        let mut tell_writer = false;
        for id in ids {
            let reader_is_at_it = self.queues.get(&id).is_some_and(|queue| {
                queue.window.out() > 0 && self.endpoint(&queue.endpoint).is_some_and(|endpoint| endpoint.has_reader)
            });
            if reader_is_at_it {
                continue;
            }
            let sweep = |queue: &mut Queue| {
                while let Some(holding) = queue.holding_of(queue.cursor.number).filter(|holding| holding.expires <= now) {
                    queue.counts.expired += queue.end_before(holding.end.number);
                }
            };
            tell_writer |= self.change(id, sweep).1;
        }
        tell_writer
    }

    /// Does anything wait that will expire?
    pub(crate) fn something_expires(&self) -> bool {
        self.queues.values().any(|queue| queue.holdings.iter().any(|holding| holding.expires != NEVER))
    }

    /// Segments next to each other whose wanted records fit into one file, and are worth moving there: those of which most is
    /// gained for what has to be written.
    pub(crate) fn worth_moving(&self) -> Option<Vec<u64>> {
        let wanted = self.wanted();
        let mut segments: Vec<_> = self.segments.values().filter(|segment| !self.is_newest(segment.generation)).collect();
        segments.sort_by_key(|segment| segment.first_offset);
        let live: Vec<_> =
            segments.iter().map(|segment| live(segment, wanted.get(&segment.generation).copied().unwrap_or_default())).collect();
        let mut best: Option<(u64, &[&Segment])> = None;
        for first in 0..segments.len() {
            let (mut bytes, mut kept) = (0, 0);
            for end in first + 1..=segments.len().min(first + MAX_MOVED) {
                bytes += segments[end - 1].file_bytes;
                kept += live[end - 1];
                if kept + overhead(self) > self.limits.segment_bytes {
                    break;
                }
                let score = score(bytes, kept + overhead(self), &segments[first..end], self.limits.segment_bytes);
                if score > best.map_or(0, |(best, _)| best) {
                    best = Some((score, &segments[first..end]));
                }
            }
        }
        best.map(|(_, run)| run.iter().map(|segment| segment.generation).collect())
    }

    fn wanted(&self) -> HashMap<u64, Wanted> {
        let mut wanted: HashMap<u64, Wanted> = HashMap::new();
        for queue in self.queues.values() {
            for holding in &queue.holdings {
                let from = holding.first.bytes.max(queue.durable.bytes);
                let bytes = holding.end.bytes.saturating_sub(from);
                let entry = wanted.entry(holding.segment).or_default();
                entry.most = entry.most.max(bytes);
                entry.sum += bytes;
            }
        }
        wanted
    }

    /// The cleaner has looked at some segments: so much of each is wanted.
    pub(crate) fn measured(&mut self, live: &HashMap<u64, u64>) {
        let wanted = self.wanted();
        for (generation, live) in live {
            let sum = wanted.get(generation).map_or(0, |wanted| wanted.sum);
            if let Some(segment) = self.segments.get_mut(generation) {
                segment.measured = Some(Measured { live: *live, sum });
            }
        }
    }
}

/// What a file needs beside the records.
const fn overhead(ledger: &Ledger) -> u64 {
    2 * ledger.limits.records_at
}

/// Bytes that are probably wanted of a segment: what was measured, unless much has been settled since.
fn live(segment: &Segment, wanted: Wanted) -> u64 {
    match segment.measured {
        Some(measured) if wanted.sum + segment.file_bytes / 8 > measured.sum => measured.live.min(wanted.sum),
        _ => wanted.most,
    }
}

/// How much moving a run gains for what it writes; 0: not worth while. At least a quarter must be gained; small files are put
/// together for their number alone.
fn score(bytes: u64, written: u64, run: &[&Segment], segment_bytes: u64) -> u64 {
    let gained = bytes.saturating_sub(written);
    let many_small = run.len() >= 4 && run.iter().all(|segment| segment.file_bytes <= segment_bytes / 8);
    if gained * 4 < bytes && !many_small {
        return 0;
    }
    gained * 1000 / (written + 4096) + u64::from(many_small)
}
