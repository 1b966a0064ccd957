//! The workload API: what a module asks its runtime for, over a unix socket that only its own pod sees.
//!
//! One process serves one module. It signs with the module's key, encrypts and decrypts with a key that the module never sees,
//! and hands out the certificates that vouch for the hub. It works without the hub and without a network.
//!
//! # Promises
//! - Answers have a shape that every IoT SDK's own HTTP parser reads: a status line of three words, `Content-Length`, JSON on one
//!   line, and a connection that ends after one answer (one SDK reads to its end, and all of them ask about once an hour).
//! - Only the module that the identity files name is served. Whoever reaches the socket is that module: the pod is the border.
//! - Memory and time are bounded, whatever a client sends: see the constants here, one test each in `tests/workload_bounds.rs`.
//! - Identity files are read again for each request, all from the same version of their volume: a new key is used at once.
//!
//! Never here: keys in a log, an error or an answer; a connection to anywhere.
//! Not yet: `certificate/server` and `certificate/identity`, which need the hub's HTTPS head. They answer 404 and say so.

mod answer;
mod api;
mod identity;
mod request;
mod server;
mod socket;
pub mod wait;

use std::time::Duration;

pub use edge_protocol::workload::MAX_BODY_BYTES;
pub use identity::{IdentityError, IdentityFolder};
pub use server::{Api, serve};
pub use socket::{Socket, SocketError};

/// Clients connected at once. A module has a handful; one more waits in the socket's backlog until another has its answer.
pub const MAX_CONNECTIONS: usize = 64;
/// Request line and headers together, in bytes. A longer head is answered 431, or ends the connection.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Most header lines of one request.
pub const MAX_HEADERS: usize = 64;
/// Request bodies in memory at once, each of at most [`MAX_BODY_BYTES`]. Others wait with theirs unread.
pub const MAX_BODIES: usize = 8;
/// From connecting to the end of the head. Past it the connection is closed.
pub const HEAD_TIME: Duration = Duration::from_secs(5);
/// From the end of the head to the end of the body; past it the answer is 408. The same as IoT Edge's.
pub const BODY_TIME: Duration = Duration::from_secs(5);
/// Life of a connection, so that a client that does not read its answer gives its place to the next.
pub const CONNECTION_TIME: Duration = Duration::from_secs(15);
