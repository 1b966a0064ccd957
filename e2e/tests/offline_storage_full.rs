//! The hub's volume is full while the place above is away: nobody is lied to.

use edge_crds::condition::{ConditionType, reason};
use edge_e2e::{SOON, STARTED, Site, eventually, load, scenario};
use serde_json::json;

/// Together well over the smallest volume that a hub may have.
const COUNT: u64 = 500;
const BODY_BYTES: u64 = 200_000;

#[tokio::test]
async fn senders_wait_while_the_hub_is_full_and_everything_arrives_afterwards() {
    scenario("storage-full", async |namespace| {
        let site = Site::start(namespace).await;
        site.stop().await;
        let send = format!("send --count {COUNT} --body-bytes {BODY_BYTES} --window 20 --per-second 200");
        let edge = namespace
            .edge(
                "line",
                json!({
                    "hub": {"storage": {"size": "64Mi"}},
                    "upstream": Site::upstream(),
                    "modules": [load("gauge", &send)],
                    "routes": [{"name": "up", "route": "FROM /messages/* INTO $upstream"}],
                }),
            )
            .await;
        let full = edge.condition(ConditionType::HubAvailable, "False").await;
        let full = if full.reason == reason::STORAGE_PROBLEM {
            full
        } else {
            // Before, it was only not ready yet.
            edge.eventually("the hub says that it is full", STARTED, |status| {
                let found = status.conditions.iter().find(|condition| condition.reason == reason::STORAGE_PROBLEM);
                found.cloned().ok_or_else(|| "no storage problem".to_owned())
            })
            .await
        };
        assert!(full.message.contains("cannot store"), "{full:?}");
        // Unacknowledged: the sender knows that it has to keep what it has.
        let acknowledged = acknowledged(&edge.log("gauge").await);
        assert!(acknowledged < COUNT, "{acknowledged} messages of {BODY_BYTES} bytes in 64 MiB");
        let pod = edge.names().hub_pod();
        let uid = edge.uids().await[&pod].clone();

        site.resume().await;
        edge.log_has("gauge", "the end", STARTED, |log| log.contains(&format!("done {COUNT}")).then_some(())).await;
        let ledger = site.complete("edge/line/gauge/load", COUNT, STARTED).await;
        assert_eq!((ledger.late, ledger.unreadable), (0, 0), "{ledger:?}");
        edge.condition(ConditionType::HubAvailable, "True").await;
        assert_eq!(edge.uids().await[&pod], uid);
        eventually("the hub was not started again", SOON, async || {
            let pods = namespace.pods().await;
            let hub = pods.iter().find(|found| found.metadata.name.as_deref() == Some(&pod)).ok_or("no hub")?;
            let restarts =
                hub.status.iter().flat_map(|status| status.container_statuses.iter().flatten()).map(|c| c.restart_count);
            if restarts.sum::<i32>() == 0 { Ok(()) } else { Err("it was".to_owned()) }
        })
        .await;
    })
    .await;
}

/// How many messages the sender knows to be safe.
fn acknowledged(log: &str) -> u64 {
    log.lines().rev().find_map(|line| line.strip_prefix("acknowledged ")).map_or(0, |number| number.parse().unwrap())
}
