//! The operator is upgraded under everything that runs. Run alone: it replaces the hubs of every other scenario, too.

use std::path::PathBuf;

use edge_crds::condition::ConditionType;
use edge_e2e::{Node, OPERATOR, OPERATOR_NAMESPACE, SOON, STARTED, Site, eventually, idle, load, scenario, script};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

const NOW: &str = "edge-operator:dev";
/// The same image as another version of it.
const NEXT: &str = "next";

async fn upgrade_to(tag: &str) {
    let chart = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../charts/edge-operator");
    let image = format!("image.tag={tag}");
    let arguments = ["upgrade", OPERATOR, chart.to_str().unwrap(), "--namespace", OPERATOR_NAMESPACE, "--reuse-values"];
    script("cluster/helm.sh", &[&arguments[..], &["--set-string", &image, "--wait", "--timeout", "180s"]].concat()).await;
}

/// The workload API of a pod: the image that it should have, the id of the container that runs, and whether that is ready. The
/// kubelet's word for the image would not do: of two names for one image it says the one that it likes.
fn sidecar(pod: &Pod) -> (String, String, bool) {
    let image = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref()?.first()?.image.clone());
    let statuses = pod.status.as_ref().and_then(|status| status.init_container_statuses.clone()).unwrap_or_default();
    let status = statuses.into_iter().next().expect("there is a sidecar");
    (image.expect("it has an image"), status.container_id.unwrap_or_default(), status.ready)
}

/// Id of the module's own container: it changes with every start.
fn container(pod: &Pod) -> String {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.clone()).unwrap_or_default();
    statuses[0].container_id.clone().expect("it runs")
}

#[tokio::test]
#[ignore = "replaces the operator under every other scenario: run alone"]
async fn an_upgrade_restarts_no_module_and_loses_no_message() {
    scenario("upgrade", async |namespace| {
        Node::tag_image(NOW, &format!("edge-operator:{NEXT}")).await;
        let site = Site::start(namespace).await;
        let edge = namespace
            .edge(
                "line",
                json!({
                    "upstream": Site::upstream(),
                    "modules": [idle("a"), load("gauge", "send --count 3000 --per-second 60")],
                    "routes": [{"name": "up", "route": "FROM /messages/* INTO $upstream"}],
                }),
            )
            .await;
        edge.ready().await;
        // What is on the hub's disk has to survive, too.
        site.stop().await;
        edge.condition(ConditionType::UpstreamConnected, "False").await;
        let sidecars = [sidecar(&edge.get_pod("a").await).1, sidecar(&edge.get_pod("gauge").await).1];
        let before = (edge.uids().await, container(&edge.get_pod("a").await), container(&edge.get_pod("gauge").await));

        upgrade_to(NEXT).await;
        for (module, old) in ["a", "gauge"].into_iter().zip(sidecars) {
            eventually(&format!("the workload API of {module} is the next one"), SOON, async || {
                let (image, id, ready) = sidecar(&edge.get_pod(module).await);
                let is_next = image.ends_with(&format!(":{NEXT}")) && id != old && ready;
                if is_next { Ok(()) } else { Err(format!("{image}, {id}, ready: {ready}")) }
            })
            .await;
        }
        let hub = edge.names().hub_pod();
        eventually("another hub", STARTED, async || {
            let uids = edge.uids().await;
            if uids.get(&hub).is_some_and(|uid| before.0.get(&hub) != Some(uid)) { Ok(()) } else { Err(format!("{uids:?}")) }
        })
        .await;
        edge.ready().await;
        let mut uids = before.0.clone();
        uids.insert(hub.clone(), edge.uids().await[&hub].clone());
        assert_eq!(edge.uids().await, uids, "only the hub's pod is another one");
        let after = (container(&edge.get_pod("a").await), container(&edge.get_pod("gauge").await));
        assert_eq!(after, (before.1, before.2), "the modules' containers went on");

        site.resume().await;
        let ledger = site.complete("edge/line/gauge/load", 3000, STARTED).await;
        assert_eq!((ledger.late, ledger.unreadable), (0, 0), "{ledger:?}");
        upgrade_to("dev").await;
    })
    .await;
}
