//! Committing: records are placed in the segment being written, written at once, synced, and only then answered.
//!
//! After a failed write or sync nothing more is written to that segment. The kernel may have dropped the pages, and a second
//! try could lie; so the next commit begins another segment, whose first offset says where the abandoned one ended.

mod failure;
mod rotate;

use std::sync::Arc;

use bytes::Bytes;
use tracing::info;

use super::Offset;
use super::appender::{AppendError, Submission, Ticket};
use super::ledger::{Segment, TooManyQueues};
use super::run::{Run, Waiting};
use super::shared::Shared;
use super::slots::Slots;
use crate::control::{self, CursorEntry};
use crate::destination::Destinations;
use crate::disk::{DiskFile, DiskLock};
use crate::record::{self, Entry, Kind, NEVER, QueueId};

/// The segment being written.
pub(crate) struct Tail {
    pub(crate) slot: u32,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) generation: u64,
    pub(crate) seed: u32,
    pub(crate) first_offset: Offset,
    /// Position after the last record written.
    pub(crate) position: u64,
    /// Is it in the ledger? From its first sync on.
    pub(crate) published: bool,
}

/// Where the writer is.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    slots: Slots,
    /// `None`: the next commit begins a segment.
    tail: Option<Tail>,
    next_generation: u64,
    salt: u64,
    /// Offset of the next record.
    offset: Offset,
    /// Offset after the last record synced.
    synced: Offset,
    /// Cursors written and not yet synced.
    unsynced_cursors: Vec<CursorEntry>,
    run: Run,
    _lock: Box<dyn DiskLock>,
}

/// What the committer starts with, found by opening.
pub(crate) struct Start {
    pub(crate) slots: Slots,
    pub(crate) tail: Option<Tail>,
    pub(crate) next_generation: u64,
    pub(crate) salt: u64,
    pub(crate) lock: Box<dyn DiskLock>,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, start: Start) -> Self {
        let Start { slots, tail, next_generation, salt, lock } = start;
        let offset = shared.ledger().end_offset;
        let unsynced_cursors = Vec::new();
        let run = Run::default();
        Self { shared, slots, tail, next_generation, salt, offset, synced: offset, unsynced_cursors, run, _lock: lock }
    }

    /// Writes what was submitted and answers each submission, in order.
    pub(crate) fn commit(&mut self, batch: &mut Vec<Submission>) {
        self.begin_run();
        let mut disk_failure = None;
        for Submission { records, ticket, .. } in batch.drain(..) {
            if ticket.is_behind() {
                ticket.refuse(0, AppendError::Behind);
                continue;
            }
            if let Some(failure) = &disk_failure {
                ticket.refuse(0, AppendError::clone(failure));
                continue;
            }
            let refused = self.place_all(&records);
            if let Some((_, failure)) = &refused {
                if matches!(failure, AppendError::DiskFull | AppendError::Disk { .. }) {
                    disk_failure = Some(failure.clone());
                }
                // At once, for those of the same sender that follow in this batch.
                ticket.hold_back(failure);
            }
            self.answer_later(ticket, refused);
        }
        // Whom it concerns has been answered with the error.
        let _ = self.flush(false);
    }

    /// Adds the records of one submission to the run. Returns the index of the first that was refused, and why.
    fn place_all(&mut self, records: &[(Destinations, Bytes)]) -> Option<(usize, AppendError)> {
        (self.run.gathered, self.run.durable) = (0, 0);
        for (index, (destinations, payload)) in records.iter().enumerate() {
            let placed = if self.run.is_large() { self.flush(false) } else { Ok(()) };
            match placed.and_then(|()| self.place(destinations, payload)) {
                Ok(()) => self.run.gathered += 1,
                // Those before it that were in the run may have been refused with it.
                Err(failure) => return Some((index.min(self.run.durable + self.run.gathered), failure)),
            }
        }
        None
    }

    /// Answers a submission now if none of its records waits for the disk, and with the run otherwise.
    fn answer_later(&mut self, ticket: Ticket, refused: Option<(usize, AppendError)>) {
        let waits = self.run.gathered > 0;
        match refused {
            Some((index, error)) if !waits => ticket.refuse(index, error),
            None if !waits => ticket.accept(),
            refused => self.run.waiting.push(Waiting { ticket, durable: self.run.durable, refused }),
        }
        (self.run.gathered, self.run.durable) = (0, 0);
    }

    /// Has the disk yet to learn of cursors?
    pub(crate) fn cursors_moved(&self) -> bool {
        self.shared.ledger().cursors_moved()
    }

    /// Writes the cursors that moved, without a sync: that is enough for a process that is killed, and after a power cut
    /// a little more is delivered again.
    pub(crate) fn save_cursors(&mut self) {
        self.begin_run();
        if self.run.buffer.is_empty() {
            // No room, or nothing to write.
            if self.cursors_moved() && self.begin_segment(&[]).is_ok() {
                let _ = self.flush(true);
            }
            return;
        }
        let Some(tail) = &mut self.tail else { return };
        if self.offset - self.synced > u64::from(u16::MAX / 2) {
            let _ = self.flush(true);
            return;
        }
        match tail.file.write_at(&self.run.buffer, self.run.start) {
            Ok(()) => {
                tail.position = self.run.end();
                self.unsynced_cursors.append(&mut self.run.cursors);
                // Of each queue the newest is enough.
                if self.unsynced_cursors.len() > 2 * self.shared.ledger().limits.max_queues {
                    let _ = self.flush(true);
                    return;
                }
                let mut ledger = self.shared.ledger();
                ledger.cursors_written(&self.unsynced_cursors, false);
                ledger.retired.drain(..self.run.retired);
                drop(ledger);
                self.run.restart(tail.position);
            }
            Err(failure) => {
                self.fail("write", &failure);
            }
        }
    }

    /// Saves the cursors durably, and closes the journal for its readers. A last record proves that all before it was synced, so that
    /// damage to the last commit is not taken for a torn tail.
    pub(crate) fn close(&mut self) -> Result<(), AppendError> {
        self.begin_run_using_reserve();
        if self.run.buffer.is_empty() && self.cursors_moved() {
            self.begin_segment(&[])?;
        }
        let segment_bytes = self.shared.ledger().limits.segment_bytes;
        let room_for_mark = self.run.end() + record::encoded_len(0, 0) as u64 <= segment_bytes;
        let seed = self.tail.as_ref().filter(|tail| tail.published && room_for_mark).map(|tail| tail.seed);
        if let Some(seed) = seed.filter(|_| self.run.buffer.is_empty()) {
            let place = self.next_place();
            self.run.control(seed, place, Kind::Cursors, &[]);
        }
        self.flush(true)
    }

    /// Nothing waits: gives memory back.
    pub(crate) fn rest(&mut self) {
        self.run.rest();
    }

    /// Starts gathering, with the cursors that moved, if they fit.
    fn begin_run(&mut self) {
        let reserve = self.shared.ledger().limits.reserve;
        self.gather_cursors(reserve);
    }

    fn begin_run_using_reserve(&mut self) {
        self.gather_cursors(0);
    }

    fn gather_cursors(&mut self, reserve: u64) {
        let Some(tail) = &self.tail else {
            self.run.restart(0);
            return;
        };
        let (seed, position) = (tail.seed, tail.position);
        self.run.restart(position);
        let ledger = self.shared.ledger();
        if !ledger.cursors_moved() {
            return;
        }
        let moved = ledger.moved_cursors();
        let retired = ledger.retired.clone();
        let room = ledger.limits.segment_bytes - reserve;
        drop(ledger);
        let bytes = record::encoded_len(0, control::cursors_len(moved.len())) + retired.len() * record::encoded_len(0, 4);
        if position + bytes as u64 > room {
            return;
        }
        if !moved.is_empty() {
            let place = self.next_place();
            self.run.control(seed, place, Kind::Cursors, &control::encode_cursors(&moved));
        }
        for id in &retired {
            let place = self.next_place();
            self.run.control(seed, place, Kind::Retired, &control::encode_retired(*id));
        }
        self.run.cursors = moved;
        self.run.retired = retired.len();
    }

    /// The next offset, and how many records before it are not synced yet.
    fn next_place(&mut self) -> (Offset, u16) {
        let offset = self.offset;
        self.offset += 1;
        (offset, u16::try_from(offset - self.synced).unwrap_or(u16::MAX))
    }

    /// Adds one record to the run, beginning another segment if it does not fit.
    fn place(&mut self, destinations: &Destinations, payload: &[u8]) -> Result<(), AppendError> {
        let mut queues = self.resolve(destinations)?;
        if !self.fits(&queues, destinations, payload) {
            self.flush(false)?;
            let ids: Vec<_> = queues.iter().map(|queue| queue.0).collect();
            self.begin_segment(&ids)?;
            // The flush has moved the queues on.
            queues = self.resolve(destinations)?;
        }
        let Some(seed) = self.tail.as_ref().map(|tail| tail.seed) else { return Err(AppendError::Closed) };
        for ((id, named, _), destination) in queues.iter().zip(destinations.iter()) {
            if !named && !self.run.named.contains(id) {
                let place = self.next_place();
                self.run.control(seed, place, Kind::Named, &control::encode_named(*id, &destination.endpoint));
                self.run.named.push(*id);
            }
        }
        let entries: Vec<_> = queues
            .iter()
            .map(|(queue, _, on_disk)| Entry { queue: *queue, number: self.run.next_number(*queue, *on_disk), expires: NEVER })
            .collect();
        let place = self.next_place();
        self.run.message(seed, place, &entries, payload);
        Ok(())
    }

    /// Of each queue its id, whether the disk knows its name, and its next number on disk.
    fn resolve(&self, destinations: &Destinations) -> Result<Vec<(QueueId, bool, u64)>, AppendError> {
        let mut ledger = self.shared.ledger();
        let mut queues = Vec::with_capacity(destinations.len());
        for destination in destinations.iter() {
            let max = ledger.limits.max_queues;
            let id = ledger.id_or_new(&destination.endpoint).map_err(|TooManyQueues| AppendError::TooManyQueues { max })?;
            let Some(queue) = ledger.queues.get(&id) else { return Err(AppendError::Closed) };
            queues.push((id, queue.named, queue.next_number));
        }
        Ok(queues)
    }

    fn fits(&self, queues: &[(QueueId, bool, u64)], destinations: &Destinations, payload: &[u8]) -> bool {
        if self.tail.is_none() {
            return false;
        }
        let limits = self.shared.ledger().limits;
        let naming: usize = (queues.iter().zip(destinations.iter()))
            .filter(|((id, named, _), _)| !named && !self.run.named.contains(id))
            .map(|(_, destination)| record::encoded_len(0, 4 + destination.endpoint.as_str().len()))
            .sum();
        let bytes = naming + record::encoded_len(queues.len(), payload.len());
        self.run.end() + bytes as u64 <= limits.segment_bytes - limits.reserve
    }

    /// Writes and syncs the run and makes true what it says. A run without appends is dropped, unless `even_without_appends`.
    fn flush(&mut self, even_without_appends: bool) -> Result<(), AppendError> {
        let Some(tail) = &mut self.tail else { return Ok(()) };
        let worth_a_sync = self.run.has_messages() || !tail.published || even_without_appends;
        let nothing_new = self.run.buffer.is_empty() && self.offset == self.synced;
        if nothing_new {
            return Ok(());
        }
        if !worth_a_sync {
            // The cursors stay with those to be saved; offsets go back to what is written.
            self.offset -= self.run.control_records();
            self.run.restart(tail.position);
            return Ok(());
        }
        if !self.run.buffer.is_empty()
            && let Err(failure) = tail.file.write_at(&self.run.buffer, self.run.start)
        {
            return Err(self.fail("write", &failure));
        }
        if let Err(failure) = tail.file.sync_data() {
            return Err(self.fail("sync", &failure));
        }
        self.publish();
        Ok(())
    }

    /// The run is on disk: tells the ledger, wakes the readers, answers the senders.
    fn publish(&mut self) {
        let Some(tail) = &mut self.tail else { return };
        tail.position = self.run.end();
        self.synced = self.offset;
        let mut ledger = self.shared.ledger();
        ledger.syncs += 1;
        ledger.end_offset = self.offset;
        if !tail.published {
            tail.published = true;
            ledger.segments.push_back(Segment {
                slot: tail.slot,
                generation: tail.generation,
                seed: tail.seed,
                first_offset: tail.first_offset,
                end_offset: self.offset,
                end_position: tail.position,
                holds: Some(Vec::new()),
                suspect: false,
            });
        }
        if let Some(segment) = ledger.segments.back_mut() {
            segment.end_offset = self.offset;
            segment.end_position = tail.position;
            segment.add(&self.run.numbers);
        }
        let mut arrived = Vec::with_capacity(self.run.numbers.len());
        for numbers in &self.run.numbers {
            if let Some(queue) = ledger.queues.get_mut(&numbers.queue) {
                queue.next_number = numbers.end;
                arrived.push(Arc::clone(&queue.arrived));
            }
        }
        for id in &self.run.named {
            if let Some(queue) = ledger.queues.get_mut(id) {
                queue.named = true;
            }
        }
        self.unsynced_cursors.append(&mut self.run.cursors);
        ledger.cursors_written(&self.unsynced_cursors, true);
        self.unsynced_cursors.clear();
        ledger.retired.drain(..self.run.retired);
        let freed: Vec<_> = std::iter::from_fn(|| ledger.free_oldest()).collect();
        drop(ledger);

        for queue in arrived {
            queue.notify_one();
        }
        for Segment { slot, suspect, .. } in &freed {
            self.give_back(*slot, *suspect);
        }
        if !freed.is_empty() {
            self.shared.room.notify_waiters();
        }
        if self.run.has_messages() {
            self.shared.ledger().full = false;
            if self.shared.problem.borrow().is_some() {
                info!("the journal accepts appends again");
            }
            self.shared.report(None);
        }
        for Waiting { ticket, refused, .. } in self.run.waiting.drain(..) {
            match refused {
                None => ticket.accept(),
                Some((index, error)) => ticket.refuse(index, error),
            }
        }
        self.run.durable += std::mem::take(&mut self.run.gathered);
        let position = self.run.end();
        self.run.restart(position);
    }
}

impl Drop for Committer {
    /// Nothing will be appended any more, whether the writer was closed or, by a bug, panicked: whoever waits is told.
    fn drop(&mut self) {
        let mut ledger = self.shared.ledger();
        ledger.closed = true;
        for queue in ledger.queues.values() {
            queue.arrived.notify_one();
        }
        drop(ledger);
        self.shared.room.notify_waiters();
    }
}
