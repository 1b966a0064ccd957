//! Images behind a password.

use edge_crds::condition::ConditionType;
use edge_crds::edge_deployment::RuntimeStatus;
use edge_e2e::{Namespace, idle, scenario, script, with};
use serde_json::{Value, json};

/// Asks for the user `edge` and a password.
const REGISTRY: &str = "10.250.0.1:5001";

/// Pushes busybox to the closed registry under a name that no node has yet.
async fn push(namespace: &Namespace) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("busybox.tar");
    let file = file.to_str().unwrap();
    script("images/build-busybox.sh", &[file]).await;
    let name = format!("{REGISTRY}/e2e/closed:{}", namespace.name());
    script("cluster/push-image.sh", &[file, &name]).await;
    name
}

fn spec(image: &str) -> Value {
    json!({
        "modules": [idle("open"), with(idle("closed"), "image", json!(image))],
        "registryCredentials": [{"name": "site", "address": REGISTRY, "username": "edge", "secretRef": {"name": "registry"}}],
    })
}

/// The password that the cluster made for its closed registry.
fn password() -> String {
    let kubeconfig = std::path::PathBuf::from(std::env::var_os("EDGE_TEST_KUBECONFIG").unwrap());
    std::fs::read_to_string(kubeconfig.with_file_name("registry-password")).unwrap().trim().to_owned()
}

#[tokio::test]
async fn an_image_is_pulled_with_registry_credentials() {
    scenario("registry", async |namespace| {
        let image = push(namespace).await;
        namespace.secret("registry", &[("password", &password())]).await;
        let edge = namespace.edge("line", spec(&image)).await;
        edge.ready().await;
        let entry = edge.module_is("closed", RuntimeStatus::Running).await;
        assert_eq!(entry.image.as_deref(), Some(image.as_str()));
        assert!(entry.image_id.is_some_and(|id| id.contains("sha256:")));
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_is_told_and_its_correction_is_enough() {
    scenario("registry-wrong", async |namespace| {
        let image = push(namespace).await;
        namespace.secret("registry", &[("password", "not the password")]).await;
        let edge = namespace.edge("line", spec(&image)).await;
        let entry = edge.module_is("closed", RuntimeStatus::Failed).await;
        let description = entry.status_description.unwrap_or_default();
        assert!(description.contains(&format!("cannot pull image {image}")), "{description}");
        edge.module_is("open", RuntimeStatus::Running).await;
        edge.condition(ConditionType::Ready, "False").await;
        let shown = format!("{:?} {:?}", edge.get().await, edge.said().await);
        assert!(!shown.contains("not the password"), "{shown}");

        let before = edge.uids().await;
        let patch = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registry"}, "stringData": {"password": password()}});
        namespace.apply(patch).await;
        edge.ready().await;
        // The kubelet tries again with what the Secret holds by now; no pod has to be made anew.
        assert_eq!(edge.uids().await, before);
    })
    .await;
}
