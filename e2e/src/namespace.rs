//! A namespace of one scenario, and what a person does and sees there.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::api::core::v1::{Namespace as NamespaceObject, Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, DynamicObject, ListParams, LogParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cluster::{Cluster, MANAGER};
use crate::edge::Edge;
use crate::eventually::eventually;
use crate::tool;

/// Label of every namespace that a scenario makes.
const LABEL: &str = "e2e.iotedge.dev/scenario";
/// Kubernetes makes the default ServiceAccount, without which no pod is admitted, a moment after its namespace.
const ACCOUNT_SOON: Duration = Duration::from_secs(30);

/// What kubelet, scheduler or controller said of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// One word.
    pub reason: String,
    /// A sentence.
    pub note: String,
}

/// A namespace.
pub struct Namespace {
    cluster: Cluster,
    name: String,
}

impl Namespace {
    pub(crate) async fn create(cluster: Cluster, scenario: &str) -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
        // Another name each time: one of the same name may still be on its way out.
        let name = format!("e2e-{scenario}-{:06x}", (nanos ^ std::process::id()) & 0xff_ffff);
        let object = NamespaceObject {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(BTreeMap::from([(LABEL.to_owned(), scenario.to_owned())])),
                ..ObjectMeta::default()
            },
            ..NamespaceObject::default()
        };
        Api::all(cluster.client()).create(&PostParams::default(), &object).await.unwrap();
        let namespace = Self { cluster, name };
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = namespace.api();
        eventually("the default ServiceAccount", ACCOUNT_SOON, async || match accounts.get_opt("default").await {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        namespace
    }

    /// Asks for its removal. What is in it goes in its own time; `e2e/test.sh` waits for that at the end.
    pub(crate) async fn remove(&self) {
        let namespaces: Api<NamespaceObject> = Api::all(self.client());
        let _ = namespaces.delete(&self.name, &DeleteParams::background()).await;
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A client.
    pub fn client(&self) -> Client {
        self.cluster.client()
    }

    /// The objects of one kind in it.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client(), &self.name)
    }

    /// Applies the EdgeDeployment `name` with `spec`, as `kubectl apply --server-side` does: unknown fields are refused.
    pub async fn edge(&self, name: &str, spec: Value) -> Edge<'_> {
        let edge = Edge::new(self, name);
        edge.apply(spec).await;
        edge
    }

    /// Applies any object. Strict: a misspelt field fails the scenario.
    pub async fn apply(&self, object: Value) {
        let types: kube::core::TypeMeta = serde_json::from_value(object.clone()).unwrap();
        let kind = GroupVersionKind::try_from(&types).unwrap();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client(), &self.name, &ApiResource::from_gvk(&kind));
        let name = object["metadata"]["name"].as_str().expect("an object has a name").to_owned();
        let params = PatchParams { force: true, ..PatchParams::apply(MANAGER).validation_strict() };
        api.patch(&name, &params, &Patch::Apply(&object)).await.unwrap_or_else(|error| panic!("failed to apply {name}: {error}"));
    }

    /// Makes a Secret.
    pub async fn secret(&self, name: &str, values: &[(&str, &str)]) {
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let secret = Secret { metadata, string_data: Some(values), ..Secret::default() };
        self.api::<Secret>().create(&PostParams::default(), &secret).await.unwrap();
    }

    /// All pods.
    pub async fn pods(&self) -> Vec<Pod> {
        self.list().await
    }

    /// All objects of one kind.
    pub async fn list<K>(&self) -> Vec<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
        K::DynamicType: Default,
    {
        self.api::<K>().list(&ListParams::default()).await.unwrap().items
    }

    /// What the container of `pod` has printed until now; empty while there is nothing.
    pub async fn log(&self, pod: &str, container: &str) -> String {
        let params = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
        self.api::<Pod>().logs(pod, &params).await.unwrap_or_default()
    }

    /// Runs a command in a container and returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub async fn exec(&self, pod: &str, container: &str, command: &[&str]) -> String {
        self.try_exec(pod, container, command).await.unwrap_or_else(|said| panic!("{command:?} in {pod}: {said}"))
    }

    /// The same, where failing is an answer.
    pub async fn try_exec(&self, pod: &str, container: &str, command: &[&str]) -> Result<String, String> {
        let head = ["--namespace", &self.name, "exec", pod, "--container", container, "--"];
        tool::try_kubectl(&[&head[..], command].concat()).await
    }

    /// What was said of the object called `name`, oldest first.
    pub async fn said_of(&self, kind: &str, name: &str) -> Vec<Said> {
        let mut events = self.list::<Event>().await;
        let is_about = |event: &Event| {
            let about = event.regarding.as_ref();
            about.is_some_and(|about| about.kind.as_deref() == Some(kind) && about.name.as_deref() == Some(name))
        };
        events.retain(is_about);
        events.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
        events
            .into_iter()
            .map(|event| Said { reason: event.reason.unwrap_or_default(), note: event.note.unwrap_or_default() })
            .collect()
    }

    /// Runs kubectl in this namespace.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        tool::kubectl(&[&["--namespace", self.name.as_str()], arguments].concat()).await
    }
}
