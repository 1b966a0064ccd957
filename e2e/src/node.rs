//! What no API allows: reaching into the node.

use k8s_openapi::api::core::v1::Pod;

use crate::SOON;
use crate::eventually::eventually;
use crate::namespace::Namespace;
use crate::tool::script;

/// The local cluster's node.
pub struct Node;

impl Node {
    /// Kills all processes of a pod's first container with SIGKILL, as soon as it runs, and returns its id.
    pub async fn kill(namespace: &Namespace, pod: &str) -> String {
        let id = Self::running(namespace, pod, "").await;
        script("cluster/enter.sh", &["ctr", "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", &id]).await;
        id
    }

    /// Gives an image of the node a second name.
    pub async fn tag_image(name: &str, other: &str) {
        let full = |name: &str| format!("docker.io/library/{name}");
        script("cluster/enter.sh", &["ctr", "--namespace", "k8s.io", "images", "tag", "--force", &full(name), &full(other)])
            .await;
    }

    /// Waits until a pod's first container runs under another id than `before`, and returns the id.
    pub async fn running(namespace: &Namespace, pod: &str, before: &str) -> String {
        eventually(&format!("the container of {pod} runs"), SOON, async || {
            let found = namespace.api::<Pod>().get(pod).await.map_err(|error| error.to_string())?;
            let status = found.status.unwrap_or_default().container_statuses.unwrap_or_default().into_iter().next();
            let status = status.ok_or("no container status yet")?;
            let id = status.container_id.as_deref().and_then(|id| id.split_once("://")).map(|(_, id)| id.to_owned());
            let runs = status.state.as_ref().is_some_and(|state| state.running.is_some());
            id.filter(|id| runs && id != before).ok_or_else(|| format!("{:?}", status.state))
        })
        .await
    }
}
