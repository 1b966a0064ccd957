//! Volumes: the hub's, and the named ones that modules share.

use std::collections::BTreeMap;

use edge_crds::labels::{Component, SPEC_HASH};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Part, hash, metadata};
use crate::reconcile::child::{Child, Kind};
use crate::reconcile::valid::ValidDeployment;

/// All claims. The hub's is left out where the spec brings its own.
pub(super) fn claims(valid: &ValidDeployment) -> Vec<Child> {
    let storage = &valid.hub.storage;
    let hub = storage.existing_claim.is_none().then(|| {
        let modes = vec!["ReadWriteOnce".to_owned()];
        let mut claim =
            claim(valid, &valid.names.hub(), Component::Hub, storage.size(), storage.storage_class_name.clone(), modes);
        if storage.retain {
            // It outlives its EdgeDeployment, and is found again by its label.
            claim.object.metadata.owner_references = None;
        }
        claim
    });
    let named = valid.volumes.iter().map(|volume| {
        let modes = volume.spec.access_modes.iter().map(|mode| mode.as_str().to_owned()).collect();
        claim(valid, &volume.claim, Component::Volume, volume.spec.size.clone(), volume.spec.storage_class_name.clone(), modes)
    });
    hub.into_iter().chain(named).collect()
}

fn claim(
    valid: &ValidDeployment,
    name: &str,
    component: Component,
    size: Quantity,
    storage_class_name: Option<String>,
    access_modes: Vec<String>,
) -> Child {
    let spec = PersistentVolumeClaimSpec {
        access_modes: Some(access_modes),
        resources: Some(VolumeResourceRequirements {
            requests: Some(BTreeMap::from([("storage".to_owned(), size)])),
            limits: None,
        }),
        storage_class_name,
        ..PersistentVolumeClaimSpec::default()
    };
    let mut metadata = metadata(valid, name, Part::Component(component));
    metadata.annotations = Some(BTreeMap::from([(SPEC_HASH.to_owned(), hash(&spec))]));
    Child::new(Kind::Claim, &PersistentVolumeClaim { metadata, spec: Some(spec), status: None })
}
