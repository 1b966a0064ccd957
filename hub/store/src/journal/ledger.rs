//! What the journal knows in memory: its segments, its queues, and how far each queue has been settled.
//!
//! Owned by all clones of the journal under one lock, held for moments and never across I/O. It grows with the number of
//! queues and segments, both bounded, never with the number of records.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;
use tracing::error;

use super::limits::Limits;
use super::{Offset, QueueUsage, Usage};
use crate::control::{Cursor, CursorEntry, Snapshot, SnapshotEntry};
use crate::destination::Priority;
use crate::queue::QueueName;
use crate::record::QueueId;

/// Most places of damage that are remembered, so that each is counted and logged once.
const MAX_KNOWN_DAMAGE: usize = 1024;

/// The records of one queue in one segment: from number `first` to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) queue: QueueId,
    pub(crate) first: u64,
    pub(crate) end: u64,
}

/// A segment in use.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Number in the file's name.
    pub(crate) slot: u32,
    pub(crate) generation: u64,
    pub(crate) seed: u32,
    pub(crate) first_offset: Offset,
    /// Offset after its last record on disk.
    pub(crate) end_offset: Offset,
    /// Position after its last record on disk; the file's size where that is not known.
    pub(crate) end_position: u64,
    /// Which records of which queues it holds. `None`: not known, it may hold anything.
    pub(crate) holds: Option<Vec<Numbers>>,
    /// Something in it was damaged, so the file is removed rather than used again.
    pub(crate) suspect: bool,
}

impl Segment {
    /// The records of `queue` in it, if that is known.
    fn numbers(&self, queue: QueueId) -> Option<Numbers> {
        self.holds.as_ref()?.iter().find(|numbers| numbers.queue == queue).copied()
    }

    /// Records were added.
    pub(crate) fn add(&mut self, added: &[Numbers]) {
        let Some(holds) = &mut self.holds else { return };
        for numbers in added {
            match holds.iter_mut().find(|held| held.queue == numbers.queue) {
                Some(held) => held.end = numbers.end,
                None => holds.push(*numbers),
            }
        }
    }

    /// Number after the last record that `queue` may have here; `None` if it has none from `number` on.
    pub(crate) fn end_for(&self, queue: QueueId, number: u64) -> Option<u64> {
        match self.holds {
            None => Some(u64::MAX),
            Some(_) => self.numbers(queue).map(|numbers| numbers.end).filter(|end| *end > number),
        }
    }
}

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) name: QueueName,
    /// Number of the next record; all before it are on disk.
    pub(crate) next_number: u64,
    /// Where its reader is.
    pub(crate) cursor: Cursor,
    /// Where the disk says that it is.
    pub(crate) durable: Cursor,
    /// Does the disk know its name?
    pub(crate) named: bool,
    pub(crate) has_reader: bool,
    /// Records that were damaged on disk.
    pub(crate) lost: u64,
    /// Losses before this number are counted.
    lost_through: u64,
    /// Wakes the reader.
    pub(crate) arrived: Arc<Notify>,
}

impl Queue {
    pub(crate) fn new(name: QueueName, offset: Offset) -> Self {
        let cursor = Cursor { offset, number: 0 };
        Self {
            name,
            next_number: 0,
            cursor,
            durable: cursor,
            named: false,
            has_reader: false,
            lost: 0,
            lost_through: 0,
            arrived: Arc::new(Notify::new()),
        }
    }

    /// The numbers from `first` to before `end` were not found. Counted once, however often they are looked for.
    pub(crate) fn note_lost(&mut self, first: u64, end: u64) {
        let records = end.saturating_sub(first.max(self.lost_through));
        if records > 0 {
            self.lost += records;
            self.lost_through = end;
            error!(queue = %self.name, records, "records of this queue were damaged on disk and are lost");
        }
    }

    pub(crate) fn depth(&self) -> u64 {
        self.next_number.saturating_sub(self.cursor.number)
    }
}

/// As many queues as the journal can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyQueues;

/// Segments, queues and counters.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) limits: Limits,
    /// Oldest first. The last one may be the one that is written.
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) queues: BTreeMap<QueueId, Queue>,
    ids: HashMap<QueueName, QueueId>,
    pub(crate) next_queue_id: QueueId,
    /// Offset after the last record on disk.
    pub(crate) end_offset: Offset,
    /// Queues whose cursor the disk does not know yet.
    dirty: BTreeSet<QueueId>,
    /// Retired queues that the disk still knows.
    pub(crate) retired: Vec<QueueId>,
    /// All segment files, in use or waiting.
    pub(crate) files: u64,
    pub(crate) corrupt_records: u64,
    pub(crate) syncs: u64,
    known_damage: BTreeSet<(u64, u64)>,
    /// An append was refused because the journal is full, so whoever makes room says so.
    pub(crate) full: bool,
    pub(crate) closed: bool,
}

impl Ledger {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            segments: VecDeque::new(),
            queues: BTreeMap::new(),
            ids: HashMap::new(),
            next_queue_id: 1,
            end_offset: 0,
            dirty: BTreeSet::new(),
            retired: Vec::new(),
            files: 0,
            corrupt_records: 0,
            syncs: 0,
            known_damage: BTreeSet::new(),
            full: false,
            closed: false,
        }
    }

    pub(crate) fn id(&self, name: &QueueName) -> Option<QueueId> {
        self.ids.get(name).copied()
    }

    /// The id of a queue, which comes into being if need be.
    pub(crate) fn id_or_new(&mut self, name: &QueueName) -> Result<QueueId, TooManyQueues> {
        if let Some(id) = self.id(name) {
            return Ok(id);
        }
        if self.queues.len() >= self.limits.max_queues {
            return Err(TooManyQueues);
        }
        let id = self.next_queue_id;
        self.insert(id, Queue::new(name.clone(), self.end_offset));
        Ok(id)
    }

    pub(crate) fn insert(&mut self, id: QueueId, queue: Queue) {
        self.next_queue_id = self.next_queue_id.max(id.saturating_add(1));
        self.ids.insert(queue.name.clone(), id);
        self.queues.insert(id, queue);
    }

    pub(crate) fn remove(&mut self, id: QueueId) -> Option<Queue> {
        let queue = self.queues.remove(&id)?;
        // Two ids may have borne one name, if a queue was retired and the record of that was lost.
        if self.ids.get(&queue.name) == Some(&id) {
            self.ids.remove(&queue.name);
        }
        self.dirty.remove(&id);
        Some(queue)
    }

    /// Moves a queue's cursor. Returns whether the writer must be told that there is something to save.
    pub(crate) fn settle(&mut self, id: QueueId, cursor: Cursor) -> bool {
        let Some(queue) = self.queues.get_mut(&id) else { return false };
        queue.cursor = cursor;
        let was_clean = self.dirty.is_empty();
        self.dirty.insert(id);
        was_clean
    }

    pub(crate) fn cursors_moved(&self) -> bool {
        !self.dirty.is_empty() || !self.retired.is_empty()
    }

    /// Cursors that the disk does not know yet.
    pub(crate) fn moved_cursors(&self) -> Vec<CursorEntry> {
        let moved = self.dirty.iter().filter_map(|id| Some((id, self.queues.get(id)?)));
        moved.filter(|(_, queue)| queue.named).map(|(id, queue)| CursorEntry { id: *id, cursor: queue.cursor }).collect()
    }

    /// These cursors are written; on disk if `synced`.
    pub(crate) fn cursors_written(&mut self, written: &[CursorEntry], synced: bool) {
        for entry in written {
            if let Some(queue) = self.queues.get_mut(&entry.id) {
                if queue.cursor == entry.cursor {
                    self.dirty.remove(&entry.id);
                }
                if synced {
                    queue.durable = entry.cursor;
                }
            }
        }
    }

    /// Cursors that were written must be written again: what they were written to is lost.
    pub(crate) fn cursors_unwritten(&mut self) {
        self.dirty = self.queues.iter().filter(|(_, queue)| queue.cursor != queue.durable).map(|(id, _)| *id).collect();
    }

    /// What the head of a new segment says. Queues that are drained and have no reader are forgotten first, but for `kept`.
    pub(crate) fn snapshot(&mut self, kept: &[QueueId]) -> Snapshot {
        let idle: Vec<_> = self
            .queues
            .iter()
            .filter(|(id, queue)| queue.depth() == 0 && !queue.has_reader && !kept.contains(id))
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            self.remove(id);
        }
        let entries = self.queues.iter().map(|(id, queue)| SnapshotEntry {
            id: *id,
            name: queue.name.clone(),
            next_number: queue.next_number,
            cursor: queue.cursor,
        });
        Snapshot { next_queue_id: self.next_queue_id, entries: entries.collect() }
    }

    /// Does some queue still need the oldest segment, when each stands at `cursor`?
    fn oldest_is_needed(&self, cursor: impl Fn(&Queue) -> Cursor) -> bool {
        let Some(segment) = self.segments.front() else { return true };
        match &segment.holds {
            Some(holds) => {
                holds.iter().any(|numbers| self.queues.get(&numbers.queue).is_some_and(|q| cursor(q).number < numbers.end))
            }
            None => self.queues.values().any(|q| cursor(q).number < q.next_number && cursor(q).offset < segment.end_offset),
        }
    }

    /// Is the oldest segment done with, whatever the disk knows of it?
    pub(crate) fn could_free(&self) -> bool {
        self.segments.len() > 1 && !self.oldest_is_needed(|queue| queue.cursor)
    }

    /// Is it worth while to try an append again that found no room?
    pub(crate) fn may_begin_segment(&self) -> bool {
        self.closed || self.files > self.segments.len() as u64 || self.could_free()
    }

    /// Takes the oldest segment out of use if nobody needs it any more and the disk knows that.
    pub(crate) fn free_oldest(&mut self) -> Option<Segment> {
        (self.segments.len() > 1 && !self.oldest_is_needed(|queue| queue.durable)).then(|| self.segments.pop_front())?
    }

    /// Like [`free_oldest`](Self::free_oldest), without asking what the disk knows.
    pub(crate) fn free_oldest_unsaved(&mut self) -> Option<Segment> {
        self.could_free().then(|| self.segments.pop_front())?
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
        let segment = self.segments.iter_mut().find(|segment| segment.generation == generation);
        let slot = segment.map(|segment| {
            segment.suspect = true;
            segment.slot
        });
        error!(segment = slot, position, records, "damaged records in the journal: skipped");
    }

    pub(crate) fn queue_usage(&self) -> Vec<QueueUsage> {
        let queues = self.queues.values();
        let mut usage: Vec<_> = queues
            .map(|queue| QueueUsage {
                endpoint: queue.name.clone(),
                priority: Priority::DEFAULT,
                depth: queue.depth(),
                lost: queue.lost,
            })
            .collect();
        usage.sort_by(|a, b| (&a.endpoint, a.priority).cmp(&(&b.endpoint, b.priority)));
        usage
    }

    pub(crate) fn usage(&self) -> Usage {
        let needed = self.segments.len() as u64;
        Usage {
            bytes_used: needed * self.limits.segment_bytes,
            bytes_max: self.limits.max_bytes,
            bytes_on_disk: self.files * self.limits.segment_bytes,
            segments: needed,
            corrupt_records: self.corrupt_records,
            syncs: self.syncs,
            queues: self.queue_usage(),
        }
    }
}
