//! Beginning the next segment, and finding a file for it.

use super::{Committer, Tail};
use crate::control::CursorEntry;
use crate::journal::appender::AppendError;
use crate::journal::ledger::Segment;
use crate::journal::usage::Problem;
use crate::record::{Kind, QueueId};
use crate::segment::Header;

impl Committer {
    /// Begins a segment: its head and the list of queues open a new run, which nothing has been written of yet.
    pub(super) fn begin_segment(&mut self, kept: &[QueueId]) -> Result<(), AppendError> {
        if self.offset > self.synced {
            // What was written and not synced, such as cursors, must not be missing where the next segment says it is.
            // If that fails, the tail is abandoned and the offsets are given again.
            let _ = self.flush(true);
        }
        let slot = self.take_slot()?;
        let file = match self.slots.open(slot) {
            Ok(file) => file,
            Err(failure) => {
                self.give_back(slot, true);
                return Err(self.refusal("open", &failure));
            }
        };
        let mut ledger = self.shared.ledger();
        let segment_bytes = ledger.limits.segment_bytes;
        let snapshot = ledger.snapshot(kept);
        let retired = ledger.retired.len();
        drop(ledger);
        let generation = self.next_generation;
        self.next_generation += 1;
        let header = Header { generation, first_offset: self.offset, segment_bytes, salt: self.salt };
        let seed = header.seed();
        self.tail = Some(Tail { slot, file, generation, seed, first_offset: self.offset, position: 0, published: false });
        self.run.restart(0);
        self.run.buffer.extend_from_slice(&header.encode());
        let place = self.next_place();
        self.run.control(seed, place, Kind::Snapshot, &snapshot.encode());
        self.run.named = snapshot.entries.iter().map(|entry| entry.id).collect();
        self.run.cursors = snapshot.entries.iter().map(|entry| CursorEntry { id: entry.id, cursor: entry.cursor }).collect();
        self.run.retired = retired;
        Ok(())
    }

    /// A file for the next segment: one that waits, one that all queues are done with, or a new one.
    fn take_slot(&mut self) -> Result<u32, AppendError> {
        if let Some(slot) = self.slots.take_free() {
            return Ok(slot);
        }
        if self.tail.is_some() && self.shared.ledger().could_free() {
            // All that is missing is that the disk knows how far the queues are. Room for that is kept in every segment.
            self.begin_run_using_reserve();
            let _ = self.flush(true);
            if let Some(slot) = self.slots.take_free() {
                return Ok(slot);
            }
        }
        let (files, limits) = {
            let ledger = self.shared.ledger();
            (ledger.files, ledger.limits)
        };
        let created = if files < limits.max_segments { Some(self.slots.create()) } else { None };
        if let Some(Ok(slot)) = created {
            self.shared.ledger().files += 1;
            return Ok(slot);
        }
        // Without a tail the cursors cannot be saved first. They are saved with the head of the segment that is begun in the
        // freed file; a power cut before that shows as a gap, of records that were settled.
        let freed = self.shared.ledger().free_oldest_unsaved();
        if let Some(Segment { slot, .. }) = freed {
            return Ok(slot);
        }
        if let Some(Err(failure)) = created {
            return Err(self.refusal("create a segment of", &failure));
        }
        self.shared.ledger().full = true;
        self.report(Problem::Full);
        Err(AppendError::Full { max_bytes: limits.max_bytes })
    }

    pub(super) fn give_back(&mut self, slot: u32, suspect: bool) {
        if !self.slots.give_back(slot, suspect) {
            self.shared.ledger().files -= 1;
        }
    }
}
