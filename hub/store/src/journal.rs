//! The journal: everything the hub has accepted and not yet delivered.
//!
//! One writer thread appends. A record is written once, whatever the number of its destinations; each (endpoint, priority) has a queue,
//! which is a cursor over the journal, and an endpoint has at most one reader, of all its queues.
//!
//! # Promises
//! - `append` returns after the fsync that covers its record. One fsync covers all appends that wait, whatever their endpoints.
//! - A reader gets the most urgent records first, and those of one priority in the order appended. After a crash, those past the
//!   saved cursor are read again; none is skipped. What is settled is saved with the next commit, or after 100 ms without one, and then
//!   without a sync of its own, unless room is short and that lets go of a segment.
//! - After a failed append nothing of the same [`Appender`] is accepted until it says so: no record overtakes one tried again.
//! - Files take no more than `max_bytes`, and one segment more while records are moved; where those in use take more already, as
//!   after the quota was made smaller, moving is the way back and takes that one, too. Where a full journal has no other room to save
//!   cursors, they go to a segment beyond that, which takes no message before there is room again; nothing is dropped for them.
//!   Past it the [`Quota`] says who yields. Half of the room is guaranteed to the endpoints in equal parts, so one that nobody reads
//!   starves no other.
//! - No append waits for records to be moved for longer than two seconds at a time: what yields, yields then, and whoever was refused
//!   is woken once there is room.
//! - A record past its time to live is not handed out. Its age counts by a clock that never jumps: see `time.rs`, also for what a
//!   restart does to it.
//! - Every record that was acknowledged is settled, dropped, expired, lost, retired or waiting, and [`Usage`] says how many are which.
//! - Memory does not grow with the backlog: per segment and queue a span of numbers, per reader a chunk and what is in flight, and
//!   1 MiB of the newest records for readers that keep up.
//! - Opening takes little time however much waits: of each segment head and seal are read, and only the newest as a whole.
//!
//! # On disk (little-endian on every host; format 2)
//! ```text
//! <dir>/lock        held by the process that has the journal open
//! <dir>/00017.seg   a log segment: a slot of `segment_bytes`, filled with zeros when created and used again; or a compacted one
//! <dir>/00018.new   a compacted segment being written; removed on open
//! header            twice, in sectors of its own: magic "EDGJ" | format | kind | generation | first offset | file bytes | salt
//!                   | generations covered | where records begin | crc32
//! seal              written when a segment is ended: where it ends, and of each queue the span of its records in it and their
//!                   latest expiry
//! record            len | crc32, seeded with generation and salt | offset | unsynced | kind | entries in queues, each with its expiry
//!                   | payload
//! ```
//! The fields' sizes stand at the top of `segment.rs`, `seal.rs` and `record.rs`. Every log segment begins with a record that lists all
//! queues, with cursors and next numbers, so an older segment is never needed but for its messages. A segment is used again once all
//! queues have settled what it holds and that is on disk, wherever it stands among the others.
//!
//! When room is short, what is still wanted of segments that hold little of it is moved into a compacted segment of just the size
//! (`cleaner.rs`): records keep offset and numbers, entries of queues that are done with them are left out. A compacted segment is
//! written and synced whole before it gets its name, and its head says which generations it takes the place of; where both are found,
//! the compacted one counts.
//!
//! # When the disk fails
//! - no space for another segment, or less than is to be left free: as if the quota were reached, in so far as records may be dropped;
//!   otherwise the appends that need one fail with [`AppendError::DiskFull`]. Segments that are done with are used again. Files are
//!   filled with zeros when created, so the disk is not found full later.
//! - a failed write or fsync: what it covered is refused, and nothing more is written to that segment: the kernel may have dropped the
//!   pages, and a second try could lie. The next append seals it where it was good, and begins another.
//! - a failed read: the reader gets an error, each time it tries. What a disk may still give back is not given up.
//! - a failed move: the segments stay as they are, and nothing is left of the copy; it is tried again later.
//!
//! # Damage, and what becomes of it (one test each in `tests/known_damage*.rs`)
//! - torn tail: cut on open. It was never acknowledged, so nothing is lost. Records of the torn commit that did reach the disk are
//!   cut too, and never come to life again.
//! - bad checksum before the tail: that record is skipped, counted as corrupt and, per queue, as lost, and logged at `error!`; its
//!   neighbours are read. Every record says which ones were synced before it, so damage is told from a tear; only in the last commit
//!   of a process that was killed it is not, and is taken for one.
//! - damage in an older or a compacted segment: met when it is read or moved, and skipped in the same way. Such a segment is
//!   removed, not used again.
//! - a segment is cut short or missing: what it held is counted as lost; the others are read.
//! - a compacted segment is missing, and what it took the place of is still there: that is read.
//! - one header damaged: its copy is read. Both, or a header with numbers that no journal comes to: the file is set aside as `*.damaged`.
//! - a seal damaged: the segment is read whole when the journal is opened.
//! - a second file of the same generation, such as somebody's copy: set aside as `*.damaged`.
//! - list of queues damaged: made good from the newest segment before that has one.
//! - no cursor record found: reading starts at the oldest segment. Duplicates, no loss.
//! - a queue's name damaged: its records are kept under `unnamed-<id>`.
//! - a file that was cut short while it was created: removed. It never held anything.
//! - what an earlier use of a segment left in it: never read, nor is a payload that looks like a record. No sender knows the salt.
//! - unknown format: refused by name and left untouched. We never guess.
//!
//! Not here: which endpoint a message goes to, retries, the disk and the clock themselves ([`disk`](crate::disk),
//! [`clock`](crate::clock), so that tests can pull the plug and let time pass).

mod appender;
mod cleaner;
mod commit;
mod fetch;
pub mod inspect;
mod ledger;
mod limits;
mod open;
mod quota;
mod reader;
mod replay;
mod resolve;
mod run;
mod scan;
mod shared;
mod slots;
mod time;
mod usage;
mod window;
mod writer;

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot, watch};

pub use appender::{AppendError, Appender, BatchRefused, MAX_WAITING_BYTES, PendingAppend, PendingBatch, WAITING_OVERHEAD_BYTES};
pub use open::{OpenError, Recovery};
pub use quota::{OnFull, Quota, QuotaError};
pub use reader::{MAX_UNSETTLED, QueueReader, ReadError, ReaderError, Record};
pub use usage::{Counts, EndpointUsage, Problem, QueueUsage, Usage};

use self::appender::Request;
use self::commit::Committer;
use self::limits::Limits;
use self::shared::Shared;
use self::writer::WriterHandle;
use crate::clock::{Clock, RealClock};
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
    /// Who yields when they do.
    pub on_full: OnFull,
    /// Bytes of the file system to leave free; see [`Quota`].
    pub min_free_bytes: u64,
}

impl JournalOptions {
    /// The default size of a segment.
    pub const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
    /// The least that a journal with segments of that size may have.
    pub const MIN_BYTES: u64 = 3 * Self::SEGMENT_BYTES;
    /// What is used where nothing else is said.
    pub const DEFAULT: Self =
        Self { segment_bytes: Self::SEGMENT_BYTES, max_bytes: 800 * 1024 * 1024, on_full: OnFull::DropOldest, min_free_bytes: 0 };
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Why an endpoint was not retired.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetireError {
    /// It has a live reader.
    #[error("endpoint {endpoint} has a reader")]
    InUse {
        /// The endpoint.
        endpoint: QueueName,
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
        Self::open_with(disk, Arc::new(RealClock), directory, options)
    }

    /// Opens the journal on another disk and by another clock.
    pub fn open_with(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        directory: &Path,
        options: JournalOptions,
    ) -> Result<(Self, Recovery), OpenError> {
        let limits = Limits::of(&options)?;
        let (shared, start, recovery) = open::open(disk, clock, directory, limits, Quota::of(&options))?;
        let failed = |source| OpenError::Disk { operation: "start the threads of", path: directory.to_owned(), source };
        let committer = Committer::new(Arc::clone(&shared), start);
        let (requests, receiver) = mpsc::channel();
        thread::Builder::new()
            .name("journal-writer".to_owned())
            .spawn(move || writer::run(committer, &receiver))
            .map_err(failed)?;
        let room = Arc::new(Semaphore::new(MAX_WAITING_BYTES));
        let writer = Arc::new(WriterHandle { requests, room });
        cleaner::start(&shared, Arc::downgrade(&writer)).map_err(failed)?;
        Ok((Self { shared, writer, limits }, recovery))
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

    /// The reader of an endpoint, which may have no queue yet: of all its queues, at the first record of each that is not settled.
    pub fn reader(&self, endpoint: &QueueName) -> Result<QueueReader, ReaderError> {
        let mut ledger = self.shared.ledger();
        if ledger.endpoint(endpoint).is_none() && ledger.endpoints().count() >= self.limits.max_queues {
            return Err(ReaderError::TooManyQueues { max: self.limits.max_queues });
        }
        let entry = ledger.endpoint_mut(endpoint);
        if std::mem::replace(&mut entry.has_reader, true) {
            return Err(ReaderError::InUse { queue: endpoint.to_string() });
        }
        let arrived = Arc::clone(&entry.arrived);
        Ok(QueueReader::new(Arc::clone(&self.shared), Arc::downgrade(&self.writer), endpoint.clone(), arrived))
    }

    /// The queues and what waits in them, by name. A queue that is drained and has no reader is forgotten at some time.
    pub fn queues(&self) -> Vec<QueueUsage> {
        self.shared.ledger().queue_usage()
    }

    /// Keeps a part of the room for each of these endpoints, whether they hold something or not; for no others, but those that hold
    /// something or have a reader. For the endpoints of the routes in force.
    pub fn set_endpoints(&self, endpoints: &[QueueName]) {
        let mut ledger = self.shared.ledger();
        let known: Vec<_> = ledger.endpoints().map(|(name, _)| name.clone()).collect();
        for name in endpoints.iter().take(self.limits.max_queues) {
            ledger.endpoint_mut(name).expected = true;
        }
        for name in known.iter().filter(|name| !endpoints.contains(name)) {
            ledger.endpoint_mut(name).expected = false;
            ledger.forget_if_unused(name);
        }
        drop(ledger);
        self.shared.room_was_made();
    }

    /// Changes how much room the journal may take, and who yields when there is none left. Where it holds more than the new quota
    /// allows, the oldest goes if records may be dropped; otherwise nothing more is taken until enough has been settled.
    pub fn set_quota(&self, quota: Quota) -> Result<(), QuotaError> {
        let min_bytes = self.limits.min_bytes();
        if quota.max_bytes < min_bytes {
            return Err(QuotaError { max_bytes: quota.max_bytes, min_bytes });
        }
        let mut ledger = self.shared.ledger();
        ledger.quota = quota;
        ledger.share_out();
        drop(ledger);
        self.writer.quota_changed();
        self.shared.room_was_made();
        Ok(())
    }

    /// The quota in force.
    pub fn quota(&self) -> Quota {
        self.shared.ledger().quota
    }

    /// Forgets an endpoint and what waits for it; returns how many records that was. For a route that was removed, if what it left is
    /// not to be delivered any more. After a crash right afterwards the records may be there again.
    pub fn retire(&self, endpoint: &QueueName) -> Result<u64, RetireError> {
        let mut ledger = self.shared.ledger();
        if ledger.endpoint(endpoint).is_some_and(|endpoint| endpoint.has_reader) {
            return Err(RetireError::InUse { endpoint: endpoint.clone() });
        }
        let records = ledger.retire(endpoint);
        drop(ledger);
        WriterHandle::cursors_moved(&Arc::downgrade(&self.writer));
        self.shared.room_was_made();
        Ok(records)
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
