//! A spec that the schema cannot refuse and the controller must: it says so, nothing that runs is touched, and what fails of the last
//! good spec is repaired.

use edge_crds::condition::{ConditionType, reason};
use edge_crds::edge_deployment::{ModuleStatus, RuntimeStatus};
use edge_e2e::{SOON, Site, idle, scenario, with};
use serde_json::{Value, json};

/// A bad spec, the reason that must be given, and what the message must contain: the field, and what is wrong with it.
fn bad_specs() -> Vec<(Value, &'static str, Vec<&'static str>)> {
    let options = |options: Value| json!({"modules": [idle("a"), with(idle("b"), "createOptions", options)]});
    let upstream = |upstream: Value| json!({"modules": [idle("a"), idle("b")], "upstream": {"mqtt": upstream}});
    let route = |route: &str| json!({"modules": [idle("a"), idle("b")], "routes": [{"name": "alerts", "route": route}]});
    vec![
        (options(json!("{not json")), reason::INVALID_CREATE_OPTIONS, vec!["spec.modules[b].createOptions", "JSON"]),
        (options(json!({"Cmd": 5})), reason::INVALID_CREATE_OPTIONS, vec!["spec.modules[b].createOptions.Cmd"]),
        (
            options(json!({"HostConfig": {"Binds": ["/data:/run/edge/workload"]}})),
            reason::INVALID_CREATE_OPTIONS,
            vec!["spec.modules[b].createOptions.HostConfig.Binds[0]", "workload API"],
        ),
        (route("FROM /messages/* INTO nowhere"), reason::INVALID_ROUTE, vec!["alerts", "column"]),
        (
            json!({"modules": [idle("a"), idle("b"), idle("B")]}),
            reason::NAME_COLLISION,
            vec!["spec.modules", "modules b and B", "rename one"],
        ),
        (
            upstream(json!({"url": "mqtt://site", "credentialsSecretRef": {"name": "absent"}})),
            reason::SECRET_NOT_FOUND,
            vec!["spec.upstream.mqtt.credentialsSecretRef", "Secret absent"],
        ),
        (
            json!({
                "modules": [idle("a"), idle("b")],
                "registryCredentials": [{"name": "r", "address": "r.example", "username": "u", "secretRef": {"name": "absent"}}],
            }),
            reason::SECRET_NOT_FOUND,
            vec!["spec.registryCredentials", "Secret absent"],
        ),
    ]
}

#[tokio::test]
async fn a_bad_spec_after_a_good_one_touches_nothing_and_says_what_is_wrong() {
    scenario("bad-spec", async |namespace| {
        let good = json!({"modules": [idle("a"), idle("b")]});
        let edge = namespace.edge("line", good.clone()).await;
        edge.ready().await;
        let before = edge.uids().await;
        for (bad, reason, texts) in bad_specs() {
            let generation = edge.apply(bad.clone()).await;
            let stalled = edge.stalled().await;
            assert_eq!(stalled.reason, reason, "{stalled:?}");
            assert_eq!(stalled.observed_generation, Some(generation));
            for text in texts {
                assert!(stalled.message.contains(text), "{text:?} is not in {:?}", stalled.message);
            }
            let status = edge.get().await.status.unwrap();
            let deployment = status.deployment.unwrap();
            assert_eq!((deployment.code, deployment.version), (400, generation), "{deployment:?}");
            edge.condition(ConditionType::Ready, "False").await;
            edge.says(reason_sentence(&stalled.message)).await;
            assert_eq!(edge.uids().await, before, "{bad}");
        }
        // Still refused, and a pod goes away, as when a node is drained: it comes back as the last good spec has it.
        namespace.kubectl(&["delete", "pod", &edge.pod("b"), "--wait=true"]).await;
        edge.eventually("b is back while the newest spec is refused", SOON, |status| {
            let deployment = status.deployment.clone().unwrap_or_default();
            let runs = |module: &ModuleStatus| module.name == "b" && module.runtime_status == RuntimeStatus::Running;
            let is_refused = deployment.code == 400 && deployment.accepted_version.is_some_and(|good| good < deployment.version);
            if is_refused && status.modules.iter().any(runs) { Ok(()) } else { Err(format!("{deployment:?}")) }
        })
        .await;
        edge.condition(ConditionType::Stalled, "True").await;
        let after = edge.uids().await;
        let (mut others, mut others_before) = (after.clone(), before.clone());
        assert_ne!(others.remove(&edge.pod("b")), others_before.remove(&edge.pod("b")));
        assert_eq!(others, others_before);
        // Cured: what was said is unsaid, and still nothing was touched.
        edge.apply(good).await;
        edge.ready().await;
        assert_eq!(edge.uids().await, after);
    })
    .await;
}

/// What an event says of a message begins like it.
fn reason_sentence(message: &str) -> &str {
    &message[1..message.floor_char_boundary(60)]
}

#[tokio::test]
async fn the_schema_refuses_at_once_and_the_object_stays_as_it_was() {
    scenario("schema", async |namespace| {
        let edge = namespace.edge("line", json!({"modules": [idle("a")]})).await;
        let before = edge.get().await;
        for (bad, field) in [
            (json!({"modules": [idle("edgeHub")]}), "spec.modules[0].name"),
            (json!({"modules": [idle("a"), idle("a")]}), "name=\"a\""),
            (json!({"modules": [with(idle("a"), "restartPolicy", json!("sometimes"))]}), "spec.modules[0].restartPolicy"),
            (json!({"modules": [with(idle("a"), "env", json!([{"name": "N", "value": 5}]))]}), "value"),
            (json!({"modules": [with(idle("a"), "twin", json!({}))]}), "twin"),
            (json!({"deviceId": "another", "modules": [idle("a")]}), "spec.deviceId"),
        ] {
            let refusal = edge.try_apply(bad.clone()).await.expect_err(&format!("{bad} was accepted"));
            assert!(refusal.contains(field), "{field} is not in {refusal:?}");
        }
        let after = edge.get().await;
        assert_eq!((after.metadata.generation, after.spec), (before.metadata.generation, before.spec));
    })
    .await;
}

#[tokio::test]
async fn a_missing_secret_is_no_longer_missed_once_it_is_there() {
    scenario("secret-later", async |namespace| {
        let mut upstream = Site::upstream();
        upstream["mqtt"]["credentialsSecretRef"] = json!({"name": "site-user"});
        let edge = namespace.edge("line", json!({"modules": [idle("a")], "upstream": upstream})).await;
        assert_eq!(edge.stalled().await.reason, reason::SECRET_NOT_FOUND);
        assert!(edge.uids().await.is_empty(), "nothing of a refused spec is applied");
        namespace.secret("site-user", &[("username", "line"), ("password", "secret")]).await;
        edge.ready().await;
    })
    .await;
}
