//! Secrets that follow from others and are kept up to date in place, and the trust bundle. Those that are made once are in `material`.

use std::collections::BTreeMap;

use edge_crds::labels::Component;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use super::{Part, metadata};
use crate::reconcile::child::{Child, Kind};
use crate::reconcile::material::{CA_CERTIFICATE, Material, TLS_CERTIFICATE, TLS_KEY};
use crate::reconcile::registry::DOCKER_CONFIG;
use crate::reconcile::valid::ValidDeployment;
use edge_protocol::configuration::IDENTITIES_FILE;

/// Who may connect to the hub.
pub(super) fn hub_identities(valid: &ValidDeployment, identities: Vec<u8>) -> Child {
    secret(valid, &valid.names.hub_identities(), Component::Hub, "Opaque", [(IDENTITIES_FILE, identities)])
}

/// The hub's certificate.
pub(super) fn hub_tls(valid: &ValidDeployment, material: &Material) -> Child {
    let pair = &material.hub;
    let data = [(TLS_CERTIFICATE, pair.certificate.clone().into_bytes()), (TLS_KEY, pair.key.clone().into_bytes())];
    secret(valid, &valid.names.hub_tls(), Component::Trust, "kubernetes.io/tls", data)
}

/// The pull Secret made from `registryCredentials`. It is changed in place: a kubelet refuses an image that it has while a pull
/// Secret is being made anew.
pub(super) fn registry(valid: &ValidDeployment) -> Option<Child> {
    let configuration = valid.registry.as_ref()?.0.clone();
    let data = [(DOCKER_CONFIG, configuration)];
    Some(secret(valid, &valid.names.registry_secret(), Component::Registry, "kubernetes.io/dockerconfigjson", data))
}

/// What modules verify the hub with.
pub(super) fn trust_bundle(valid: &ValidDeployment, material: &Material) -> Child {
    let map = ConfigMap {
        metadata: metadata(valid, &valid.names.trust_bundle(), Part::Component(Component::Trust)),
        data: Some(BTreeMap::from([(CA_CERTIFICATE.to_owned(), material.authority.certificate.clone())])),
        ..ConfigMap::default()
    };
    Child::new(Kind::ConfigMap, &map)
}

fn secret<const N: usize>(
    valid: &ValidDeployment,
    name: &str,
    component: Component,
    type_: &str,
    data: [(&str, Vec<u8>); N],
) -> Child {
    let secret = Secret {
        metadata: metadata(valid, name, Part::Component(component)),
        data: Some(data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value))).collect()),
        type_: Some(type_.to_owned()),
        ..Secret::default()
    };
    Child::new(Kind::Secret, &secret)
}
