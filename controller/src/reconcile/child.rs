//! The kinds of objects that an EdgeDeployment owns, and how to tell ours from others.

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use kube::api::{ApiResource, DynamicObject, TypeMeta};
use serde::Serialize;

use edge_crds::edge_deployment::KIND as EDGE_DEPLOYMENT;
use edge_crds::labels;

/// A kind of child, pods excepted: those are only created, deleted and labelled. The order is that in which they are applied:
/// what is mounted or looked up comes before who mounts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The last accepted spec. First, so that whatever is begun can be gone on with while the next spec is refused.
    Revision,
    /// Accounts without rights, so that no pod runs under the namespace's default one.
    ServiceAccount,
    /// Keys, certificates, pull Secrets.
    Secret,
    /// `hub.json`, the trust bundle.
    ConfigMap,
    /// Volumes.
    Claim,
    /// The hub, the modules' zone, published ports.
    Service,
    /// The hub's name in the modules' zone.
    EndpointSlice,
    /// The hub.
    StatefulSet,
}

impl Kind {
    /// All of them, in the order of application.
    pub const ALL: [Self; 8] = [
        Self::Revision,
        Self::ServiceAccount,
        Self::Secret,
        Self::ConfigMap,
        Self::Claim,
        Self::Service,
        Self::EndpointSlice,
        Self::StatefulSet,
    ];

    /// The kind's name, as in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revision => "ControllerRevision",
            Self::ServiceAccount => "ServiceAccount",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Claim => "PersistentVolumeClaim",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::StatefulSet => "StatefulSet",
        }
    }

    /// Where the API serves it.
    pub fn resource(self) -> ApiResource {
        match self {
            Self::Revision => ApiResource::erase::<ControllerRevision>(&()),
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Self::Secret => ApiResource::erase::<Secret>(&()),
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::Claim => ApiResource::erase::<PersistentVolumeClaim>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::EndpointSlice => ApiResource::erase::<EndpointSlice>(&()),
            Self::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
        }
    }

    /// Is a hash of what it was made from compared, rather than the object itself? So it is where the API server rewrites what it
    /// is given, as quantities, or where most of it can never change.
    pub const fn is_compared_by_hash(self) -> bool {
        matches!(self, Self::Claim | Self::StatefulSet)
    }
}

/// An object that should exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Its kind.
    pub kind: Kind,
    /// The object, as it is applied.
    pub object: DynamicObject,
}

impl Child {
    /// Wraps a typed object. `data` members that do not serialise cannot occur in the types of the API.
    pub fn new<K>(kind: Kind, object: &K) -> Self
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let mut data = serde_json::to_value(object).unwrap_or_default();
        if let Some(members) = data.as_object_mut() {
            for member in ["apiVersion", "kind", "metadata"] {
                members.remove(member);
            }
        }
        let types = TypeMeta { api_version: K::api_version(&()).into_owned(), kind: K::kind(&()).into_owned() };
        Self { kind, object: DynamicObject { types: Some(types), metadata: object.meta().clone(), data } }
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }
}

/// Whose is an object that bears our label or our name?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// This EdgeDeployment's.
    Ours,
    /// It bears our labels and has no owner: it outlived its EdgeDeployment, or somebody cut the tie. Adopted by name, and never
    /// removed as an orphan.
    Unowned,
    /// Of an EdgeDeployment of the same name that was deleted; the garbage collector is on its way.
    Previous,
    /// Anybody else's. Never touched.
    Foreign,
}

/// The EdgeDeployment, as its children name it.
#[derive(Clone, Debug, PartialEq)]
pub struct Owner {
    /// Its reference, controller and blocking.
    pub reference: OwnerReference,
}

impl Owner {
    /// Whose is the object with `metadata`?
    pub fn judge(&self, metadata: &ObjectMeta) -> Ownership {
        let label = |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
        let labelled = label(labels::DEPLOYMENT) == Some(self.reference.name.as_str())
            && label("app.kubernetes.io/managed-by") == Some(labels::MANAGER);
        let controller = metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        match controller {
            Some(owner) if owner.uid == self.reference.uid => Ownership::Ours,
            Some(owner) if labelled && owner.kind == EDGE_DEPLOYMENT && owner.name == self.reference.name => Ownership::Previous,
            None if labelled => Ownership::Unowned,
            _ => Ownership::Foreign,
        }
    }
}

/// The name of a pod, and which of all pods that ever had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRef {
    /// Its name.
    pub name: String,
    /// Its uid: a delete of another pod of that name does nothing.
    pub uid: String,
}

impl PodRef {
    /// The reference of `pod`.
    pub fn of(pod: &Pod) -> Self {
        Self { name: pod.metadata.name.clone().unwrap_or_default(), uid: pod.metadata.uid.clone().unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        let reference =
            OwnerReference { name: "line-7".into(), uid: "new".into(), kind: EDGE_DEPLOYMENT.into(), ..Default::default() };
        Owner { reference }
    }

    fn child(owner: Option<(&str, &str, &str)>, labelled: bool) -> ObjectMeta {
        ObjectMeta {
            labels: labelled.then(|| labels::child("line-7", labels::Component::Hub)),
            owner_references: owner.map(|(kind, name, uid)| {
                let (kind, name, uid) = (kind.to_owned(), name.to_owned(), uid.to_owned());
                vec![OwnerReference { kind, name, uid, controller: Some(true), ..Default::default() }]
            }),
            ..Default::default()
        }
    }

    #[test]
    fn children_are_judged_by_owner_first_and_label_second() {
        let table = [
            (child(Some((EDGE_DEPLOYMENT, "line-7", "new")), true), Ownership::Ours),
            (child(Some((EDGE_DEPLOYMENT, "line-7", "old")), true), Ownership::Previous),
            (child(Some((EDGE_DEPLOYMENT, "line-8", "old")), true), Ownership::Foreign),
            (child(Some(("StatefulSet", "line-7-edgehub", "s")), true), Ownership::Foreign),
            (child(None, true), Ownership::Unowned),
            (child(None, false), Ownership::Foreign),
        ];
        for (metadata, expected) in table {
            assert_eq!(owner().judge(&metadata), expected, "{metadata:?}");
        }
    }
}
