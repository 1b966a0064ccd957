//! What a person sees of an EdgeDeployment that is well, and of what was done to it.

use edge_e2e::{idle, scenario};
use serde_json::json;

#[tokio::test]
async fn kubectl_shows_a_deployment_that_is_ready() {
    scenario("ready", async |namespace| {
        let edge = namespace.edge("line", json!({"modules": [idle("a"), idle("b")]})).await;
        namespace.kubectl(&["wait", "--for=condition=Ready", "edep/line", "--timeout=150s"]).await;
        edge.ready().await;

        let table = namespace.kubectl(&["get", "edep"]).await;
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["NAME", "READY", "REASON", "MODULES", "UPSTREAM", "AGE"], "{table}");
        assert_eq!(rows[1][..5], ["line", "True", "Ready", "2/2", "None"], "{table}");
        assert_eq!(rows.len(), 2, "{table}");
        // The category, for those who look around.
        assert!(namespace.kubectl(&["get", "edge", "--output=name"]).await.contains("edgedeployment.iotedge.dev/line"));
    })
    .await;
}

#[tokio::test]
async fn kubectl_describe_tells_in_sentences_what_was_done() {
    scenario("describe", async |namespace| {
        let edge = namespace.edge("line", json!({"modules": [idle("keeper"), idle("worker"), idle("guest")]})).await;
        edge.ready().await;
        let mut changed = idle("worker");
        changed["env"] = json!([{"name": "MODE", "value": "night"}]);
        edge.apply(json!({"modules": [idle("keeper"), changed, idle("guest")]})).await;
        edge.ready().await;
        let mut stopped = changed_to_stopped("worker");
        stopped["env"] = json!([{"name": "MODE", "value": "night"}]);
        edge.apply(json!({"modules": [idle("keeper"), stopped]})).await;
        edge.ready().await;

        let sentences = [
            "Started module keeper.",
            "Stopped module worker to start it anew: its settings changed.",
            "Stopped module worker.",
            "Removed module guest.",
        ];
        for sentence in sentences {
            edge.says(sentence).await;
        }
        let description = namespace.kubectl(&["describe", "edep", "line"]).await;
        let events = description.split_once("\nEvents:").expect("there are events").1;
        for sentence in sentences {
            assert!(events.contains(sentence), "{description}");
        }
        // One per change, not one per look.
        assert_eq!(events.matches("Started module keeper.").count(), 1, "{events}");
    })
    .await;
}

fn changed_to_stopped(name: &str) -> serde_json::Value {
    let mut module = idle(name);
    module["status"] = json!("stopped");
    module
}
