//! Reading one queue.

use bytes::Bytes;

use super::Offset;

/// Most records handed out and not settled, per queue. Past this [`QueueReader::next`] waits.
pub const MAX_UNSETTLED: usize = 4096;

/// One record of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the journal; grows along a queue, with gaps where records of other queues are.
    pub offset: Offset,
    /// Handed out before, by this reader, and not settled since.
    pub redelivered: bool,
    /// What was appended.
    pub payload: Bytes,
}

/// Why a queue cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReaderError {
    /// A queue has at most one reader at a time.
    #[error("queue {queue} has a reader already")]
    InUse {
        /// The queue.
        queue: String,
    },
    /// The journal has as many queues as it can name.
    #[error("the journal has {max} queues already")]
    TooManyQueues {
        /// The limit.
        max: usize,
    },
}

/// Why there is no next record.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A segment could not be read. Calling `next` again tries again.
    #[error("failed to read {file}")]
    Disk {
        /// The segment.
        file: String,
        /// What the operating system answered.
        source: std::io::Error,
    },
    /// The journal was closed and everything in it has been handed out.
    #[error("the journal is closed")]
    Closed,
}

/// The one reader of a queue. Dropping it makes room for another, which starts at the first record not settled.
pub struct QueueReader {}

impl QueueReader {
    /// The next record, waiting for one if need be. May be dropped and called again at any time without losing a record.
    pub async fn next(&mut self) -> Result<Record, ReadError> {
        Err(ReadError::Closed)
    }

    /// The next record, if it is in memory already.
    pub fn try_next(&mut self) -> Option<Record> {
        None
    }

    /// Marks a record as done with. May come in any order; the cursor moves up to the first record that is not settled.
    /// An offset that was not handed out, or settled before, is ignored.
    pub fn settle(&mut self, _offset: Offset) {}

    /// Starts again at the first record not settled; those settled out of order are not handed out again.
    pub fn rewind(&mut self) {}

    /// Records handed out and not settled.
    pub fn unsettled(&self) -> usize {
        0
    }
}
