//! The hub is killed again and again under load while the place above is away. What it acknowledged, it delivers.

use std::time::Duration;

use edge_crds::edge_deployment::RuntimeStatus;
use edge_e2e::{Node, Site, load, scenario};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

/// Messages of each sender; together, 30,000.
const COUNT: u64 = 15_000;
const SENDERS: [&str; 2] = ["gauge", "meter"];
const DOWN: &str = "FROM /messages/modules/meter/* INTO BrokeredEndpoint(\"/modules/sink/inputs/in\")";
/// The hub dies when the first sender has this many acknowledgements.
const DEATHS: [u64; 4] = [1_500, 5_000, 8_500, 12_000];
/// What sending gets from one death to the next. The kubelet lets a container that dies often wait for up to 40 s by then.
const NEXT_DEATH: Duration = Duration::from_mins(2);
/// What the backlog gets to arrive.
const ARRIVED: Duration = Duration::from_mins(3);

fn acknowledged(log: &str) -> u64 {
    log.lines().rev().find_map(|line| line.strip_prefix("acknowledged ")).map_or(0, |number| number.parse().unwrap())
}

#[tokio::test]
async fn what_was_acknowledged_arrives_in_order_although_the_hub_was_killed() {
    scenario("hub-killed", async |namespace| {
        let site = Site::start(namespace).await;
        // It keeps the recorder's subscription on its volume, and is not there while everything is sent.
        site.stop().await;
        let send = format!("send --count {COUNT} --per-second 700 --window 300");
        let edge = namespace
            .edge(
                "line",
                json!({
                    "upstream": Site::upstream(),
                    "modules": [load(SENDERS[0], &send), load(SENDERS[1], &send), load("sink", "receive")],
                    "routes": [
                        {"name": "up", "route": "FROM /messages/* INTO $upstream"},
                        {"name": "down", "route": DOWN},
                    ],
                }),
            )
            .await;

        let hub = edge.names().hub_pod();
        for death in DEATHS {
            edge.log_has(SENDERS[0], &format!("{death} acknowledgements"), NEXT_DEATH, |log| {
                (acknowledged(log) >= death).then_some(())
            })
            .await;
            let log = edge.log(SENDERS[0]).await;
            assert!(!log.contains("done"), "the sender was through before the hub died: {}", acknowledged(&log));
            let killed = Node::kill(namespace, &hub).await;
            Node::running(namespace, &hub, &killed).await;
        }
        for sender in SENDERS {
            edge.log_has(sender, "its end", NEXT_DEATH, |log| log.contains(&format!("done {COUNT}")).then_some(())).await;
            let entry = edge.module_is(sender, RuntimeStatus::Stopped).await;
            assert_eq!((entry.exit_code, entry.restart_count), (Some(0), 0), "{entry:?}");
        }
        let deaths = restarts(&namespace.api::<Pod>().get(&hub).await.unwrap());
        assert_eq!(deaths, i32::try_from(DEATHS.len()).unwrap(), "the hub died as often as it was killed");

        site.resume().await;
        for sender in SENDERS {
            let ledger = site.complete(&format!("edge/line/{sender}/load"), COUNT, ARRIVED).await;
            assert_eq!((ledger.highest, ledger.missing, ledger.late, ledger.unreadable), (COUNT, 0, 0, 0), "{ledger:?}");
        }
        // What was meant for a module at the edge came to it, too, without waiting for anybody above.
        let sink = edge.received("sink", "meter", COUNT).await;
        assert_eq!((sink.highest, sink.missing, sink.late, sink.unreadable), (COUNT, 0, 0, 0), "{sink:?}");
        // The judge itself must not have been away.
        assert_eq!(restarts(&namespace.api::<Pod>().get(Site::RECORDER).await.unwrap()), 0);
    })
    .await;
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).sum()
}
