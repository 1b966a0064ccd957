//! A real API server that judges our definition: a copy of it, in an API group of its own for each test.
//!
//! The copy keeps an installed definition, its objects and its controller out of the tests. It is removed afterwards.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test ends at its first surprise")]

use std::io::Write as _;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, Config};
use serde_json::{Value, json};

/// Path of the kubeconfig. Without it these tests have nothing to ask.
const KUBECONFIG: &str = "EDGE_TEST_KUBECONFIG";
/// Set to 1 where a missing API server must fail the run.
const REQUIRED: &str = "EDGE_REQUIRE_CLUSTER";
/// What an API server gets to serve a new definition.
const PATIENCE: Duration = Duration::from_mins(1);
/// Field manager of the tests.
const MANAGER: &str = "edge-crds-test";

/// A client, or `None` and a line on stderr that says why the test is skipped.
pub(crate) async fn client(test: &str) -> Option<Client> {
    let Some(path) = std::env::var_os(KUBECONFIG).filter(|path| !path.is_empty()) else {
        assert_ne!(std::env::var(REQUIRED).as_deref(), Ok("1"), "{REQUIRED}=1, and {KUBECONFIG} is not set");
        // Not `eprintln`, which the test runner would swallow.
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {KUBECONFIG} is not set, so no API server was asked");
        return None;
    };
    let kubeconfig = Kubeconfig::read_from(path).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Some(Client::try_from(config).unwrap())
}

/// Our definition under another group, and a namespace for its objects.
pub(crate) struct Judge {
    client: Client,
    definition: CustomResourceDefinition,
    namespace: String,
}

impl Judge {
    /// Installs the copy and waits until it is served. `name` tells the tests of one run apart.
    pub(crate) async fn install(client: Client, name: &str) -> Self {
        let mark = format!("{name}-{}", std::process::id());
        let definition = copy_for(&format!("{mark}.test.iotedge.dev"));
        let judge = Self { client, definition, namespace: format!("edge-crds-{mark}") };
        let namespace = Namespace {
            metadata: ObjectMeta { name: Some(judge.namespace.clone()), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        Api::all(judge.client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
        let api: Api<CustomResourceDefinition> = Api::all(judge.client.clone());
        api.create(&PostParams::default(), &judge.definition).await.unwrap();
        let established = await_condition(api, judge.crd_name(), conditions::is_crd_established());
        tokio::time::timeout(PATIENCE, established).await.expect("the definition is established in time").unwrap();
        judge.wait_until_served().await;
        judge
    }

    /// Offers a new object, strictly read and not kept. What is wrong with it, or `None`.
    pub(crate) async fn offer(&self, object: &Value) -> Option<String> {
        let object = self.translated(object);
        let url = format!("/apis/{}/v1alpha1/namespaces/{}/edgedeployments", self.group(), self.namespace);
        let params = PostParams { dry_run: true, field_manager: Some(MANAGER.to_owned()) };
        let body = serde_json::to_vec(&object).unwrap();
        let mut request = kube::core::Request::new(url).create(&params, body).unwrap();
        *request.uri_mut() = format!("{}&fieldValidation=Strict", request.uri()).parse().unwrap();
        verdict(self.client.request::<Value>(request).await)
    }

    /// Keeps an object; it must be accepted.
    pub(crate) async fn keep(&self, object: &Value) -> DynamicObject {
        let object: DynamicObject = serde_json::from_value(self.translated(object)).unwrap();
        self.api().create(&PostParams::default(), &object).await.unwrap()
    }

    /// Offers another spec for an object that is kept. What is wrong with it, or `None`.
    pub(crate) async fn offer_change(&self, name: &str, spec: &Value) -> Option<String> {
        let mut object = self.api().get(name).await.unwrap();
        object.data["spec"] = spec.clone();
        let params = PostParams { dry_run: true, field_manager: Some(MANAGER.to_owned()) };
        verdict(self.api().replace(name, &params, &object).await)
    }

    /// Writes a status; it must be accepted.
    pub(crate) async fn write_status(&self, name: &str, status: &Value) -> DynamicObject {
        let patch = json!({ "status": status });
        self.api().patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    }

    /// Removes what was installed.
    pub(crate) async fn remove(self) {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        definitions.delete(self.crd_name(), &DeleteParams::default()).await.unwrap();
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.unwrap();
    }

    /// Established is a promise; the handler may come a moment later.
    async fn wait_until_served(&self) {
        let api = self.api();
        let served = async {
            while api.list(&ListParams::default()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, served).await.expect("the definition is served in time");
    }

    fn api(&self) -> Api<DynamicObject> {
        let resource = ApiResource {
            group: self.group().to_owned(),
            version: "v1alpha1".to_owned(),
            api_version: format!("{}/v1alpha1", self.group()),
            kind: "EdgeDeployment".to_owned(),
            plural: "edgedeployments".to_owned(),
        };
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    fn group(&self) -> &str {
        &self.definition.spec.group
    }

    fn crd_name(&self) -> &str {
        self.definition.metadata.name.as_deref().unwrap()
    }

    fn translated(&self, object: &Value) -> Value {
        let mut object = object.clone();
        object["apiVersion"] = json!(format!("{}/v1alpha1", self.group()));
        object
    }
}

/// The definition as installed, in another group.
fn copy_for(group: &str) -> CustomResourceDefinition {
    let mut copy = edge_crds::definition::custom_resource_definition().unwrap();
    copy.metadata.name = Some(format!("edgedeployments.{group}"));
    group.clone_into(&mut copy.spec.group);
    // The short name would answer for the real kind too.
    copy.spec.names.short_names = None;
    copy.spec.names.categories = None;
    copy
}

/// `None` when accepted; what the API server says when it refuses; anything else is not a verdict.
fn verdict<T>(answer: kube::Result<T>) -> Option<String> {
    match answer {
        Ok(_) => None,
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 422) => Some(status.message),
        Err(error) => panic!("the API server did not judge: {error}"),
    }
}
