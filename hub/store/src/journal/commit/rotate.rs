//! Ending a segment and beginning the next.

use std::collections::BTreeMap;

use super::room::is_out_of_space;
use super::{Committer, Flush, Tail};
use crate::control::CursorEntry;
use crate::fail_point;
use crate::journal::appender::AppendError;
use crate::record::{Kind, QueueId};
use crate::segment::{Header, SegmentKind};

impl Committer {
    /// Says of a segment that is not written on where it ends. Only what was synced long ago is told of, so this may be tried again.
    fn seal_abandoned(&mut self) -> Result<(), AppendError> {
        let Some(tail) = &self.abandoned else { return Ok(()) };
        let sealed = tail.write_seal(&tail.spans, self.synced, tail.position).and_then(|()| tail.file.sync_data());
        match sealed {
            Ok(()) => {
                self.abandoned = None;
                Ok(())
            }
            Err(failure) => Err(self.refusal("seal a segment of", &failure)),
        }
    }

    /// Writes what is gathered, seals the segment and begins another: its head is written, and the list of queues opens a new run, of
    /// which nothing has been written yet.
    pub(super) fn begin_segment(&mut self, kept: &[QueueId]) -> Result<(), AppendError> {
        self.seal_abandoned()?;
        let waiting = self.shared.ledger().free.pop();
        let slot = if let Some(slot) = waiting {
            slot
        } else {
            // What is gathered need not wait for a file to be made.
            self.flush(Flush::IfAwaited)?;
            self.make_room(Self::find_slot)?
        };
        self.begin_segment_in(slot, kept)
    }

    /// Begins a segment to have its head say how far the queues are, if there is a file to be had without giving anything up; one more
    /// than the quota allows if `beyond` it. Returns whether there was.
    ///
    /// It takes no messages while more is in use than may be, so it goes again when the next is begun: they never add up.
    pub(super) fn begin_segment_for_cursors(&mut self, beyond: bool) -> Result<bool, AppendError> {
        self.seal_abandoned()?;
        let waiting = self.shared.ledger().free.pop();
        let slot = match waiting.map_or_else(|| self.create_slot(beyond), |slot| Ok(Some(slot))) {
            Ok(Some(slot)) => slot,
            Ok(None) => return Ok(false),
            Err(failure) if is_out_of_space(&failure) => return Ok(false),
            Err(failure) => return Err(self.refusal("create a segment of", &failure)),
        };
        self.begin_segment_in(slot, &[])?;
        self.flush(Flush::Always)?;
        Ok(true)
    }

    fn begin_segment_in(&mut self, slot: u32, kept: &[QueueId]) -> Result<(), AppendError> {
        let file = match self.slots.open(slot) {
            Ok(file) => file,
            Err(failure) => {
                self.give_back_slot(slot, self.shared.limits.segment_bytes, true);
                return Err(self.refusal("open", &failure));
            }
        };
        // What was written and not synced, such as cursors, must not be missing where the next segment says it is.
        // If that fails, the tail is abandoned and the offsets are given again.
        if let Err(failure) = self.flush(Flush::AndSeal) {
            self.give_back_slot(slot, self.shared.limits.segment_bytes, false);
            return Err(failure);
        }
        let limits = self.shared.limits;
        let mut ledger = self.shared.ledger();
        let generation = ledger.next_generation;
        ledger.next_generation += 1;
        let snapshot = ledger.snapshot(self.shared.time.mark(), kept);
        let retired = ledger.retired.len();
        self.resolver.check(ledger.queues_epoch);
        drop(ledger);
        let header = Header {
            kind: SegmentKind::Log,
            generation,
            first_offset: self.offset,
            file_bytes: limits.segment_bytes,
            salt: self.shared.salt,
            covers: (generation, generation),
            records_at: u32::try_from(limits.records_at).unwrap_or(u32::MAX),
        };
        let seed = header.seed();
        self.tail = Some(Tail {
            slot,
            file,
            generation,
            seed,
            first_offset: self.offset,
            position: limits.records_at,
            published: false,
            spans: BTreeMap::new(),
        });
        self.run.restart(limits.records_at);
        let head = self.tail.as_ref().map_or(Ok(()), |tail| tail.file.write_at(&header.encode(), 0));
        if let Err(failure) = head {
            return Err(self.fail("write", &failure));
        }
        fail_point!("rotate-head");
        let place = self.next_place();
        self.run.control(seed, place, Kind::Snapshot, &snapshot.encode());
        for entry in &snapshot.entries {
            self.resolver.named(entry.id);
        }
        self.run.named = snapshot.entries.iter().map(|entry| entry.id).collect();
        self.run.cursors = snapshot.entries.iter().map(|entry| CursorEntry { id: entry.id, cursor: entry.cursor }).collect();
        self.run.retired = retired;
        Ok(())
    }
}
