//! Handing payloads to the journal's writer, in order and with back-pressure.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::queue::QueueName;

/// Why an append was not acknowledged. Unless said otherwise, what failed may be tried again.
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
    /// A record goes to between 1 and [`MAX_QUEUES_PER_RECORD`](super::MAX_QUEUES_PER_RECORD) queues. Trying again cannot help.
    #[error("a record for {queues} queues: 1 to {} are allowed", super::MAX_QUEUES_PER_RECORD)]
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

/// One sender's way into the journal: what it submits is written, and answered, in the order of submission, and after a failure
/// nothing of it is accepted until [`resume`](Self::resume), so that no later record overtakes one that has to be tried again.
pub struct Appender {}

impl Appender {
    /// Hands one payload for all of `queues` to the writer, waiting only while too much is on its way already, and
    /// returns what will resolve once it is on disk. Dropping this future before it is done submits nothing.
    pub async fn submit(&self, _queues: &[QueueName], _payload: Bytes) -> PendingAppend {
        PendingAppend {}
    }

    /// Accepts submissions again after a failure. Call it when every pending append has been answered.
    pub fn resume(&self) {}
}

/// Resolves after the fsync that covers the record. Dropping it does not take the record back.
pub struct PendingAppend {}

impl Future for PendingAppend {
    type Output = Result<(), AppendError>;
    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Err(AppendError::Closed))
    }
}
