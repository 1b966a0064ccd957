//! Finding room: who may append, and a file for the next segment.

use std::io;

use bytes::Bytes;
use tracing::warn;

use super::{Committer, Flush};
use crate::destination::Destinations;
use crate::journal::appender::AppendError;
use crate::journal::ledger::Segment;
use crate::journal::quota::OnFull;
use crate::journal::usage::Problem;
use crate::queue::QueueName;
use crate::record;

impl Committer {
    /// May each of these endpoints hold another record?
    pub(super) fn check_share(&mut self, destinations: &Destinations, payload: &Bytes) -> Result<(), AppendError> {
        let Some(endpoint) = self.full_among(destinations, payload) else { return Ok(()) };
        // Perhaps there is room that only has to be made. What is gathered need not wait for that.
        self.flush(Flush::IfAwaited)?;
        self.save_cursors_for_room();
        while self.shared.wait_for_cleaner() {
            if self.full_among(destinations, payload).is_none() {
                return Ok(());
            }
        }
        self.shared.ledger().endpoint_mut(&endpoint).refusing = true;
        self.run.refused = true;
        self.report(Problem::EndpointFull { endpoint: endpoint.clone() });
        Err(AppendError::EndpointFull { endpoint })
    }

    /// The first of the endpoints that may not hold another record.
    fn full_among(&self, destinations: &Destinations, payload: &Bytes) -> Option<QueueName> {
        let ledger = self.shared.ledger();
        if ledger.quota.on_full == OnFull::DropOldest {
            return None;
        }
        let bytes = record::encoded_len(destinations.len(), payload.len()) as u64;
        let limits = &self.shared.limits;
        let tail = self.tail.as_ref().map_or(0, |_| (limits.segment_bytes - limits.reserve).saturating_sub(self.run.end()));
        let mut endpoints = destinations.iter().map(|destination| &destination.endpoint);
        endpoints.find(|endpoint| ledger.refuses(endpoint, bytes, tail)).cloned()
    }

    /// A file for the next segment when none waits: one that all queues are done with, a new one, or one that is made free by moving or
    /// dropping records.
    pub(super) fn take_slot(&mut self) -> Result<u32, AppendError> {
        loop {
            let failure = match self.find_slot() {
                Ok(Some(slot)) => return Ok(slot),
                Ok(None) => None,
                Err(failure) => Some(failure),
            };
            if self.shared.wait_for_cleaner() {
                continue;
            }
            if let Some(failure) = failure.as_ref().filter(|failure| !is_out_of_space(failure)) {
                // A disk that fails is no reason to drop what is on it.
                return Err(self.refusal("create a segment of", failure));
            }
            let (dropped, on_full, max_bytes) = {
                let mut ledger = self.shared.ledger();
                let quota = ledger.quota;
                let dropped = if quota.on_full == OnFull::DropOldest { ledger.drop_oldest() } else { None };
                (dropped, quota.on_full, quota.max_bytes)
            };
            if let Some(dropped) = dropped {
                self.shared.report_drop(&dropped);
                continue;
            }
            if let Some(failure) = failure {
                return Err(self.refusal("create a segment of", &failure));
            }
            if on_full == OnFull::DropOldest {
                warn!("the journal is full of records that cannot be dropped");
            }
            self.run.refused = true;
            self.report(Problem::Full);
            return Err(AppendError::Full { max_bytes });
        }
    }

    /// A file that can be had without giving anything up. An error: the disk did not let one be created.
    fn find_slot(&mut self) -> io::Result<Option<u32>> {
        loop {
            if let Some(slot) = self.shared.ledger().free.pop() {
                return Ok(Some(slot));
            }
            // Perhaps all that is missing is that the disk knows how far the queues are: a segment is used again, and records are
            // moved, by what it knows. Room for that is kept in every segment.
            let saved = self.save_cursors_for_room();
            if let Some(slot) = self.shared.ledger().free.pop() {
                return Ok(Some(slot));
            }
            let created = self.create_slot();
            let out_of_space = created.as_ref().is_err_and(is_out_of_space);
            if saved || !(out_of_space || matches!(created, Ok(None))) {
                return created;
            }
            // Without a tail, or room in it, the cursors cannot be saved first, and there is no room for a file to save them in. They
            // are saved with the head of the segment that is begun in the freed file; a power cut before that shows as a gap, of
            // records that were settled.
            let Some(segment) = self.shared.ledger().take_unneeded_unsaved() else { return created };
            self.give_back(vec![segment]);
        }
    }

    /// Has the disk know how far the queues are. Returns whether it does.
    fn save_cursors_for_room(&mut self) -> bool {
        if self.tail.is_none() {
            return false;
        }
        if !self.shared.ledger().cursors_moved() {
            return true;
        }
        self.begin_run_using_reserve();
        let fits = !self.run.buffer.is_empty();
        fits && self.flush(Flush::Always).is_ok()
    }

    /// A new file, if quota and disk have room for it.
    fn create_slot(&mut self) -> io::Result<Option<u32>> {
        let bytes = self.shared.limits.segment_bytes;
        if self.tail.is_none() && !self.shared.ledger().may_create(bytes) {
            // Not at the same time as the cleaner makes one more.
            self.shared.wait_for_cleaner();
        }
        let mut ledger = self.shared.ledger();
        // Without a segment to save the cursors in, nothing can be given back safely: one more than the quota allows, for a moment.
        let allowance = if self.tail.is_none() { bytes } else { 0 };
        if !ledger.may_create(bytes.saturating_sub(allowance)) {
            return Ok(None);
        }
        let (slot, min_free) = (ledger.next_slot, ledger.quota.min_free_bytes);
        ledger.next_slot += 1;
        drop(ledger);
        if min_free > 0 && self.slots.free_bytes()? < min_free.saturating_add(bytes) {
            return Ok(None);
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

    /// The quota has changed: what is over it goes, as far as the policy allows.
    pub(crate) fn keep_to_quota(&mut self) {
        self.slots.trim(&self.shared);
        while self.shared.ledger().is_over_quota() {
            let before = self.shared.ledger().bytes_in_use;
            self.save_cursors_for_room();
            self.slots.trim(&self.shared);
            if self.shared.ledger().bytes_in_use < before {
                continue;
            }
            if self.shared.wait_for_cleaner() {
                continue;
            }
            let dropped = {
                let mut ledger = self.shared.ledger();
                if ledger.quota.on_full == OnFull::DropOldest { ledger.drop_oldest() } else { None }
            };
            let Some(dropped) = dropped else { return };
            self.shared.report_drop(&dropped);
        }
    }
}

pub(super) fn is_out_of_space(failure: &io::Error) -> bool {
    matches!(failure.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
