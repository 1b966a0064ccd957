//! What was seen: written by the controller alone, from what exists and never from what was wished for.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::module::DesiredStatus;

/// What was seen of this device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeDeploymentStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The device id in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub device_id: Option<String>,

    /// Ready, Reconciling, Stalled and the conditions that explain them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), schema_with = "crate::schema::conditions")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// Modules that are as desired, of all modules: `5/6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub summary: Option<String>,

    /// The connection to the place above: `Connected`, `Disconnected`, `None` or `Unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub upstream: Option<String>,

    /// How the spec was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentStatus>,

    /// One entry per module, in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub modules: Vec<ModuleStatus>,

    /// One entry per route, in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub routes: Vec<RouteStatus>,
}

/// How the spec was judged, in the words of IoT Edge's `lastDesiredStatus`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentStatus {
    /// The generation that was judged.
    pub version: i64,

    /// 200: in force. 400: invalid; the generation in `acceptedVersion` stays in force. 406: in work. 500: it failed.
    #[schemars(range(min = 100, max = 599))]
    pub code: i32,

    /// Why, in a sentence; empty when all is well.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub description: String,

    /// The newest generation that was accepted. What fails of it is repaired, also while a newer one is refused. Absent: none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_version: Option<i64>,
}

/// What was seen of one module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModuleStatus {
    /// The module's name as the spec has it.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,

    /// Its pod, while it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod: Option<String>,

    /// What the spec wants: `running` or `stopped`.
    #[serde(default)]
    pub desired_status: DesiredStatus,

    /// What is: `downloading`, `running`, `backoff`, `failed`, `stopped` or `unknown`.
    #[serde(default)]
    pub runtime_status: RuntimeStatus,

    /// Why, in a sentence, and which `createOptions` have no equivalent here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub status_description: Option<String>,

    /// Exit code of its last end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,

    /// The image that its container was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub image: Option<String>,

    /// The image's digest on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub image_id: Option<String>,

    /// When its container last started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::time")]
    pub last_start_time: Option<Time>,

    /// When its container last ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::time")]
    pub last_exit_time: Option<Time>,

    /// How often its container was started again in this pod.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub restart_count: i32,

    /// When it will be started again, while it waits for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::time")]
    pub next_restart_time: Option<Time>,
}

/// What a module does now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeStatus {
    /// Its image is being pulled.
    Downloading,
    /// It runs.
    Running,
    /// It ended, and waits to be started again.
    Backoff,
    /// It ended with an exit code other than zero and is not started again, or it cannot be started.
    Failed,
    /// It ended with zero, or was stopped.
    Stopped,
    /// Not seen yet.
    #[default]
    Unknown,
}

impl RuntimeStatus {
    /// The value as status, events and metrics have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Downloading => "downloading",
            Self::Running => "running",
            Self::Backoff => "backoff",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }
}

/// How one route was judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteStatus {
    /// The route's name.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,

    /// Is it in force?
    pub accepted: bool,

    /// Why not, with the position; or what to know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}
