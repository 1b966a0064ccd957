//! The wall clock, read in one place. A clock before 1970 reads as 1970.

use std::time::{Duration, SystemTime};

use edge_protocol::sas::UnixSeconds;

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Now, in seconds.
pub(crate) fn unix_seconds() -> UnixSeconds {
    UnixSeconds(since_1970().as_secs())
}

/// Now, in milliseconds.
pub(crate) fn unix_millis() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}
