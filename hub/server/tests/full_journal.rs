//! A journal that is full makes senders wait; nothing is lost, nothing overtakes, and those who read free it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use edge_mqtt::Event;
use edge_protocol::status::HubStatus;
use support::*;

/// Far more than the journal of the test holds.
const COUNT: usize = 400;
const BODY_BYTES: usize = 64 * 1024;

fn body(n: usize) -> Vec<u8> {
    let mut body = vec![0; BODY_BYTES];
    body[..8].copy_from_slice(&(n as u64).to_be_bytes());
    body
}

#[tokio::test]
async fn senders_wait_while_the_journal_is_full_and_everything_arrives_in_order_when_it_is_read() {
    let hub = TestHub::start_with(|hub| {
        hub["routes"] = routes_json(&[SENSOR_TO_FILTER]);
        hub["limits"]["maxJournalBytes"] = (12 * 1024 * 1024).into();
    })
    .await;
    let mut agent = hub.client("$edgeAgent").await;
    subscribe(&mut agent, "$edgehub/status").await;
    let mut sensor = hub.client("tempSensor").await;
    let topic = output_topic("tempSensor", "");
    let ids: Vec<_> = (0..COUNT).map(|n| sensor.publish(&topic, body(n).into(), false).unwrap()).collect();

    let mut acknowledged = 0;
    loop {
        tokio::select! {
            event = event(&mut sensor) => {
                assert!(matches!(event, Event::PubAck(id) if id == ids[acknowledged]), "out of order: {event:?}");
                acknowledged += 1;
                assert!(acknowledged < COUNT, "the journal took more than it may hold");
            }
            message = message(&mut agent) => {
                let status: HubStatus = serde_json::from_slice(&message.payload).unwrap();
                if status.storage_problem.is_some_and(|problem| problem.contains("full")) {
                    break;
                }
            }
        }
    }

    let mut filter = hub.subscriber("filter").await;
    let reading = async {
        for n in 0..COUNT {
            let message = take(&mut filter).await;
            assert_eq!(message.payload[..8], (n as u64).to_be_bytes(), "message {n}");
        }
    };
    let sending = async {
        for id in &ids[acknowledged..] {
            assert!(matches!(event(&mut sensor).await, Event::PubAck(answered) if answered == *id));
        }
    };
    tokio::join!(reading, sending);
    loop {
        let status: HubStatus = serde_json::from_slice(&message(&mut agent).await.payload).unwrap();
        if status.storage_problem.is_none() {
            return;
        }
    }
}
