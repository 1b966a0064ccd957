//! What is mounted into a module's container: Docker's binds and mounts, the user's own volumes, and the workload API's socket.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, HostPathVolumeSource, PersistentVolumeClaimVolumeSource, SecretVolumeSource,
    Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::docker::{Bind, Remark, Source};
use crate::reconcile::valid::{ValidDeployment, ValidModule};
use crate::reconcile::validate::{OWN_VOLUME_PREFIX, WORKLOAD_DIRECTORY};
use crate::settings::Settings;

/// Volume with the workload API's socket: the only one of ours that the module's container sees.
pub(super) const SOCKET: &str = "edge-socket";
/// Volume with the module's keys: for the sidecar alone.
pub(super) const IDENTITY: &str = "edge-identity";
/// Volume with the CA's certificate.
pub(super) const TRUST: &str = "edge-trust";
/// Where the sidecar finds the keys.
pub(super) const IDENTITY_DIRECTORY: &str = "/etc/edge/identity";
/// Where the sidecar finds the CA's certificate.
pub(super) const TRUST_DIRECTORY: &str = "/etc/edge/trust";

/// A socket needs no room; this is what a module could fill instead of it.
const SOCKET_SIZE: &str = "1Mi";
/// The sidecar's user has no group in common with the files of a Secret, and nobody else mounts them.
const IDENTITY_MODE: i32 = 0o444;

/// Volumes of the pod, and mounts of the module's container.
pub(super) struct Volumes {
    pub(super) volumes: Vec<Volume>,
    pub(super) mounts: Vec<VolumeMount>,
}

/// All volumes of the pod of `module`; what is not granted goes to `remarks`.
pub(super) fn volumes(valid: &ValidDeployment, module: &ValidModule, settings: &Settings, remarks: &mut Vec<Remark>) -> Volumes {
    let mut found = Volumes { volumes: own(valid, module), mounts: Vec::new() };
    found.mounts.push(mount(SOCKET, WORKLOAD_DIRECTORY, true));
    let mut sources: BTreeMap<Source, String> = BTreeMap::new();
    for bind in &module.options.binds {
        if let Source::HostPath(path) = &bind.source
            && !settings.allow_elevated_permissions
        {
            remarks.push(Remark::NotGranted { member: format!("{} ({path})", bind.path) });
            continue;
        }
        let next = format!("{OWN_VOLUME_PREFIX}bind-{}", found.volumes.len());
        // One source is one volume, however often it is mounted; volumes without a name are each their own.
        let name = match &bind.source {
            Source::Anonymous => next.clone(),
            source => sources.entry(source.clone()).or_insert_with(|| next.clone()).clone(),
        };
        if name == next {
            found.volumes.push(volume(valid, bind, &name));
        }
        found.mounts.push(mount(&name, &bind.target, bind.read_only));
    }
    add_the_users_own(module, settings, &mut found, remarks);
    found
}

fn own(valid: &ValidDeployment, module: &ValidModule) -> Vec<Volume> {
    vec![
        Volume {
            name: SOCKET.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource { medium: None, size_limit: Some(Quantity(SOCKET_SIZE.to_owned())) }),
            ..Volume::default()
        },
        Volume {
            name: IDENTITY.to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(module.names.identity_secret()),
                default_mode: Some(IDENTITY_MODE),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: TRUST.to_owned(),
            config_map: Some(ConfigMapVolumeSource { name: valid.names.trust_bundle(), ..ConfigMapVolumeSource::default() }),
            ..Volume::default()
        },
    ]
}

fn volume(valid: &ValidDeployment, bind: &Bind, name: &str) -> Volume {
    let mut volume = Volume { name: name.to_owned(), ..Volume::default() };
    match &bind.source {
        Source::HostPath(path) => {
            // Without a type the container runtime does as Docker does: it takes a file, a device or a directory as it is, and makes
            // a directory where there is nothing. A socket is the exception, since a directory in its place would help nobody.
            let is_socket = Path::new(path).extension().is_some_and(|extension| extension == "sock");
            let type_ = is_socket.then(|| "Socket".to_owned());
            volume.host_path = Some(HostPathVolumeSource { path: path.clone(), type_ });
        }
        Source::Named(given) => {
            let claim = valid.volumes.iter().find(|volume| volume.spec.name == *given);
            volume.persistent_volume_claim =
                claim.map(|volume| PersistentVolumeClaimVolumeSource { claim_name: volume.claim.clone(), read_only: None });
        }
        Source::Anonymous => volume.empty_dir = Some(EmptyDirVolumeSource::default()),
    }
    volume
}

fn add_the_users_own(module: &ValidModule, settings: &Settings, found: &mut Volumes, remarks: &mut Vec<Remark>) {
    let refused = |volume: &Volume| volume.host_path.is_some() && !settings.allow_elevated_permissions;
    for volume in &module.kubernetes.volumes {
        if refused(volume) {
            remarks.push(Remark::NotGranted { member: format!("kubernetes.volumes[{}].hostPath", volume.name) });
        } else {
            found.volumes.push(volume.clone());
        }
    }
    let granted =
        |mount: &&VolumeMount| !module.kubernetes.volumes.iter().any(|volume| volume.name == mount.name && refused(volume));
    found.mounts.extend(module.kubernetes.volume_mounts.iter().filter(granted).cloned());
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
