//! The hub's configuration directory: what the controller (or a person) writes and the hub reads.
//!
//! ```text
//! <config>/hub.json          [`HubConfiguration`]: no secrets
//! <config>/identities.json   [`Identities`]: who may connect, with keys
//! <config>/…                 the files that hub.json names: certificates, upstream credentials
//! ```
//! Both files are read together and take effect together. Unknown members are refused by name: a misspelt setting that silently
//! does nothing is worse than an error. Paths in `hub.json` are relative to the directory.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identity::{DeviceId, ModuleName};

/// Name of the settings file inside the configuration directory.
pub const HUB_FILE: &str = "hub.json";
/// Name of the identities file inside the configuration directory.
pub const IDENTITIES_FILE: &str = "identities.json";
/// Largest configuration file that is read. An EdgeDeployment cannot be larger than etcd's 1.5 MiB.
pub const MAX_FILE_BYTES: u64 = 2 * 1024 * 1024;
/// Most routes of one hub. The schema of EdgeDeployment has the same bound.
pub const MAX_ROUTES: usize = 200;
/// Most identities of one hub.
pub const MAX_IDENTITIES: usize = 1000;
/// Clients connected at once, unless the configuration says otherwise.
pub const DEFAULT_MAX_CLIENTS: u32 = 1000;
/// Deliveries in flight to one client, unless the configuration says otherwise.
pub const DEFAULT_DELIVERY_WINDOW: u32 = 100;
/// Most deliveries in flight to one client that may be configured: what they take in memory is multiplied by the number of clients.
pub const MAX_DELIVERY_WINDOW: u32 = 1000;
/// How long messages wait, unless the configuration says otherwise. The value of IoT Edge's own templates.
pub const DEFAULT_TIME_TO_LIVE_SECS: i32 = 7200;
/// The time to live of messages that never expire. IoT Edge takes any negative number for it.
pub const FOR_EVER: i32 = -1;
/// Lowest rank that a route may name; those without one come after it.
pub const MAX_ROUTE_PRIORITY: u8 = 9;
/// The name of the topic that `$edgeAgent` subscribes to; the hub publishes a [`crate::status::HubStatus`] there.
pub const STATUS_TOPIC: &str = "$edgehub/status";
/// Topic of an uplink message where the configuration gives none.
pub const DEFAULT_UPSTREAM_TOPIC: &str = "edge/{deviceId}/{moduleId}/{output}";

/// `hub.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HubConfiguration {
    /// Names this state of the configuration; chosen by the writer, reported back in the hub's status. At most 128 bytes.
    #[serde(default)]
    pub version: String,
    /// The edge device that this hub serves.
    pub device_id: DeviceId,
    /// Names under which clients reach this hub: accepted as the host in a token's audience, next to `iotHubHostname`.
    #[serde(default)]
    pub gateway_hostnames: Vec<String>,
    /// Host name of the IoT Hub that modules believe they talk to; without a cloud the first gateway host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iot_hub_hostname: Option<String>,
    /// Where the hub listens.
    pub listeners: Listeners,
    /// The place above; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,
    /// Routes, compiled as a whole: one bad route refuses the configuration.
    #[serde(default)]
    pub routes: Vec<RouteConfiguration>,
    /// What becomes of messages that wait.
    #[serde(default)]
    pub store_and_forward: StoreAndForward,
    /// How messages are handed to clients.
    #[serde(default)]
    pub delivery: Delivery,
    /// Bounds that a person may set.
    #[serde(default)]
    pub limits: Limits,
}

/// Where the hub listens. Addresses are `IP:PORT`; read once at start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listeners {
    /// MQTT over TLS; IoT SDKs expect port 8883.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<TlsListener>,
    /// MQTT without TLS, for benches and debugging. Refused on any address but a loopback one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt_plain: Option<PlainListener>,
    /// Metrics and probes over HTTP: `/metrics`, `/healthz`, `/readyz`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<PlainListener>,
}

/// A listener with a certificate, which is read again whenever its files change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsListener {
    /// `IP:PORT`.
    pub address: String,
    /// PEM chain, leaf first, relative to the configuration directory.
    pub certificate_file: String,
    /// PEM key, relative to the configuration directory.
    pub private_key_file: String,
}

/// A listener without TLS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlainListener {
    /// `IP:PORT`.
    pub address: String,
}

/// The place above. Exactly one member is set; more kinds come with their uplinks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Upstream {
    /// Any MQTT 3.1.1 broker.
    pub mqtt: MqttUpstream,
}

/// An MQTT broker as upstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MqttUpstream {
    /// `mqtt://host[:1883]` or `mqtts://host[:8883]`.
    pub url: String,
    /// Client id at the broker; default `edge-<deviceId>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// File with the user name, relative to the configuration directory; trailing line ends are dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_file: Option<String>,
    /// File with the password, relative to the configuration directory; trailing line ends are dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
    /// PEM certificates that vouch for the broker, relative to the configuration directory. Needed with `mqtts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// Topic of each message; `{deviceId}`, `{moduleId}` and `{output}` are replaced. Default [`DEFAULT_UPSTREAM_TOPIC`].
    #[serde(default = "default_upstream_topic")]
    pub topic: String,
}

fn default_upstream_topic() -> String {
    DEFAULT_UPSTREAM_TOPIC.to_owned()
}

/// One route as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteConfiguration {
    /// The route's name; unique.
    pub name: String,
    /// `FROM … [WHERE …] INTO …`
    pub route: String,
    /// 0 (first) to [`MAX_ROUTE_PRIORITY`]: its messages overtake those of others on their way to the same endpoint. Absent: last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Seconds that its messages may wait; 0 or absent: as long as those of routes that say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_live_secs: Option<u32>,
}

impl RouteConfiguration {
    /// A route without priority and time to live of its own.
    pub fn new(name: impl Into<String>, route: impl Into<String>) -> Self {
        Self { name: name.into(), route: route.into(), priority: None, time_to_live_secs: None }
    }
}

/// What becomes of messages that wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StoreAndForward {
    /// Seconds that a message may wait where its route says nothing else, at least 1; [`FOR_EVER`]: it never expires.
    pub time_to_live_secs: i32,
    /// Bytes that the journal may take on disk; absent: 80 % of the file system that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// What gives when there is no more room.
    pub on_full: OnFull,
    /// Bytes of the file system that stay free, whoever fills it; absent: 2 % of it, and no more than 64 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_free_bytes: Option<u64>,
}

impl Default for StoreAndForward {
    fn default() -> Self {
        Self { time_to_live_secs: DEFAULT_TIME_TO_LIVE_SECS, max_bytes: None, on_full: OnFull::default(), min_free_bytes: None }
    }
}

/// What gives when there is no more room for messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFull {
    /// The oldest messages of the lowest priority of the endpoint that is most over its part.
    #[default]
    DropOldest,
    /// The senders to that endpoint: they wait, unacknowledged.
    RejectNew,
}

/// How messages are handed to clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Delivery {
    /// Messages sent to one client and not yet acknowledged, 1 to [`MAX_DELIVERY_WINDOW`]; the rest waits on disk. Counts for
    /// connections made from now on.
    pub window: u32,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { window: DEFAULT_DELIVERY_WINDOW }
    }
}

/// Bounds that a person may set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Clients connected at once; one more is refused with CONNACK 3.
    pub max_clients: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_clients: DEFAULT_MAX_CLIENTS }
    }
}

/// `identities.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identities {
    /// Who may connect.
    pub modules: Vec<ModuleIdentity>,
}

/// A module that may connect, and the keys that prove it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModuleIdentity {
    /// The module, `$edgeAgent` included.
    pub module_id: ModuleName,
    /// Signs this module's tokens.
    pub primary_key: SymmetricKey,
    /// Accepted as well, so that keys can be rolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary_key: Option<SymmetricKey>,
}

/// A key in base64. Its text never appears in logs or errors: `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SymmetricKey(String);

impl SymmetricKey {
    /// Wraps key material given in base64; whether it decodes is found out by whoever uses it.
    pub fn from_base64(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The base64 text, for writing it into a Secret or signing with it.
    pub fn expose_base64(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SymmetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymmetricKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_setting_is_refused_by_name() {
        let error = serde_json::from_str::<HubConfiguration>(r#"{"deviceId":"d","listeners":{},"rotues":[]}"#).unwrap_err();
        assert!(error.to_string().contains("rotues"), "{error}");
    }

    #[test]
    fn the_smallest_configuration_has_a_device_and_no_listener() {
        let read: HubConfiguration = serde_json::from_str(r#"{"deviceId":"d","listeners":{}}"#).unwrap();
        assert_eq!(read.limits.max_clients, DEFAULT_MAX_CLIENTS);
        assert!(read.upstream.is_none() && read.routes.is_empty());
    }

    #[test]
    fn keys_are_hidden_from_debug_output() {
        let identity = ModuleIdentity {
            module_id: "m".parse().unwrap(),
            primary_key: SymmetricKey::from_base64("c2VjcmV0"),
            secondary_key: None,
        };
        assert!(!format!("{identity:?}").contains("c2VjcmV0"));
    }
}
