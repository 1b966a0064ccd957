//! The journal: everything the hub has accepted and not yet delivered.

mod appender;
mod commit;
mod fetch;
mod ledger;
mod limits;
mod open;
mod reader;
mod replay;
mod run;
mod scan;
mod shared;
mod slots;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot, watch};

pub use appender::{AppendError, Appender, MAX_WAITING_BYTES, PendingAppend, WAITING_OVERHEAD_BYTES};
pub use reader::{MAX_UNSETTLED, QueueReader, ReadError, ReaderError, Record};

use self::appender::Request;
use self::commit::Committer;
use self::ledger::TooManyQueues;
use self::limits::Limits;
use self::shared::Shared;
use self::writer::WriterHandle;
use crate::disk::{Disk, RealDisk};
use crate::queue::QueueName;

/// A record's place in the journal. Only grows.
pub type Offset = u64;

/// Largest payload of one record. A message of 256 KiB with its properties fits four times over.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;
/// Most queues that one record may go to.
pub const MAX_QUEUES_PER_RECORD: usize = 255;
/// How long to let a disk be that failed, or is full, before trying again.
pub const DISK_PAUSE: Duration = Duration::from_secs(1);

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
}

/// The journal. Cheap to clone; all clones are the same journal. When the last clone and the last [`Appender`] are gone it ends as by
/// [`close`](Self::close), without anybody waiting for it.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
    writer: Arc<WriterHandle>,
    limits: Limits,
}

impl Journal {
    /// Opens the journal in `directory`, which is created if missing, and starts its writer thread.
    pub fn open(directory: &Path, options: JournalOptions) -> Result<(Self, Recovery), OpenError> {
        Self::open_on(Arc::new(RealDisk), directory, options)
    }

    /// Opens the journal on another disk.
    pub fn open_on(disk: Arc<dyn Disk>, directory: &Path, options: JournalOptions) -> Result<(Self, Recovery), OpenError> {
        let limits = Limits::of(&options)?;
        let (shared, start, recovery) = open::open(disk, directory, limits)?;
        let committer = Committer::new(Arc::clone(&shared), start);
        let (requests, receiver) = mpsc::channel();
        thread::Builder::new()
            .name("journal-writer".to_owned())
            .spawn(move || writer::run(committer, &receiver))
            .map_err(|source| OpenError::Disk { operation: "start the writer thread of", path: directory.to_owned(), source })?;
        let room = Arc::new(Semaphore::new(MAX_WAITING_BYTES));
        Ok((Self { shared, writer: Arc::new(WriterHandle { requests, room }), limits }, recovery))
    }

    /// Appends one payload for all of `queues`; written once. Returns after the fsync that covers it.
    pub async fn append(&self, queues: &[QueueName], payload: Bytes) -> Result<(), AppendError> {
        self.appender().submit(queues, payload).await.await
    }

    /// One sender's way into the journal, for pipelining.
    pub fn appender(&self) -> Appender {
        Appender::new(Arc::clone(&self.writer), self.limits.max_payload)
    }

    /// Waits until an append that failed has a chance: after [`AppendError::Full`], until a segment can be used again;
    /// after trouble with the disk, for [`DISK_PAUSE`]. Returns at once if there is no problem, or the journal is closed.
    pub async fn writable(&self) {
        loop {
            let mut room = std::pin::pin!(self.shared.room.notified());
            room.as_mut().enable();
            let problem = self.shared.problem.borrow().clone();
            match problem {
                None => return,
                Some(Problem::DiskFull | Problem::Disk { .. }) => return tokio::time::sleep(DISK_PAUSE).await,
                Some(Problem::Full) => {
                    let ledger = self.shared.ledger();
                    let can_begin_segment = ledger.files > ledger.segments.len() as u64 || ledger.could_free();
                    if can_begin_segment || ledger.closed {
                        return;
                    }
                }
            }
            room.await;
        }
    }

    /// The reader of `queue`, at its first record not settled. The queue need not exist yet.
    pub fn reader(&self, queue: &QueueName) -> Result<QueueReader, ReaderError> {
        let mut ledger = self.shared.ledger();
        let id = ledger.id_or_new(queue).map_err(|TooManyQueues| ReaderError::TooManyQueues { max: self.limits.max_queues })?;
        match ledger.queues.get_mut(&id) {
            Some(queue) if !queue.has_reader => {
                queue.has_reader = true;
                let (arrived, cursor) = (Arc::clone(&queue.arrived), queue.cursor);
                Ok(QueueReader::new(Arc::clone(&self.shared), Arc::downgrade(&self.writer), id, arrived, cursor))
            }
            _ => Err(ReaderError::InUse { queue: queue.to_string() }),
        }
    }

    /// The queues and what waits in them, by name. A queue that is drained and has no reader is forgotten at some time.
    pub fn queues(&self) -> Vec<QueueUsage> {
        self.shared.ledger().queue_usage()
    }

    /// Forgets a queue and what waits in it; returns how many records that was. For a route that was removed: as long as
    /// a queue holds records, it keeps their segments in use. After a crash right afterwards the queue may be there again.
    pub fn retire(&self, queue: &QueueName) -> Result<u64, RetireError> {
        let mut ledger = self.shared.ledger();
        let Some(id) = ledger.id(queue) else { return Ok(0) };
        if ledger.queues.get(&id).is_some_and(|queue| queue.has_reader) {
            return Err(RetireError::InUse { queue: queue.clone() });
        }
        let Some(retired) = ledger.remove(id) else { return Ok(0) };
        if retired.named {
            ledger.retired.push(id);
        }
        drop(ledger);
        WriterHandle::cursors_moved(&Arc::downgrade(&self.writer));
        self.shared.room.notify_waiters();
        Ok(retired.depth())
    }

    /// How much the journal holds.
    pub fn usage(&self) -> Usage {
        self.shared.ledger().usage()
    }

    /// What keeps appends from being accepted: set by one that failed, cleared by one that succeeds.
    pub fn problem(&self) -> watch::Receiver<Option<Problem>> {
        self.shared.problem.subscribe()
    }

    /// Writes what was submitted, saves the cursors and lets go of the directory. Later appends fail with [`AppendError::Closed`];
    /// readers get what there is, then [`ReadError::Closed`].
    pub async fn close(&self) {
        let (answer, closed) = oneshot::channel();
        if self.writer.requests.send(Request::Close(answer)).is_ok() {
            // No answer: the writer has ended already.
            let _ = closed.await;
        }
        self.writer.room.close();
    }
}
