//! What becomes true when a run is on disk.

use std::sync::Arc;

use tracing::info;

use super::Committer;
use crate::fail_point;
use crate::journal::ledger::{Holding, Segment};
use crate::journal::run::{RunQueue, Waiting};
use crate::journal::usage::Problem;

impl Committer {
    /// The run is on disk: tells the ledger, wakes the readers, answers the senders.
    pub(super) fn publish(&mut self) {
        let Some(tail) = &mut self.tail else { return };
        tail.position = self.run.end();
        self.synced = self.offset;
        self.run.add_to(&mut tail.spans);
        let mut ledger = self.shared.ledger();
        ledger.syncs += 1;
        ledger.end_offset = self.offset;
        if !tail.published {
            tail.published = true;
            ledger.add_segment(Segment {
                slot: tail.slot,
                generation: tail.generation,
                seed: tail.seed,
                covers: (tail.generation, tail.generation),
                compacted: false,
                file_bytes: self.shared.limits.segment_bytes,
                records_at: self.shared.limits.records_at,
                first_offset: tail.first_offset,
                end_offset: self.offset,
                end_position: tail.position,
                needed_by: 0,
                suspect: false,
                measured: None,
            });
        }
        if let Some(segment) = ledger.segments.get_mut(&tail.generation) {
            segment.end_offset = self.offset;
            segment.end_position = tail.position;
        }
        let mut arrived = Vec::with_capacity(self.run.queues.len());
        for RunQueue { queue: id, first, end, expires, hot } in &mut self.run.queues {
            ledger.hold(*id, Holding { segment: tail.generation, first: *first, end: *end, expires: *expires });
            let endpoint = ledger.change(*id, |queue| {
                queue.counts.appended += end.number - first.number;
                queue.next = *end;
                queue.endpoint.clone()
            });
            if let Some(hot) = hot {
                ledger.warm(*id, hot);
            }
            if let (Some(endpoint), _) = endpoint
                && ledger.endpoint(&endpoint).is_some()
            {
                let endpoint = ledger.endpoint_mut(&endpoint);
                endpoint.refusing &= self.run.refused;
                arrived.push(Arc::clone(&endpoint.arrived));
            }
        }
        for id in &self.run.named {
            if let Some(queue) = ledger.queues.get_mut(id) {
                queue.named = true;
            }
        }
        self.unsynced_cursors.append(&mut self.run.cursors);
        ledger.cursors_written(&self.unsynced_cursors, true);
        if self.run.control_records > 0 {
            ledger.clock_is_due = false;
        }
        self.unsynced_cursors.clear();
        ledger.retired_written(self.run.retired);
        let freed = ledger.take_unneeded();
        let has_work = ledger.is_to_be_looked_at();
        drop(ledger);

        for endpoint in arrived {
            endpoint.notify_one();
        }
        self.give_back(freed);
        if has_work {
            self.shared.look_after();
        }
        self.clear_problem();
        for Waiting { ticket, refused, .. } in self.run.waiting.drain(..) {
            match refused {
                None => ticket.accept(),
                Some((index, error)) => ticket.refuse(index, error),
            }
        }
        fail_point!("acknowledged");
        self.run.durable += std::mem::take(&mut self.run.gathered);
        let position = self.run.end();
        self.run.restart(position);
    }

    /// Records were accepted, so what was wrong is over, but for endpoints that are still full.
    fn clear_problem(&self) {
        if !self.run.has_messages() || self.run.refused || self.shared.problem.borrow().is_none() {
            return;
        }
        let ledger = self.shared.ledger();
        let refusing = ledger.endpoints().filter(|(_, endpoint)| endpoint.refusing).map(|(name, _)| name).min().cloned();
        drop(ledger);
        let left = refusing.map(|endpoint| Problem::EndpointFull { endpoint });
        if left.is_none() {
            info!("the journal accepts appends again");
        }
        self.shared.report(left);
    }
}

impl Drop for Committer {
    /// Nothing will be appended any more, whether the writer was closed or, by a bug, panicked: whoever waits is told.
    fn drop(&mut self) {
        let mut ledger = self.shared.ledger();
        ledger.closed = true;
        for (_, endpoint) in ledger.endpoints() {
            endpoint.arrived.notify_one();
        }
        drop(ledger);
        self.shared.room_was_made();
        self.shared.stop_looking_after();
    }
}
