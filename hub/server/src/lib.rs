//! The local IoT Hub of one EdgeDeployment, and the workload API that modules find beside them.
//!
//! ```text
//! module ──MQTT/TLS──▶ mqtt ──Message──▶ hub (routes) ──record──▶ edge-store ──▶ PUBACK
//!                                                                    │
//!                        module ◀──mqtt◀── delivery ◀────────────────┤
//!                      upstream ◀──────── uplink ◀───────────────────┘
//! ```
//! - [`run`] starts, follows the configuration and stops; [`configuration`] reads and checks it.
//! - `mqtt` is the protocol head, `delivery` and `uplink` are the sinks, `session` and `clients` remember who is who.
//! - [`workload`] is the sidecar, a process of its own.
//!
//! # Promises
//! 1. Accepted means durable: PUBACK follows the fsync of every queue that the routes chose.
//! 2. In order per sender and queue, at least once to each destination.
//! 3. Bounded: memory grows with connections, never with the backlog.
//! 4. Offline is normal: no upstream failure delays local traffic.
//! 5. Configuration is atomic: a bad part leaves the old one in force.
//!
//! Never here: Kubernetes. The controller is seen as files that change and a client called `$edgeAgent`.

/// The places of the hub at which a test can have it killed, beside those of the store, in the order in which a message comes to them.
pub const FAIL_POINTS: [&str; 6] = ["accept", "hand-over", "deliver", "settle", "acknowledge", "sent"];

mod clients;
mod clock;
pub mod configuration;
mod delivery;
mod http;
mod hub;
mod listener;
pub mod logging;
mod metrics;
mod mqtt;
mod pressure;
mod random;
pub mod run;
mod session;
mod storage;
mod store_figures;
mod uplink;
pub mod workload;
