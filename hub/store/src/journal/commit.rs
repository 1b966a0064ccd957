//! Committing: records are placed in the segment being written, written at once, synced, and only then answered.
//!
//! After a failed write or sync nothing more is written to that segment. The kernel may have dropped the pages, and a second
//! try could lie; so the next commit begins another segment, whose first offset says where the abandoned one ended.

mod cursors;
mod failure;
mod publish;
mod room;
mod rotate;

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::Offset;
use super::appender::{AppendError, Submission, Ticket};
use super::ledger::TooManyQueues;
use super::replay::Spans;
use super::resolve::{ResolvedQueue, Resolver};
use super::run::{Run, RunQueue, Waiting};
use super::shared::Shared;
use super::slots::Slots;
use crate::control::{self, CursorEntry};
use crate::destination::Destinations;
use crate::disk::{DiskFile, DiskLock};
use crate::fail_point;
use crate::record::{self, Entry, Kind, NEVER};
use crate::seal::Seal;
use crate::segment::SEAL_AT;

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
    /// What it holds, for its seal.
    pub(crate) spans: Spans,
}

impl Tail {
    /// Says what the segment holds and where it ends.
    pub(crate) fn write_seal(&self, spans: &Spans, end_offset: Offset, end_position: u64) -> io::Result<()> {
        let seal = Seal { end_offset, end_position, spans: spans.values().copied().collect() };
        self.file.write_at(&seal.encode(self.seed), SEAL_AT)
    }
}

/// Where the writer is.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    slots: Slots,
    /// `None`: the next commit begins a segment.
    tail: Option<Tail>,
    /// A segment that is not written on after a failure, and has yet to be sealed. Something may stand in it behind its end.
    abandoned: Option<Tail>,
    /// Offset of the next record.
    offset: Offset,
    /// Offset after the last record synced.
    synced: Offset,
    /// Cursors written and not yet synced.
    unsynced_cursors: Vec<CursorEntry>,
    run: Run,
    resolver: Resolver,
    /// The entries of the record being placed, and where the run has their queues: kept for their memory.
    entries: Vec<Entry>,
    hints: Vec<usize>,
    /// Time of the journal's clock for the batch in hand.
    now: u64,
    _lock: Box<dyn DiskLock>,
}

/// What the committer starts with, found by opening.
pub(crate) struct Start {
    pub(crate) slots: Slots,
    pub(crate) tail: Option<Tail>,
    pub(crate) abandoned: Option<Tail>,
    pub(crate) lock: Box<dyn DiskLock>,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, start: Start) -> Self {
        let Start { slots, tail, abandoned, lock } = start;
        let offset = shared.ledger().end_offset;
        Self {
            shared,
            slots,
            tail,
            abandoned,
            offset,
            synced: offset,
            unsynced_cursors: Vec::new(),
            run: Run::default(),
            resolver: Resolver::default(),
            entries: Vec::new(),
            hints: Vec::new(),
            now: 0,
            _lock: lock,
        }
    }

    /// Writes what was submitted and answers each submission, in order.
    pub(crate) fn commit(&mut self, batch: &mut Vec<Submission>) {
        self.begin_run();
        self.now = self.shared.time.now();
        self.resolver.check(self.shared.ledger().queues_epoch);
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
        let _ = self.flush(Flush::IfAwaited);
    }

    /// Adds the records of one submission to the run. Returns the index of the first that was refused, and why.
    fn place_all(&mut self, records: &[(Destinations, Bytes)]) -> Option<(usize, AppendError)> {
        (self.run.gathered, self.run.durable) = (0, 0);
        for (index, (destinations, payload)) in records.iter().enumerate() {
            let placed = if self.run.is_large() { self.flush(Flush::IfAwaited) } else { Ok(()) };
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

    /// The next offset, and how many records before it are not synced yet.
    fn next_place(&mut self) -> (Offset, u16) {
        let offset = self.offset;
        self.offset += 1;
        (offset, u16::try_from(offset - self.synced).unwrap_or(u16::MAX))
    }

    /// Adds one record to the run, beginning another segment if it does not fit.
    fn place(&mut self, destinations: &Destinations, payload: &Bytes) -> Result<(), AppendError> {
        let at = loop {
            self.check_room(destinations, payload)?;
            // Queues that were idle may have been forgotten with the list of a new segment.
            let at = self.resolve(destinations)?;
            if self.fits(at, destinations, payload) {
                break at;
            }
            let kept: Vec<_> = self.resolver.queues(at).iter().map(|queue| queue.id).collect();
            self.begin_segment(&kept)?;
        };
        let Some(seed) = self.tail.as_ref().map(|tail| tail.seed) else { return Err(AppendError::Closed) };
        let (mut entries, mut hints) = (std::mem::take(&mut self.entries), std::mem::take(&mut self.hints));
        entries.clear();
        hints.clear();
        for (index, destination) in destinations.iter().enumerate() {
            let Some(mut queue) = self.resolver.queues(at).get(index).copied() else { continue };
            if !queue.named {
                let place = self.next_place();
                let name = control::encode_named(queue.id, &destination.endpoint, destination.priority);
                self.run.control(seed, place, Kind::Named, &name);
                self.run.named.push(queue.id);
                self.resolver.named(queue.id);
                queue.named = true;
            }
            let number = self.next_number(&mut queue);
            let expires = queue.time_to_live.map_or(NEVER, |life| self.now.saturating_add(life).min(NEVER - 1));
            entries.push(Entry { queue: queue.id, number, expires });
            hints.push(queue.hint);
            if let Some(remembered) = self.resolver.queues(at).get_mut(index) {
                *remembered = queue;
            }
        }
        let place = self.next_place();
        self.run.message(seed, place, &entries, &hints, payload);
        (self.entries, self.hints) = (entries, hints);
        Ok(())
    }

    /// Where the resolver has the queues.
    fn resolve(&mut self, destinations: &Destinations) -> Result<usize, AppendError> {
        if let Some(at) = self.resolver.find(destinations) {
            return Ok(at);
        }
        let mut ledger = self.shared.ledger();
        let max = ledger.limits.max_queues;
        let at = self.resolver.look_up(&mut ledger, destinations);
        drop(ledger);
        // Those of this run are not named on disk yet, and need not be named again.
        for id in self.run.named.clone() {
            self.resolver.named(id);
        }
        at.map_err(|TooManyQueues| AppendError::TooManyQueues { max })
    }

    /// The number of the queue's next record; the queue is begun in this run if need be.
    fn next_number(&mut self, queue: &mut ResolvedQueue) -> u64 {
        if let Some(gathered) = self.run.queue(queue.id, &mut queue.hint) {
            return gathered.end.number;
        }
        let ledger = self.shared.ledger();
        let known = ledger.queues.get(&queue.id);
        let next = known.map(|queue| queue.next).unwrap_or_default();
        let keeps_up = known.is_some_and(|queue| {
            let is_read = ledger.endpoint(&queue.endpoint).is_some_and(|endpoint| endpoint.has_reader);
            is_read && (!queue.hot.is_empty() || queue.read >= next.number)
        });
        drop(ledger);
        queue.hint = self.run.queues.len();
        let hot = keeps_up.then(Vec::new);
        self.run.queues.push(RunQueue { queue: queue.id, first: next, end: next, expires: 0, hot });
        next.number
    }

    fn fits(&mut self, at: usize, destinations: &Destinations, payload: &[u8]) -> bool {
        if self.tail.is_none() {
            return false;
        }
        let naming: usize = (self.resolver.queues(at).iter().zip(destinations.iter()))
            .filter(|(queue, _)| !queue.named)
            .map(|(_, destination)| record::encoded_len(0, control::named_len(&destination.endpoint)))
            .sum();
        let bytes = naming + record::encoded_len(destinations.len(), payload.len());
        let limits = &self.shared.limits;
        self.run.end() + bytes as u64 <= limits.segment_bytes - limits.reserve
    }

    /// Writes and syncs the run and makes true what it says.
    fn flush(&mut self, flush: Flush) -> Result<(), AppendError> {
        let Some(tail) = &mut self.tail else { return Ok(()) };
        let worth_a_sync = self.run.has_messages() || !tail.published || flush != Flush::IfAwaited;
        let nothing_new = self.run.buffer.is_empty() && self.offset == self.synced;
        if nothing_new && flush != Flush::AndSeal {
            return Ok(());
        }
        if !worth_a_sync {
            // The cursors stay with those to be saved; offsets go back to what is written.
            self.offset -= self.run.control_records;
            self.run.restart(tail.position);
            return Ok(());
        }
        fail_point!("append");
        if !self.run.buffer.is_empty()
            && let Err(failure) = tail.file.write_at(&self.run.buffer, self.run.start)
        {
            return Err(self.fail("write", &failure));
        }
        if flush == Flush::AndSeal {
            // Of a run that fails none of this becomes true, and the segment is sealed once more.
            let mut spans = tail.spans.clone();
            self.run.add_to(&mut spans);
            if let Err(failure) = tail.write_seal(&spans, self.offset, self.run.end()) {
                return Err(self.fail("seal a segment of", &failure));
            }
        }
        fail_point!("written");
        if let Err(failure) = tail.file.sync_data() {
            return Err(self.fail("sync", &failure));
        }
        fail_point!("synced");
        if flush == Flush::AndSeal {
            fail_point!("rotate-sealed");
        }
        self.publish();
        Ok(())
    }

    /// Nothing waits: gives memory back.
    pub(crate) fn rest(&mut self) {
        self.run.rest();
    }
}

/// What a flush is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    /// To answer senders. A run of cursors alone is dropped; they wait for another occasion.
    IfAwaited,
    /// To have on disk what there is.
    Always,
    /// To end the segment.
    AndSeal,
}
