//! The part of the configuration that decides about clients and messages. It is swapped as one value: whoever looks at it twice
//! within one decision loads it once.

use std::collections::HashMap;

use edge_protocol::configuration::{OnFull, SymmetricKey};
use edge_protocol::identity::{DeviceId, ModuleName};

use super::targets::Targets;

/// Keys that prove one identity, the primary one first.
#[derive(PartialEq, Eq)]
pub struct Keys(pub(crate) Vec<SymmetricKey>);

/// The configuration in force.
pub struct Active {
    /// Names it; echoed in the status.
    pub version: String,
    /// The edge device.
    pub device: DeviceId,
    /// Accepted as the host of a token's audience.
    pub token_hosts: Vec<String>,
    /// Is there a place above?
    pub has_upstream: bool,
    /// Who may connect.
    pub modules: HashMap<ModuleName, Keys>,
    /// Where messages go.
    pub targets: Targets,
    /// Clients connected at once.
    pub max_clients: u32,
    /// Messages in flight to one client.
    pub delivery_window: usize,
    /// Bytes for the journal; absent: most of the file system that holds it.
    pub max_journal_bytes: Option<u64>,
    /// What gives when the journal has no more room.
    pub on_full: OnFull,
    /// Bytes that stay free on the journal's file system; absent: a little of it.
    pub min_free_bytes: Option<u64>,
}
