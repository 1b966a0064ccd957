//! The hub: a StatefulSet of one.
//!
//! A Deployment would let two hubs write one volume for seconds while it replaces a pod. Its pods are managed in parallel, so that a
//! pod which never became ready does not stand in the way of the template that would cure it.

use std::collections::BTreeMap;

use edge_crds::labels::{self, Component, SPEC_HASH};
use edge_protocol::configuration::{HUB_FILE, IDENTITIES_FILE};
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapProjection, Container, ContainerPort, EnvVar, HTTPGetAction, KeyToPath, LocalObjectReference,
    PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ProjectedVolumeSource,
    ResourceRequirements, SeccompProfile, SecretProjection, SecurityContext, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{OWN_UID, Part, hash, metadata, network};
use crate::reconcile::child::{Child, Kind};
use crate::reconcile::material::{TLS_CERTIFICATE, TLS_KEY};
use crate::reconcile::valid::ValidDeployment;
use crate::settings::Settings;

/// Annotation of the hub's running pod: stamp of the configuration it was last told to read, and when. Setting it makes the kubelet
/// refresh the pod's files at once instead of within a minute and a half.
pub const CONFIGURATION: &str = "iotedge.dev/configuration";

const CONFIGURATION_DIRECTORY: &str = "/etc/edge-hub";
const DATA_DIRECTORY: &str = "/var/lib/edge-hub";
/// What the hub gets to finish after SIGTERM.
const GRACE_PERIOD_SECONDS: i64 = 30;
/// Files of the configuration: readable for the hub's group and nobody else.
const FILE_MODE: i32 = 0o440;

/// The StatefulSet.
pub(super) fn stateful_set(valid: &ValidDeployment, settings: &Settings) -> Child {
    let selector = labels::selector(valid.names.deployment(), Component::Hub);
    let mut pod_labels = valid.hub.labels.clone();
    pod_labels.extend(labels::child(valid.names.deployment(), Component::Hub));
    let spec = StatefulSetSpec {
        replicas: Some(1),
        service_name: Some(valid.names.hub()),
        pod_management_policy: Some("Parallel".to_owned()),
        update_strategy: Some(StatefulSetUpdateStrategy { type_: Some("RollingUpdate".to_owned()), rolling_update: None }),
        revision_history_limit: Some(2),
        selector: LabelSelector { match_labels: Some(selector), match_expressions: None },
        template: PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(pod_labels),
                annotations: Some(valid.hub.annotations.clone()).filter(|annotations| !annotations.is_empty()),
                ..ObjectMeta::default()
            }),
            spec: Some(pod_spec(valid, settings)),
        },
        ..StatefulSetSpec::default()
    };
    let mut metadata = metadata(valid, &valid.names.hub(), Part::Component(Component::Hub));
    metadata.annotations = Some(BTreeMap::from([(SPEC_HASH.to_owned(), hash(&spec))]));
    Child::new(Kind::StatefulSet, &StatefulSet { metadata, spec: Some(spec), status: None })
}

fn pod_spec(valid: &ValidDeployment, settings: &Settings) -> PodSpec {
    let pull_secrets = settings.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() });
    PodSpec {
        service_account_name: Some(valid.names.hub()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_PERIOD_SECONDS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(OWN_UID),
            run_as_group: Some(OWN_UID),
            fs_group: Some(OWN_UID),
            // A volume with a million segments would otherwise be walked at every start.
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            ..PodSecurityContext::default()
        }),
        image_pull_secrets: Some(pull_secrets.collect::<Vec<_>>()).filter(|secrets| !secrets.is_empty()),
        node_selector: Some(valid.hub.node_selector.clone()).filter(|selector| !selector.is_empty()),
        tolerations: Some(valid.hub.tolerations.clone()).filter(|tolerations| !tolerations.is_empty()),
        affinity: valid.hub.affinity.clone(),
        priority_class_name: valid.hub.priority_class_name.clone(),
        containers: vec![container(valid, settings)],
        volumes: Some(vec![configuration_volume(valid), data_volume(valid)]),
        ..PodSpec::default()
    }
}

fn container(valid: &ValidDeployment, settings: &Settings) -> Container {
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    let ports = network::container_ports().into_iter().map(|(name, number)| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    });
    Container {
        name: "edge-hub".to_owned(),
        image: Some(settings.image.clone()),
        image_pull_policy: Some(settings.image_pull_policy.clone()),
        command: Some(["/edge-hub", "--config", CONFIGURATION_DIRECTORY, "--data", DATA_DIRECTORY].map(str::to_owned).to_vec()),
        env: Some(vec![EnvVar {
            name: "LOG_LEVEL".to_owned(),
            value: Some(valid.hub.log_level.as_filter().to_owned()),
            value_from: None,
        }]),
        ports: Some(ports.collect()),
        resources: Some(valid.hub.resources.clone().unwrap_or_else(default_resources)),
        readiness_probe: Some(probe("/readyz", 5, 3)),
        // Slow storage may hold a hub up for long, and killing it would not help; only one that answers nothing at all is restarted.
        liveness_probe: Some(probe("/healthz", 10, 6)),
        security_context: Some(restricted()),
        volume_mounts: Some(vec![mount("configuration", CONFIGURATION_DIRECTORY, true), mount("data", DATA_DIRECTORY, false)]),
        ..Container::default()
    }
}

/// What an own container may do: next to nothing.
pub(super) fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        run_as_user: Some(OWN_UID),
        run_as_group: Some(OWN_UID),
        ..SecurityContext::default()
    }
}

fn default_resources() -> ResourceRequirements {
    let amounts = |amounts: &[(&str, &str)]| {
        Some(amounts.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect())
    };
    ResourceRequirements {
        requests: amounts(&[("cpu", "50m"), ("memory", "32Mi")]),
        limits: amounts(&[("memory", "256Mi")]),
        claims: None,
    }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("metrics".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(3),
        failure_threshold: Some(failure_threshold),
        ..Probe::default()
    }
}

/// Everything that the hub reads, as one volume: so it changes as a whole.
fn configuration_volume(valid: &ValidDeployment) -> Volume {
    let item = |key: &str, path: &str| KeyToPath { key: key.to_owned(), path: path.to_owned(), mode: None };
    let secret = |name: String, items: Vec<KeyToPath>| VolumeProjection {
        secret: Some(SecretProjection { name, items: Some(items), optional: None }),
        ..VolumeProjection::default()
    };
    let mut sources = vec![
        VolumeProjection {
            config_map: Some(ConfigMapProjection {
                name: valid.names.hub_configuration(),
                items: Some(vec![item(HUB_FILE, HUB_FILE)]),
                optional: None,
            }),
            ..VolumeProjection::default()
        },
        secret(valid.names.hub_identities(), vec![item(IDENTITIES_FILE, IDENTITIES_FILE)]),
        secret(valid.names.hub_tls(), vec![item(TLS_CERTIFICATE, "tls/tls.crt"), item(TLS_KEY, "tls/tls.key")]),
    ];
    if let Some(upstream) = &valid.upstream {
        if let Some(reference) = &upstream.mqtt.credentials_secret_ref {
            let items = vec![item("username", "upstream/username"), item("password", "upstream/password")];
            sources.push(secret(reference.name.clone(), items));
        }
        if let Some(reference) = &upstream.mqtt.ca_secret_ref {
            sources.push(secret(reference.name.clone(), vec![item("ca.crt", "upstream/ca.crt")]));
        }
    }
    Volume {
        name: "configuration".to_owned(),
        projected: Some(ProjectedVolumeSource { sources: Some(sources), default_mode: Some(FILE_MODE) }),
        ..Volume::default()
    }
}

fn data_volume(valid: &ValidDeployment) -> Volume {
    let claim_name = valid.hub.storage.existing_claim.clone().unwrap_or_else(|| valid.names.hub());
    Volume {
        name: "data".to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name, read_only: None }),
        ..Volume::default()
    }
}
