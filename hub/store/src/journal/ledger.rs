//! What the journal knows in memory: its segments, its queues, and how far each queue has been settled.
//!
//! Owned by all clones of the journal under one lock, held for moments and never across I/O. It grows with the number of
//! queues and segments, both bounded, never with the number of records.

mod cursors;
mod endpoints;
mod queue;
mod room;
mod shares;
mod survey;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use tracing::error;

pub(crate) use self::endpoints::Endpoint;
pub(crate) use self::queue::{Holding, HotRecord, Queue};
pub(crate) use self::room::Dropped;
use self::shares::Shares;
use self::survey::Lookout;
use super::limits::Limits;
use super::quota::Quota;
use super::usage::{Counts, EndpointUsage};
use super::{Offset, QueueUsage, Usage};
use crate::control::{ClockMark, Snapshot, SnapshotEntry};
use crate::queue::QueueName;
use crate::record::QueueId;

/// Most places of damage that are remembered, so that each is counted and logged once.
const MAX_KNOWN_DAMAGE: usize = 1024;

/// A segment in use.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Number in the file's name.
    pub(crate) slot: u32,
    pub(crate) generation: u64,
    pub(crate) seed: u32,
    /// First and last generation whose records it holds.
    pub(crate) covers: (u64, u64),
    /// Was it written by the cleaner? Then its offsets have gaps.
    pub(crate) compacted: bool,
    /// Size of the file.
    pub(crate) file_bytes: u64,
    /// Where its records begin.
    pub(crate) records_at: u64,
    pub(crate) first_offset: Offset,
    /// Offset after its last record on disk.
    pub(crate) end_offset: Offset,
    /// Position after its last record on disk; the file's size where that is not known.
    pub(crate) end_position: u64,
    /// Queues that the disk says are not done with what they have here.
    pub(crate) needed_by: usize,
    /// Something in it was damaged, so the file is removed rather than used again.
    pub(crate) suspect: bool,
    /// What the cleaner found when it looked.
    pub(crate) measured: Option<Measured>,
}

/// What a segment was found to hold that is still wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    /// Bytes of the records that some queue wants.
    pub(crate) live: u64,
    /// The sum of what each queue wanted then: it tells when to look again.
    pub(crate) sum: u64,
}

/// As many queues as the journal can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyQueues;

/// A queue that was retired, and that the disk still knows.
#[derive(Debug)]
pub(crate) struct Retired {
    pub(crate) id: QueueId,
    holdings: VecDeque<Holding>,
}

/// Segments, queues and counters.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked for by itself, and they change independently")]
pub(crate) struct Ledger {
    pub(crate) limits: Limits,
    pub(crate) quota: Quota,
    /// By generation.
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// The log segment begun last. It has the list of queues, so it is never given back.
    newest: u64,
    pub(crate) queues: BTreeMap<QueueId, Queue>,
    endpoints: HashMap<QueueName, Endpoint>,
    shares: Shares,
    /// What is new for the cleaner.
    lookout: Lookout,
    pub(crate) next_queue_id: QueueId,
    /// Changes when a queue goes away, so that whoever remembers ids looks again.
    pub(crate) queues_epoch: u64,
    pub(crate) next_generation: u64,
    /// Offset after the last record on disk.
    pub(crate) end_offset: Offset,
    /// The clock as the disk has it.
    pub(crate) clock: ClockMark,
    /// Is the clock to be noted on disk, although no cursor moved?
    pub(crate) clock_is_due: bool,
    /// Queues whose cursor has yet to be written.
    dirty: BTreeSet<QueueId>,
    /// Those, and the queues whose cursor is written but not synced: the disk is not sure to know it.
    unsaved: BTreeSet<QueueId>,
    /// Retired queues that the disk still knows.
    pub(crate) retired: Vec<Retired>,
    /// Segments that lost the last queue that needed them.
    released: Vec<u64>,
    /// Segment files that wait to be used again.
    pub(crate) free: Vec<u32>,
    pub(crate) next_slot: u32,
    /// Bytes of all segment files, in use or waiting.
    pub(crate) bytes_on_disk: u64,
    /// Of those in use.
    pub(crate) bytes_in_use: u64,
    /// Records in memory for readers that keep up, oldest first: of which queue, and up to which number.
    hot_order: VecDeque<(QueueId, u64)>,
    hot_bytes: usize,
    pub(crate) corrupt_records: u64,
    pub(crate) syncs: u64,
    pub(crate) moved_bytes: u64,
    /// Of queues that are gone.
    gone: Counts,
    known_damage: BTreeSet<(u64, u64)>,
    /// Somebody waits for room, so whoever makes some says so.
    pub(crate) room_is_awaited: bool,
    /// Was the last append that found no room refused because more is in use than may be? Otherwise because there was no other segment.
    pub(crate) refused_over_quota: bool,
    pub(crate) closed: bool,
}

impl Ledger {
    pub(crate) fn new(limits: Limits, quota: Quota) -> Self {
        Self {
            limits,
            quota,
            segments: BTreeMap::new(),
            newest: 0,
            queues: BTreeMap::new(),
            endpoints: HashMap::new(),
            shares: Shares::of(quota.max_bytes, std::iter::empty()),
            lookout: Lookout::default(),
            next_queue_id: 1,
            queues_epoch: 0,
            next_generation: 1,
            end_offset: 0,
            clock: ClockMark::default(),
            clock_is_due: false,
            dirty: BTreeSet::new(),
            unsaved: BTreeSet::new(),
            retired: Vec::new(),
            released: Vec::new(),
            free: Vec::new(),
            next_slot: 0,
            bytes_on_disk: 0,
            bytes_in_use: 0,
            hot_order: VecDeque::new(),
            hot_bytes: 0,
            corrupt_records: 0,
            syncs: 0,
            moved_bytes: 0,
            gone: Counts::default(),
            known_damage: BTreeSet::new(),
            room_is_awaited: false,
            refused_over_quota: false,
            closed: false,
        }
    }

    /// A segment is in use from now on. Its file is counted elsewhere.
    pub(crate) fn add_segment(&mut self, segment: Segment) {
        if !segment.compacted && segment.generation >= self.newest {
            // The one before may have been kept only for its list of queues.
            self.released.push(self.newest);
            self.newest = segment.generation;
        }
        self.lookout.has_changed();
        self.bytes_in_use += segment.file_bytes;
        self.segments.insert(segment.generation, segment);
    }

    pub(crate) fn remove_segment(&mut self, generation: u64) -> Option<Segment> {
        let segment = self.segments.remove(&generation)?;
        self.lookout.has_changed();
        self.bytes_in_use -= segment.file_bytes;
        Some(segment)
    }

    /// Is it the one with the list of queues?
    pub(crate) fn is_newest(&self, generation: u64) -> bool {
        generation == self.newest
    }

    /// Records of a queue are in a segment.
    pub(crate) fn hold(&mut self, id: QueueId, holding: Holding) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        match queue.holdings.back_mut() {
            Some(last) if last.segment == holding.segment => {
                last.end = holding.end;
                last.expires = last.expires.max(holding.expires);
            }
            _ => {
                queue.holdings.push_back(holding);
                if let Some(segment) = self.segments.get_mut(&holding.segment) {
                    segment.needed_by += 1;
                }
            }
        }
    }

    /// Changes a queue, and keeps true what follows from that. Returns whether the writer must be told that there is a cursor to save.
    pub(crate) fn change<R>(&mut self, id: QueueId, change: impl FnOnce(&mut Queue) -> R) -> (Option<R>, bool) {
        let Some(queue) = self.queues.get_mut(&id) else { return (None, false) };
        let (held, cursor) = (queue.held_bytes(), queue.cursor.number);
        let result = change(queue);
        // A cursor that was read from disk has not moved.
        let moved = queue.cursor.number != cursor && queue.cursor.number != queue.durable.number;
        let held_now = queue.held_bytes();
        if held != held_now
            && let Some(endpoint) = self.endpoints.get_mut(&queue.endpoint)
        {
            let before = endpoint.held_bytes;
            endpoint.held_bytes = (before + held_now).saturating_sub(held);
            self.shares.change(before, endpoint.held_bytes);
        }
        let tell_writer = moved && self.dirty.is_empty();
        if moved {
            self.dirty.insert(id);
            self.unsaved.insert(id);
        }
        (Some(result), tell_writer)
    }

    /// What the head of a new segment says. Queues that are drained and have no reader are forgotten first, but for `kept`.
    pub(crate) fn snapshot(&mut self, clock: ClockMark, kept: &[QueueId]) -> Snapshot {
        let has_reader = |queue: &Queue| self.endpoints.get(&queue.endpoint).is_some_and(|endpoint| endpoint.has_reader);
        let idle = |(id, queue): &(&QueueId, &Queue)| {
            queue.depth() == 0 && queue.holdings.is_empty() && !has_reader(queue) && !kept.contains(*id)
        };
        let idle: Vec<_> = self.queues.iter().filter(idle).map(|(id, _)| *id).collect();
        for id in idle {
            self.remove(id);
        }
        let entries = self.queues.iter().map(|(id, queue)| SnapshotEntry {
            id: *id,
            endpoint: queue.endpoint.clone(),
            priority: queue.priority,
            next: queue.next,
            cursor: queue.cursor,
        });
        Snapshot { next_queue_id: self.next_queue_id, clock, entries: entries.collect() }
    }

    /// Damage at a place of a segment, where so many records should be.
    pub(crate) fn note_damage(&mut self, generation: u64, position: u64, records: u64) {
        if self.known_damage.contains(&(generation, position)) {
            return;
        }
        if self.known_damage.len() >= MAX_KNOWN_DAMAGE {
            self.known_damage.pop_first();
        }
        self.known_damage.insert((generation, position));
        self.corrupt_records += records;
        let slot = self.segments.get_mut(&generation).map(|segment| {
            segment.suspect = true;
            segment.slot
        });
        error!(segment = slot, position, records, "damaged records in the journal: skipped");
    }

    pub(crate) fn queue_usage(&self) -> Vec<QueueUsage> {
        let queues = self.queues.values();
        let mut usage: Vec<_> = queues
            .map(|queue| QueueUsage {
                endpoint: queue.endpoint.clone(),
                priority: queue.priority,
                depth: queue.depth(),
                bytes: queue.held_bytes(),
                lost: queue.counts.lost,
                counts: queue.counts,
            })
            .collect();
        usage.sort_by(|a, b| (&a.endpoint, a.priority).cmp(&(&b.endpoint, b.priority)));
        usage
    }

    pub(crate) fn usage(&self) -> Usage {
        let mut totals = self.gone;
        self.queues.values().for_each(|queue| totals.add(&queue.counts));
        let mut endpoints: Vec<_> = (self.endpoints.iter())
            .map(|(name, endpoint)| EndpointUsage {
                endpoint: name.clone(),
                bytes: endpoint.held_bytes,
                part_bytes: self.shares.part(),
                refusing: endpoint.refusing,
            })
            .collect();
        endpoints.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
        Usage {
            bytes_used: self.bytes_in_use,
            bytes_max: self.quota.max_bytes,
            bytes_on_disk: self.bytes_on_disk,
            segments: self.segments.len() as u64,
            corrupt_records: self.corrupt_records,
            syncs: self.syncs,
            moved_bytes: self.moved_bytes,
            queues: self.queue_usage(),
            endpoints,
            totals,
        }
    }
}
