//! Whole conversations with an API server: these requests, in this order, and no other.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![expect(dead_code, reason = "the server in memory serves other tests too")]

mod support;

use std::time::Duration;

use edge_controller::reconcile::reconcile;
use serde_json::{Value, json};
use support::{Server, now};

const LINE: &str = include_str!("line-7.yaml");

async fn look(server: &Server) -> Duration {
    reconcile(&server.context(), "plant", "line-7").await.unwrap().unwrap()
}

fn condition(server: &Server, kind: &str) -> Value {
    let edge = server.get("edgedeployments/line-7").unwrap();
    let conditions = edge["status"]["conditions"].as_array().unwrap().clone();
    conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or(Value::Null)
}

fn change_spec(server: &Server, change: impl FnOnce(&mut Value)) {
    server.change("edgedeployments/line-7", |edge| {
        change(&mut edge["spec"]);
        edge["metadata"]["generation"] = json!(edge["metadata"]["generation"].as_i64().unwrap() + 1);
    });
}

/// Lets every pod of the modules run, and the hub's be ready, as a kubelet would.
fn run_pods(server: &Server) {
    let started = now().to_string();
    for path in server.all("pods/") {
        server.change(&path, |pod| {
            pod["status"] = json!({
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{
                    "name": "module", "image": "i", "imageID": "sha256:1", "ready": true, "restartCount": 0, "started": true,
                    "state": {"running": {"startedAt": started}},
                }],
            });
        });
    }
}

/// A hub as its StatefulSet and Service would bring it.
fn bring_the_hub(server: &Server) {
    server.change("services/line-7-edgehub", |service| service["spec"]["clusterIP"] = json!("10.96.7.7"));
    let owner = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "line-7-edgehub", "uid": "uid-of-statefulsets/line-7-edgehub", "controller": true}]);
    let labels = json!({"iotedge.dev/deployment": "line-7", "app.kubernetes.io/component": "hub", "app.kubernetes.io/managed-by": "edge-controller"});
    let metadata =
        json!({"name": "line-7-edgehub-0", "namespace": "plant", "uid": "hub", "ownerReferences": owner, "labels": labels});
    server.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": []}}));
}

/// A deployment that is there as far as pods go; what only a hub can say is missing.
async fn settled() -> Server {
    let server = Server::with(&[LINE]);
    look(&server).await;
    bring_the_hub(&server);
    run_pods(&server);
    look(&server).await;
    look(&server).await;
    server.take();
    server
}

#[tokio::test]
async fn the_first_status_comes_first_and_says_that_nothing_is_known_yet() {
    let server = Server::with(&[LINE]);
    look(&server).await;
    let first = server.take().remove(0);
    assert_eq!((first.method.as_str(), first.path.as_str()), ("PATCH", "edgedeployments/line-7/status"));
    assert_eq!(first.query, "&force=true&fieldManager=edge-controller-status");
    let conditions = first.body["status"]["conditions"].as_array().unwrap();
    let told: Vec<_> = conditions.iter().map(|c| format!("{}={}", c["type"], c["status"])).collect();
    assert!(
        told.contains(&r#""Ready"="Unknown""#.to_owned()) && told.contains(&r#""Reconciling"="True""#.to_owned()),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_new_deployment_is_made_in_this_order() {
    let server = Server::with(&[LINE]);
    look(&server).await;
    insta::assert_yaml_snapshot!(server.writes());
}

#[tokio::test]
async fn what_is_as_it_should_be_is_not_written_again() {
    let server = settled().await;
    look(&server).await;
    assert_eq!(server.take(), []);
}

#[tokio::test]
async fn invalid_route_sets_stalled_and_touches_no_pod() {
    let server = settled().await;
    change_spec(&server, |spec| spec["routes"][0]["route"] = json!("FROM /messages/* INTO nowhere"));
    look(&server).await;
    assert_eq!(server.writes(), ["PATCH edgedeployments/line-7/status"]);
    let stalled = condition(&server, "Stalled");
    assert_eq!((stalled["status"].as_str(), stalled["reason"].as_str()), (Some("True"), Some("InvalidRoute")));
    assert!(stalled["message"].as_str().unwrap().contains("spec.routes[readings].route"), "{stalled}");
    assert_eq!(condition(&server, "Ready")["reason"], "InvalidRoute");
    let edge = server.get("edgedeployments/line-7").unwrap();
    assert_eq!(edge["status"]["deployment"]["code"], 400);
    assert_eq!(edge["status"]["observedGeneration"], edge["metadata"]["generation"]);
    assert_eq!(edge["status"]["summary"], "2/2", "what ran before still runs, and is counted");
}

#[tokio::test]
async fn every_bad_route_says_line_and_column_in_the_status_and_the_others_that_they_wait() {
    let server = settled().await;
    let long = format!("{}-tail", "n".repeat(120));
    change_spec(&server, |spec| {
        let sink = r#"INTO BrokeredEndpoint("/modules/filter/inputs/in")"#;
        spec["routes"] = json!([
            {"name": "good", "route": format!("FROM /* {sink}")},
            {"name": long, "route": format!("FROM /messages/*\nWHERE lenght(a) > 1\n{sink}")},
            {"name": "two", "route": "FROM /* WHERE 1 INTO nowhere"},
        ]);
    });
    look(&server).await;
    let edge = server.get("edgedeployments/line-7").unwrap();
    let said = |index: usize| edge["status"]["routes"][index]["message"].as_str().unwrap().to_owned();
    assert_eq!(said(0), "waits for the rest of the spec to be corrected");
    assert!(said(1).contains("line 2, column 7") && said(1).contains("did you mean length?"), "{}", said(1));
    assert!(said(2).contains("nowhere"), "{}", said(2));
    let accepted = condition(&server, "RoutesAccepted");
    assert_eq!((accepted["status"].as_str(), accepted["reason"].as_str()), (Some("False"), Some("InvalidRoute")));
    for part in [&format!("spec.routes[{long}].route"), "spec.routes[two].route"] {
        assert!(accepted["message"].as_str().unwrap().contains(part), "{part} in {accepted}");
    }
}

#[tokio::test]
async fn what_to_know_about_a_good_route_is_in_its_status() {
    let server = settled().await;
    change_spec(&server, |spec| {
        spec["routes"] = json!([
            {"name": "up", "route": "FROM /* INTO $upstream"},
            {"name": "gone", "route": r#"FROM /* INTO BrokeredEndpoint("/modules/gone/inputs/in")"#},
        ]);
    });
    look(&server).await;
    let edge = server.get("edgedeployments/line-7").unwrap();
    let said = |index: usize| edge["status"]["routes"][index]["message"].as_str().unwrap().to_owned();
    assert!(said(0).contains("upstream"), "{}", said(0));
    assert!(said(1).contains("gone"), "{}", said(1));
    assert_eq!(edge["status"]["deployment"]["code"], 200);
}

/// The remembered spec of line-7, with its generation. There is never more than one.
fn remembered(server: &Server) -> (Value, Value) {
    let revisions = server.all("controllerrevisions/line-7-accepted-");
    assert_eq!(revisions.len(), 1, "{revisions:?}");
    let revision = server.get(&revisions[0]).unwrap();
    (revision["data"]["spec"].clone(), revision["revision"].clone())
}

fn refuse_the_next(spec: &mut Value) {
    spec["modules"][1]["image"] = json!("edge-samples/filter:9.0");
    spec["routes"][0]["route"] = json!("FROM /messages/* INTO nowhere");
}

#[tokio::test]
async fn the_last_accepted_spec_is_remembered_and_the_one_before_forgotten() {
    let server = settled().await;
    let (spec, generation) = remembered(&server);
    assert_eq!((&spec["modules"][1]["image"], generation), (&json!("edge-samples/filter:1.0"), json!(1)));
    change_spec(&server, |spec| spec["modules"][1]["image"] = json!("edge-samples/filter:2.0"));
    look(&server).await;
    assert!(server.take()[0].path.starts_with("controllerrevisions/line-7-accepted-"), "before anything else");
    let (spec, generation) = remembered(&server);
    assert_eq!((&spec["modules"][1]["image"], generation), (&json!("edge-samples/filter:2.0"), json!(2)));
    change_spec(&server, refuse_the_next);
    look(&server).await;
    assert_eq!(remembered(&server).1, 2, "what is refused is not remembered");
}

#[tokio::test]
async fn a_pod_that_goes_away_while_a_spec_is_refused_comes_back_as_it_was() {
    let server = settled().await;
    change_spec(&server, refuse_the_next);
    look(&server).await;
    server.take();
    server.remove("pods/line-7-filter");
    look(&server).await;
    assert_eq!(server.writes(), ["POST pods/line-7-filter", "PATCH edgedeployments/line-7/status"]);
    let pod = server.get("pods/line-7-filter").unwrap();
    assert_eq!(pod["spec"]["containers"][0]["image"], "edge-samples/filter:1.0", "nothing of the refused spec is applied");
    let edge = server.get("edgedeployments/line-7").unwrap();
    let deployment = &edge["status"]["deployment"];
    assert_eq!(
        (&deployment["code"], &deployment["version"], &deployment["acceptedVersion"]),
        (&json!(400), &json!(2), &json!(1))
    );
    assert_eq!(
        (condition(&server, "Stalled")["reason"].as_str(), condition(&server, "Reconciling")),
        (Some("InvalidRoute"), Value::Null)
    );
    assert_eq!(condition(&server, "ModulesAvailable")["status"], "False", "it has not started yet");
    run_pods(&server);
    look(&server).await;
    assert_eq!(condition(&server, "ModulesAvailable")["status"], "True");
    assert_eq!(condition(&server, "Ready")["reason"], "InvalidRoute");
    server.take();
    look(&server).await;
    assert_eq!(server.take(), [], "a refusal is told once");
}

#[tokio::test]
async fn certificates_and_objects_are_repaired_while_a_spec_is_refused() {
    let server = settled().await;
    change_spec(&server, refuse_the_next);
    look(&server).await;
    server.take();
    server.change("secrets/line-7-edgehub-tls", |secret| secret["data"]["tls.crt"] = json!("eA=="));
    server.change("services/line-7-modules", |service| service["spec"]["publishNotReadyAddresses"] = json!(false));
    look(&server).await;
    let writes = server.writes();
    assert!(writes.contains(&"PATCH secrets/line-7-edgehub-tls".to_owned()), "{writes:?}");
    assert!(writes.contains(&"PATCH services/line-7-modules".to_owned()), "{writes:?}");
}

#[tokio::test]
async fn a_spec_that_is_taken_back_touches_nothing() {
    let server = settled().await;
    let good = server.get("edgedeployments/line-7").unwrap()["spec"].clone();
    change_spec(&server, refuse_the_next);
    look(&server).await;
    server.take();
    change_spec(&server, |spec| *spec = good);
    look(&server).await;
    assert_eq!(server.writes(), ["PATCH edgedeployments/line-7/status"]);
    assert_eq!(remembered(&server).1, 3);
}

#[tokio::test]
async fn revisions_of_the_hubs_stateful_set_are_not_taken_for_ours() {
    let server = settled().await;
    let labels = json!({"iotedge.dev/deployment": "line-7", "app.kubernetes.io/managed-by": "edge-controller"});
    let owner =
        json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "line-7-edgehub", "uid": "s", "controller": true}]);
    server.put(json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 99, "data": {"spec": {"template": {}}},
        "metadata": {"name": "line-7-edgehub-5d4f", "namespace": "plant", "uid": "r", "labels": labels, "ownerReferences": owner},
    }));
    change_spec(&server, refuse_the_next);
    server.remove("pods/line-7-filter");
    look(&server).await;
    assert!(server.writes().contains(&"POST pods/line-7-filter".to_owned()));
    assert!(server.get("controllerrevisions/line-7-edgehub-5d4f").is_some());
}

#[tokio::test]
async fn a_secret_that_is_gone_keeps_nothing_else_from_being_repaired() {
    let server = Server::with(&[LINE]);
    let secret = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "plant", "uid": name, "resourceVersion": "1"}, "data": data});
    server.put(secret("site", json!({"username": "dQ==", "password": "cA=="})));
    server.put(secret("registry", json!({"password": "cA=="})));
    change_spec(&server, |spec| {
        spec["upstream"] = json!({"mqtt": {"url": "mqtt://b", "credentialsSecretRef": {"name": "site"}}});
        spec["registryCredentials"] =
            json!([{"name": "r", "address": "r.example", "username": "u", "secretRef": {"name": "registry", "key": "password"}}]);
    });
    look(&server).await;
    bring_the_hub(&server);
    run_pods(&server);
    look(&server).await;
    let pulls = server.get("secrets/line-7-registry").unwrap();
    server.take();
    server.remove("secrets/site");
    server.remove("secrets/registry");
    server.remove("pods/line-7-filter");
    look(&server).await;
    assert_eq!(condition(&server, "Stalled")["reason"], "SecretNotFound");
    let writes = server.writes();
    assert!(writes.contains(&"POST pods/line-7-filter".to_owned()), "{writes:?}");
    assert!(!writes.iter().any(|write| write.contains("tempsensor") || write.starts_with("DELETE")), "{writes:?}");
    assert_eq!(server.get("secrets/line-7-registry").unwrap()["data"], pulls["data"], "what was made from it stays");
}

#[tokio::test]
async fn nothing_is_made_of_a_first_spec_that_is_refused() {
    let server = Server::with(&[LINE]);
    server.change("edgedeployments/line-7", |edge| refuse_the_next(&mut edge["spec"]));
    look(&server).await;
    assert_eq!(server.writes(), ["PATCH edgedeployments/line-7/status"; 2]);
    let edge = server.get("edgedeployments/line-7").unwrap();
    assert_eq!(edge["status"]["deployment"]["acceptedVersion"], Value::Null);
}

#[tokio::test]
async fn every_problem_of_a_spec_is_reported_at_once() {
    let server = settled().await;
    change_spec(&server, |spec| {
        spec["modules"][0]["createOptions"] = json!("{not json");
        spec["modules"][1]["name"] = json!("tempsensor");
        spec["upstream"] = json!({"mqtt": {"url": "mqtt://b", "credentialsSecretRef": {"name": "absent"}}});
    });
    look(&server).await;
    assert_eq!(server.writes(), ["PATCH edgedeployments/line-7/status"]);
    let message = condition(&server, "Stalled")["message"].as_str().unwrap().to_owned();
    for part in
        ["spec.modules[tempSensor].createOptions: is not JSON", "would both have the DNS name tempsensor", "no Secret absent"]
    {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[tokio::test]
async fn a_change_of_one_module_replaces_its_pod_alone_after_a_trial() {
    let server = settled().await;
    change_spec(&server, |spec| spec["modules"][1]["image"] = json!("edge-samples/filter:2.0"));
    look(&server).await;
    assert_eq!(server.writes(), ["POST pods (dry run)", "DELETE pods/line-7-filter", "PATCH edgedeployments/line-7/status"]);
    assert_eq!(condition(&server, "Ready")["status"], "False", "a pod that is about to go does not count");
    look(&server).await;
    assert_eq!(server.writes()[0], "POST pods/line-7-filter");
}

#[tokio::test]
async fn a_pod_that_the_api_server_would_refuse_does_not_cost_the_one_that_runs() {
    let server = settled().await;
    server.refuse("dryRun", "spec.tolerations[0].operator: Unsupported value");
    change_spec(&server, |spec| spec["modules"][1]["image"] = json!("edge-samples/filter:2.0"));
    look(&server).await;
    assert_eq!(server.writes(), ["POST pods (dry run)", "PATCH edgedeployments/line-7/status"]);
    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "ApplyFailed");
    assert!(stalled["message"].as_str().unwrap().contains("Unsupported value"), "{stalled}");
}

#[tokio::test]
async fn stopping_and_removing_a_module_touches_no_other_pod() {
    let server = settled().await;
    change_spec(&server, |spec| spec["modules"][1]["status"] = json!("stopped"));
    look(&server).await;
    assert_eq!(server.writes(), ["DELETE pods/line-7-filter", "PATCH edgedeployments/line-7/status"]);
    change_spec(&server, |spec| {
        spec["modules"].as_array_mut().unwrap().remove(1);
        spec["routes"] = json!([]);
    });
    look(&server).await;
    let writes = server.writes();
    assert!(writes.contains(&"DELETE serviceaccounts/line-7-filter".to_owned()), "{writes:?}");
    assert!(!writes.iter().any(|write| write.contains("pods/line-7-tempsensor")), "{writes:?}");
    assert!(server.get("secrets/line-7-filter-identity").is_some(), "keys live as long as the hub's volume");
}

#[tokio::test]
async fn an_object_of_somebody_else_is_never_touched() {
    let theirs = "{apiVersion: v1, kind: Service, metadata: {name: line-7-edgehub, namespace: plant, uid: x}}";
    let server = Server::with(&[LINE, theirs]);
    look(&server).await;
    let writes = server.writes();
    assert!(writes.iter().all(|write| write.starts_with("POST secrets/") || write.contains("/status")), "{writes:?}");
    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "NameTaken");
    assert!(stalled["message"].as_str().unwrap().starts_with("Service line-7-edgehub: exists"), "{stalled}");
}

#[tokio::test]
async fn keys_are_made_once_and_survive_the_deployment() {
    let server = Server::with(&[LINE]);
    look(&server).await;
    let ca = server.get("secrets/line-7-ca").unwrap();
    assert_eq!(ca["metadata"]["ownerReferences"], Value::Null);
    server.change("edgedeployments/line-7", |edge| {
        edge["metadata"]["uid"] = json!("another");
        edge["status"] = Value::Null;
    });
    look(&server).await;
    assert_eq!(server.get("secrets/line-7-ca").unwrap()["data"], ca["data"]);
    assert!(condition(&server, "Ready")["message"].as_str().unwrap().contains("hub"), "waits for the garbage collector");
    assert!(
        !server.writes().iter().any(|write| write == "DELETE pods/line-7-filter"),
        "pods of another owner are not ours to delete"
    );
}

#[tokio::test]
async fn keys_that_cannot_be_used_are_named_and_left_alone() {
    let server = settled().await;
    server.change("secrets/line-7-filter-identity", |secret| secret["data"]["key"] = json!("c2hvcnQ="));
    look(&server).await;
    assert_eq!(server.writes(), ["PATCH edgedeployments/line-7/status"]);
    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "InvalidSecret");
    assert!(stalled["message"].as_str().unwrap().starts_with("Secret line-7-filter-identity: "), "{stalled}");
}

#[tokio::test]
async fn drift_is_corrected() {
    let server = settled().await;
    server.change("configmaps/line-7-trust", |map| map["data"]["ca.crt"] = json!("forged"));
    server.change("services/line-7-modules", |service| service["spec"]["publishNotReadyAddresses"] = json!(false));
    look(&server).await;
    let writes = server.writes();
    assert_eq!(writes, ["PATCH configmaps/line-7-trust", "PATCH services/line-7-modules"]);
}

#[tokio::test]
async fn a_deployment_that_is_gone_is_forgotten() {
    let server = Server::with(&[]);
    assert_eq!(reconcile(&server.context(), "plant", "line-7").await.unwrap(), None);
    assert_eq!(server.take(), []);
}

#[tokio::test]
async fn a_renewed_certificate_is_told_of_once_it_is_stored_and_not_before() {
    let server = settled().await;
    server.change("secrets/line-7-edgehub-tls", |secret| secret["data"]["tls.crt"] = json!("eA=="));
    let reasons = |server: &Server| -> Vec<_> {
        server.take().into_iter().filter_map(|write| write.body["reason"].as_str().map(str::to_owned)).collect()
    };
    server.refuse("secrets/line-7-edgehub-tls", "exceeded quota");
    look(&server).await;
    assert!(!reasons(&server).contains(&"CertificateRenewed".to_owned()));
    server.refuse_nothing();
    look(&server).await;
    assert!(reasons(&server).contains(&"CertificateRenewed".to_owned()));
}

#[tokio::test]
async fn a_hub_whose_pod_never_comes_stalls_its_deployment() {
    let server = Server::with(&[LINE]);
    look(&server).await;
    assert_eq!(condition(&server, "Stalled"), Value::Null);
    let earlier = "2026-05-01T11:57:00Z";
    server.change("statefulsets/line-7-edgehub", |set| set["metadata"]["creationTimestamp"] = json!(earlier));
    server.change("edgedeployments/line-7", |edge| {
        for condition in edge["status"]["conditions"].as_array_mut().unwrap() {
            condition["lastTransitionTime"] = json!(earlier);
        }
    });
    look(&server).await;
    let stalled = condition(&server, "Stalled");
    assert_eq!((stalled["status"].as_str(), stalled["reason"].as_str()), (Some("True"), Some("HubNotReady")));
}
