//! Configuration: read whole, checked whole, put in force whole. A bad part refuses all of it, and the old one stays.
//!
//! [`load`] reads and checks, [`Active`] is what is in force, [`watch`] notices changes. Nothing here opens a listener or a
//! connection.

mod active;
mod load;
mod targets;
pub(crate) mod tls;
mod upstream;
pub(crate) mod watch;

pub use active::{Active, Keys};
pub use load::{Addresses, Error, Loaded, load, offered_version};
pub use targets::{Nowhere, Targets};
pub use upstream::MqttUplink;
