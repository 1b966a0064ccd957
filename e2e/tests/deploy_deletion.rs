//! What goes with an EdgeDeployment, and what outlives it.

use std::collections::BTreeMap;

use edge_crds::name::ModuleNames;
use edge_e2e::{Edge, Namespace, SLEEP, SOON, STARTED, busybox, eventually, idle, scenario};
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The names of one kind of children of `line`, behind the kind.
async fn names<K>(namespace: &Namespace) -> Vec<String>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    K::DynamicType: Default,
{
    let params = ListParams::default().labels("iotedge.dev/deployment=line");
    let found = namespace.api::<K>().list(&params).await.unwrap().items;
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    found.iter().map(|object| format!("{kind} {}", object.name_any())).collect()
}

/// Everything that belongs to `line`.
async fn children(namespace: &Namespace) -> Vec<String> {
    let mut found = names::<Pod>(namespace).await;
    found.extend(names::<StatefulSet>(namespace).await);
    found.extend(names::<Service>(namespace).await);
    found.extend(names::<EndpointSlice>(namespace).await);
    found.extend(names::<ServiceAccount>(namespace).await);
    found.extend(names::<ConfigMap>(namespace).await);
    found.extend(names::<Secret>(namespace).await);
    found.extend(names::<PersistentVolumeClaim>(namespace).await);
    found.sort();
    found
}

/// Waits until nothing but `rest` is left.
async fn left(namespace: &Namespace, rest: &[String]) {
    eventually(&format!("only {rest:?} are left"), STARTED, async || {
        let found = children(namespace).await;
        if found == rest { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

type Data = Option<BTreeMap<String, ByteString>>;

/// What the identities hang on: CA and the module's keys.
async fn keys(namespace: &Namespace, edge: &Edge<'_>) -> (Data, Data) {
    let ca: Secret = namespace.api().get(&edge.names().ca()).await.unwrap();
    let identity: Secret = namespace.api().get(&ModuleNames::new("line", "a").unwrap().identity_secret()).await.unwrap();
    (ca.data, identity.data)
}

fn spec(retain: bool) -> Value {
    let mut keeper = busybox("b", SLEEP);
    keeper["createOptions"]["HostConfig"] = json!({"Binds": ["data:/data"]});
    json!({"hub": {"storage": {"retain": retain}}, "modules": [idle("a"), keeper]})
}

#[tokio::test]
async fn volume_ca_and_keys_outlive_the_deployment_and_serve_its_successor() {
    scenario("retain", async |namespace| {
        let edge = namespace.edge("line", spec(true)).await;
        edge.ready().await;
        let before = keys(namespace, &edge).await;
        let claim: PersistentVolumeClaim = namespace.api().get(&edge.names().hub()).await.unwrap();

        edge.delete().await;
        let kept = [
            "PersistentVolumeClaim line-edgehub".to_owned(),
            "Secret line-a-identity".to_owned(),
            "Secret line-b-identity".to_owned(),
            "Secret line-ca".to_owned(),
        ];
        left(namespace, &kept).await;

        edge.apply(spec(true)).await;
        edge.ready().await;
        assert_eq!(keys(namespace, &edge).await, before);
        let again: PersistentVolumeClaim = namespace.api().get(&edge.names().hub()).await.unwrap();
        assert_eq!(again.uid(), claim.uid());
    })
    .await;
}

#[tokio::test]
async fn nothing_outlives_a_deployment_that_retains_nothing() {
    scenario("no-retain", async |namespace| {
        let edge = namespace.edge("line", spec(false)).await;
        edge.ready().await;
        edge.delete().await;
        left(namespace, &[]).await;
        // A successor begins anew, also while remains of the first were still going.
        edge.apply(spec(true)).await;
        edge.ready().await;
        // The person thinks better of it while it runs.
        edge.apply(spec(false)).await;
        edge.ready().await;
        eventually("CA and volume go with it", SOON, async || {
            let ca: Secret = namespace.api().get(&edge.names().ca()).await.unwrap();
            let claim: PersistentVolumeClaim = namespace.api().get(&edge.names().hub()).await.unwrap();
            let owned = [ca.metadata.owner_references, claim.metadata.owner_references].map(|owners| owners.is_some());
            if owned == [true, true] { Ok(()) } else { Err(format!("{owned:?}")) }
        })
        .await;
        edge.delete().await;
        left(namespace, &[]).await;
    })
    .await;
}
