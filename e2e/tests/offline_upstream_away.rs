//! The place above goes away and comes back; at the edge life goes on.

use edge_crds::condition::ConditionType;
use edge_e2e::{SOON, STARTED, Site, eventually, load, scenario};
use serde_json::json;

const COUNT: u64 = 6_000;

#[tokio::test]
async fn without_the_place_above_local_routes_go_on_and_the_backlog_arrives_later() {
    scenario("upstream-away", async |namespace| {
        let site = Site::start(namespace).await;
        let send = format!("send --count {COUNT} --per-second 150");
        let edge = namespace.edge("line", json!({
            "upstream": Site::upstream(),
            "modules": [load("gauge", &send), load("sink", "receive")],
            "routes": [
                {"name": "up", "route": "FROM /messages/modules/gauge/outputs/* INTO $upstream"},
                {"name": "local", "route": "FROM /messages/modules/gauge/outputs/* INTO BrokeredEndpoint(\"/modules/sink/inputs/in\")"},
            ],
        })).await;
        edge.ready().await;
        edge.condition(ConditionType::UpstreamConnected, "True").await;
        assert!(namespace.kubectl(&["get", "edep", "line"]).await.contains("Connected"));
        site.has_any("edge/line/gauge/load", SOON).await;

        site.stop().await;
        let away = edge.condition(ConditionType::UpstreamConnected, "False").await;
        assert!(!away.message.is_empty(), "{away:?}");
        let at_the_edge = edge.ledgers("sink").await.of("gauge").arrivals;
        let above = site.ledgers().await.of("edge/line/gauge/load").highest;
        eventually("the local route goes on", SOON, async || {
            let arrivals = edge.ledgers("sink").await.of("gauge").arrivals;
            if arrivals >= at_the_edge + 600 { Ok(()) } else { Err(format!("{arrivals} arrivals, {at_the_edge} before")) }
        })
        .await;
        let status = edge.get().await.status.unwrap();
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
        assert_eq!(ready.status, "True", "being offline is normal: {ready:?}");
        let table = namespace.kubectl(&["get", "edep", "line"]).await;
        assert!(table.lines().nth(1).is_some_and(|row| row.contains("Disconnected") && row.contains("True")), "{table}");
        edge.says("upstream").await;
        assert_eq!(site.ledgers().await.of("edge/line/gauge/load").highest, above, "nothing can have arrived");

        site.resume().await;
        edge.condition(ConditionType::UpstreamConnected, "True").await;
        let ledger = site.complete("edge/line/gauge/load", COUNT, STARTED).await;
        assert_eq!((ledger.late, ledger.unreadable), (0, 0), "{ledger:?}");
        assert_eq!(edge.received("sink", "gauge", COUNT).await.late, 0);
    })
    .await;
}
