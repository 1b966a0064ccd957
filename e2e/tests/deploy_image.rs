//! An image that cannot be had is the trouble of one module.

use edge_crds::condition::{ConditionType, reason};
use edge_crds::edge_deployment::RuntimeStatus;
use edge_e2e::{idle, scenario, with};
use serde_json::json;

/// In a registry that exists, and does not have it.
const MISSING: &str = "10.250.0.1:5000/e2e/no-such-image:1";
/// Nowhere.
const ABSENT: &str = "edge-e2e/no-such-image:1";

#[tokio::test]
async fn a_module_without_its_image_is_down_alone_and_says_why() {
    scenario("image", async |namespace| {
        let missing = with(idle("missing"), "image", json!(MISSING));
        let absent = with(with(idle("absent"), "image", json!(ABSENT)), "imagePullPolicy", json!("never"));
        let edge = namespace.edge("line", json!({"modules": [idle("well"), missing, absent]})).await;

        edge.module_is("well", RuntimeStatus::Running).await;
        let entry = edge.module_is("missing", RuntimeStatus::Failed).await;
        let description = entry.status_description.unwrap_or_default();
        assert!(description.contains(&format!("cannot pull image {MISSING}")), "{description}");
        let entry = edge.module_is("absent", RuntimeStatus::Failed).await;
        let description = entry.status_description.unwrap_or_default();
        assert!(description.contains(ABSENT) && description.contains("pull policy is never"), "{description}");

        let ready = edge.condition(ConditionType::Ready, "False").await;
        assert_eq!(ready.reason, reason::IMAGE_UNAVAILABLE, "{ready:?}");
        assert_eq!(edge.get().await.status.unwrap().summary.as_deref(), Some("1/3"));
        edge.condition(ConditionType::HubAvailable, "True").await;

        // Cured without touching the one that runs.
        let before = edge.uids().await;
        edge.apply(json!({"modules": [idle("well"), idle("missing"), idle("absent")]})).await;
        edge.ready().await;
        let after = edge.uids().await;
        assert_eq!(before[&edge.pod("well")], after[&edge.pod("well")]);
    })
    .await;
}
