//! Finding room: who may append, and a file for the next segment.

use std::io;
use std::time::Instant;

use bytes::Bytes;
use tracing::warn;

use super::{Committer, Flush};
use crate::destination::Destinations;
use crate::journal::appender::AppendError;
use crate::journal::ledger::Segment;
use crate::journal::quota::{OnFull, Quota};
use crate::journal::shared::CLEANER_PATIENCE;
use crate::journal::usage::Problem;
use crate::queue::QueueName;
use crate::record;

/// What keeps a record from being taken.
enum Hindrance {
    /// This endpoint may not hold another.
    Endpoint(QueueName),
    /// More is in use than may be, since the quota was lowered or a segment was begun beyond it to save cursors.
    OverQuota,
}

/// What a look for room found.
pub(super) enum Found<T> {
    Room(T),
    Nothing,
    /// The quota has room, and the disk has not.
    NoSpace(io::Error),
}

impl Committer {
    /// May each of these endpoints hold another record, and the journal?
    pub(super) fn check_room(&mut self, destinations: &Destinations, payload: &Bytes) -> Result<(), AppendError> {
        if self.hindrance(destinations, payload).is_none() {
            return Ok(());
        }
        // Perhaps there is room that only has to be made. What is gathered need not wait for that.
        self.flush(Flush::IfAwaited)?;
        self.give_back_passed()?;
        let begun = Instant::now();
        let endpoint = loop {
            match self.hindrance(destinations, payload) {
                None => return Ok(()),
                Some(Hindrance::OverQuota) => return self.make_room(Self::get_within_quota),
                Some(Hindrance::Endpoint(endpoint)) if begun.elapsed() >= CLEANER_PATIENCE || !self.shared.wait_for_cleaner() => {
                    break endpoint;
                }
                Some(Hindrance::Endpoint(_)) => {}
            }
        };
        self.shared.ledger().endpoint_mut(&endpoint).refusing = true;
        self.run.refused = true;
        self.report(Problem::EndpointFull { endpoint: endpoint.clone() });
        Err(AppendError::EndpointFull { endpoint })
    }

    fn hindrance(&self, destinations: &Destinations, payload: &Bytes) -> Option<Hindrance> {
        let limits = &self.shared.limits;
        let ledger = self.shared.ledger();
        // A segment that is just being begun is not in the ledger yet.
        let begun = self.tail.as_ref().filter(|tail| !tail.published).map_or(0, |_| limits.segment_bytes);
        let is_over_quota = ledger.bytes_in_use + begun > ledger.quota.max_bytes;
        if ledger.quota.on_full == OnFull::RejectNew {
            let bytes = record::encoded_len(destinations.len(), payload.len()) as u64;
            let tail = self.tail.as_ref().filter(|_| !is_over_quota);
            let tail = tail.map_or(0, |_| (limits.segment_bytes - limits.reserve).saturating_sub(self.run.end()));
            let mut endpoints = destinations.iter().map(|destination| &destination.endpoint);
            if let Some(full) = endpoints.find(|endpoint| ledger.refuses(endpoint, bytes, tail)) {
                return Some(Hindrance::Endpoint(full.clone()));
            }
        }
        is_over_quota.then_some(Hindrance::OverQuota)
    }

    /// Looks for room, and where there is none makes some: by moving records or, if the policy says so, dropping them.
    pub(super) fn make_room<T>(
        &mut self,
        mut look: impl FnMut(&mut Self) -> Result<Found<T>, AppendError>,
    ) -> Result<T, AppendError> {
        loop {
            // A disk that fails is no reason to drop what is on it.
            let no_space = match look(self)? {
                Found::Room(room) => return Ok(room),
                Found::Nothing => None,
                Found::NoSpace(failure) => Some(failure),
            };
            if self.shared.wait_for_cleaner() || self.drop_for_room() {
                continue;
            }
            self.run.refused = true;
            if let Some(failure) = no_space {
                return Err(self.refusal("create a segment of", &failure));
            }
            let mut ledger = self.shared.ledger();
            let Quota { on_full, max_bytes, .. } = ledger.quota;
            ledger.refused_over_quota = ledger.is_over_quota();
            drop(ledger);
            if on_full == OnFull::DropOldest {
                warn!("the journal is full of records that cannot be dropped");
            }
            self.report(Problem::Full);
            return Err(AppendError::Full { max_bytes });
        }
    }

    /// Drops the oldest records, if they may be. Returns whether some were.
    fn drop_for_room(&self) -> bool {
        let dropped = self.shared.ledger().drop_for_room();
        for dropped in &dropped {
            self.shared.report_drop(dropped);
        }
        !dropped.is_empty()
    }

    /// A file for the next segment that can be had without giving anything up: one that all queues are done with, or a new one.
    pub(super) fn find_slot(&mut self) -> Result<Found<u32>, AppendError> {
        loop {
            if let Some(slot) = self.shared.ledger().free.pop() {
                return Ok(Found::Room(slot));
            }
            // Perhaps all that is missing is that the disk knows how far the queues are: a segment is used again, and records are
            // moved, by what it knows.
            let saved = self.save_cursors_in_tail()?;
            if let Some(slot) = self.shared.ledger().free.pop() {
                return Ok(Found::Room(slot));
            }
            // Cursors that the tail has no room for are saved by the head of the segment that is begun, even if that is one too many.
            let nothing = match self.create_slot(!saved) {
                Ok(Some(slot)) => return Ok(Found::Room(slot)),
                Ok(None) => Found::Nothing,
                Err(failure) if is_out_of_space(&failure) => Found::NoSpace(failure),
                Err(failure) => return Err(self.refusal("create a segment of", &failure)),
            };
            if saved || !self.give_back_one_unsaved() {
                return Ok(nothing);
            }
        }
    }

    /// Gives back what nobody needs, until no more is in use than may be.
    fn get_within_quota(&mut self) -> Result<Found<()>, AppendError> {
        self.give_back_passed()?;
        Ok(if self.shared.ledger().is_over_quota() { Found::Nothing } else { Found::Room(()) })
    }

    /// Gives back the segments that no queue needs, and has the disk know that first.
    fn give_back_passed(&mut self) -> Result<(), AppendError> {
        if self.save_cursors_in_tail()? || self.begin_segment_for_cursors(true)? {
            return Ok(());
        }
        while self.give_back_one_unsaved() {}
        Ok(())
    }

    /// For a disk without room for a file to save the cursors in: they are saved by the head of the segment that is begun in the freed
    /// file. A power cut before that shows as a gap, of records that were settled.
    fn give_back_one_unsaved(&mut self) -> bool {
        let Some(segment) = self.shared.ledger().take_unneeded_unsaved() else { return false };
        self.give_back(vec![segment]);
        true
    }

    /// Has the disk know how far the queues are, if there is a segment being written, and room in it. Returns whether it does.
    fn save_cursors_in_tail(&mut self) -> Result<bool, AppendError> {
        if !self.shared.ledger().cursors_unsaved() {
            return Ok(true);
        }
        if self.tail.is_none() {
            return Ok(false);
        }
        self.begin_run_using_reserve();
        let fits = !self.run.buffer.is_empty() || !self.cursors_moved();
        // Those that are written already are synced in any case.
        self.flush(Flush::Always)?;
        Ok(fits)
    }

    /// A new file, if the quota has room for it or may be gone `beyond`. An error of no space: the disk has none, or none to spare.
    pub(super) fn create_slot(&self, beyond: bool) -> io::Result<Option<u32>> {
        let bytes = self.shared.limits.segment_bytes;
        let mut ledger = self.shared.ledger();
        if !beyond && !ledger.may_create(bytes) {
            return Ok(None);
        }
        let (slot, min_free) = (ledger.next_slot, ledger.quota.min_free_bytes);
        ledger.next_slot += 1;
        drop(ledger);
        if min_free > 0 && self.slots.free_bytes()? < min_free.saturating_add(bytes) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.slots.create(slot)?;
        self.shared.ledger().bytes_on_disk += bytes;
        Ok(Some(slot))
    }

    /// Segments are done with: their files wait to be used again, or are removed.
    pub(super) fn give_back(&mut self, freed: Vec<Segment>) {
        if freed.is_empty() {
            return;
        }
        for segment in freed {
            self.give_back_slot(segment.slot, segment.file_bytes, segment.suspect);
        }
        self.shared.room_was_made();
    }

    pub(super) fn give_back_slot(&mut self, slot: u32, bytes: u64, remove: bool) {
        self.slots.give_back(&self.shared, slot, bytes, remove);
    }

    /// The quota has changed: what is over it goes, as far as the policy and the disk allow. What does not go now goes with the next
    /// append.
    pub(crate) fn keep_to_quota(&mut self) {
        self.slots.trim(&self.shared);
        while self.shared.ledger().is_over_quota() {
            match self.get_within_quota() {
                Ok(Found::Nothing) => {}
                // Within it; or the disk fails, and what cannot be saved must not be dropped over and over.
                _ => return,
            }
            if !self.shared.wait_for_cleaner() && !self.drop_for_room() {
                return;
            }
        }
    }
}

pub(super) fn is_out_of_space(failure: &io::Error) -> bool {
    matches!(failure.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
