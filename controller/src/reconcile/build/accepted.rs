//! The last accepted spec, in a `ControllerRevision`: what goes on being looked after while a newer spec is refused.
//!
//! # Invariants
//! - A spec is remembered before anything else of it is applied, and never one that was refused.
//! - The data of a `ControllerRevision` never changes, so its name has the hash of the spec: another spec is another object, and
//!   the one before goes as an orphan.
//! - It holds what the EdgeDeployment itself holds, and no Secret's content.

use edge_crds::labels::Component;
use edge_crds::{EdgeDeployment, EdgeDeploymentSpec};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use super::{Part, hash, metadata};
use crate::reconcile::child::{Child, Kind, Owner, Ownership};
use crate::reconcile::fetch::Objects;
use crate::reconcile::valid::ValidDeployment;

/// Member of the data under which the spec stands.
const SPEC: &str = "spec";

/// The `ControllerRevision` of an accepted spec; its revision is the generation.
pub(super) fn revision(valid: &ValidDeployment) -> Child {
    let name = valid.names.accepted_spec(&hash(&valid.spec));
    let revision = ControllerRevision {
        metadata: metadata(valid, &name, Part::Component(Component::Revision)),
        data: Some(RawExtension(json!({ SPEC: valid.spec }))),
        revision: valid.generation,
    };
    Child::new(Kind::Revision, &revision)
}

/// `edge` as it was when its spec was last accepted; `None`: none of its specs ever was, or what is remembered cannot be read.
pub(in crate::reconcile) fn last_accepted(edge: &EdgeDeployment, objects: &Objects) -> Option<EdgeDeployment> {
    let owner = Owner { reference: edge.controller_owner_ref(&())? };
    // The hub's StatefulSet has revisions of its own under the same label, with another owner. Two of ours exist for a moment
    // when a spec was just accepted.
    let ours = objects.iter().filter(|((kind, _), object)| {
        *kind == Kind::Revision
            && owner.judge(&object.metadata) == Ownership::Ours
            && object.metadata.deletion_timestamp.is_none()
    });
    let generation = |data: &Value| data.get("revision").and_then(Value::as_i64).unwrap_or_default();
    let (_, newest) = ours.max_by_key(|(_, object)| generation(&object.data))?;
    let spec = newest.data.pointer("/data").and_then(|data| data.get(SPEC))?.clone();
    let spec: EdgeDeploymentSpec = serde_json::from_value(spec)
        .inspect_err(|error| {
            let revision = newest.name_any();
            tracing::warn!(revision, %error, "the last accepted spec is unreadable: nothing is repaired while the newest is refused");
        })
        .ok()?;
    let mut accepted = edge.clone();
    accepted.metadata.generation = Some(generation(&newest.data));
    accepted.spec = spec;
    Some(accepted)
}
