//! `EdgeDeployment` (`iotedge.dev/v1alpha1`): one edge device as one object.
//!
//! One file per part of the object. Three things hold throughout:
//! - A field exists only if the product acts on it. Nothing here is accepted and then ignored.
//! - Every list, map and string has a bound, so that a hostile object costs the API server and us a known amount.
//! - The literals of IoT Edge (`running`, `on-failure`, `on-create`) stay as people paste them; new ones are CamelCase.

#![expect(unreachable_pub, reason = "KubeSchema copies each struct, visibility included, into a function body")]

pub mod hub;
pub mod kubernetes;
pub mod module;
pub mod registry;
pub mod route;
pub mod spec;
pub mod status;
pub mod upstream;
pub mod volume;

pub use hub::{DeliverySpec, HubSpec, HubStorage, LogLevel, OnFull, StoreAndForwardSpec};
pub use kubernetes::KubernetesOptions;
pub use module::{DesiredStatus, EnvVar, EnvVarSource, ImagePullPolicy, ModuleSpec, RestartPolicy};
pub use registry::{ImagePullSecret, PasswordReference, RegistryCredential};
pub use route::RouteSpec;
pub use spec::{EdgeDeployment, EdgeDeploymentSpec};
pub use status::{DeploymentStatus, EdgeDeploymentStatus, ModuleStatus, RouteStatus, RuntimeStatus};
pub use upstream::{MqttUpstream, SecretReference, Upstream};
pub use volume::{AccessMode, VolumeSpec};

/// The API group.
pub const GROUP: &str = "iotedge.dev";
/// The version of the API group that this build reads and writes.
pub const VERSION: &str = "v1alpha1";
/// The kind.
pub const KIND: &str = "EdgeDeployment";

/// Longest name of an EdgeDeployment, in bytes. The longest name made from it is a pod's host name with its ordinal,
/// `<name>-edgehub-0`, and a label value with a revision hash; both end at 63.
pub const MAX_DEPLOYMENT_NAME_BYTES: usize = 40;
/// Most modules of one EdgeDeployment.
pub const MAX_MODULES: usize = 100;
/// Most routes of one EdgeDeployment; the hub has the same bound.
pub const MAX_ROUTES: usize = 200;
/// Most variables in one module's `env`.
pub const MAX_ENV: usize = 200;
/// Largest `createOptions` written as a JSON string, in bytes; the controller holds the object form to the same bound.
pub const MAX_CREATE_OPTIONS_BYTES: usize = 64 * 1024;
