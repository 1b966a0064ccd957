//! What the clones of a journal, its readers, its writer thread and its cleaner share.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tracing::warn;

use super::appender::AppendError;
use super::ledger::{Dropped, Ledger};
use super::limits::Limits;
use super::time::JournalTime;
use super::{DISK_PAUSE, Problem};
use crate::disk::Disk;

/// Time between two messages about records that were dropped to make room.
const DROP_REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// How long the writer waits for the cleaner at a time. Past that it goes on without the room: long enough for a few moves on a slow
/// disk, short enough for senders that have other endpoints.
pub(crate) const CLEANER_PATIENCE: Duration = Duration::from_secs(2);

/// Shared by clones, readers, writer and cleaner.
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) directory: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) time: JournalTime,
    /// Part of the checksums of segments begun by this process.
    pub(crate) salt: u64,
    ledger: Mutex<Ledger>,
    pub(crate) problem: watch::Sender<Option<Problem>>,
    /// Wakes those who wait until appends may work again.
    pub(crate) room: Notify,
    pub(crate) cleaning: Mutex<Cleaning>,
    /// Wakes the cleaner.
    pub(crate) wanted: Condvar,
    /// Wakes who waits for the cleaner.
    pub(crate) cleaned: Condvar,
    reported: Mutex<Reported>,
}

/// What the cleaner is at. Never locked while the ledger is waited for by whoever holds it.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked for by itself, and they change independently")]
pub(crate) struct Cleaning {
    /// Somebody wants it to look.
    pub(crate) wanted: bool,
    /// It looks, or moves records.
    pub(crate) busy: bool,
    /// Times that it has looked, and found something to move and moved it.
    pub(crate) looked: u64,
    pub(crate) moved: u64,
    /// The same two when the writer ran out of patience.
    given_up: Option<(u64, u64)>,
    pub(crate) stop: bool,
    /// Its thread is there.
    pub(crate) runs: bool,
}

/// What was dropped since somebody was told.
#[derive(Debug, Default)]
struct Reported {
    at: Option<Instant>,
    records: u64,
}

impl Shared {
    pub(crate) fn new(disk: Arc<dyn Disk>, directory: PathBuf, time: JournalTime, salt: u64, ledger: Ledger) -> Self {
        Self {
            disk,
            directory,
            limits: ledger.limits,
            time,
            salt,
            ledger: Mutex::new(ledger),
            problem: watch::channel(None).0,
            room: Notify::new(),
            cleaning: Mutex::default(),
            wanted: Condvar::new(),
            cleaned: Condvar::new(),
            reported: Mutex::default(),
        }
    }

    /// The ledger. A thread that panicked while it held the lock left it whole: nothing is half done across a step that can panic.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cleaning(&self) -> MutexGuard<'_, Cleaning> {
        self.cleaning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the cleaner look whether there is something to do.
    pub(crate) fn look_after(&self) {
        let mut cleaning = self.cleaning();
        if !cleaning.wanted {
            cleaning.wanted = true;
            self.wanted.notify_one();
        }
    }

    /// Ends the cleaner, and waits for the end of what it is at: nobody may touch the files once the lock is let go of.
    pub(crate) fn stop_looking_after(&self) {
        let mut cleaning = self.cleaning();
        cleaning.stop = true;
        self.wanted.notify_one();
        while cleaning.runs {
            cleaning = self.cleaned.wait(cleaning).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The cleaner has ended, as it should or by a panic: nobody waits for it any more.
    pub(crate) fn cleaner_has_ended(&self) {
        let mut cleaning = self.cleaning();
        (cleaning.stop, cleaning.runs) = (true, false);
        drop(cleaning);
        self.cleaned.notify_all();
    }

    /// Has the cleaner look, and waits until it has, but not for longer than [`CLEANER_PATIENCE`]: meanwhile nobody's appends are
    /// answered. Returns whether it moved something. What it moves later wakes those who wait for room. For the writer only.
    pub(crate) fn wait_for_cleaner(&self) -> bool {
        let deadline = Instant::now() + CLEANER_PATIENCE;
        let mut cleaning = self.cleaning();
        if cleaning.given_up == Some((cleaning.looked, cleaning.moved)) {
            // It is still at what it was waited for before.
            cleaning.wanted = true;
            self.wanted.notify_one();
            return false;
        }
        // What it is at now may have begun before the room was short: it has to look once more after that.
        let (looked, moved) = (cleaning.looked + u64::from(cleaning.busy) + 1, cleaning.moved);
        cleaning.wanted = true;
        self.wanted.notify_one();
        while !cleaning.stop && cleaning.looked < looked && cleaning.moved == moved {
            cleaning.wanted |= !cleaning.busy;
            self.wanted.notify_one();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                cleaning.given_up = Some((cleaning.looked, cleaning.moved));
                break;
            }
            cleaning = self.cleaned.wait_timeout(cleaning, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        cleaning.moved > moved
    }

    /// Waits until what an append was refused for may be over.
    pub(crate) async fn writable_after(&self, refusal: &AppendError) {
        match refusal {
            AppendError::Full { .. } => self.until(Ledger::may_begin_segment).await,
            AppendError::EndpointFull { endpoint } => {
                self.until(|ledger| ledger.closed || ledger.has_room_again(endpoint)).await;
            }
            AppendError::DiskFull | AppendError::Disk { .. } => tokio::time::sleep(DISK_PAUSE).await,
            // Waiting cannot help, or nothing was wrong.
            _ => {}
        }
    }

    /// Waits until something holds, which is looked at whenever room is made.
    async fn until(&self, holds: impl Fn(&Ledger) -> bool) {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            {
                let mut ledger = self.ledger();
                if holds(&ledger) {
                    return;
                }
                ledger.room_is_awaited = true;
            }
            room.await;
        }
    }

    /// Room was made: whoever waits for some looks again.
    pub(crate) fn room_was_made(&self) {
        self.ledger().room_is_awaited = false;
        self.room.notify_waiters();
    }

    /// Says what keeps appends from working, if anything does.
    pub(crate) fn report(&self, problem: Option<Problem>) {
        self.problem.send_if_modified(|current| {
            let changed = *current != problem;
            *current = problem;
            changed
        });
    }

    /// Says that records were dropped, now and then.
    pub(crate) fn report_drop(&self, dropped: &Dropped) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.records += dropped.records;
        if reported.at.is_some_and(|at| at.elapsed() < DROP_REPORT_INTERVAL) {
            return;
        }
        let (records, queue) = (std::mem::take(&mut reported.records), format!("{}{}", dropped.endpoint, dropped.priority));
        reported.at = Some(Instant::now());
        drop(reported);
        warn!(queue, records, "the journal is full: the oldest records of the endpoint that holds most were dropped");
    }
}
