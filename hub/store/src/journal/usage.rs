//! What the journal says of itself: how much it holds, and what keeps it from accepting more.

use crate::destination::Priority;
use crate::queue::QueueName;

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
    /// Where its records go.
    pub endpoint: QueueName,
    /// How urgent they are.
    pub priority: Priority,
    /// Records not settled.
    pub depth: u64,
    /// Records that were damaged on disk and could not be handed out, since the journal was opened.
    pub lost: u64,
}

impl QueueUsage {
    /// The queue's name: the endpoint's, followed by `_Pri{n}` for priorities other than the default.
    pub fn name(&self) -> String {
        format!("{}{}", self.endpoint, self.priority)
    }
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
