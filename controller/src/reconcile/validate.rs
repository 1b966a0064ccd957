//! Step two: is it valid? Pure. Either everything that follows may rely on, or every problem at once.
//!
//! What the schema says already (lengths, patterns, enums) is not said again; what it cannot say is judged here: createOptions,
//! routes, names that collide, Secrets that are missing.

use std::collections::{BTreeMap, BTreeSet};

use edge_crds::condition::reason;
use edge_crds::edge_deployment::{KIND, ModuleSpec, VolumeSpec};
use edge_crds::name::{self, DeploymentNames, ModuleNames, NameError};
use edge_crds::{EdgeDeployment, edge_deployment};
use edge_protocol::identity::DeviceId;
use k8s_openapi::api::core::v1::Secret;
use kube::{Resource, ResourceExt};

use super::child::Owner;
use super::fetch::Objects;
use super::rejection::{Problem, Rejection};
use super::valid::{ValidDeployment, ValidModule, ValidUpstream, ValidVolume};
use super::{registry, routes};
use crate::docker::{self, Source};

/// Where a module finds the socket of its workload API. Nothing else may be mounted there.
pub const WORKLOAD_DIRECTORY: &str = "/run/edge/workload";
/// Prefix of the names of our own volumes in a module's pod.
pub const OWN_VOLUME_PREFIX: &str = "edge-";

/// Judges `edge`, given the Secrets that it names.
pub fn validate(edge: &EdgeDeployment, secrets: &BTreeMap<String, Option<Secret>>) -> Result<ValidDeployment, Rejection> {
    judge(edge, secrets, |_| false).map(|(valid, _)| valid)
}

/// Judges `edge` with a spec that was accepted before. A Secret that it names and that is gone by now, or of no use, does not
/// keep the rest of it from being looked after: what was made from it stays as it is.
pub fn validate_again(
    edge: &EdgeDeployment,
    secrets: &BTreeMap<String, Option<Secret>>,
    objects: &Objects,
) -> Result<ValidDeployment, Rejection> {
    let is_about_a_secret = |problem: &Problem| matches!(problem.reason, reason::SECRET_NOT_FOUND | reason::INVALID_SECRET);
    let (mut valid, forgiven) = judge(edge, secrets, is_about_a_secret)?;
    if forgiven.iter().any(|problem| problem.field.starts_with(registry::FIELD)) {
        valid.registry = registry::stored(&valid.names, objects);
    }
    Ok(valid)
}

/// The verdict, and the problems that `lets_pass` does not count.
fn judge(
    edge: &EdgeDeployment,
    secrets: &BTreeMap<String, Option<Secret>>,
    lets_pass: impl Fn(&Problem) -> bool,
) -> Result<(ValidDeployment, Vec<Problem>), Rejection> {
    let mut problems = Vec::new();
    let name = edge.name_any();
    let device = edge.device_id().parse::<DeviceId>();
    if let Err(error) = &device {
        problems.push(Problem::new(reason::INVALID_SPEC, "spec.deviceId", error.to_string()));
    }
    let names = DeploymentNames::new(&name);
    if !name::is_deployment_name(&name) {
        let longest = edge_deployment::MAX_DEPLOYMENT_NAME_BYTES;
        let message = format!("must be 1 to {longest} of lower-case letters, digits and -, beginning with a letter");
        problems.push(Problem::new(reason::INVALID_SPEC, "metadata.name", message));
    }
    let modules = modules(edge, &name, &mut problems);
    let (routes, route_remarks) = routes::compile(&edge.spec, &mut problems);
    let volumes = volumes(edge, &names, &modules, &mut problems);
    let upstream = upstream(edge, secrets, &mut problems);
    let registry = registry::configuration(edge, secrets, &mut problems);
    let (forgiven, problems) = problems.into_iter().partition(lets_pass);
    Rejection::verdict(problems)?;
    let (Ok(device), Some(mut reference)) = (device, edge.controller_owner_ref(&())) else {
        // An object from the API server has a name and a uid.
        let problem = Problem::new(reason::INVALID_SPEC, "metadata", format!("is not that of a stored {KIND}"));
        return Err(Rejection::of(problem));
    };
    // `kubectl delete --cascade=foreground` then waits until the children are gone.
    reference.block_owner_deletion = Some(true);
    let valid = ValidDeployment {
        names,
        namespace: edge.namespace().unwrap_or_default(),
        owner: Owner { reference },
        generation: edge.metadata.generation.unwrap_or_default(),
        spec: edge.spec.clone(),
        device,
        upstream,
        hub: edge.spec.hub.clone(),
        volumes,
        modules,
        routes,
        route_remarks,
        registry,
        image_pull_secrets: edge.spec.image_pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
    };
    Ok((valid, forgiven))
}

fn modules(edge: &EdgeDeployment, deployment: &str, problems: &mut Vec<Problem>) -> Vec<ValidModule> {
    let specs = &edge.spec.modules;
    let names = name::assign(deployment, specs.iter().map(|module| module.name.as_str())).unwrap_or_else(|errors| {
        problems.extend(errors.into_iter().map(|error| {
            let reason = match error {
                NameError::Collision { .. } => reason::NAME_COLLISION,
                _ => reason::INVALID_SPEC,
            };
            Problem::new(reason, "spec.modules", error.to_string())
        }));
        Vec::new()
    });
    let mut valid = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let before = problems.len();
        let options = options(spec, problems);
        kubernetes(spec, options.as_ref(), problems);
        if let (Some(names), Some(options), true) = (names.get(index), options, problems.len() == before)
            && let Some(module) = module(spec, names.clone(), options, problems)
        {
            valid.push(module);
        }
    }
    valid
}

fn module(
    spec: &ModuleSpec,
    names: ModuleNames,
    options: docker::CreateOptions,
    problems: &mut Vec<Problem>,
) -> Option<ValidModule> {
    match spec.name.parse() {
        Ok(id) => Some(ValidModule {
            names,
            id,
            image: spec.image.clone(),
            desired: spec.status,
            restart_policy: spec.restart_policy,
            pull_policy: spec.image_pull_policy,
            env: spec.env.clone(),
            options,
            kubernetes: spec.kubernetes.clone().unwrap_or_default(),
        }),
        Err(error) => {
            problems.push(Problem::new(reason::INVALID_SPEC, format!("spec.modules[{}].name", spec.name), error.to_string()));
            None
        }
    }
}

fn options(spec: &ModuleSpec, problems: &mut Vec<Problem>) -> Option<docker::CreateOptions> {
    let field = format!("spec.modules[{}].createOptions", spec.name);
    match docker::read(spec.create_options.as_ref()) {
        Ok(options) => {
            for bind in options.binds.iter().filter(|bind| hides_the_workload_socket(&bind.target)) {
                let message = format!("mounts on {}, where the module finds its workload API", bind.target);
                problems.push(Problem::new(reason::INVALID_CREATE_OPTIONS, format!("{field}.{}", bind.path), message));
            }
            Some(options)
        }
        Err(found) => {
            problems.extend(found.into_iter().map(|problem| {
                let field = if problem.path.is_empty() { field.clone() } else { format!("{field}.{}", problem.path) };
                Problem::new(reason::INVALID_CREATE_OPTIONS, field, problem.message)
            }));
            None
        }
    }
}

fn hides_the_workload_socket(target: &str) -> bool {
    let below = |path: &str, parent: &str| path == parent || path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'));
    below(target, WORKLOAD_DIRECTORY) || below(WORKLOAD_DIRECTORY, target)
}

/// What the API server would refuse, and only after the old pod was gone.
fn kubernetes(spec: &ModuleSpec, options: Option<&docker::CreateOptions>, problems: &mut Vec<Problem>) {
    let Some(kubernetes) = &spec.kubernetes else { return };
    let field = format!("spec.modules[{}].kubernetes", spec.name);
    let mut problem =
        |at: String, message: String| problems.push(Problem::new(reason::INVALID_SPEC, format!("{field}.{at}"), message));
    let mut volumes = BTreeSet::new();
    for volume in &kubernetes.volumes {
        if volume.name.starts_with(OWN_VOLUME_PREFIX) {
            problem(
                format!("volumes[{}].name", volume.name),
                format!("names beginning with {OWN_VOLUME_PREFIX} are the operator's own"),
            );
        }
        if !volumes.insert(volume.name.as_str()) {
            problem(format!("volumes[{}].name", volume.name), "is given twice".to_owned());
        }
    }
    for mount in &kubernetes.volume_mounts {
        let at = format!("volumeMounts[{}]", mount.mount_path);
        if !volumes.contains(mount.name.as_str()) {
            problem(format!("{at}.name"), format!("{:?} is none of this module's kubernetes.volumes", mount.name));
        }
        let path = mount.mount_path.trim_end_matches('/');
        if hides_the_workload_socket(path) {
            problem(format!("{at}.mountPath"), format!("{path} is where the module finds its workload API"));
        }
        if let Some(bind) = options.into_iter().flat_map(|options| &options.binds).find(|bind| bind.target == path) {
            problem(format!("{at}.mountPath"), format!("createOptions.{} mounts there already", bind.path));
        }
    }
}

fn volumes(
    edge: &EdgeDeployment,
    names: &DeploymentNames,
    modules: &[ValidModule],
    problems: &mut Vec<Problem>,
) -> Vec<ValidVolume> {
    let mut specs: BTreeMap<&str, VolumeSpec> = BTreeMap::new();
    for bind in modules.iter().flat_map(|module| &module.options.binds) {
        if let Source::Named(name) = &bind.source {
            specs.entry(name).or_insert_with(|| VolumeSpec::with_defaults(name.clone()));
        }
    }
    for spec in &edge.spec.volumes {
        specs.insert(&spec.name, spec.clone());
    }
    let mut valid: Vec<ValidVolume> = Vec::new();
    for (name, spec) in specs {
        match names.volume_claim(name) {
            Ok(claim) => valid.push(ValidVolume { claim, spec }),
            Err(error) => problems.push(Problem::new(reason::INVALID_SPEC, "spec.volumes", error.to_string())),
        }
    }
    valid
}

fn upstream(
    edge: &EdgeDeployment,
    secrets: &BTreeMap<String, Option<Secret>>,
    problems: &mut Vec<Problem>,
) -> Option<ValidUpstream> {
    let mqtt = &edge.spec.upstream.as_ref()?.mqtt;
    let mut revisions = Vec::new();
    let mut look_up = |reference: &edge_deployment::SecretReference, keys: &[&str], field: &str| {
        let field = format!("spec.upstream.mqtt.{field}");
        for key in keys {
            match secret_value(secrets, &reference.name, key, &field) {
                Ok(value) if *key == "ca.crt" => {
                    if let Err(error) = edge_mqtt::client_config(value) {
                        let message = format!("key {key} of Secret {}: {error}", reference.name);
                        problems.push(Problem::new(reason::INVALID_SECRET, field.clone(), message));
                    }
                }
                Ok(_) => {}
                Err(problem) => {
                    let missing = problem.reason == reason::SECRET_NOT_FOUND;
                    problems.push(problem);
                    // Its keys are missing too; saying so helps nobody.
                    if missing {
                        return;
                    }
                }
            }
        }
        revisions.extend(secrets.get(&reference.name).into_iter().flatten().filter_map(ResourceExt::resource_version));
    };
    if let Some(reference) = &mqtt.credentials_secret_ref {
        look_up(reference, &["username", "password"], "credentialsSecretRef");
    }
    if let Some(reference) = &mqtt.ca_secret_ref {
        look_up(reference, &["ca.crt"], "caSecretRef");
    }
    Some(ValidUpstream { mqtt: mqtt.clone(), revisions })
}

/// The value of `key` in the Secret `name`, or what to say about `field`.
pub(super) fn secret_value<'s>(
    secrets: &'s BTreeMap<String, Option<Secret>>,
    name: &str,
    key: &str,
    field: &str,
) -> Result<&'s [u8], Problem> {
    let Some(secret) = secrets.get(name).and_then(Option::as_ref) else {
        return Err(Problem::new(reason::SECRET_NOT_FOUND, field, format!("there is no Secret {name} in this namespace")));
    };
    match secret.data.as_ref().and_then(|data| data.get(key)) {
        Some(value) if !value.0.is_empty() => Ok(&value.0),
        _ => Err(Problem::new(reason::INVALID_SECRET, field, format!("Secret {name} has no key {key}, or it is empty"))),
    }
}
