//! Handing payloads to the journal's writer, in order and with back-pressure.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::shared::Shared;
use super::writer::WriterHandle;
use crate::destination::{Destinations, MAX_DESTINATIONS};
use crate::fail_point;
use crate::queue::QueueName;

/// Bytes that may wait for the writer, over all senders: four of the largest payloads. Past this, `submit` waits.
pub const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;
/// What a waiting record counts beside its payload, so that empty ones are bounded too: at most 16,384 wait.
pub const WAITING_OVERHEAD_BYTES: usize = 256;

/// Why an append was not acknowledged. It may have reached the disk all the same, and be delivered after a restart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The journal holds `max_bytes`; readers must settle first. Wait with [`Appender::writable`].
    #[error("the journal is full: {max_bytes} bytes are in use")]
    Full {
        /// The limit in force.
        max_bytes: u64,
    },
    /// The endpoint holds more than its part of the room, the rest is kept for others, and the journal is to refuse rather than to drop.
    /// Wait with [`Appender::writable`]. Appends for other endpoints are taken.
    #[error("endpoint {endpoint} is full")]
    EndpointFull {
        /// The endpoint.
        endpoint: QueueName,
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
    /// A record goes to between 1 and [`MAX_DESTINATIONS`] endpoints. Trying again cannot help.
    #[error("a record for {endpoints} endpoints: 1 to {MAX_DESTINATIONS} are allowed")]
    DestinationCount {
        /// How many were named.
        endpoints: usize,
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

/// Which record of a batch was the first that was not acknowledged, and why. All before it are on disk; none after it was accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct BatchRefused {
    /// Its index in the batch.
    pub index: usize,
    /// Why.
    pub error: AppendError,
}

/// What the writer thread is asked.
pub(crate) enum Request {
    Append(Submission),
    /// Cursors moved; save them some time soon.
    CursorsMoved,
    /// The quota has changed.
    QuotaChanged,
    /// Save what there is, let go of the directory, and answer.
    Close(oneshot::Sender<()>),
}

/// Records on their way to the writer, to be answered as one.
pub(crate) struct Submission {
    pub(crate) records: Vec<(Destinations, Bytes)>,
    /// Of all payloads together.
    pub(crate) bytes: usize,
    pub(crate) ticket: Ticket,
}

/// Where the answer to a submission goes. Dropped, it answers that the journal is closed.
pub(crate) struct Ticket {
    answer: oneshot::Sender<Result<(), BatchRefused>>,
    sender: Arc<SenderState>,
    attempt: u64,
    _permit: OwnedSemaphorePermit,
}

impl Ticket {
    /// Did an earlier append of the same sender fail, which the sender has not seen yet?
    pub(crate) fn is_behind(&self) -> bool {
        self.sender.failed_through.load(Ordering::Acquire) >= self.attempt
    }

    /// From now on nothing of this sender is accepted until it resumes.
    pub(crate) fn hold_back(&self, error: &AppendError) {
        self.sender.failed_through.fetch_max(self.attempt, Ordering::AcqRel);
        if *error != AppendError::Behind {
            *self.sender.reason() = Some(error.clone());
        }
    }

    pub(crate) fn accept(self) {
        // A sender that has gone away does not want its answer.
        let _ = self.answer.send(Ok(()));
    }

    /// The record at `index` was refused, and all after it.
    pub(crate) fn refuse(self, index: usize, error: AppendError) {
        self.hold_back(&error);
        let _ = self.answer.send(Err(BatchRefused { index, error }));
    }
}

/// Attempts are counted so that an append submitted before a failure was seen is told from one submitted after.
#[derive(Debug)]
struct SenderState {
    attempt: AtomicU64,
    failed_through: AtomicU64,
    /// Why the last append failed that was not only behind another.
    reason: Mutex<Option<AppendError>>,
}

impl SenderState {
    fn reason(&self) -> std::sync::MutexGuard<'_, Option<AppendError>> {
        // One assignment, which cannot panic half done.
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One sender's way into the journal: what it submits is written, and answered, in the order of submission, and after a failure
/// nothing of it is accepted until [`resume`](Self::resume), so that no later record overtakes one that has to be tried again.
pub struct Appender {
    writer: Arc<WriterHandle>,
    shared: Arc<Shared>,
    max_payload: usize,
    state: Arc<SenderState>,
}

impl Appender {
    pub(crate) fn new(writer: Arc<WriterHandle>, shared: Arc<Shared>, max_payload: usize) -> Self {
        let state =
            Arc::new(SenderState { attempt: AtomicU64::new(1), failed_through: AtomicU64::new(0), reason: Mutex::new(None) });
        Self { writer, shared, max_payload, state }
    }

    /// Hands one payload for all of `destinations` to the writer, waiting only while [`MAX_WAITING_BYTES`] are on their way already,
    /// and returns what will resolve once it is on disk. Dropping this future before it is done submits nothing.
    pub async fn submit(&self, destinations: &Destinations, payload: Bytes) -> PendingAppend {
        PendingAppend(self.submit_batch(vec![(destinations.clone(), payload)]).await)
    }

    /// Hands several records to the writer at once, which costs little more than one: they are written in their order, and answered
    /// together once all are on disk. Waits as [`submit`](Self::submit) does; a batch of more than [`MAX_WAITING_BYTES`] waits until
    /// nothing else is on its way.
    ///
    /// If some record can never be taken, nothing of the batch is submitted, and the answer names the first such record.
    pub async fn submit_batch(&self, records: Vec<(Destinations, Bytes)>) -> PendingBatch {
        // What is refused here cannot be tried again, so nothing can overtake it.
        let refused = |index, error| PendingBatch(Pending::Done(Some(Err(BatchRefused { index, error }))));
        let too_large = records.iter().position(|(_, payload)| payload.len() > self.max_payload);
        if let Some(index) = too_large {
            let bytes = records[index].1.len();
            return refused(index, AppendError::TooLarge { bytes, max_bytes: self.max_payload });
        }
        if records.is_empty() {
            return PendingBatch(Pending::Done(Some(Ok(()))));
        }
        let bytes = records.iter().map(|(_, payload)| payload.len()).sum::<usize>();
        let weight = bytes.saturating_add(records.len().saturating_mul(WAITING_OVERHEAD_BYTES)).min(MAX_WAITING_BYTES);
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.writer.room).acquire_many_owned(weight).await else {
            return refused(0, AppendError::Closed);
        };
        let (answer, pending) = oneshot::channel();
        let attempt = self.state.attempt.load(Ordering::Acquire);
        let ticket = Ticket { answer, sender: Arc::clone(&self.state), attempt, _permit: permit };
        fail_point!("submitted");
        match self.writer.requests.send(Request::Append(Submission { records, bytes, ticket })) {
            Ok(()) => PendingBatch(Pending::Sent(pending)),
            Err(_) => refused(0, AppendError::Closed),
        }
    }

    /// Accepts submissions again after a failure. What was submitted before this call stays refused.
    pub fn resume(&self) {
        let failed = self.state.failed_through.load(Ordering::Acquire);
        self.state.attempt.fetch_max(failed + 1, Ordering::AcqRel);
    }

    /// Waits until what this sender's last refused append was refused for may be over: until there is room, or, after trouble with
    /// the disk, for [`DISK_PAUSE`](super::DISK_PAUSE). Returns at once if nothing was refused, or the journal is closed.
    pub async fn writable(&self) {
        let reason = self.state.reason().clone();
        if let Some(reason) = reason {
            self.shared.writable_after(&reason).await;
        }
    }
}

enum Pending {
    Sent(oneshot::Receiver<Result<(), BatchRefused>>),
    Done(Option<Result<(), BatchRefused>>),
}

/// Resolves after the fsync that covers the record. Dropping it does not take the record back.
pub struct PendingAppend(PendingBatch);

impl Future for PendingAppend {
    type Output = Result<(), AppendError>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(|refused| refused.error)
    }
}

/// Resolves after the fsync that covers the last record of the batch, or once it is known which record was the first not to be
/// accepted and all before it are on disk. Dropping it does not take the records back.
pub struct PendingBatch(Pending);

impl Future for PendingBatch {
    type Output = Result<(), BatchRefused>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let closed = || Err(BatchRefused { index: 0, error: AppendError::Closed });
        match &mut self.0 {
            Pending::Done(outcome) => Poll::Ready(outcome.take().unwrap_or_else(closed)),
            Pending::Sent(answer) => Pin::new(answer).poll(context).map(|answer| answer.unwrap_or_else(|_| closed())),
        }
    }
}
