//! Step three, first half: what should exist. Pure; one file per kind of child.

mod accepted;
mod claims;
mod container;
mod hub;
mod hub_configuration;
mod network;
mod pod;
mod secrets;
mod volumes;

pub(super) use accepted::last_accepted;
pub use hub::CONFIGURATION as HUB_CONFIGURATION;
pub use pod::{MODULE_CONTAINER, ModulePod, WORKLOAD_CONTAINER, workload_image};
pub(super) use pod::{own_labels, spec_hash};

use std::fmt::Write;
use std::net::IpAddr;

use edge_crds::edge_deployment::DesiredStatus;
use edge_crds::labels::{self, Component};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use ring::digest::{SHA256, digest};
use serde::Serialize;

use super::child::{Child, Kind};
use super::material::Material;
use super::valid::{ValidDeployment, ValidModule};
use crate::docker::Remark;
use crate::settings::Settings;

/// The user and group of the operator's own containers; the image has no user table.
pub const OWN_UID: i64 = 65532;

/// Everything that should exist.
#[derive(Clone, Debug)]
pub struct Desired {
    /// All but pods, in the order of application.
    pub children: Vec<Child>,
    /// The pods of the modules that should run.
    pub pods: Vec<ModulePod>,
    /// Version of the hub's configuration: what the hub will say is in force.
    pub configuration_version: String,
    /// Changes when any file in the hub's configuration directory does.
    pub configuration_stamp: String,
    /// What was left out of each module's options, by name; modules without remarks are not listed.
    pub remarks: Vec<(String, Vec<Remark>)>,
}

/// What is learnt from the cluster rather than from the spec.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings {
    /// Address of the hub's Service, once it has one.
    pub hub_address: Option<IpAddr>,
}

/// Builds everything.
pub fn build(valid: &ValidDeployment, material: &Material, settings: &Settings, around: Surroundings) -> Desired {
    let (hub_json, configuration_version) = hub_configuration::hub_json(valid, material, settings);
    let identities = hub_configuration::identities_json(valid, material);
    let configuration_stamp = hub_configuration::stamp(valid, material, &configuration_version);
    let mut children = vec![accepted::revision(valid), account(valid, &valid.names.hub(), None)];
    children.extend(
        valid
            .modules
            .iter()
            .filter(|module| module.kubernetes.service_account_name.is_none())
            .map(|module| account(valid, module.names.object_name(), Some(module))),
    );
    children.push(secrets::hub_identities(valid, identities));
    children.push(secrets::hub_tls(valid, material));
    children.extend(secrets::registry(valid));
    children.push(hub_configuration::config_map(valid, hub_json));
    children.push(secrets::trust_bundle(valid, material));
    children.extend(claims::claims(valid));
    children.push(network::hub_service(valid));
    children.push(network::modules_service(valid));
    children.extend(valid.modules.iter().filter_map(|module| network::published(valid, module)));
    children.extend(around.hub_address.map(|address| network::hub_name(valid, address)));
    children.push(hub::stateful_set(valid, settings));
    children.sort_by_key(|child| child.kind);
    let mut pods = Vec::new();
    let mut remarks = Vec::new();
    for module in &valid.modules {
        let (pod, said) = pod::module_pod(valid, module, material, settings);
        if !said.is_empty() {
            remarks.push((module.names.name().to_owned(), said));
        }
        if module.desired == DesiredStatus::Running {
            pods.push(pod);
        }
    }
    Desired { children, pods, configuration_version, configuration_stamp, remarks }
}

/// An account without rights: a pod under the namespace's default one would have whatever was given to that.
fn account(valid: &ValidDeployment, name: &str, module: Option<&ValidModule>) -> Child {
    let account = ServiceAccount {
        metadata: metadata(valid, name, Part::of(module)),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    Child::new(Kind::ServiceAccount, &account)
}

/// What part of the deployment an object belongs to.
#[derive(Clone, Copy, Debug)]
enum Part<'m> {
    /// One of the parts that every deployment has.
    Component(Component),
    /// A module.
    Module(&'m ValidModule),
}

impl<'m> Part<'m> {
    /// The module, or else the hub.
    fn of(module: Option<&'m ValidModule>) -> Self {
        module.map_or(Self::Component(Component::Hub), Self::Module)
    }
}

/// Metadata of an owned child.
fn metadata(valid: &ValidDeployment, name: &str, part: Part<'_>) -> ObjectMeta {
    let deployment = valid.names.deployment();
    let (labels, annotations) = match part {
        Part::Component(component) => (labels::child(deployment, component), None),
        Part::Module(module) => (labels::of_module(deployment, &module.names), Some(labels::module_annotations(&module.names))),
    };
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(valid.namespace.clone()),
        labels: Some(labels),
        annotations,
        owner_references: Some(vec![valid.owner.reference.clone()]),
        ..ObjectMeta::default()
    }
}

/// The first half of the SHA-256 of `content` as JSON: long enough to tell any two states apart, short enough to read.
pub fn hash(content: &impl Serialize) -> String {
    let text = serde_json::to_string(content).unwrap_or_default();
    let digest = digest(&SHA256, text.as_bytes());
    let mut shown = String::with_capacity(32);
    for byte in &digest.as_ref()[..16] {
        // Writing into a String cannot fail.
        let _ = write!(shown, "{byte:02x}");
    }
    shown
}
