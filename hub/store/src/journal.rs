//! The journal: everything the hub has accepted and not yet delivered.

mod appender;
mod reader;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

pub use appender::{AppendError, Appender, PendingAppend};
pub use reader::{MAX_UNSETTLED, QueueReader, ReadError, ReaderError, Record};

use crate::disk::{Disk, RealDisk};
use crate::queue::QueueName;

/// A record's place in the journal. Only grows.
pub type Offset = u64;

/// Largest payload of one record. A message of 256 KiB with its properties fits four times over.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;
/// Most queues that one record may go to.
pub const MAX_QUEUES_PER_RECORD: usize = 255;

/// How large the journal may grow, and in what steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// Size of one segment file: 64 KiB to 1 GiB. 4 MiB by default.
    pub segment_bytes: u64,
    /// Most that all segment files together may take: at least three segments.
    pub max_bytes: u64,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { segment_bytes: 4 * 1024 * 1024, max_bytes: 800 * 1024 * 1024 }
    }
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records that wait in queues, each counted once per queue.
    pub pending: u64,
    /// A torn tail was cut: it was never acknowledged.
    pub cut_tail: bool,
    /// Damaged records found while opening, and skipped.
    pub corrupt_records: u64,
    /// Segment files whose header could not be read, and that were set aside as `*.damaged`.
    pub damaged_segments: u64,
}

/// Why the journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the journal in {directory} is in use by another process")]
    Locked {
        /// The journal's directory.
        directory: PathBuf,
    },
    /// Written by a version that this one does not know. Left untouched.
    #[error("{file} has format {format}, which this version cannot read")]
    UnknownFormat {
        /// The segment.
        file: PathBuf,
        /// The format it claims.
        format: u16,
    },
    /// The options make no journal.
    #[error("{problem}")]
    Options {
        /// Which option, and what is wrong with it.
        problem: String,
    },
    /// The disk failed.
    #[error("failed to {operation} {path}")]
    Disk {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
}

/// What keeps the journal from accepting appends, until one succeeds again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It holds `max_bytes`.
    Full,
    /// The volume has no space left.
    DiskFull,
    /// The disk failed.
    Disk {
        /// What failed, in words.
        detail: String,
    },
}

/// One queue and what waits in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueUsage {
    /// The queue.
    pub name: QueueName,
    /// Records not settled.
    pub depth: u64,
    /// Records that were damaged on disk and could not be handed out, since the journal was opened.
    pub lost: u64,
}

/// How much the journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of the segments that some queue still needs, and of the one being written.
    pub bytes_used: u64,
    /// The limit it was opened with.
    pub bytes_max: u64,
    /// Bytes of all segment files, those waiting to be used again included.
    pub bytes_on_disk: u64,
    /// Segments in use.
    pub segments: u64,
    /// Damaged records found since the journal was opened.
    pub corrupt_records: u64,
    /// Successful fsyncs since the journal was opened.
    pub syncs: u64,
    /// The queues, by name.
    pub queues: Vec<QueueUsage>,
}

/// Why a queue was not retired.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetireError {
    /// It has a live reader.
    #[error("queue {queue} has a reader")]
    InUse {
        /// The queue.
        queue: QueueName,
    },
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
}

/// The journal. Cheap to clone; all clones are the same journal.
#[derive(Clone)]
pub struct Journal {}

impl Journal {
    /// Opens the journal in `directory`, which is created if missing, and starts its writer thread.
    pub fn open(directory: &Path, options: JournalOptions) -> Result<(Self, Recovery), OpenError> {
        Self::open_on(Arc::new(RealDisk), directory, options)
    }

    /// Opens the journal on another disk.
    pub fn open_on(_disk: Arc<dyn Disk>, directory: &Path, _options: JournalOptions) -> Result<(Self, Recovery), OpenError> {
        Err(OpenError::Locked { directory: directory.to_owned() })
    }

    /// Appends one payload for all of `queues`; written once. Returns after the fsync that covers it.
    pub async fn append(&self, queues: &[QueueName], payload: Bytes) -> Result<(), AppendError> {
        self.appender().submit(queues, payload).await.await
    }

    /// One sender's way into the journal, for pipelining.
    pub fn appender(&self) -> Appender {
        Appender {}
    }

    /// Waits until an append that failed has a chance: after [`AppendError::Full`], until a segment can be used again;
    /// after trouble with the disk, for a moment.
    pub async fn writable(&self) {}

    /// The reader of `queue`, at its first record not settled. The queue need not exist yet.
    pub fn reader(&self, queue: &QueueName) -> Result<QueueReader, ReaderError> {
        Err(ReaderError::InUse { queue: queue.to_string() })
    }

    /// The queues and what waits in them, by name.
    pub fn queues(&self) -> Vec<QueueUsage> {
        Vec::new()
    }

    /// Forgets a queue and what waits in it; returns how many records that was. For a route that was removed: as long as
    /// a queue holds records, it keeps their segments in use.
    pub async fn retire(&self, _queue: &QueueName) -> Result<u64, RetireError> {
        Err(RetireError::Closed)
    }

    /// How much the journal holds.
    pub fn usage(&self) -> Usage {
        Usage { bytes_used: 0, bytes_max: 0, bytes_on_disk: 0, segments: 0, corrupt_records: 0, syncs: 0, queues: Vec::new() }
    }

    /// What keeps appends from being accepted: set by one that failed, cleared by one that succeeds.
    pub fn problem(&self) -> watch::Receiver<Option<Problem>> {
        watch::channel(None).1
    }

    /// Writes what was submitted, saves the cursors and lets go of the directory. Later appends fail with [`AppendError::Closed`].
    pub async fn close(&self) {}
}
