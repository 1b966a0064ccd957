//! A journal that is full makes senders wait; nothing is lost, nothing overtakes, and those who read free it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::VecDeque;
use std::num::NonZeroU16;

use edge_mqtt::{Connection, Event};
use edge_protocol::status::HubStatus;
use support::*;

/// Far more than the journal of the test holds.
const COUNT: usize = 400;
const BODY_BYTES: usize = 64 * 1024;
/// In flight at once: 3 MiB.
const WINDOW: usize = 50;

fn body(n: usize) -> Vec<u8> {
    let mut body = vec![0; BODY_BYTES];
    body[..8].copy_from_slice(&(n as u64).to_be_bytes());
    body
}

#[tokio::test]
async fn senders_wait_while_the_journal_is_full_and_everything_arrives_in_order_when_it_is_read() {
    let hub = TestHub::start_with(|hub| {
        hub["routes"] = routes_json(&[SENSOR_TO_FILTER]);
        hub["storeAndForward"]["maxBytes"] = (12 * 1024 * 1024).into();
    })
    .await;
    let mut agent = hub.client("$edgeAgent").await;
    subscribe(&mut agent, "$edgehub/status").await;
    let sensor = hub.client("tempSensor").await;
    let mut sender = Sender { connection: sensor, in_flight: VecDeque::new(), next: 0 };

    loop {
        tokio::select! {
            () = sender.step() => assert!(sender.next < COUNT, "the journal took more than it may hold"),
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
        while sender.next < COUNT || !sender.in_flight.is_empty() {
            sender.step().await;
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

/// Publishes with a window, as SDKs do, and insists on acknowledgements in order.
struct Sender {
    connection: Connection,
    in_flight: VecDeque<NonZeroU16>,
    next: usize,
}

impl Sender {
    /// Fills the window and waits for one acknowledgement.
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
