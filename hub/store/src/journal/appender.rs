//! Handing payloads to the journal's writer, in order and with back-pressure.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::MAX_QUEUES_PER_RECORD;
use super::writer::WriterHandle;
use crate::queue::QueueName;

/// Bytes that may wait for the writer, over all senders: four of the largest payloads. Past this, `submit` waits.
pub const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;
/// What a waiting append counts beside its payload, so that empty ones are bounded too: at most 16,384 wait.
pub const WAITING_OVERHEAD_BYTES: usize = 256;

/// Why an append was not acknowledged. It may have reached the disk all the same, and be delivered after a restart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The journal holds `max_bytes`; readers must settle first. Wait with [`Journal::writable`](super::Journal::writable).
    #[error("the journal is full: {max_bytes} bytes are in use")]
    Full {
        /// The limit it was opened with.
        max_bytes: u64,
    },
    /// The file system has no room for another segment. Nothing acknowledged is affected.
    #[error("no space left on the journal's volume")]
    DiskFull,
    /// A write or sync failed. The next append starts in a fresh segment.
    #[error("failed to {operation} the journal: {kind}")]
    Disk {
        /// What was attempted.
        operation: &'static str,
        /// What the operating system answered.
        kind: io::ErrorKind,
    },
    /// An earlier append of the same [`Appender`] failed; this one was refused so that it cannot overtake it. See [`Appender::resume`].
    #[error("an earlier append of the same sender failed")]
    Behind,
    /// Larger than [`MAX_PAYLOAD_BYTES`](super::MAX_PAYLOAD_BYTES), or than a small segment can hold. Trying again cannot help.
    #[error("a payload of {bytes} bytes: the journal takes up to {max_bytes}")]
    TooLarge {
        /// Size of the payload.
        bytes: usize,
        /// The largest that is taken.
        max_bytes: usize,
    },
    /// A record goes to between 1 and [`MAX_QUEUES_PER_RECORD`] queues. Trying again cannot help.
    #[error("a record for {queues} queues: 1 to {MAX_QUEUES_PER_RECORD} are allowed")]
    QueueCount {
        /// How many were named.
        queues: usize,
    },
    /// The journal already has as many queues as it can name.
    #[error("the journal has {max} queues already")]
    TooManyQueues {
        /// The limit.
        max: usize,
    },
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
}

/// What the writer thread is asked.
pub(crate) enum Request {
    Append(Submission),
    /// Cursors moved; save them some time soon.
    CursorsMoved,
    /// Save what there is, let go of the directory, and answer.
    Close(oneshot::Sender<()>),
}

/// One append on its way to the writer.
pub(crate) struct Submission {
    pub(crate) queues: Vec<QueueName>,
    pub(crate) payload: Bytes,
    answer: oneshot::Sender<Result<(), AppendError>>,
    sender: Arc<SenderState>,
    attempt: u64,
    _permit: OwnedSemaphorePermit,
}

impl Submission {
    /// Did an earlier append of the same sender fail, which the sender has not seen yet?
    pub(crate) fn is_behind(&self) -> bool {
        self.sender.failed_through.load(Ordering::Acquire) >= self.attempt
    }

    pub(crate) fn accept(self) {
        // A sender that has gone away does not want its answer.
        let _ = self.answer.send(Ok(()));
    }

    pub(crate) fn refuse(self, error: AppendError) {
        self.sender.failed_through.fetch_max(self.attempt, Ordering::AcqRel);
        let _ = self.answer.send(Err(error));
    }
}

/// Attempts are counted so that an append submitted before a failure was seen is told from one submitted after.
#[derive(Debug)]
struct SenderState {
    attempt: AtomicU64,
    failed_through: AtomicU64,
}

/// One sender's way into the journal: what it submits is written, and answered, in the order of submission, and after a failure
/// nothing of it is accepted until [`resume`](Self::resume), so that no later record overtakes one that has to be tried again.
pub struct Appender {
    writer: Arc<WriterHandle>,
    max_payload: usize,
    state: Arc<SenderState>,
}

impl Appender {
    pub(crate) fn new(writer: Arc<WriterHandle>, max_payload: usize) -> Self {
        let state = Arc::new(SenderState { attempt: AtomicU64::new(1), failed_through: AtomicU64::new(0) });
        Self { writer, max_payload, state }
    }

    /// Hands one payload for all of `queues` to the writer, waiting only while [`MAX_WAITING_BYTES`] are on their way already, and
    /// returns what will resolve once it is on disk. Dropping this future before it is done submits nothing.
    pub async fn submit(&self, queues: &[QueueName], payload: Bytes) -> PendingAppend {
        let (answer, pending) = oneshot::channel();
        // What is refused here cannot be tried again, so nothing can overtake it.
        let refused = |error| PendingAppend(Pending::Refused(Some(error)));
        let mut queues = queues.to_vec();
        queues.sort_unstable();
        queues.dedup();
        if queues.is_empty() || queues.len() > MAX_QUEUES_PER_RECORD {
            return refused(AppendError::QueueCount { queues: queues.len() });
        }
        if payload.len() > self.max_payload {
            return refused(AppendError::TooLarge { bytes: payload.len(), max_bytes: self.max_payload });
        }
        let weight = u32::try_from(payload.len() + WAITING_OVERHEAD_BYTES).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.writer.room).acquire_many_owned(weight).await else {
            return refused(AppendError::Closed);
        };
        let attempt = self.state.attempt.load(Ordering::Acquire);
        let sender = Arc::clone(&self.state);
        let submission = Submission { queues, payload, answer, sender, attempt, _permit: permit };
        match self.writer.requests.send(Request::Append(submission)) {
            Ok(()) => PendingAppend(Pending::Sent(pending)),
            Err(_) => refused(AppendError::Closed),
        }
    }

    /// Accepts submissions again after a failure. What was submitted before this call stays refused.
    pub fn resume(&self) {
        let failed = self.state.failed_through.load(Ordering::Acquire);
        self.state.attempt.fetch_max(failed + 1, Ordering::AcqRel);
    }
}

enum Pending {
    Sent(oneshot::Receiver<Result<(), AppendError>>),
    Refused(Option<AppendError>),
}

/// Resolves after the fsync that covers the record. Dropping it does not take the record back.
pub struct PendingAppend(Pending);

impl Future for PendingAppend {
    type Output = Result<(), AppendError>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Pending::Refused(error) => Poll::Ready(Err(error.take().unwrap_or(AppendError::Closed))),
            Pending::Sent(answer) => Pin::new(answer).poll(context).map(|answer| answer.unwrap_or(Err(AppendError::Closed))),
        }
    }
}
