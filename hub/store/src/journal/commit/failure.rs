//! What becomes of a commit when the disk fails.

use std::io;

use tracing::{error, warn};

use super::Committer;
use super::room::is_out_of_space;
use crate::journal::appender::AppendError;
use crate::journal::run::Waiting;
use crate::journal::usage::Problem;

impl Committer {
    /// A write or sync failed: refuses what waits and abandons the segment at what is synced.
    pub(super) fn fail(&mut self, operation: &'static str, failure: &io::Error) -> AppendError {
        let refusal = self.refusal(operation, failure);
        for Waiting { ticket, durable, .. } in self.run.waiting.drain(..) {
            ticket.refuse(durable, refusal.clone());
        }
        self.run.gathered = 0;
        if let Some(tail) = self.tail.take() {
            if tail.published {
                if let Some(segment) = self.shared.ledger().segments.get_mut(&tail.generation) {
                    segment.suspect = true;
                }
                self.abandoned = Some(tail);
            } else {
                self.give_back_slot(tail.slot, self.shared.limits.segment_bytes, true);
            }
        }
        self.offset = self.synced;
        self.unsynced_cursors.clear();
        self.resolver.clear();
        self.shared.ledger().cursors_unwritten();
        self.run.restart(0);
        refusal
    }

    /// What to answer to a sender after the disk failed.
    pub(super) fn refusal(&self, operation: &'static str, failure: &io::Error) -> AppendError {
        let full = is_out_of_space(failure);
        self.report(if full {
            Problem::DiskFull
        } else {
            Problem::Disk { detail: format!("failed to {operation} the journal: {failure}") }
        });
        if full { AppendError::DiskFull } else { AppendError::Disk { operation, kind: failure.kind() } }
    }

    /// Says once what is wrong, and keeps it to be looked at.
    pub(super) fn report(&self, problem: Problem) {
        if self.shared.problem.borrow().as_ref() != Some(&problem) {
            match &problem {
                Problem::Full => warn!("the journal is full: appends wait until readers have settled a segment"),
                Problem::EndpointFull { endpoint } => {
                    warn!(%endpoint, "an endpoint holds all that it may: appends for it wait until its reader has settled some");
                }
                Problem::DiskFull => {
                    error!("no space left on the journal's volume, or none to spare: nothing is accepted until there is");
                }
                Problem::Disk { detail } => error!(detail, "the journal's disk failed: what was not acknowledged is refused"),
            }
        }
        self.shared.report(Some(problem));
    }
}
