//! Step one: what there is. The EdgeDeployment as it is now, the Secrets that it names, and the children that exist.
//!
//! Everything is read from the API server and nothing from a cache, so a plan never acts on what the last one changed already.

use std::collections::{BTreeMap, BTreeSet};

use edge_crds::{EdgeDeployment, labels};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt};

use super::Error;
use super::child::Kind;

/// Children by kind and name.
pub type Objects = BTreeMap<(Kind, String), DynamicObject>;

/// What there is.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Secrets that the spec names, by name; `None`: there is no such Secret.
    pub secrets: BTreeMap<String, Option<Secret>>,
    /// Children with our label, whoever owns them.
    pub objects: Objects,
    /// Pods with our label: those of the modules and that of the hub.
    pub pods: Vec<Pod>,
}

/// The EdgeDeployment as it is now; `None` once it is gone or going.
pub async fn current(client: &Client, namespace: &str, name: &str) -> Result<Option<EdgeDeployment>, Error> {
    let api: Api<EdgeDeployment> = Api::namespaced(client.clone(), namespace);
    let found = api.get_opt(name).await.map_err(|source| Error::read("EdgeDeployment", name, source))?;
    Ok(found.filter(|edge| edge.metadata.deletion_timestamp.is_none()))
}

/// Everything else.
pub async fn fetch(client: &Client, edge: &EdgeDeployment) -> Result<Fetched, Error> {
    let namespace = edge.namespace().unwrap_or_default();
    let selector = ListParams::default().labels(&labels::list_selector(&edge.name_any()));
    let lists = try_join_all(Kind::ALL.map(|kind| {
        let (selector, namespace) = (&selector, &namespace);
        async move {
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind.resource());
            let listed = api.list(selector).await.map_err(|source| Error::read(kind.as_str(), "(list)", source))?;
            Ok::<_, Error>((kind, listed.items))
        }
    }))
    .await?;
    let mut objects = Objects::new();
    for (kind, items) in lists {
        objects.extend(items.into_iter().map(|mut item| {
            item.metadata.managed_fields = None;
            ((kind, item.name_any()), item)
        }));
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let mut pods = pods.list(&selector).await.map_err(|source| Error::read("Pod", "(list)", source))?.items;
    for pod in &mut pods {
        pod.metadata.managed_fields = None;
    }
    Ok(Fetched { secrets: secrets(client, edge).await?, objects, pods })
}

/// The Secrets that the spec of `edge` names.
pub async fn secrets(client: &Client, edge: &EdgeDeployment) -> Result<BTreeMap<String, Option<Secret>>, Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &edge.namespace().unwrap_or_default());
    let named = try_join_all(secrets_named_by(edge).into_iter().map(|name| {
        let api = api.clone();
        async move {
            let found = api.get_opt(&name).await.map_err(|source| Error::read("Secret", &name, source))?;
            Ok::<_, Error>((name, found))
        }
    }))
    .await?;
    Ok(named.into_iter().collect())
}

/// Names of the Secrets that the controller itself must read.
fn secrets_named_by(edge: &EdgeDeployment) -> BTreeSet<String> {
    let upstream = edge.spec.upstream.iter().flat_map(|upstream| {
        let mqtt = &upstream.mqtt;
        mqtt.credentials_secret_ref.iter().chain(mqtt.ca_secret_ref.iter()).map(|reference| reference.name.clone())
    });
    let registries = edge.spec.registry_credentials.iter().map(|credential| credential.secret_ref.name.clone());
    upstream.chain(registries).collect()
}
