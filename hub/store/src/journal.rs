//! The journal: everything the hub has accepted and not yet delivered.
//!
//! One writer thread appends; a queue is a cursor over the journal, with at most one reader. A record is written once, whatever the
//! number of its queues.
//!
//! # Promises
//! - `append` returns after the fsync that covers its record. One fsync covers all appends that wait, whatever their queues.
//! - Records are read in the order appended. After a crash, those past the saved cursor are read again; none is skipped. What is
//!   settled is saved with the next commit, or after 100 ms without one, and then without a sync of its own.
//! - After a failed append nothing of the same [`Appender`] is accepted until it says so: no record overtakes one tried again.
//! - Files take no more than `max_bytes`: past it appends are refused with [`AppendError::Full`], and [`Appender::writable`] says when a
//!   segment is free again. A queue that nobody reads holds the segments from its first record on, until it is drained or
//!   [retired](Journal::retire).
//! - Memory does not grow with the backlog: per segment a count per queue, per reader a chunk and what is in flight.
//! - Opening takes the same time however much waits: only the newest segment is read as a whole.
//!
//! # On disk (little-endian on every host; format 2)
//! ```text
//! <dir>/lock        held by the process that has the journal open
//! <dir>/00017.seg   a slot of `segment_bytes`, filled with zeros when created and used again
//! header            twice, in sectors of its own: magic "EDGJ" | format | generation | first offset | segment bytes | salt | crc32
//! record            len | crc32, seeded with generation and salt | offset | unsynced | kind | entries in queues | payload
//! ```
//! The fields' sizes stand at the top of `segment.rs` and `record.rs`. Every segment begins with a record that lists all
//! queues, with cursors and next numbers, so an older segment is never needed but for its messages. A segment is used again once all
//! queues have settled what it holds, in order, and that is on disk.
//!
//! # When the disk fails
//! - no space for another segment: the appends that need it fail with [`AppendError::DiskFull`], others go on; segments that are
//!   done with are used again. Files are filled with zeros when created, so the disk is not found full later.
//! - a failed write or fsync: what it covered is refused, and nothing more is written to that segment: the kernel may have dropped the
//!   pages, and a second try could lie. The next append begins another segment, whose first offset says where this one ends.
//! - a failed read: the reader gets an error, each time it tries. What a disk may still give back is not given up.
//!
//! # Damage, and what becomes of it (one test each in `tests/known_damage.rs`)
//! - torn tail: cut on open. It was never acknowledged, so nothing is lost. Records of the torn commit that did reach the disk are
//!   cut too, and never come to life again.
//! - bad checksum before the tail: that record is skipped, counted as corrupt and, per queue, as lost, and logged at `error!`; its
//!   neighbours are read. Every record says which ones were synced before it, so damage is told from a tear; only in the last commit
//!   of a process that was killed it is not, and is taken for one.
//! - damage in an older segment: met when it is read, and skipped in the same way. Such a segment is removed, not used again.
//! - a segment is cut short or missing: what it held is counted as lost; the others are read.
//! - one header damaged: its copy is read. Both: the file is set aside as `*.damaged`.
//! - a second file of the same generation, such as somebody's copy: set aside as `*.damaged`.
//! - list of queues damaged: made good from the segment before.
//! - no cursor record found: reading starts at the oldest segment. Duplicates, no loss.
//! - a queue's name damaged: its records are kept under `unnamed-<id>`.
//! - a file that was cut short while it was created: removed. It never held anything.
//! - what an earlier use of a segment left in it: never read, nor is a payload that looks like a record. No sender knows the salt.
//! - unknown format: refused by name and left untouched. We never guess.
//!
//! Not yet: priorities and times to live are taken and not looked at; an endpoint is one queue.
//!
//! Not here: which queue a message belongs to, retries, expiry, the disk itself ([`disk`](crate::disk), so that tests can pull the plug).

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
mod usage;
mod writer;

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot, watch};

pub use appender::{AppendError, Appender, BatchRefused, MAX_WAITING_BYTES, PendingAppend, PendingBatch, WAITING_OVERHEAD_BYTES};
pub use open::{OpenError, Recovery};
pub use reader::{MAX_UNSETTLED, QueueReader, ReadError, ReaderError, Record};
pub use usage::{Problem, QueueUsage, Usage};

use self::appender::Request;
use self::commit::Committer;
use self::ledger::TooManyQueues;
use self::limits::Limits;
use self::shared::Shared;
use self::writer::WriterHandle;
use crate::destination::{Destination, Destinations, DestinationsError};
use crate::disk::{Disk, RealDisk};
use crate::queue::QueueName;

/// A record's place in the journal. Only grows.
pub type Offset = u64;

/// Largest payload of one record. A message of 256 KiB with its properties fits four times over.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;
/// How long to let a disk be that failed, or is full, before trying again.
pub const DISK_PAUSE: Duration = Duration::from_secs(1);

/// How large the journal may grow, and in what steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// Size of one segment file: 64 KiB to 64 MiB. [`Self::SEGMENT_BYTES`] by default.
    pub segment_bytes: u64,
    /// Most that all segment files together may take: at least three segments.
    pub max_bytes: u64,
}

impl JournalOptions {
    /// The default size of a segment.
    pub const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
    /// The least that a journal with segments of that size may have.
    pub const MIN_BYTES: u64 = 3 * Self::SEGMENT_BYTES;
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { segment_bytes: Self::SEGMENT_BYTES, max_bytes: 800 * 1024 * 1024 }
    }
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

    /// Appends one payload for all of `destinations`; written once. Returns after the fsync that covers it.
    pub async fn append(&self, destinations: &[Destination], payload: Bytes) -> Result<(), AppendError> {
        let destinations = Destinations::new(destinations.to_vec())
            .map_err(|DestinationsError { endpoints }| AppendError::DestinationCount { endpoints })?;
        self.appender().submit(&destinations, payload).await.await
    }

    /// One sender's way into the journal, for pipelining.
    pub fn appender(&self) -> Appender {
        Appender::new(Arc::clone(&self.writer), Arc::clone(&self.shared), self.limits.max_payload)
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
