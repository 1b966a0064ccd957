//! The controller comes and goes; modules do not notice.

use edge_e2e::{OPERATOR, OPERATOR_NAMESPACE, Site, idle, kubectl, load, scenario};
use serde_json::json;

#[tokio::test]
async fn a_restart_of_the_controller_restarts_no_module_and_holds_up_no_message() {
    scenario("controller", async |namespace| {
        let site = Site::start(namespace).await;
        let spec = |modules: serde_json::Value| {
            json!({
                "upstream": Site::upstream(),
                "modules": modules,
                "routes": [{"name": "up", "route": "FROM /messages/* INTO $upstream"}],
            })
        };
        let gauge = load("gauge", "send --count 3000 --per-second 100");
        let edge = namespace.edge("line", spec(json!([idle("a"), gauge]))).await;
        edge.ready().await;
        let before = edge.uids().await;

        let operator = format!("deployment/{OPERATOR}");
        kubectl(&["--namespace", OPERATOR_NAMESPACE, "rollout", "restart", &operator]).await;
        kubectl(&["--namespace", OPERATOR_NAMESPACE, "rollout", "status", &operator, "--timeout=120s"]).await;
        // The new one is at work: it does what it is asked.
        edge.apply(spec(json!([idle("a"), idle("b"), load("gauge", "send --count 3000 --per-second 100")]))).await;
        edge.ready().await;
        let mut after = edge.uids().await;
        assert!(after.remove(&edge.pod("b")).is_some());
        assert_eq!(after, before);
        site.complete("edge/line/gauge/load", 3000, edge_e2e::STARTED).await;
        assert!(!edge.log("gauge").await.contains("broken"), "its connection held");
    })
    .await;
}
