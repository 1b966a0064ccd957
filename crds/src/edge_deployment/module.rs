//! One module: a container with an identity at the hub.
#![expect(clippy::struct_field_names, reason = "secretKeyRef, configMapKeyRef and fieldRef are the words of Kubernetes")]

use k8s_openapi::api::core::v1::{ConfigMapKeySelector, ObjectFieldSelector, SecretKeySelector};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kubernetes::KubernetesOptions;
use crate::schema;

/// One module. The members that IoT Edge knows keep its names, values and defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModuleSpec {
    /// The module's name: its identity at the hub, its name in routes and, in lower case, its host name. Case is kept.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(
        validation = Rule::new("self.matches('^[$]?[A-Za-z0-9_-]+$')")
            .message("a module name is 1 to 128 of letters, digits, - and _"),
        validation = Rule::new("!self.startsWith('$') && !(self.lowerAscii() in ['edgehub', 'edgeagent'])")
            .message("edgeHub, edgeAgent and names that begin with $ belong to the runtime, which needs no entry here"),
    )]
    pub name: String,

    /// The container image, as Kubernetes would pull it. The placeholders of manifest templates are not known here.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(
        validation = Rule::new("!self.contains('$')")
            .message("must not contain $: neither $upstream nor a template's placeholder has a meaning here"),
        validation = Rule::new(r"self.contains('$') || self.matches('^(([A-Za-z0-9.-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]+)?/)?[a-z0-9._-]+(/[a-z0-9._-]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@[a-z0-9]+:[0-9a-fA-F]{32,128})?$')")
            .message("must be an image reference such as registry.example.com/team/filter:1.0"),
    )]
    pub image: String,

    /// Should it run? `running` or `stopped`. A stopped module has no pod and keeps its identity and volumes.
    #[serde(default)]
    pub status: DesiredStatus,

    /// When it is started again after it ended: `never`, `on-failure`, `on-unhealthy` or `always`. `on-unhealthy` means `on-failure` until a module can have a health check, as it is in IoT Edge without one.
    #[serde(default)]
    pub restart_policy: RestartPolicy,

    /// When its image is pulled: `on-create` (if the node does not have it) or `never` (the node must have it).
    #[serde(default)]
    pub image_pull_policy: ImagePullPolicy,

    /// Environment variables. They win over the ones of the same name that the runtime sets; `Env` of `createOptions` wins over both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,

    /// The body of Docker's container-create call, as an object or as the JSON string of a deployment manifest. Members without an equivalent in Kubernetes are named in the module's status and in an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::create_options")]
    pub create_options: Option<serde_json::Value>,

    /// What only Kubernetes knows. It wins over `createOptions` where both speak of the same thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesOptions>,
}

/// Should a module run?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DesiredStatus {
    /// It has a pod.
    #[default]
    Running,
    /// It has none.
    Stopped,
}

/// When a module that ended is started again. Also the order in which IoT Edge compares them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    Never,
    /// When it ended with an exit code other than zero.
    OnFailure,
    /// As on-failure: a module cannot have a health check yet.
    OnUnhealthy,
    /// Whenever it ended.
    #[default]
    Always,
}

/// When a module's image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImagePullPolicy {
    /// When the pod is created and the node does not have the image.
    #[default]
    OnCreate,
    /// Never: the image must be on the node.
    Never,
}

/// One environment variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.value) != has(self.valueFrom)")
    .message("exactly one of value and valueFrom must be set (an empty variable is value: \"\")"))]
pub struct EnvVar {
    /// The variable's name.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[-._a-zA-Z][-._a-zA-Z0-9]*$"))]
    pub name: String,

    /// The value. Quote numbers and booleans: YAML would otherwise not make them strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32_768))]
    pub value: Option<String>,

    /// Where the value comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// Where a variable's value comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.secretKeyRef) ? 1 : 0) + (has(self.configMapKeyRef) ? 1 : 0) + (has(self.fieldRef) ? 1 : 0) == 1")
    .message("exactly one of secretKeyRef, configMapKeyRef and fieldRef must be set"))]
pub struct EnvVarSource {
    /// A key of a Secret in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::key_selector")]
    pub secret_key_ref: Option<SecretKeySelector>,

    /// A key of a ConfigMap in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::key_selector")]
    pub config_map_key_ref: Option<ConfigMapKeySelector>,

    /// A field of the module's pod, such as `status.podIP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::field_selector")]
    pub field_ref: Option<ObjectFieldSelector>,
}
