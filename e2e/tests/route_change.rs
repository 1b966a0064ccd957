//! Routes change while everything runs.

use std::time::{Duration, Instant};

use edge_crds::condition::{ConditionType, reason};
use edge_e2e::{Edge, SOON, Site, eventually, load, scenario};
use serde_json::{Value, json};

/// What a new route gets to be in force. The files of a pod are refreshed once in a minute and a half, unless somebody asks.
const IN_FORCE: Duration = Duration::from_secs(20);

fn spec(routes: &[(&str, &str)]) -> Value {
    let routes: Vec<Value> = routes.iter().map(|(name, route)| json!({"name": name, "route": route})).collect();
    json!({
        "upstream": Site::upstream(),
        "modules": [load("gauge", "send --count 1000000 --per-second 20"), load("sink", "receive")],
        "routes": routes,
    })
}

const UP: (&str, &str) = ("up", "FROM /messages/modules/gauge/outputs/load INTO $upstream");
const DOWN: (&str, &str) = ("down", "FROM /messages/modules/gauge/* INTO BrokeredEndpoint(\"/modules/sink/inputs/in\")");

/// Waits until messages of the gauge come to the sink that were sent after now.
async fn sink_gets_more(edge: &Edge<'_>) {
    let before = edge.ledgers("sink").await.of("gauge").arrivals;
    eventually("the sink gets messages", IN_FORCE, async || {
        let arrivals = edge.ledgers("sink").await.of("gauge").arrivals;
        if arrivals > before { Ok(()) } else { Err(format!("{arrivals} arrivals")) }
    })
    .await;
}

#[tokio::test]
async fn a_route_comes_into_force_within_seconds_and_restarts_nothing() {
    scenario("route-change", async |namespace| {
        let site = Site::start(namespace).await;
        let edge = namespace.edge("line", spec(&[])).await;
        edge.ready().await;
        edge.log_has("gauge", "acknowledgements", SOON, |log| log.contains("acknowledged").then_some(())).await;
        assert_eq!(site.ledgers().await.of("edge/line/gauge/load").arrivals, 0, "no route leads there yet");
        let before = edge.uids().await;

        let began = Instant::now();
        edge.apply(spec(&[UP])).await;
        site.has_any("edge/line/gauge/load", IN_FORCE).await;
        edge.ready().await;
        assert!(began.elapsed() < IN_FORCE, "{:?} until Ready", began.elapsed());

        edge.apply(spec(&[UP, DOWN])).await;
        sink_gets_more(&edge).await;
        edge.ready().await;

        // A bad route changes nothing: the good ones stay in force.
        edge.apply(spec(&[DOWN, ("bad", "FROM /messages/* INTO somewhere")])).await;
        assert_eq!(edge.stalled().await.reason, reason::INVALID_ROUTE);
        sink_gets_more(&edge).await;

        edge.apply(spec(&[DOWN])).await;
        edge.ready().await;
        edge.condition(ConditionType::RoutesAccepted, "True").await;
        // What was on its way up has arrived when the hub's queue to the place above is gone or empty; from then on nothing comes.
        let mut last = None;
        eventually("nothing more goes up", IN_FORCE, async || {
            let arrivals = site.ledgers().await.of("edge/line/gauge/load").arrivals;
            sink_gets_more(&edge).await;
            let still = last == Some(arrivals);
            last = Some(arrivals);
            if still { Ok(()) } else { Err(format!("{arrivals} arrivals")) }
        })
        .await;
        assert_eq!(edge.uids().await, before);
        let restarts = edge.module("gauge", "is known", |entry| Ok(entry.restart_count)).await;
        assert_eq!(restarts, 0);
        assert!(!edge.log("gauge").await.contains("broken"), "its connection held");
    })
    .await;
}

#[tokio::test]
async fn a_route_upstream_without_an_upstream_is_accepted_and_says_that_it_drops() {
    scenario("no-upstream", async |namespace| {
        let spec = json!({
            "modules": [load("gauge", "send --count 500 --per-second 500")],
            "routes": [{"name": UP.0, "route": UP.1}],
        });
        let edge = namespace.edge("line", spec).await;
        edge.ready().await;
        // The sender is not held up for it.
        edge.log_has("gauge", "the end", SOON, |log| log.contains("done 500").then_some(())).await;
        let status = edge.get().await.status.unwrap();
        let route = status.routes.iter().find(|route| route.name == "up").expect("the route is in the status");
        assert!(route.message.as_deref().is_some_and(|message| message.contains("upstream")), "{route:?}");
        let metrics = edge.hub_metrics().await;
        let dropped = metrics.lines().find(|line| line.starts_with("edgehub_messages_dropped") && line.contains("no_upstream"));
        assert!(dropped.is_some_and(|line| line.ends_with(" 500")), "{metrics}");
    })
    .await;
}
