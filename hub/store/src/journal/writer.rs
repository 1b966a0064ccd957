//! The writer thread: the only one that writes to the journal's files.
//!
//! It takes everything that waits, up to a batch, commits it as one, and answers. While a commit syncs, the next batch gathers:
//! the slower the disk, the larger the batches.

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};
use tracing::warn;

use super::appender::{Request, Submission};
use super::commit::Committer;

/// Payload bytes of one commit, about: more would make the first of a batch wait for the last without saving syncs.
const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// Records of one commit. Well below what a record's `unsynced` field can count.
const MAX_BATCH_RECORDS: usize = 8192;
/// Cursors that moved wait so long for a commit to travel with, then are written by themselves. A process killed within that
/// time sends again what was settled in it.
const CURSOR_DELAY: Duration = Duration::from_millis(100);
/// Time until cursors that could not all be saved are tried again.
const CURSOR_RETRY: Duration = Duration::from_secs(1);

/// The clones' end of the writer: dropping the last one ends the thread, after it has saved what there is.
pub(crate) struct WriterHandle {
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) room: Arc<Semaphore>,
}

impl WriterHandle {
    /// Tells the writer that the quota has changed.
    pub(crate) fn quota_changed(&self) {
        // A writer that has ended creates no more files.
        let _ = self.requests.send(Request::QuotaChanged);
    }

    /// Tells the writer that cursors moved.
    pub(crate) fn cursors_moved(handle: &Weak<Self>) {
        if let Some(handle) = handle.upgrade() {
            // A writer that has ended saved all cursors when it did.
            let _ = handle.requests.send(Request::CursorsMoved);
        }
    }
}

/// Runs until closed or until the last sender is gone.
pub(crate) fn run(mut committer: Committer, requests: &Receiver<Request>) {
    let mut batch = Vec::new();
    // Those that opening moved past what is lost: nobody tells of them.
    let mut save_cursors_at = committer.cursors_moved().then(|| Instant::now() + CURSOR_DELAY);
    let asked_to_close = loop {
        let request = match next(requests, &mut committer, save_cursors_at) {
            Ok(request) => request,
            Err(RecvTimeoutError::Timeout) => {
                committer.save_cursors();
                // Some moved meanwhile, or there was no room or no disk: nobody tells of those again.
                save_cursors_at = committer.cursors_moved().then(|| Instant::now() + CURSOR_RETRY);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break None,
        };
        let mut quota_changed = matches!(request, Request::QuotaChanged);
        let mut close = absorb(request, &mut batch, &mut save_cursors_at);
        let mut bytes: usize = batch.iter().map(|submission| submission.bytes).sum();
        let mut records: usize = batch.iter().map(|submission| submission.records.len()).sum();
        while close.is_none() && bytes < MAX_BATCH_BYTES && records < MAX_BATCH_RECORDS {
            let Ok(request) = requests.try_recv() else { break };
            if let Request::Append(submission) = &request {
                bytes += submission.bytes;
                records += submission.records.len();
            }
            quota_changed |= matches!(request, Request::QuotaChanged);
            close = absorb(request, &mut batch, &mut save_cursors_at);
        }
        if quota_changed {
            committer.keep_to_quota();
        }
        if !batch.is_empty() {
            committer.commit(&mut batch);
            if !committer.cursors_moved() {
                save_cursors_at = None;
            } else if save_cursors_at.is_none() {
                save_cursors_at = Some(Instant::now() + CURSOR_RETRY);
            }
        }
        if close.is_some() {
            break close;
        }
    };
    finish(committer, asked_to_close);
}

fn next(requests: &Receiver<Request>, committer: &mut Committer, deadline: Option<Instant>) -> Result<Request, RecvTimeoutError> {
    match requests.try_recv() {
        Ok(request) => return Ok(request),
        Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
        Err(TryRecvError::Empty) => committer.rest(),
    }
    match deadline {
        None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(deadline) => requests.recv_timeout(deadline.saturating_duration_since(Instant::now())),
    }
}

fn absorb(request: Request, batch: &mut Vec<Submission>, save_cursors_at: &mut Option<Instant>) -> Option<oneshot::Sender<()>> {
    match request {
        Request::Append(submission) => batch.push(submission),
        Request::CursorsMoved => {
            save_cursors_at.get_or_insert_with(|| Instant::now() + CURSOR_DELAY);
        }
        Request::QuotaChanged => {}
        Request::Close(answer) => return Some(answer),
    }
    None
}

fn finish(mut committer: Committer, asked_to_close: Option<oneshot::Sender<()>>) {
    if let Err(error) = committer.close() {
        warn!(%error, "cursors could not be saved: what was settled last will be delivered again");
    }
    // The lock goes with it, so whoever waits for the answer can open the directory again.
    drop(committer);
    if let Some(answer) = asked_to_close {
        let _ = answer.send(());
    }
}
