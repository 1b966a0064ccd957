//! An EdgeDeployment after validation: whoever holds one of these need not check anything again.

use edge_crds::EdgeDeploymentSpec;
use edge_crds::edge_deployment::{
    DesiredStatus, EnvVar, HubSpec, ImagePullPolicy, KubernetesOptions, MqttUpstream, RestartPolicy, VolumeSpec,
};
use edge_crds::name::{DeploymentNames, ModuleNames};
use edge_protocol::configuration::RouteConfiguration;
use edge_protocol::identity::{DeviceId, ModuleName};

use super::child::Owner;
use crate::docker::CreateOptions;

/// One edge device, checked.
#[derive(Clone, Debug)]
pub struct ValidDeployment {
    /// Names of its children.
    pub names: DeploymentNames,
    /// Where they live.
    pub namespace: String,
    /// Whose they are.
    pub owner: Owner,
    /// Generation of the spec that all this comes from.
    pub generation: i64,
    /// That spec, to be remembered as the last one that was accepted.
    pub spec: EdgeDeploymentSpec,
    /// The device.
    pub device: DeviceId,
    /// The place above.
    pub upstream: Option<ValidUpstream>,
    /// The hub's settings.
    pub hub: HubSpec,
    /// Named volumes: those that modules mount and those that the spec lists.
    pub volumes: Vec<ValidVolume>,
    /// The modules, in the order of the spec.
    pub modules: Vec<ValidModule>,
    /// The routes, in the order of the spec; they compile as a whole.
    pub routes: Vec<RouteConfiguration>,
    /// What to know about a route that is in force, by name.
    pub route_remarks: Vec<(String, String)>,
    /// The content of the pull Secret made from `registryCredentials`; absent where there are none.
    pub registry: Option<RegistryConfiguration>,
    /// Pull Secrets that the spec names.
    pub image_pull_secrets: Vec<String>,
}

/// The place above, with its Secrets looked at.
#[derive(Clone, Debug)]
pub struct ValidUpstream {
    /// As in the spec.
    pub mqtt: MqttUpstream,
    /// Resource versions of its Secrets: when one changes, the hub is to read it again.
    pub revisions: Vec<String>,
}

/// A named volume.
#[derive(Clone, Debug)]
pub struct ValidVolume {
    /// Name of its claim.
    pub claim: String,
    /// Its settings.
    pub spec: VolumeSpec,
}

/// One module.
#[derive(Clone, Debug)]
pub struct ValidModule {
    /// Its names in the cluster.
    pub names: ModuleNames,
    /// Its name at the hub.
    pub id: ModuleName,
    /// Its image.
    pub image: String,
    /// Should it run?
    pub desired: DesiredStatus,
    /// When it is started again.
    pub restart_policy: RestartPolicy,
    /// When its image is pulled.
    pub pull_policy: ImagePullPolicy,
    /// Variables of the manifest.
    pub env: Vec<EnvVar>,
    /// Docker's options.
    pub options: CreateOptions,
    /// Kubernetes' options.
    pub kubernetes: KubernetesOptions,
}

/// `.dockerconfigjson`. Its text never appears in logs: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryConfiguration(pub Vec<u8>);

impl std::fmt::Debug for RegistryConfiguration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RegistryConfiguration(hidden)")
    }
}

impl ValidDeployment {
    /// Names under which the hub is reached: the hosts in its certificate, and in the audience of tokens. The first is what modules
    /// are told.
    pub fn hub_hostnames(&self, domain: &str) -> Vec<String> {
        let (hub, namespace) = (self.names.hub(), &self.namespace);
        vec![
            hub.clone(),
            format!("{hub}.{namespace}"),
            format!("{hub}.{namespace}.svc"),
            format!("{hub}.{namespace}.svc.{domain}"),
            "edgehub".to_owned(),
            "edgeHub".to_owned(),
        ]
    }

    /// Name of the Secret with `$edgeAgent`'s identity. No module can be called edgeAgent, so the name is free.
    pub fn agent_secret(&self) -> String {
        format!("{}-edgeagent-identity", self.names.deployment())
    }
}
