//! Saving how far the queues are: with commits, or by itself after a while.

use super::{Committer, Flush};
use crate::control;
use crate::fail_point;
use crate::journal::appender::AppendError;
use crate::record::{self, Kind};

impl Committer {
    /// Has the disk yet to learn of cursors?
    pub(crate) fn cursors_moved(&self) -> bool {
        self.shared.ledger().cursors_moved()
    }

    /// Writes the cursors that moved, without a sync unless that lets go of a segment that is needed: to be written is enough for a
    /// process that is killed, and after a power cut a little more is delivered again.
    pub(crate) fn save_cursors(&mut self) {
        self.begin_run();
        if self.run.buffer.is_empty() && self.cursors_moved() {
            // The segment is full. Nothing is dropped for cursors, so when there is no file for another they go where room is kept for
            // them, and when that is used up into a segment more than there may be. A disk that fails is tried again later.
            if !matches!(self.begin_segment_for_cursors(false), Ok(false)) {
                return;
            }
            self.begin_run_using_reserve();
            if self.run.buffer.is_empty() {
                let _ = self.begin_segment_for_cursors(true);
                return;
            }
        }
        if self.run.buffer.is_empty() {
            return;
        }
        let Some(tail) = &mut self.tail else { return };
        if self.offset - self.synced > u64::from(u16::MAX / 2) {
            let _ = self.flush(Flush::Always);
            return;
        }
        match tail.file.write_at(&self.run.buffer, self.run.start) {
            Ok(()) => {
                fail_point!("cursor-written");
                tail.position = self.run.end();
                self.unsynced_cursors.append(&mut self.run.cursors);
                // Of each queue the newest is enough. Retired ones are let go of only when the disk is sure to know.
                if self.unsynced_cursors.len() > 2 * self.shared.limits.max_queues || self.run.retired > 0 {
                    let _ = self.flush(Flush::Always);
                    return;
                }
                let mut ledger = self.shared.ledger();
                ledger.cursors_written(&self.unsynced_cursors, false);
                ledger.clock_is_due = false;
                // Somebody may wait for it, and nothing else need ever be synced.
                let frees = ledger.room_is_short() && ledger.could_free();
                drop(ledger);
                self.run.restart(tail.position);
                if frees {
                    let _ = self.flush(Flush::Always);
                }
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
            // Without room on the disk for that, what was settled last is delivered again.
            self.begin_segment_for_cursors(true)?;
        }
        let room_for_mark =
            self.run.end() + record::encoded_len(0, control::cursors_len(0)) as u64 <= self.shared.limits.segment_bytes;
        let seed = self.tail.as_ref().filter(|tail| tail.published && room_for_mark).map(|tail| tail.seed);
        if let Some(seed) = seed.filter(|_| self.run.buffer.is_empty()) {
            let place = self.next_place();
            self.run.control(seed, place, Kind::Cursors, &control::encode_cursors(self.shared.time.mark(), &[]));
        }
        self.flush(Flush::Always)
    }

    /// Starts gathering, with the cursors that moved, if they fit.
    pub(super) fn begin_run(&mut self) {
        self.gather_cursors(self.shared.limits.reserve);
    }

    pub(super) fn begin_run_using_reserve(&mut self) {
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
        let retired: Vec<_> = ledger.retired.iter().map(|retired| retired.id).collect();
        let clock_is_due = ledger.clock_is_due;
        drop(ledger);
        let bytes = record::encoded_len(0, control::cursors_len(moved.len())) + retired.len() * record::encoded_len(0, 4);
        if position + bytes as u64 > self.shared.limits.segment_bytes - reserve {
            return;
        }
        if !moved.is_empty() || clock_is_due {
            let place = self.next_place();
            self.run.control(seed, place, Kind::Cursors, &control::encode_cursors(self.shared.time.mark(), &moved));
        }
        for id in &retired {
            let place = self.next_place();
            self.run.control(seed, place, Kind::Retired, &control::encode_retired(*id));
        }
        self.run.cursors = moved;
        self.run.retired = retired.len();
    }
}
