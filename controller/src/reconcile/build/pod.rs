//! A module's pod: one bare Pod with the module's container, and the workload API beside it as a native sidecar.
//!
//! Bare, because the restart policies `never` and `on-failure` exist only there, and because a module is a singleton with an
//! identity. Its spec never changes while it lives: a hash of it tells whether it must be replaced. Not in the hash is what does not
//! come from the user, so that neither an upgrade of the operator nor its move to another node restarts a module: the sidecar's
//! image, which is patched in place, and the DNS settings and the operator's pull secrets, which a pod gets when it is next replaced.

use edge_crds::edge_deployment::RestartPolicy;
use edge_crds::labels::{self, SPEC_HASH};
use k8s_openapi::api::core::v1::{
    Container, ExecAction, Lifecycle, LifecycleHandler, LocalObjectReference, Pod, PodDNSConfig, PodDNSConfigOption,
    PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Part, container, hash, hub, metadata, network, volumes};
use crate::docker::Remark;
use crate::reconcile::material::Material;
use crate::reconcile::valid::{ValidDeployment, ValidModule};
use crate::reconcile::validate::WORKLOAD_DIRECTORY;
use crate::settings::Settings;

/// Name of the module's container.
pub const MODULE_CONTAINER: &str = "module";
/// Name of the sidecar's container.
pub const WORKLOAD_CONTAINER: &str = "edge-workload";

/// What Docker gives a container between SIGTERM and SIGKILL.
const STOP_SECONDS: i64 = 10;
/// How long a module's start waits for the hub at most. SDKs do not retry their first connection, yet a module must also start
/// while the hub cannot.
const HUB_WAIT: &str = "30s";
/// Prefixes of annotations that mean something to the cluster: a Docker label must not speak in its name.
const RESERVED_ANNOTATIONS: [&str; 3] = ["kubernetes.io", "k8s.io", "iotedge.dev"];
/// Longest name in the key of an annotation, behind its prefix.
const MAX_ANNOTATION_NAME: usize = 63;
/// Longest prefix of an annotation's key.
const MAX_ANNOTATION_PREFIX: usize = 253;

/// A module's pod, as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct ModulePod {
    /// The module's name, as in the spec.
    pub module: String,
    /// The pod.
    pub pod: Pod,
    /// Is it started again after it ended?
    pub restart_policy: RestartPolicy,
}

impl ModulePod {
    /// Name of the pod.
    pub fn name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    /// Hash of what it was made from.
    pub fn hash(&self) -> &str {
        spec_hash(&self.pod)
    }
}

/// The hash that `pod` was made with.
pub(crate) fn spec_hash(pod: &Pod) -> &str {
    pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(SPEC_HASH)).map_or("", String::as_str)
}

/// The image of the sidecar in `pod`.
pub fn workload_image(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    spec.init_containers.iter().flatten().find(|container| container.name == WORKLOAD_CONTAINER)?.image.as_deref()
}

/// The pod of `module`, and what was left out of its options.
pub(super) fn module_pod(
    valid: &ValidDeployment,
    module: &ValidModule,
    material: &Material,
    settings: &Settings,
) -> (ModulePod, Vec<Remark>) {
    let mut remarks = module.options.remarks.clone();
    let volumes = volumes::volumes(valid, module, settings, &mut remarks);
    let mut metadata = metadata(valid, module.names.object_name(), Part::Module(module));
    let annotations = metadata.annotations.get_or_insert_default();
    let user = user_annotations(module, &mut remarks);
    annotations.extend(user.clone());
    metadata.labels = Some(module.kubernetes.labels.clone().into_iter().chain(metadata.labels.unwrap_or_default()).collect());
    let spec = PodSpec {
        restart_policy: Some(restart_policy(module.restart_policy).to_owned()),
        service_account_name: Some(
            module.kubernetes.service_account_name.clone().unwrap_or_else(|| module.names.object_name().to_owned()),
        ),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        hostname: Some(module.names.dns_name().to_owned()),
        subdomain: Some(valid.names.modules_service()),
        dns_policy: Some("None".to_owned()),
        dns_config: Some(dns(valid, settings)),
        termination_grace_period_seconds: Some(STOP_SECONDS),
        security_context: Some(pod_security(module)),
        image_pull_secrets: pull_secrets(valid, &settings.image_pull_secrets),
        node_selector: Some(module.kubernetes.node_selector.clone()).filter(|selector| !selector.is_empty()),
        tolerations: Some(module.kubernetes.tolerations.clone()).filter(|tolerations| !tolerations.is_empty()),
        affinity: module.kubernetes.affinity.clone(),
        priority_class_name: module.kubernetes.priority_class_name.clone(),
        runtime_class_name: module.kubernetes.runtime_class_name.clone(),
        init_containers: Some(vec![sidecar(valid, settings)]),
        containers: vec![container::module_container(valid, module, material, settings, volumes.mounts, &mut remarks)],
        volumes: Some(volumes.volumes),
        ..PodSpec::default()
    };
    let user_labels = &module.kubernetes.labels;
    let digest = hash(&(as_hashed(spec.clone(), valid), &user, user_labels));
    metadata.annotations.get_or_insert_default().insert(SPEC_HASH.to_owned(), digest);
    remarks.sort();
    remarks.dedup();
    let pod = Pod { metadata, spec: Some(spec), status: None };
    (ModulePod { module: module.names.name().to_owned(), pod, restart_policy: module.restart_policy }, remarks)
}

/// The spec as it is hashed, without what depends on the operator's own version, node or installation:
/// - the sidecar's image, which is patched in place;
/// - the DNS settings, read on the node on which the controller happens to run, and the operator's own pull secrets. Neither can be
///   patched, so a pod gets changed ones only when it is next replaced.
fn as_hashed(mut spec: PodSpec, valid: &ValidDeployment) -> PodSpec {
    for own in spec.init_containers.iter_mut().flatten() {
        own.image = None;
        own.image_pull_policy = None;
    }
    spec.dns_config = None;
    spec.image_pull_secrets = pull_secrets(valid, &[]);
    spec
}

/// The kubelet's back-off is IoT Edge's: 10 s, doubled up to 300 s, for ever.
const fn restart_policy(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::Never => "Never",
        RestartPolicy::OnFailure | RestartPolicy::OnUnhealthy => "OnFailure",
        RestartPolicy::Always => "Always",
    }
}

fn dns(valid: &ValidDeployment, settings: &Settings) -> PodDNSConfig {
    PodDNSConfig {
        nameservers: Some(settings.dns.nameservers.iter().map(ToString::to_string).collect()),
        searches: Some(settings.dns.searches(&valid.names.modules_service(), &valid.namespace)),
        options: Some(vec![PodDNSConfigOption { name: Some("ndots".to_owned()), value: Some("5".to_owned()) }]),
    }
}

/// Docker confines system calls unless told otherwise; Kubernetes does only when told.
fn pod_security(module: &ValidModule) -> PodSecurityContext {
    let mut context = module.kubernetes.pod_security_context.clone().unwrap_or_default();
    context.seccomp_profile.get_or_insert_with(|| SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None });
    context
}

/// The user's pull secrets, the one made from their registry credentials, and `own` ones of the operator; each once.
fn pull_secrets(valid: &ValidDeployment, own: &[String]) -> Option<Vec<LocalObjectReference>> {
    let mut names: Vec<String> = valid.image_pull_secrets.clone();
    names.extend(valid.registry.is_some().then(|| valid.names.registry_secret()));
    names.extend(own.iter().cloned());
    let mut once = Vec::new();
    for name in names {
        let reference = LocalObjectReference { name };
        if !once.contains(&reference) {
            once.push(reference);
        }
    }
    Some(once).filter(|secrets| !secrets.is_empty())
}

/// Docker's labels and the user's annotations; the latter win.
fn user_annotations(module: &ValidModule, remarks: &mut Vec<Remark>) -> std::collections::BTreeMap<String, String> {
    let mut annotations = std::collections::BTreeMap::new();
    for (key, value) in &module.options.labels {
        if is_free_annotation_key(key) {
            annotations.insert(key.clone(), value.clone());
        } else {
            let shown: String = key.chars().filter(|c| !c.is_control()).take(80).collect();
            let how = "was left out: it cannot be the key of an annotation".to_owned();
            remarks.push(Remark::Differs { member: format!("Labels.{shown}"), how });
        }
    }
    annotations.extend(module.kubernetes.annotations.clone());
    annotations
}

fn is_free_annotation_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let ends = |text: &str, first: bool| {
        let end = if first { text.bytes().next() } else { text.bytes().last() };
        end.is_some_and(|b| b.is_ascii_alphanumeric())
    };
    let legal_name = name.len() <= MAX_ANNOTATION_NAME
        && ends(name, true)
        && ends(name, false)
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let legal_prefix = prefix.is_none_or(|prefix| {
        let label = |label: &str| {
            ends(label, true)
                && ends(label, false)
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let reserved = |domain: &str| prefix == domain || prefix.ends_with(&format!(".{domain}"));
        prefix.len() <= MAX_ANNOTATION_PREFIX
            && prefix.split('.').all(label)
            && !RESERVED_ANNOTATIONS.iter().any(|domain| reserved(domain))
    });
    legal_name && legal_prefix
}

/// The workload API. Its `postStart` holds the module back until the socket answers and, for a bounded time, the hub.
fn sidecar(valid: &ValidDeployment, settings: &Settings) -> Container {
    let socket = format!("{WORKLOAD_DIRECTORY}/workload.sock");
    let trust_bundle = format!("{}/{}", volumes::TRUST_DIRECTORY, crate::reconcile::material::CA_CERTIFICATE);
    let serve = [
        "/edge-workload",
        "serve",
        "--socket",
        &socket,
        "--identity",
        volumes::IDENTITY_DIRECTORY,
        "--trust-bundle",
        &trust_bundle,
    ];
    let hub_address = format!("{}:{}", valid.names.hub(), network::MQTT_PORT);
    let wait = [
        "/edge-workload",
        "wait",
        "--socket",
        &socket,
        "--hub",
        &hub_address,
        "--trust-bundle",
        &trust_bundle,
        "--timeout",
        HUB_WAIT,
    ];
    let amounts = |amounts: &[(&str, &str)]| {
        Some(amounts.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect())
    };
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    Container {
        name: WORKLOAD_CONTAINER.to_owned(),
        image: Some(settings.image.clone()),
        image_pull_policy: Some(settings.image_pull_policy.clone()),
        command: Some(serve.map(str::to_owned).to_vec()),
        restart_policy: Some("Always".to_owned()),
        lifecycle: Some(Lifecycle {
            post_start: Some(LifecycleHandler {
                exec: Some(ExecAction { command: Some(wait.map(str::to_owned).to_vec()) }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        resources: Some(ResourceRequirements {
            requests: amounts(&[("cpu", "5m"), ("memory", "8Mi")]),
            limits: amounts(&[("memory", "32Mi")]),
            claims: None,
        }),
        security_context: Some(hub::restricted()),
        volume_mounts: Some(vec![
            mount(volumes::SOCKET, WORKLOAD_DIRECTORY, false),
            mount(volumes::IDENTITY, volumes::IDENTITY_DIRECTORY, true),
            mount(volumes::TRUST, volumes::TRUST_DIRECTORY, true),
        ]),
        ..Container::default()
    }
}

/// Labels that another version of the operator may have set otherwise: patched in place, never a reason to replace a pod.
pub(crate) fn own_labels(pod: &Pod) -> std::collections::BTreeMap<String, String> {
    let all = pod.metadata.labels.clone().unwrap_or_default();
    all.into_iter()
        .filter(|(key, _)| key.starts_with("app.kubernetes.io/") || *key == labels::MODULE || *key == labels::DEPLOYMENT)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::is_free_annotation_key;

    #[test]
    fn docker_labels_become_annotations_unless_they_speak_for_the_cluster() {
        for free in ["team", "com.example/team", "com.example.team_name", "A-b"] {
            assert!(is_free_annotation_key(free), "{free}");
        }
        let long = "x".repeat(64);
        for refused in [
            "",
            "a/b/c",
            "-a",
            "a b",
            "kubernetes.io/x",
            "apparmor.security.kubernetes.io/pod",
            "iotedge.dev/spec-hash",
            "UP.example/x",
            &long,
        ] {
            assert!(!is_free_annotation_key(refused), "{refused}");
        }
    }
}
