//! The hub's settings: where it stores, where it runs, how much it takes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Size of the hub's volume where none is given.
pub const DEFAULT_STORAGE_SIZE: &str = "1Gi";

/// The hub: the local message broker and its storage. Its image is the operator's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.storeAndForward) || !has(self.storeAndForward.maxBytes) || (has(self.storage) && has(self.storage.existingClaim)) || quantity(self.storeAndForward.maxBytes).compareTo(quantity(has(self.storage) && has(self.storage.size) ? self.storage.size : '1Gi')) <= 0")
        .message("maxBytes is larger than the hub's volume (1Gi where no size is given)")
        .field_path(".storeAndForward.maxBytes"),
)]
pub struct HubSpec {
    /// The volume that holds undelivered messages, sessions and, as long as it lives, the identities of the modules.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub storage: HubStorage,

    /// What becomes of messages that wait for a module or for the place above.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub store_and_forward: StoreAndForwardSpec,

    /// How messages are handed to modules.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub delivery: DeliverySpec,

    /// CPU and memory of the hub's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::resources")]
    pub resources: Option<ResourceRequirements>,

    /// Labels that a node must have to run the hub.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::node_selector")]
    pub node_selector: BTreeMap<String, String>,

    /// Node taints that the hub's pod accepts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::tolerations")]
    pub tolerations: Vec<Toleration>,

    /// Finer rules for the choice of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::affinity")]
    pub affinity: Option<Affinity>,

    /// `PriorityClass` of the hub's pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub priority_class_name: Option<String>,

    /// Annotations to add to the hub's pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,

    /// Labels to add to the hub's pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub labels: BTreeMap<String, String>,

    /// Clients connected at once; one more is refused.
    #[serde(default = "default_max_clients")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_clients: i32,

    /// How much the hub logs: Error, Warn, Info or Debug.
    #[serde(default)]
    pub log_level: LogLevel,
}

const fn default_max_clients() -> i32 {
    1000
}

impl Default for HubSpec {
    fn default() -> Self {
        Self {
            storage: HubStorage::default(),
            store_and_forward: StoreAndForwardSpec::default(),
            delivery: DeliverySpec::default(),
            resources: None,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            affinity: None,
            priority_class_name: None,
            annotations: BTreeMap::new(),
            labels: BTreeMap::new(),
            max_clients: default_max_clients(),
            log_level: LogLevel::default(),
        }
    }
}

/// What becomes of messages that wait for a module or for the place above.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreAndForwardSpec {
    /// Seconds that a message may wait; then it is dropped and counted. A route may say otherwise for its own. -1: for ever.
    #[serde(default = "default_time_to_live")]
    #[schemars(range(min = -1, max = 2_147_483_647))]
    #[x_kube(validation = Rule::new("self != 0").message("0 would drop every message at once; -1 keeps them for ever"))]
    pub time_to_live_secs: i32,

    /// How much of the volume waiting messages may take, at least 16Mi. Default: 80 % of `storage.size`. Half of it is shared out in
    /// equal parts to the endpoints, so that one that nobody reads does not starve the others; the other half is for whoever needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::volume_size")]
    #[x_kube(validation = Rule::new("!isQuantity(self) || quantity(self).compareTo(quantity('16Mi')) >= 0").message("must be at least 16Mi"))]
    pub max_bytes: Option<Quantity>,

    /// What gives when there is no more room: `DropOldest` drops and counts the oldest messages of the lowest priority of the endpoint
    /// that has most, `RejectNew` lets the senders to that endpoint wait, unacknowledged, until there is room.
    #[serde(default)]
    pub on_full: OnFull,
}

const fn default_time_to_live() -> i32 {
    7200
}

impl Default for StoreAndForwardSpec {
    fn default() -> Self {
        Self { time_to_live_secs: default_time_to_live(), max_bytes: None, on_full: OnFull::default() }
    }
}

/// What gives when there is no more room for messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnFull {
    /// Old messages are dropped and counted.
    #[default]
    DropOldest,
    /// Senders wait, unacknowledged.
    RejectNew,
}

/// How messages are handed to modules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliverySpec {
    /// Messages sent to one client and not yet acknowledged. The rest waits on disk. A larger window is faster for a module that
    /// acknowledges late, and more is sent again when its connection breaks. Counts for connections made from then on.
    #[serde(default = "default_window")]
    #[schemars(range(min = 1, max = 1000))]
    pub window: i32,
}

const fn default_window() -> i32 {
    100
}

impl Default for DeliverySpec {
    fn default() -> Self {
        Self { window: default_window() }
    }
}

/// The hub's volume: a claim made by the operator, or one that exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.existingClaim) || (!has(self.size) && !has(self.storageClassName))")
        .message("existingClaim excludes size and storageClassName: the claim has both already")
        .field_path(".existingClaim"),
    validation = Rule::new("quantity(has(self.size) ? self.size : '1Gi').compareTo(quantity(has(oldSelf.size) ? oldSelf.size : '1Gi')) >= 0")
        .message("size cannot be made smaller (it is 1Gi where none was given)")
        .field_path(".size"),
    validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)")
        .message("storageClassName is immutable: a volume does not change its class")
        .field_path(".storageClassName"),
    validation = Rule::new("has(self.existingClaim) == has(oldSelf.existingClaim) && (!has(self.existingClaim) || self.existingClaim == oldSelf.existingClaim)")
        .message("existingClaim is immutable: the messages and identities on the volume would stay behind")
        .field_path(".existingClaim"),
)]
pub struct HubStorage {
    /// Size of the volume, at least 64Mi. Default 1Gi. It can grow if the storage class allows it, and never shrink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::volume_size")]
    #[x_kube(validation = Rule::new("!isQuantity(self) || quantity(self).compareTo(quantity('64Mi')) >= 0").message("must be at least 64Mi"))]
    pub size: Option<Quantity>,

    /// `StorageClass` of the volume; without one, the cluster's default class. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub storage_class_name: Option<String>,

    /// A `PersistentVolumeClaim` in this namespace to use instead. It is never deleted. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub existing_claim: Option<String>,

    /// Keep the volume, and with it the CA and the keys of the modules, when this EdgeDeployment is deleted.
    #[serde(default = "default_retain")]
    pub retain: bool,
}

const fn default_retain() -> bool {
    true
}

impl Default for HubStorage {
    fn default() -> Self {
        Self { size: None, storage_class_name: None, existing_claim: None, retain: default_retain() }
    }
}

impl HubStorage {
    /// The size in force for a claim that the operator makes.
    pub fn size(&self) -> Quantity {
        self.size.clone().unwrap_or_else(|| Quantity(DEFAULT_STORAGE_SIZE.to_owned()))
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LogLevel {
    /// Messages lost, or a person needed.
    Error,
    /// Unexpected, and nothing lost.
    Warn,
    /// Changes of state.
    #[default]
    Info,
    /// Every connection and configuration; never message bodies.
    Debug,
}

impl LogLevel {
    /// The value as `RUST_LOG` wants it.
    pub const fn as_filter(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}
