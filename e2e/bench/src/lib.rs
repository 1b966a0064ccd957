//! Measures the hub from outside: the same client drives the hub and mosquitto alike.
//!
//! The client is made for this alone. It builds packets from a template, reads many at a time and allocates nothing per message, so
//! that on a machine of two cores the servers get what time there is. One thread publishes, one receives.
//!
//! # Invariants
//! - Everything is bounded, in messages and in time, and stays on loopback.
//! - What is started is ended, by its handle, also when a measurement fails.
//! - A rate counts only if every message arrived, in order; what was lost, repeated or out of order is reported beside it.

pub mod certificates;
pub mod conversation;
pub mod disk;
pub mod drive;
mod error;
pub mod hub;
pub mod line;
pub mod memory;
pub mod mosquitto;
pub mod process;
mod publisher;
pub mod report;
pub mod stopwatch;
mod subscriber;
pub mod sync_time;
pub mod wire;

pub use error::Error;

use std::io::Write as _;

/// One line on standard output, at once: measurements take minutes.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody listens any more; the measurement's exit code still counts.
    let _gone = writeln!(out, "{line}").and_then(|()| out.flush());
}
