//! A real API server judges the samples of `e2e/samples` and changes of kept objects.
//!
//! Needs `EDGE_TEST_KUBECONFIG`, the path of a kubeconfig whose user may create definitions and namespaces. Without it each
//! test says that it is skipped, or fails if `EDGE_REQUIRE_CLUSTER=1`.

#[path = "support/api_server.rs"]
mod api_server;
#[path = "support/samples.rs"]
mod samples;

use std::panic::AssertUnwindSafe;

use api_server::Judge;
use futures::FutureExt as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, Patch, PatchParams};
use samples::Refusal;
use serde_json::{Value, json};

/// Runs `test` with a judge that is removed afterwards, whether it passes or not.
async fn judged(name: &str, test: impl AsyncFnOnce(&Judge)) {
    let Some(client) = api_server::client(name).await else { return };
    let judge = Judge::install(client, name).await;
    let outcome = AssertUnwindSafe(test(&judge)).catch_unwind().await;
    judge.remove().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

#[tokio::test]
async fn the_definition_itself_is_accepted_under_its_own_name() {
    let Some(client) = api_server::client("definition").await else { return };
    let definition = edge_crds::definition::custom_resource_definition().unwrap();
    let api: Api<CustomResourceDefinition> = Api::all(client);
    let params =
        PatchParams { dry_run: true, field_manager: Some("edge-crds-test".to_owned()), force: true, ..PatchParams::default() };
    let name = definition.metadata.name.clone().unwrap();
    let kept = api.patch(&name, &params.validation_strict(), &Patch::Apply(&definition)).await.unwrap();
    let problem = kept
        .status
        .and_then(|status| status.conditions)
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == "NonStructuralSchema");
    assert!(problem.is_none(), "{problem:?}");
}

#[tokio::test]
async fn good_samples_are_accepted_and_bad_ones_refused_with_their_field_named() {
    judged("samples", async |judge| {
        let mut wrong = Vec::new();
        for sample in samples::all() {
            match (judge.offer(&sample.object).await, sample.refused) {
                (None, None) => {}
                (Some(said), Some(refusal)) if said.contains(&refusal.field) && said.contains(&refusal.text) => {}
                (None, Some(refusal)) => wrong.push(format!("{}: accepted, though {} is wrong", sample.file, refusal.field)),
                (Some(said), None) => wrong.push(format!("{}: refused: {said}", sample.file)),
                (Some(said), Some(Refusal { field, text })) => {
                    wrong.push(format!("{}: refused without `{field}` or `{text}`: {said}", sample.file));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    })
    .await;
}

#[tokio::test]
async fn what_cannot_change_is_refused_and_everything_else_may() {
    // Object, its spec, the spec offered instead, and what must be said of it; nothing said: it is accepted.
    let table = [
        ("id-added", json!({}), json!({"deviceId": "other"}), "deviceId is immutable"),
        ("id-spelt-out", json!({}), json!({"deviceId": "id-spelt-out"}), ""),
        ("id-changed", json!({"deviceId": "one"}), json!({"deviceId": "two"}), "deviceId is immutable"),
        ("id-removed", json!({"deviceId": "one"}), json!({}), "deviceId is immutable"),
        (
            "hub-smaller",
            json!({"hub": {"storage": {"size": "2Gi"}}}),
            json!({"hub": {"storage": {"size": "1500Mi"}}}),
            "size cannot be made smaller",
        ),
        ("hub-default-smaller", json!({}), json!({"hub": {"storage": {"size": "512Mi"}}}), "size cannot be made smaller"),
        ("hub-size-removed", json!({"hub": {"storage": {"size": "2Gi"}}}), json!({}), "size cannot be made smaller"),
        ("hub-larger", json!({}), json!({"hub": {"storage": {"size": "2Gi"}}}), ""),
        ("hub-class", json!({}), json!({"hub": {"storage": {"storageClassName": "fast"}}}), "storageClassName is immutable"),
        ("hub-claim", json!({}), json!({"hub": {"storage": {"existingClaim": "mine"}}}), "existingClaim is immutable"),
        (
            "hub-quota",
            json!({"hub": {"storeAndForward": {"maxBytes": "500Mi"}}}),
            json!({"hub": {"storeAndForward": {"maxBytes": "64Mi", "timeToLiveSecs": -1, "onFull": "RejectNew"}}}),
            "",
        ),
        ("hub-retain", json!({}), json!({"hub": {"storage": {"retain": false}, "logLevel": "Warn"}}), ""),
        (
            "volume-smaller",
            json!({"volumes": [{"name": "a"}]}),
            json!({"volumes": [{"name": "a", "size": "1Mi"}]}),
            "spec.volumes[0].size",
        ),
        (
            "volume-modes",
            json!({"volumes": [{"name": "a"}]}),
            json!({"volumes": [{"name": "a", "accessModes": ["ReadWriteMany"]}]}),
            "accessModes are immutable",
        ),
        (
            "volume-larger",
            json!({"volumes": [{"name": "a"}]}),
            json!({"volumes": [{"name": "b"}, {"name": "a", "size": "2Gi"}]}),
            "",
        ),
        (
            "modules",
            json!({"modules": [{"name": "a", "image": "a"}]}),
            json!({"modules": [{"name": "a", "image": "b", "status": "stopped"}]}),
            "",
        ),
    ];
    judged("changes", async |judge| {
        for (name, before, after, said) in &table {
            judge.keep(&object(name, before)).await;
            match judge.offer_change(name, after).await {
                None => assert_eq!(*said, "", "{name} was accepted"),
                Some(text) => assert!(!said.is_empty() && text.contains(said), "{name}: {text}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn defaults_are_filled_in_by_the_api_server() {
    judged("defaults", async |judge| {
        let kept =
            judge.keep(&object("line-7", &json!({"modules": [{"name": "a", "image": "a"}], "volumes": [{"name": "v"}]}))).await;
        let spec = &kept.data["spec"];
        let hub = json!({
            "storage": {"retain": true}, "storeAndForward": {"timeToLiveSecs": 7200, "onFull": "DropOldest"},
            "delivery": {"window": 100}, "maxClients": 1000, "logLevel": "Info",
        });
        assert_eq!(spec["hub"], hub);
        assert_eq!(spec["volumes"][0], json!({"name": "v", "size": "1Gi", "accessModes": ["ReadWriteOnce"]}));
        let module =
            json!({"name": "a", "image": "a", "status": "running", "restartPolicy": "always", "imagePullPolicy": "on-create"});
        assert_eq!(spec["modules"][0], module);
    })
    .await;
}

#[tokio::test]
async fn create_options_keep_every_member_and_its_spelling() {
    judged("options", async |judge| {
        let options = json!({"HostConfig": {"portBindings": {"80/tcp": [{"HostPort": "80"}]}, "Unknown": [1, {"a": null}]}});
        let spec = json!({"modules": [{"name": "a", "image": "a", "createOptions": options}, {"name": "b", "image": "b", "createOptions": "{}"}]});
        let kept = judge.keep(&object("line-7", &spec)).await;
        assert_eq!(kept.data["spec"]["modules"][0]["createOptions"], options);
        assert_eq!(kept.data["spec"]["modules"][1]["createOptions"], json!("{}"));
    })
    .await;
}

#[tokio::test]
async fn a_full_status_is_kept_whole() {
    judged("status", async |judge| {
        judge.keep(&object("line-7", &json!({}))).await;
        let status = edge_crds::EdgeDeploymentStatus {
            observed_generation: Some(1),
            device_id: Some("line-7".to_owned()),
            conditions: edge_crds::condition::update(&[], &[], 1, &at(1_700_000_000)),
            summary: Some("1/1".to_owned()),
            upstream: Some("None".to_owned()),
            deployment: Some(edge_crds::edge_deployment::DeploymentStatus { version: 1, code: 200, ..Default::default() }),
            modules: vec![edge_crds::edge_deployment::ModuleStatus {
                name: "a".to_owned(),
                pod: Some("line-7-a".to_owned()),
                exit_code: Some(-1),
                last_start_time: Some(at(1_700_000_000)),
                ..Default::default()
            }],
            routes: vec![edge_crds::edge_deployment::RouteStatus { name: "r".to_owned(), accepted: true, message: None }],
        };
        let written = serde_json::to_value(&status).unwrap();
        let kept = judge.write_status("line-7", &written).await;
        assert_eq!(kept.data["status"], written);
    })
    .await;
}

fn object(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "iotedge.dev/v1alpha1", "kind": "EdgeDeployment", "metadata": {"name": name}, "spec": spec})
}

fn at(second: i64) -> Time {
    Time(jiff::Timestamp::from_second(second).unwrap_or_default())
}
