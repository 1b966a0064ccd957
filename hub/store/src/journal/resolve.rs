//! Which queues destinations are, remembered for those used last: senders use the same ones again and again.

use super::ledger::{Ledger, TooManyQueues};
use crate::destination::Destinations;
use crate::record::QueueId;

/// How many values of destinations are remembered.
const REMEMBERED: usize = 64;

/// One queue of a record to be placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolvedQueue {
    pub(crate) id: QueueId,
    /// Does the disk know it, or will it with the run being gathered?
    pub(crate) named: bool,
    /// Milliseconds until a record expires.
    pub(crate) time_to_live: Option<u64>,
    /// Where the run has it, perhaps.
    pub(crate) hint: usize,
}

struct Resolved {
    destinations: Destinations,
    queues: Vec<ResolvedQueue>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Resolver {
    remembered: Vec<Resolved>,
    /// What is replaced next.
    next: usize,
    /// Of the ledger, when these were looked up.
    epoch: u64,
}

impl Resolver {
    /// Forgets everything: ids or names may have changed.
    pub(crate) fn clear(&mut self) {
        self.remembered.clear();
        self.next = 0;
    }

    /// Where the queues of these destinations are remembered; they are looked up if need be.
    pub(crate) fn find(&mut self, destinations: &Destinations) -> Option<usize> {
        self.remembered.iter().position(|resolved| resolved.destinations.is_clone_of(destinations))
    }

    /// Looks the queues up; those that do not exist come into being.
    pub(crate) fn look_up(&mut self, ledger: &mut Ledger, destinations: &Destinations) -> Result<usize, TooManyQueues> {
        let mut queues = Vec::with_capacity(destinations.len());
        for destination in destinations.iter() {
            let id = ledger.id_or_new(&destination.endpoint, destination.priority)?;
            let named = ledger.queues.get(&id).is_some_and(|queue| queue.named);
            let time_to_live = destination.time_to_live.map(|life| u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
            queues.push(ResolvedQueue { id, named, time_to_live, hint: 0 });
        }
        self.check(ledger.queues_epoch);
        let resolved = Resolved { destinations: destinations.clone(), queues };
        if self.remembered.len() < REMEMBERED {
            self.remembered.push(resolved);
            return Ok(self.remembered.len() - 1);
        }
        let at = self.next % REMEMBERED;
        self.next = at + 1;
        self.remembered[at] = resolved;
        Ok(at)
    }

    /// Forgets what was looked up before a queue went away.
    pub(crate) fn check(&mut self, epoch: u64) {
        if self.epoch != epoch {
            self.clear();
            self.epoch = epoch;
        }
    }

    pub(crate) fn queues(&mut self, at: usize) -> &mut [ResolvedQueue] {
        self.remembered.get_mut(at).map_or(&mut [], |resolved| &mut resolved.queues)
    }

    /// The disk will know this queue with the run being gathered, or does already.
    pub(crate) fn named(&mut self, id: QueueId) {
        for queue in self.remembered.iter_mut().flat_map(|resolved| &mut resolved.queues).filter(|queue| queue.id == id) {
            queue.named = true;
        }
    }
}
