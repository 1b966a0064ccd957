//! `kill -9` of the hub, a real process, while senders publish: whatever was acknowledged is delivered, in order.
//!
//! This cannot show that the fsync is there (the page cache survives a killed process): power cuts are in the store's tests.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use edge_mqtt::{Connection, Event};
use serde_json::json;
use support::*;
use tokio::sync::watch;

const SENDERS: [&str; 2] = ["tempSensor", "other"];
const MESSAGES: u64 = 5000;
const WINDOW: usize = 100;
const KILLS: u64 = 5;

struct Hub {
    folder: tempfile::TempDir,
    address: SocketAddr,
    process: Child,
}

impl Hub {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A port that was free a moment ago; it has to be the same after each kill.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let routes: Vec<String> = SENDERS
            .iter()
            .map(|sender| format!("FROM /messages/modules/{sender}/* INTO BrokeredEndpoint(\"/modules/filter/inputs/{sender}\")"))
            .collect();
        let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
        let hub = json!({"deviceId": DEVICE, "gatewayHostnames": ["edgehub"], "listeners": {"mqttPlain": {"address": address.to_string()}},
            "routes": routes_json(&routes), "storeAndForward": {"maxBytes": 256 * 1024 * 1024}});
        let keys: Vec<_> = ["tempSensor", "other", "filter"]
            .map(|module| json!({"moduleId": module, "primaryKey": key(module).expose_base64()}))
            .to_vec();
        std::fs::write(folder.path().join("hub.json"), hub.to_string()).unwrap();
        std::fs::write(folder.path().join("identities.json"), json!({ "modules": keys }).to_string()).unwrap();
        let process = Self::spawn(folder.path());
        Self { folder, address, process }
    }

    fn spawn(folder: &std::path::Path) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edge-hub"));
        command.arg("--config").arg(folder).arg("--data").arg(folder.join("data"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn kill_and_restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = Self::spawn(self.folder.path());
    }

    async fn client(&self, module: &str) -> Connection {
        connected(self.address, module).await
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Connects, again and again while the hub is down.
async fn connected(address: SocketAddr, module: &str) -> Connection {
    let connecting = async {
        loop {
            match connect_to(address, module).open().await {
                Ok(connection) => return connection,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, connecting).await.expect("the hub listens again")
}

/// Publishes 0, 1, 2, … and goes back to the first unacknowledged one when the connection breaks, as SDKs do.
async fn send_all(address: SocketAddr, module: &'static str, all_acknowledged: watch::Sender<u64>) {
    let topic = output_topic(module, "");
    let mut acknowledged = 0;
    while acknowledged < MESSAGES {
        let mut connection = connected(address, module).await;
        let (mut next, mut again) = (acknowledged, true);
        let mut in_flight = std::collections::VecDeque::new();
        while acknowledged < MESSAGES {
            while in_flight.len() < WINDOW && next < MESSAGES {
                in_flight.push_back(connection.publish(&topic, next.to_string().as_bytes(), again).unwrap());
                next += 1;
            }
            again = false;
            match connection.next().await {
                Ok(Event::PubAck(id)) => {
                    assert_eq!(in_flight.pop_front(), Some(id), "acknowledged in order");
                    acknowledged += 1;
                    all_acknowledged.send_modify(|count| *count += 1);
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}

/// Reads both inputs until both are complete. First arrivals must be in order without a gap; repeats are allowed.
async fn read_all(address: SocketAddr) {
    let mut expected = [0; SENDERS.len()];
    while expected != [MESSAGES; SENDERS.len()] {
        let mut connection = connected(address, "filter").await;
        while let Ok(event) = connection.next().await {
            let Event::Message(message) = event else { continue };
            let sender = SENDERS.iter().position(|sender| message.topic.contains(&format!("/inputs/{sender}/"))).unwrap();
            let number: u64 = std::str::from_utf8(&message.payload).unwrap().parse().unwrap();
            assert!(number <= expected[sender], "{number} arrived where {} was due: a gap", expected[sender]);
            expected[sender] += u64::from(number == expected[sender]);
            connection.acknowledge(message.packet_id.unwrap()).unwrap();
            if expected == [MESSAGES; SENDERS.len()] {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_arrives_in_order_though_the_hub_is_killed_again_and_again() {
    let mut hub = Hub::start();
    let mut filter = hub.client("filter").await;
    subscribe(&mut filter, &format!("devices/{DEVICE}/modules/filter/inputs/#")).await;
    drop(filter);
    let address = hub.address;
    let work = async {
        let (count, mut acknowledged) = watch::channel(0);
        let senders = SENDERS.map(|module| tokio::spawn(send_all(address, module, count.clone())));
        let reader = tokio::spawn(read_all(address));
        // Spread over the whole run, each in the middle of the work.
        for kill in 1..=KILLS {
            acknowledged.wait_for(|count| *count >= kill * SENDERS.len() as u64 * MESSAGES / (KILLS + 1)).await.unwrap();
            hub.kill_and_restart();
        }
        for sender in senders {
            sender.await.unwrap();
        }
        reader.await.unwrap();
    };
    tokio::time::timeout(Duration::from_mins(2), work).await.expect("everything arrives within two minutes");
}
