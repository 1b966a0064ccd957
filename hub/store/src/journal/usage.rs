//! What the journal says of itself: how much it holds, and what keeps it from accepting more.

use crate::destination::Priority;
use crate::queue::QueueName;

/// What keeps the journal from accepting appends, until one succeeds again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It holds `max_bytes`.
    Full,
    /// An endpoint holds all that it may, and only appends for it are refused.
    EndpointFull {
        /// The first of them by name.
        endpoint: QueueName,
    },
    /// The volume has no space left.
    DiskFull,
    /// The disk failed.
    Disk {
        /// What failed, in words.
        detail: String,
    },
}

/// What has become of records since the journal was opened. At any time, those that waited then and those appended since are as many
/// as those settled, dropped, expired, lost, retired and still waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Acknowledged to their senders.
    pub appended: u64,
    /// Settled by the reader.
    pub settled: u64,
    /// Dropped to make room.
    pub dropped: u64,
    /// Older than their time to live.
    pub expired: u64,
    /// Damaged on disk, so that they could not be handed out.
    pub lost: u64,
    /// Dropped because the endpoint was retired.
    pub retired: u64,
}

impl Counts {
    pub(crate) const fn add(&mut self, other: &Self) {
        let Self { appended, settled, dropped, expired, lost, retired } = other;
        self.appended += *appended;
        self.settled += *settled;
        self.dropped += *dropped;
        self.expired += *expired;
        self.lost += *lost;
        self.retired += *retired;
    }
}

/// One queue and what waits in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueUsage {
    /// Where its records go.
    pub endpoint: QueueName,
    /// How urgent they are.
    pub priority: Priority,
    /// Records not done with.
    pub depth: u64,
    /// Their bytes on disk, headers included; a record for several endpoints counts for each.
    pub bytes: u64,
    /// Records that were damaged on disk and could not be handed out, since the journal was opened. The same as in `counts`.
    pub lost: u64,
    /// What has become of records since the journal was opened, or since the queue was last forgotten for being empty.
    pub counts: Counts,
}

impl QueueUsage {
    /// The queue's name: the endpoint's, followed by `_Pri{n}` for priorities other than the default.
    pub fn name(&self) -> String {
        format!("{}{}", self.endpoint, self.priority)
    }
}

/// How much of the journal one endpoint takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointUsage {
    /// The endpoint.
    pub endpoint: QueueName,
    /// Bytes that it holds, over all priorities.
    pub bytes: u64,
    /// Bytes of records that are guaranteed to it.
    pub part_bytes: u64,
    /// Was the last append for it refused because it holds all that it may?
    pub refusing: bool,
}

/// How much the journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of the files that some queue still needs, and of the one being written.
    pub bytes_used: u64,
    /// The limit in force.
    pub bytes_max: u64,
    /// Bytes of all segment files, those waiting to be used again included.
    pub bytes_on_disk: u64,
    /// Segments in use.
    pub segments: u64,
    /// Damaged records found since the journal was opened.
    pub corrupt_records: u64,
    /// Successful fsyncs of appended records since the journal was opened.
    pub syncs: u64,
    /// Bytes that the cleaner has moved since the journal was opened.
    pub moved_bytes: u64,
    /// The queues, by endpoint, the most urgent first.
    pub queues: Vec<QueueUsage>,
    /// The endpoints, by name.
    pub endpoints: Vec<EndpointUsage>,
    /// Over all queues since the journal was opened, those that were forgotten or retired included.
    pub totals: Counts,
}
