//! A small MQTT 3.1.1 client over TCP or TLS.
//!
//! It serves the hub's uplink, the controller's link to its hubs, and the load of our tests. What they need and general clients
//! do not offer: the caller decides when a message counts as delivered (it sees each PUBACK and sends its own), in-flight
//! messages are the caller's (they are on disk, a second copy in memory would only be lost), and nothing reconnects behind its back.
//!
//! # Invariants
//! - [`Connection::next`] is the only place that does I/O, and it may be dropped at any await: no byte is lost or sent twice.
//! - Outgoing packets wait in one buffer; [`Connection::queued_bytes`] tells how much. Its bound is the caller's window.
//! - A silent peer is noticed: a ping goes out after three quarters of the keep-alive, and its answer is waited for as long again.
//!
//! Never here: retries, sessions, QoS 2.

mod connect;
mod connection;
mod error;
mod frame;
pub mod link;
mod tls;

pub use connect::{Connect, Endpoint};
pub use connection::{Connection, Event, Incoming};
pub use error::Error;
pub use rmqtt_codec::types::QoS;
pub use tls::{TlsError, client_config};

/// Largest packet that is read, in bytes: the largest message that IoT Hub knows plus room for its topic.
pub const MAX_PACKET_BYTES: u32 = 272 * 1024;
