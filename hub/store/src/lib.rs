//! What the hub must not forget: the durable [`journal`] of accepted messages, and the small [`state`] beside it.
//!
//! The crate knows bytes, queues and keys. It knows nothing of MQTT, routes or messages, and depends on none of our crates.
//! Everything that touches the disk on behalf of the journal goes through [`disk::Disk`], so that tests can pull the plug.

pub mod clock;
mod control;
pub mod destination;
pub mod disk;
pub mod failpoint;
pub mod journal;
pub mod queue;
mod record;
mod seal;
mod segment;
pub mod state;

pub use destination::{Destination, Destinations, DestinationsError, Priority};
pub use journal::{
    AppendError, Appender, BatchRefused, Counts, EndpointUsage, Journal, JournalOptions, Offset, OnFull, OpenError,
    PendingAppend, PendingBatch, Problem, QueueReader, QueueUsage, Quota, QuotaError, ReadError, ReaderError, Record, Recovery,
    RetireError, Usage,
};
pub use queue::{QueueName, QueueNameError};
pub use state::{Opening, StateError, StateStore, Table};
