//! The document by which a hub tells its controller how it is: published on [`crate::configuration::STATUS_TOPIC`].
//!
//! Sent when `$edgeAgent` subscribes and whenever it changes. Counts and messages are not in it: those are metrics.

use serde::{Deserialize, Serialize};

/// How a hub is, as one document. Readers ignore members that they do not know, so that a newer hub may say more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HubStatus {
    /// The configuration in force and how the last one offered was judged.
    pub configuration: ConfigurationStatus,
    /// The connection to the place above.
    pub upstream: UpstreamStatus,
    /// Can the hub accept messages? If not, why: a person is needed, and senders wait unacknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_problem: Option<String>,
    /// Endpoints for which there is no more room, by name; the first [`MAX_FULL_ENDPOINTS`] of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub full_endpoints: Vec<FullEndpoint>,
    /// Changes when the stored sessions were lost: modules whose SDK never subscribes again must then be restarted.
    pub session_epoch: String,
}

/// Most endpoints that a status names as full. More do not help whoever reads it; metrics have them all.
pub const MAX_FULL_ENDPOINTS: usize = 20;

/// An endpoint that has used up its room in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FullEndpoint {
    /// `module/input`, or `$upstream`.
    pub endpoint: String,
    /// Who gives way.
    pub effect: FullEffect,
    /// Since when, in seconds of Unix time by the hub's clock.
    pub since: u64,
}

/// Who gives way when an endpoint has no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FullEffect {
    /// Its oldest messages are dropped.
    Dropping,
    /// Those who send to it wait, unacknowledged.
    Refusing,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationStatus {
    /// `version` of the configuration in force.
    pub in_force: String,
    /// `version` of the newest configuration read; differs from `in_force` when that one was refused.
    pub offered: String,
    /// 200: the offered one is in force. 400: it was refused.
    pub code: u16,
    /// Why it was refused; empty when it was not.
    #[serde(default)]
    pub description: String,
}

/// The connection to the place above.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamStatus {
    /// Connected, and if not, why not.
    pub state: UpstreamState,
    /// The last error while not connected; never contains credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Is there an upstream, and is it reached?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpstreamState {
    /// No upstream is configured.
    None,
    /// There is one, and it is not reached now. Messages wait on disk.
    Disconnected,
    /// Messages flow.
    Connected,
}
