//! What the clones of a journal, its readers and its writer thread share.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::Problem;
use super::ledger::Ledger;
use crate::disk::Disk;

/// Shared by clones, readers and writer.
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) directory: PathBuf,
    ledger: Mutex<Ledger>,
    pub(crate) problem: watch::Sender<Option<Problem>>,
    /// Wakes those who wait until appends may work again.
    pub(crate) room: Notify,
}

impl Shared {
    pub(crate) fn new(disk: Arc<dyn Disk>, directory: PathBuf, ledger: Ledger) -> Self {
        Self { disk, directory, ledger: Mutex::new(ledger), problem: watch::channel(None).0, room: Notify::new() }
    }

    /// The ledger. A thread that panicked while it held the lock left it whole: nothing is half done across a step that can panic.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what keeps appends from working, if anything does.
    pub(crate) fn report(&self, problem: Option<Problem>) {
        self.problem.send_if_modified(|current| {
            let changed = *current != problem;
            *current = problem;
            changed
        });
        if self.problem.borrow().is_none() {
            self.room.notify_waiters();
        }
    }
}
