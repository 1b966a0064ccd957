//! The hub has no more room while the place above is away: it does what it was told to do, and nobody is lied to.

use edge_crds::condition::{ConditionType, reason};
use edge_e2e::{Edge, Namespace, SOON, STARTED, Site, eventually, load, scenario};
use serde_json::{Value, json};

/// Together well over the smallest volume that a hub may have.
const COUNT: u64 = 500;
const BODY_BYTES: u64 = 200_000;
/// The sender's messages at the place above.
const TOPIC: &str = "edge/line/gauge/load";

/// A spec whose sender has more for the place above than the hub can hold.
fn too_much(on_full: &str) -> Value {
    let send = format!("send --count {COUNT} --body-bytes {BODY_BYTES} --window 20 --per-second 200");
    json!({
        "hub": {"storage": {"size": "64Mi"}, "storeAndForward": {"onFull": on_full}},
        "upstream": Site::upstream(),
        "modules": [load("gauge", &send)],
        "routes": [{"name": "up", "route": "FROM /messages/* INTO $upstream"}],
    })
}

/// Waits until there is no more room, and checks that this alone makes nothing else bad.
async fn full(edge: &Edge<'_>, expected: &str) {
    let said = edge
        .eventually("the hub says that it is full", STARTED, |status| {
            let found = status.conditions.iter().find(|condition| condition.type_ == ConditionType::StoragePressure.as_str());
            found.cloned().ok_or_else(|| "no storage pressure".to_owned())
        })
        .await;
    assert_eq!((said.status.as_str(), said.reason.as_str()), ("True", expected), "{said:?}");
    assert!(said.message.contains("$upstream") && said.message.contains("storeAndForward.maxBytes"), "{said:?}");
    edge.condition(ConditionType::HubAvailable, "True").await;
    edge.says(&said.message[1..60]).await;
}

#[tokio::test]
async fn senders_wait_while_the_hub_is_full_and_everything_arrives_afterwards() {
    scenario("storage-full", async |namespace| {
        let site = Site::start(namespace).await;
        site.stop().await;
        let edge = namespace.edge("line", too_much("RejectNew")).await;
        full(&edge, reason::SENDERS_WAIT).await;
        // Unacknowledged: the sender knows that it has to keep what it has.
        let acknowledged = acknowledged(&edge.log("gauge").await);
        assert!(acknowledged < COUNT, "{acknowledged} messages of {BODY_BYTES} bytes in 64 MiB");
        let pod = edge.names().hub_pod();
        let uid = edge.uids().await[&pod].clone();

        site.resume().await;
        edge.log_has("gauge", "the end", STARTED, |log| log.contains(&format!("done {COUNT}")).then_some(())).await;
        let ledger = site.complete(TOPIC, COUNT, STARTED).await;
        assert_eq!((ledger.late, ledger.unreadable), (0, 0), "{ledger:?}");
        edge.eventually("there is room again", SOON, |status| {
            let is_pressed = status.conditions.iter().any(|condition| condition.type_ == ConditionType::StoragePressure.as_str());
            if is_pressed { Err("still full".to_owned()) } else { Ok(()) }
        })
        .await;
        assert_eq!(edge.uids().await[&pod], uid);
        was_not_restarted(namespace, &pod).await;
    })
    .await;
}

#[tokio::test]
async fn the_oldest_messages_are_dropped_while_the_hub_is_full_and_exactly_the_others_arrive_afterwards() {
    scenario("storage-drops", async |namespace| {
        let site = Site::start(namespace).await;
        site.stop().await;
        let edge = namespace.edge("line", too_much("DropOldest")).await;
        // Nobody waits: the sender comes to its end while nothing is delivered.
        edge.log_has("gauge", "the end", STARTED, |log| log.contains(&format!("done {COUNT}")).then_some(())).await;
        full(&edge, reason::MESSAGES_DROPPED).await;
        let dropped = metric(&edge.hub_metrics().await, "edgehub_messages_dropped_total{reason=\"store_full\"}");
        assert!((1..COUNT).contains(&dropped), "{dropped} of {COUNT} dropped");

        site.resume().await;
        let ledger = eventually("the newest at the place above", STARTED, async || {
            let ledger = site.ledgers().await.of(TOPIC);
            if ledger.highest == COUNT { Ok(ledger) } else { Err(format!("{ledger:?}")) }
        })
        .await;
        assert_eq!((ledger.missing, ledger.late, ledger.unreadable), (dropped, 0, 0), "{ledger:?}");
        was_not_restarted(namespace, &edge.names().hub_pod()).await;
    })
    .await;
}

async fn was_not_restarted(namespace: &Namespace, pod: &str) {
    eventually("the hub was not started again", SOON, async || {
        let pods = namespace.pods().await;
        let hub = pods.iter().find(|found| found.metadata.name.as_deref() == Some(pod)).ok_or("no hub")?;
        let restarts = hub.status.iter().flat_map(|status| status.container_statuses.iter().flatten()).map(|c| c.restart_count);
        if restarts.sum::<i32>() == 0 { Ok(()) } else { Err("it was".to_owned()) }
    })
    .await;
}

/// The value of a metric, with its labels; 0 if it is not there.
fn metric(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

/// How many messages the sender knows to be safe.
fn acknowledged(log: &str) -> u64 {
    log.lines().rev().find_map(|line| line.strip_prefix("acknowledged ")).map_or(0, |number| number.parse().unwrap())
}
