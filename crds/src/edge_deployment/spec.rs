//! The object itself and the top of its `spec`.

use kube::{CustomResource, KubeSchema, ResourceExt};
use serde::{Deserialize, Serialize};

use super::hub::HubSpec;
use super::module::ModuleSpec;
use super::registry::{ImagePullSecret, RegistryCredential};
use super::route::RouteSpec;
use super::status::EdgeDeploymentStatus;
use super::upstream::Upstream;
use super::volume::VolumeSpec;

/// What should run on this device: modules, the routes between them, the hub that carries their messages and the place above.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "iotedge.dev",
    version = "v1alpha1",
    kind = "EdgeDeployment",
    plural = "edgedeployments",
    singular = "edgedeployment",
    shortname = "edep",
    category = "edge",
    namespaced,
    status = "EdgeDeploymentStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "One Azure IoT Edge device: its modules, the routes between them, its hub and the place above.",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#, description = "All modules run, the hub serves, every route is accepted"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, description = "Why it is ready, or why not"),
    printcolumn(name = "Modules", type_ = "string", json_path = ".status.summary", description = "Modules as desired, of all modules"),
    printcolumn(name = "Upstream", type_ = "string", json_path = ".status.upstream", description = "The connection to the place above"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Generation", type_ = "integer", json_path = ".metadata.generation", priority = 1, description = "Counts changes of the spec"),
    printcolumn(name = "Device", type_ = "string", json_path = ".status.deviceId", priority = 1, description = "The device id in force"),
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be 1 to 40 of lower-case letters, digits and '-', begin with a letter and not end with '-': names of pods and Services are made from it"),
    validation = Rule::new("(has(self.spec.deviceId) ? self.spec.deviceId : self.metadata.name) == (has(oldSelf.spec.deviceId) ? oldSelf.spec.deviceId : oldSelf.metadata.name)")
        .message("deviceId is immutable (without one it is the object's name): delete this EdgeDeployment and create another")
        .field_path(".spec.deviceId"),
)]
#[serde(rename_all = "camelCase")]
pub struct EdgeDeploymentSpec {
    /// The id of the edge device. Default: the name of this object. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new(r"self.matches('^[-A-Za-z0-9._%*?!(),:=@$\']+$')")
        .message("a device id is 1 to 128 of letters, digits and - . _ % * ? ! ( ) , : = @ $ '"))]
    pub device_id: Option<String>,

    /// The place above, to which routes `INTO $upstream` lead. Without one such messages are dropped and counted, and the route's status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,

    /// The hub: the local message broker and its storage.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub hub: HubSpec,

    /// Settings for named volumes. A volume that `createOptions` name and that is not listed here gets the defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub volumes: Vec<VolumeSpec>,

    /// The modules. Each runs as one pod and has an identity at the hub.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub modules: Vec<ModuleSpec>,

    /// The routes. A message goes once to each endpoint that a route which takes it leads to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub routes: Vec<RouteSpec>,

    /// Registries that ask for a password, as a deployment manifest lists them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub registry_credentials: Vec<RegistryCredential>,

    /// Pull Secrets (type `kubernetes.io/dockerconfigjson`) in this namespace, used for every module.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub image_pull_secrets: Vec<ImagePullSecret>,
}

impl EdgeDeployment {
    /// The device id in force: `spec.deviceId`, or this object's name.
    pub fn device_id(&self) -> String {
        self.spec.device_id.clone().unwrap_or_else(|| self.name_any())
    }
}
