//! Changes touch what they are about and nothing else: pods keep their uids, and so does the hub's.

use std::collections::BTreeMap;

use edge_crds::edge_deployment::{DesiredStatus, RuntimeStatus};
use edge_e2e::{Edge, SOON, eventually, idle, scenario};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::{Value, json};

fn modules(modules: &[Value]) -> Value {
    json!({"modules": modules})
}

/// The names of the pods that are not the same in both.
fn differing(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let names = before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name));
    names.cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

/// Applies a spec, waits until it is in force and returns which pods are other ones than before.
async fn touched_by(edge: &Edge<'_>, spec: Value) -> Vec<String> {
    let before = edge.uids().await;
    edge.apply(spec).await;
    edge.ready().await;
    differing(&before, &edge.uids().await)
}

#[tokio::test]
async fn changing_one_module_replaces_only_its_pod() {
    scenario("change-one", async |namespace| {
        let edge = namespace.edge("line", modules(&[idle("a"), idle("b"), idle("c")])).await;
        edge.ready().await;
        assert_eq!(edge.uids().await.len(), 4, "three modules and the hub");
        let mut changed = idle("b");
        changed["env"] = json!([{"name": "COLOUR", "value": "blue"}]);
        assert_eq!(touched_by(&edge, modules(&[idle("a"), changed.clone(), idle("c")])).await, [edge.pod("b")]);
        assert_eq!(edge.exec("b", &["sh", "-c", "echo $COLOUR"]).await.trim(), "blue");
        // The order of the modules is nobody's business.
        assert_eq!(touched_by(&edge, modules(&[idle("c"), changed, idle("a")])).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn stopping_starting_and_removing_a_module_touches_only_its_pod() {
    scenario("stop-start-remove", async |namespace| {
        let edge = namespace.edge("line", modules(&[idle("a"), idle("b")])).await;
        edge.ready().await;
        let mut stopped = idle("b");
        stopped["status"] = json!("stopped");
        assert_eq!(touched_by(&edge, modules(&[idle("a"), stopped])).await, [edge.pod("b")]);
        let entry = edge.module_is("b", RuntimeStatus::Stopped).await;
        assert_eq!((entry.desired_status, entry.pod), (DesiredStatus::Stopped, None));
        assert!(!edge.uids().await.contains_key(&edge.pod("b")), "a stopped module has no pod");

        assert_eq!(touched_by(&edge, modules(&[idle("a"), idle("b")])).await, [edge.pod("b")]);
        edge.module_is("b", RuntimeStatus::Running).await;

        assert_eq!(touched_by(&edge, modules(&[idle("a")])).await, [edge.pod("b")]);
        let entries = edge.get().await.status.unwrap().modules;
        assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["a"]);
    })
    .await;
}

#[tokio::test]
async fn deleting_a_modules_pod_restarts_that_module_alone() {
    scenario("restart-one", async |namespace| {
        let edge = namespace.edge("line", modules(&[idle("a"), idle("b")])).await;
        edge.ready().await;
        let before = edge.uids().await;
        namespace.api::<Pod>().delete(&edge.pod("a"), &DeleteParams::default()).await.unwrap();
        eventually("another pod of the same name", SOON, async || {
            let uids = edge.uids().await;
            let is_new = uids.get(&edge.pod("a")).is_some_and(|uid| before.get(&edge.pod("a")) != Some(uid));
            if is_new { Ok(()) } else { Err(format!("{uids:?}")) }
        })
        .await;
        edge.ready().await;
        assert_eq!(differing(&before, &edge.uids().await), [edge.pod("a")]);
    })
    .await;
}
