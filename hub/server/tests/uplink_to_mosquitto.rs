//! The uplink against a real broker: Debian's mosquitto, on a loopback port, with a password.
//!
//! Skipped, loudly, where mosquitto is not installed; `EDGE_REQUIRE_ROOT_TESTS=1` makes that a failure.

#![allow(clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use edge_mqtt::{Connect, Connection, Endpoint};
use edge_protocol::status::{HubStatus, UpstreamState};
use serde_json::json;
use support::*;

struct Mosquitto {
    folder: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
}

impl Mosquitto {
    /// None: not installed.
    fn new() -> Option<Self> {
        let installed = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto"].iter().any(|path| PathBuf::from(path).exists());
        if !installed {
            assert!(std::env::var_os("EDGE_REQUIRE_ROOT_TESTS").is_none(), "mosquitto is not installed");
            eprintln!("SKIPPED: mosquitto is not installed (apt-get install mosquitto)");
            return None;
        }
        // A port that was free a moment ago; the broker cannot choose one itself.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let passwords = folder.path().join("passwords");
        let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args(["site", "secret"]).status().unwrap();
        assert!(made.success());
        std::fs::write(
            folder.path().join("mosquitto.conf"),
            format!(
                "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\nuser root\nmax_queued_messages 0\n",
                passwords.display()
            ),
        )
        .unwrap();
        Some(Self { folder, port, process: None })
    }

    async fn start(&mut self) {
        let process = Command::new("mosquitto")
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .spawn();
        self.process = Some(process.unwrap());
        let listening = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, listening).await.expect("mosquitto listens");
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    async fn reader(&self) -> Connection {
        let connect = Connect {
            endpoint: Endpoint { host: "127.0.0.1".into(), port: self.port, tls: None },
            client_id: "reader".into(),
            username: Some("site".into()),
            password: Some(Bytes::from_static(b"secret")),
            keep_alive: Duration::from_secs(30),
            clean_session: true,
            timeout: PATIENCE,
        };
        let mut reader = connect.open().await.unwrap();
        subscribe(&mut reader, "edge/#").await;
        reader
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn hub_below(broker: &Mosquitto, password: &'static str) -> TestHub {
    let port = broker.port;
    let hub = TestHub::start(&["FROM /messages/* INTO $upstream"]).await;
    std::fs::write(hub.config().join("username"), "site\n").unwrap();
    std::fs::write(hub.config().join("password"), password).unwrap();
    hub.configure(|hub| {
        hub["version"] = "2".into();
        hub["routes"] = routes_json(&["FROM /messages/* INTO $upstream"]);
        hub["upstream"] =
            json!({"mqtt": {"url": format!("mqtt://127.0.0.1:{port}"), "usernameFile": "username", "passwordFile": "password"}});
    });
    let mut agent = hub.client("$edgeAgent").await;
    subscribe(&mut agent, "$edgehub/status").await;
    while serde_json::from_slice::<HubStatus>(&message(&mut agent).await.payload).unwrap().configuration.in_force != "2" {}
    hub
}

async fn upstream(hub: &TestHub, wanted: UpstreamState) -> HubStatus {
    let mut agent = hub.client("$edgeAgent").await;
    subscribe(&mut agent, "$edgehub/status").await;
    loop {
        let status: HubStatus = serde_json::from_slice(&message(&mut agent).await.payload).unwrap();
        if status.upstream.state == wanted && (wanted != UpstreamState::Disconnected || status.upstream.error.is_some()) {
            return status;
        }
    }
}

#[tokio::test]
async fn messages_taken_while_the_upstream_was_down_arrive_in_order_when_it_is_back() {
    const COUNT: u32 = 500;
    let Some(mut broker) = Mosquitto::new() else { return };
    let hub = hub_below(&broker, "secret\n").await;
    let mut sensor = hub.client("tempSensor").await;
    for n in 0..COUNT {
        publish(&mut sensor, &output_topic("tempSensor", "%24.on=out"), n.to_string()).await;
    }
    assert!(upstream(&hub, UpstreamState::Disconnected).await.upstream.error.unwrap().contains("127.0.0.1"));
    broker.start().await;
    let mut reader = broker.reader().await;
    for n in 0..COUNT {
        let message = take(&mut reader).await;
        assert_eq!((&*message.topic, &message.payload[..]), ("edge/line-7/tempSensor/out", n.to_string().as_bytes()));
    }
    upstream(&hub, UpstreamState::Connected).await;
}

#[tokio::test]
async fn a_broker_that_dies_and_comes_back_gets_what_it_had_not_acknowledged() {
    let Some(mut broker) = Mosquitto::new() else { return };
    broker.start().await;
    let hub = hub_below(&broker, "secret").await;
    upstream(&hub, UpstreamState::Connected).await;
    let mut sensor = hub.client("tempSensor").await;
    let mut reader = broker.reader().await;
    publish(&mut sensor, &output_topic("tempSensor", ""), "first").await;
    assert_eq!(take(&mut reader).await.payload, "first");
    broker.stop();
    publish(&mut sensor, &output_topic("tempSensor", ""), "second").await;
    broker.start().await;
    let mut reader = broker.reader().await;
    let mut again = take(&mut reader).await;
    if again.payload == "first" {
        // Its acknowledgement may have died with the broker.
        assert!(again.dup);
        again = take(&mut reader).await;
    }
    assert_eq!(again.payload, "second");
}

#[tokio::test]
async fn a_wrong_password_is_reported_without_being_repeated_and_stops_nothing_local() {
    let Some(mut broker) = Mosquitto::new() else { return };
    broker.start().await;
    let hub = hub_below(&broker, "wrong-password").await;
    let error = upstream(&hub, UpstreamState::Disconnected).await.upstream.error.unwrap();
    assert!(error.contains("code 5") && !error.contains("wrong-password"), "{error}");
    let mut sensor = hub.client("tempSensor").await;
    publish(&mut sensor, &output_topic("tempSensor", ""), "accepted").await;
}
