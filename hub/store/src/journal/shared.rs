//! What the clones of a journal, its readers and its writer thread share.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::appender::AppendError;
use super::ledger::Ledger;
use super::{DISK_PAUSE, Problem};
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

    /// Waits until what an append was refused for may be over.
    pub(crate) async fn writable_after(&self, refusal: &AppendError) {
        match refusal {
            AppendError::Full { .. } => self.room_for_a_segment().await,
            AppendError::DiskFull | AppendError::Disk { .. } => tokio::time::sleep(DISK_PAUSE).await,
            // Waiting cannot help, or nothing was wrong.
            _ => {}
        }
    }

    /// Waits until another segment can be begun. Returns at once if the journal is closed.
    async fn room_for_a_segment(&self) {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            let is_full = *self.problem.borrow() == Some(Problem::Full);
            if !is_full || self.ledger().may_begin_segment() {
                return;
            }
            room.await;
        }
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
