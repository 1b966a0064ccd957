//! The part of the configuration that decides about clients and messages. It is swapped as one value: whoever looks at it twice
//! within one decision loads it once.

use std::collections::HashMap;

use edge_protocol::configuration::SymmetricKey;
use edge_protocol::identity::{DeviceId, ModuleName};
use edge_routing::{Endpoint, RouteTable};
use edge_store::QueueName;

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
    pub routes: RouteTable,
    /// The queue of each endpoint of the routes, named once instead of per message.
    pub queues: HashMap<Endpoint, QueueName>,
    /// Clients connected at once.
    pub max_clients: u32,
    /// Messages in flight to one client.
    pub delivery_window: usize,
    /// Bytes for the journal; read at start.
    pub max_journal_bytes: Option<u64>,
}
