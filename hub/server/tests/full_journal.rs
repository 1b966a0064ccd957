//! A journal without room: what the configuration says happens, to that endpoint alone, and it is told and counted exactly.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::VecDeque;
use std::num::NonZeroU16;

use edge_mqtt::{Connection, Event};
use edge_protocol::status::{FullEffect, HubStatus};
use serde_json::{Value, json};
use support::*;

/// Far more than the journal of the test holds.
const COUNT: usize = 400;
const BODY_BYTES: usize = 64 * 1024;
/// In flight at once: 3 MiB.
const WINDOW: usize = 50;
/// Room for a part of it, and as little as a journal can have.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
const OTHER_TO_FILTER: &str = "FROM /messages/modules/other/* INTO BrokeredEndpoint(\"/modules/filter/inputs/input2\")";

fn body(n: usize) -> Vec<u8> {
    let mut body = vec![0; BODY_BYTES];
    body[..8].copy_from_slice(&(n as u64).to_be_bytes());
    body
}

fn number(payload: &[u8]) -> u64 {
    u64::from_be_bytes(payload[..8].try_into().unwrap())
}

async fn small_hub(on_full: &str) -> TestHub {
    TestHub::start_with(|hub| {
        hub["routes"] = routes_json(&[SENSOR_TO_FILTER, OTHER_TO_FILTER]);
        hub["storeAndForward"] = json!({"maxBytes": MAX_BYTES, "onFull": on_full});
    })
    .await
}

async fn agent(hub: &TestHub) -> Connection {
    let mut agent = hub.client("$edgeAgent").await;
    subscribe(&mut agent, "$edgehub/status").await;
    agent
}

fn status(payload: &[u8]) -> HubStatus {
    serde_json::from_slice(payload).unwrap()
}

/// Waits until the hub says of its endpoints what `wanted` is.
async fn endpoints_are(agent: &mut Connection, wanted: &[(&str, FullEffect)]) {
    loop {
        let status = status(&message(agent).await.payload);
        assert_eq!(status.storage_problem, None, "a full endpoint is none");
        let full: Vec<_> = status.full_endpoints.iter().map(|full| (full.endpoint.as_str(), full.effect)).collect();
        if full == wanted {
            return;
        }
    }
}

#[tokio::test]
async fn senders_to_a_full_endpoint_wait_others_go_on_and_everything_arrives_in_order_when_it_is_read() {
    let hub = small_hub("RejectNew").await;
    let mut agent = agent(&hub).await;
    let mut sender = Sender::new(hub.client("tempSensor").await);
    step_until(&mut sender, &mut agent, "filter/input1").await;
    // The room of another endpoint is its own.
    let mut other = hub.client("other").await;
    for n in 0..20 {
        publish(&mut other, &output_topic("other", ""), body(n)).await;
    }
    let (acknowledged, mut filter) = (sender.acknowledged(), hub.subscriber("filter").await);
    let reading = async {
        let (mut first, mut second) = (0, 0);
        while first < COUNT || second < 20 {
            let message = take(&mut filter).await;
            let expected = if message.topic.contains("/inputs/input1/") { &mut first } else { &mut second };
            assert_eq!(number(&message.payload), *expected as u64, "{}", message.topic);
            *expected += 1;
        }
    };
    let sending = async {
        while !sender.is_done() {
            sender.step().await;
        }
    };
    tokio::join!(reading, sending);
    assert!(acknowledged < COUNT, "{acknowledged} of {COUNT}");
    endpoints_are(&mut agent, &[]).await;
    assert_eq!(hub.metric("edgehub_messages_dropped_total{reason=\"store_full\"}").await, 0);
}

#[tokio::test]
async fn the_oldest_messages_of_a_full_endpoint_are_dropped_counted_and_told_and_those_of_another_stay() {
    let hub = small_hub("DropOldest").await;
    let mut agent = agent(&hub).await;
    let mut other = hub.client("other").await;
    for n in 0..20 {
        publish(&mut other, &output_topic("other", ""), body(n)).await;
    }
    let mut sender = Sender::new(hub.client("tempSensor").await);
    while !sender.is_done() {
        sender.step().await;
    }
    endpoints_are(&mut agent, &[("filter/input1", FullEffect::Dropping)]).await;
    let dropped = hub.metric("edgehub_messages_dropped_total{reason=\"store_full\"}").await;
    let used = hub.metric("edgehub_journal_disk_bytes").await;
    assert!(used <= MAX_BYTES + 4 * 1024 * 1024, "{used} bytes on disk: more than the limit and a segment");
    // Published is delivered and dropped, exactly: the newest are there, in order and without a gap.
    let mut filter = hub.subscriber("filter").await;
    let (mut readings, mut others) = (Vec::new(), Vec::new());
    while readings.last() != Some(&(COUNT as u64 - 1)) || others.len() < 20 {
        let message = take(&mut filter).await;
        let numbers = if message.topic.contains("/inputs/input1/") { &mut readings } else { &mut others };
        numbers.push(number(&message.payload));
    }
    assert_eq!(readings, (dropped..COUNT as u64).collect::<Vec<_>>(), "{dropped} are counted as dropped");
    assert!(dropped > 0);
    assert_eq!(others, (0..20).collect::<Vec<_>>(), "a full endpoint takes nothing from another");
    // Acknowledgements leave while somebody listens.
    tokio::select! {
        message = message(&mut filter) => panic!("one message too many: {}", number(&message.payload)),
        () = hub.metric_reaches("edgehub_journal_settled_total", COUNT as u64 - dropped + 20) => {}
    }
    assert_eq!(hub.metric("edgehub_queue_length{endpoint=\"filter/input1\",priority=\"2000000000\"}").await, 0);
}

#[tokio::test]
async fn more_room_or_another_policy_counts_without_a_restart() {
    let hub = small_hub("RejectNew").await;
    let mut agent = agent(&hub).await;
    let mut sender = Sender::new(hub.client("tempSensor").await);
    let configure = |version: &str, quota: Value| {
        hub.configure(|hub| {
            hub["version"] = json!(version);
            hub["routes"] = routes_json(&[SENSOR_TO_FILTER, OTHER_TO_FILTER]);
            hub["storeAndForward"] = quota;
        });
    };
    step_until(&mut sender, &mut agent, "filter/input1").await;
    let before = sender.acknowledged();
    configure("2", json!({"maxBytes": 2 * MAX_BYTES, "onFull": "RejectNew"}));
    step_until_over(&mut sender, before).await;
    assert_eq!(hub.metric("edgehub_journal_limit_bytes").await, 2 * MAX_BYTES);
    step_until(&mut sender, &mut agent, "filter/input1").await;
    configure("3", json!({"maxBytes": MAX_BYTES, "onFull": "DropOldest"}));
    while !sender.is_done() {
        sender.step().await;
    }
    assert!(hub.metric("edgehub_messages_dropped_total{reason=\"store_full\"}").await > 0);
}

/// Sends until the hub says that it refuses for `endpoint`.
async fn step_until(sender: &mut Sender, agent: &mut Connection, endpoint: &str) {
    loop {
        tokio::select! {
            () = sender.step() => assert!(sender.next < COUNT, "the journal took more than it may hold"),
            message = message(agent) => {
                let full = status(&message.payload).full_endpoints;
                if full.iter().any(|full| full.endpoint == endpoint && full.effect == FullEffect::Refusing) {
                    return;
                }
            }
        }
    }
}

/// Sends until a whole window more than `before` is acknowledged.
async fn step_until_over(sender: &mut Sender, before: usize) {
    while sender.acknowledged() <= before + WINDOW {
        sender.step().await;
    }
}

/// Publishes with a window, as SDKs do, and insists on acknowledgements in order.
struct Sender {
    connection: Connection,
    in_flight: VecDeque<NonZeroU16>,
    next: usize,
}

impl Sender {
    fn new(connection: Connection) -> Self {
        Self { connection, in_flight: VecDeque::new(), next: 0 }
    }

    fn acknowledged(&self) -> usize {
        self.next - self.in_flight.len()
    }

    fn is_done(&self) -> bool {
        self.acknowledged() == COUNT
    }

    /// Fills the window and waits for one acknowledgement. May be dropped at any await.
    async fn step(&mut self) {
        let topic = output_topic("tempSensor", "");
        while self.in_flight.len() < WINDOW && self.next < COUNT {
            self.in_flight.push_back(self.connection.publish(&topic, &body(self.next), false).unwrap());
            self.next += 1;
        }
        match event(&mut self.connection).await {
            Event::PubAck(id) => assert_eq!(self.in_flight.pop_front(), Some(id), "acknowledged in order"),
            other => panic!("{other:?}"),
        }
    }
}
