//! A hub in this process, on loopback ports of its own, and clients that authenticate as modules do.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use edge_hub::run::{Options, Running, start};
use edge_mqtt::{Connect, Connection, Endpoint, Event, Incoming, QoS};
use edge_protocol::configuration::SymmetricKey;
use edge_protocol::identity::Identity;
use edge_protocol::sas;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Longest that any single step may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const DEVICE: &str = "line-7";
pub const SENSOR_TO_FILTER: &str = "FROM /messages/modules/tempSensor/* INTO BrokeredEndpoint(\"/modules/filter/inputs/input1\")";
const MODULES: [&str; 4] = ["tempSensor", "filter", "other", "$edgeAgent"];

/// The key of a module in all tests: 32 bytes made of its name.
pub fn key(module: &str) -> SymmetricKey {
    use base64::Engine;
    let bytes: Vec<u8> = module.bytes().cycle().take(32).collect();
    SymmetricKey::from_base64(base64::engine::general_purpose::STANDARD.encode(bytes))
}

pub struct TestHub {
    folder: TempDir,
    running: Option<Running>,
}

impl TestHub {
    pub async fn start(routes: &[&str]) -> Self {
        Self::start_with(|hub| hub["routes"] = routes_json(routes)).await
    }

    /// Starts a hub whose `hub.json` is the usual one with a change.
    pub async fn start_with(change: impl FnOnce(&mut Value)) -> Self {
        Self::start_with_files(|_| {}, change).await
    }

    /// The same, with more files in the configuration directory.
    pub async fn start_with_files(files: impl FnOnce(&Path), change: impl FnOnce(&mut Value)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("config")).unwrap();
        files(&folder.path().join("config"));
        let mut hub = Self { folder, running: None };
        hub.write_identities(&MODULES);
        hub.configure(change);
        hub.run().await;
        hub
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    fn options(&self) -> Options {
        Options { config: self.config(), data: self.folder.path().join("data") }
    }

    pub async fn run(&mut self) {
        self.running = Some(start(&self.options(), CancellationToken::new()).await.unwrap());
    }

    pub fn write_identities(&self, modules: &[&str]) {
        let modules: Vec<Value> =
            modules.iter().map(|module| json!({"moduleId": module, "primaryKey": key(module).expose_base64()})).collect();
        write(&self.config().join("identities.json"), &json!({ "modules": modules }));
    }

    pub fn configure(&self, change: impl FnOnce(&mut Value)) {
        let mut hub = json!({
            "version": "1",
            "deviceId": DEVICE,
            "gatewayHostnames": ["edgehub"],
            "listeners": {"mqttPlain": {"address": "127.0.0.1:0"}, "metrics": {"address": "127.0.0.1:0"}},
            "storeAndForward": {"maxBytes": 256 * 1024 * 1024},
        });
        change(&mut hub);
        write(&self.config().join("hub.json"), &hub);
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the hub runs")
    }

    pub fn plain_address(&self) -> SocketAddr {
        self.running().addresses.mqtt_plain.unwrap()
    }

    pub fn metrics_address(&self) -> SocketAddr {
        self.running().addresses.metrics.unwrap()
    }

    pub fn tls_address(&self) -> SocketAddr {
        self.running().addresses.mqtt.unwrap()
    }

    pub async fn stop(&mut self) {
        self.running.take().unwrap().shut_down().await;
    }

    /// Stops the hub in order and starts it on the same data.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }

    pub fn connect(&self, module: &str) -> Connect {
        connect_to(self.plain_address(), module)
    }

    pub async fn client(&self, module: &str) -> Connection {
        self.connect(module).open().await.unwrap()
    }

    /// A client of `module` that has subscribed to its inputs and has the SUBACK.
    pub async fn subscriber(&self, module: &str) -> Connection {
        let mut client = self.client(module).await;
        subscribe(&mut client, &format!("devices/{DEVICE}/modules/{module}/inputs/#")).await;
        client
    }

    /// The value of a metric, with its labels, as Prometheus would read it; 0 if it is not there.
    pub async fn metric(&self, name: &str) -> u64 {
        let text = http_get(self.metrics_address(), "/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }

    /// Waits until a metric has a value.
    pub async fn metric_reaches(&self, name: &str, wanted: u64) {
        let reached = async {
            while self.metric(name).await < wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{name} never reached {wanted}"));
    }
}

fn write(file: &Path, value: &Value) {
    // As a person's editor does it: a new file, renamed over the old one.
    let new = file.with_extension("new");
    std::fs::write(&new, serde_json::to_vec_pretty(value).unwrap()).unwrap();
    std::fs::rename(new, file).unwrap();
}

pub fn routes_json(routes: &[&str]) -> Value {
    routes.iter().enumerate().map(|(i, route)| json!({"name": format!("r{i}"), "route": route})).collect()
}

pub fn user_name(module: &str) -> String {
    format!("edgehub/{DEVICE}/{module}/?api-version=2021-04-12&DeviceClientType=test")
}

pub fn token(module: &str, key: &SymmetricKey) -> String {
    let identity: Identity = format!("{DEVICE}/{module}").parse().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    sas::sign(key, &sas::audience("edgehub", &identity), sas::UnixSeconds(now + 3600)).unwrap()
}

pub fn connect_to(address: SocketAddr, module: &str) -> Connect {
    Connect {
        endpoint: Endpoint { host: address.ip().to_string(), port: address.port(), tls: None },
        client_id: format!("{DEVICE}/{module}"),
        username: Some(user_name(module)),
        password: Some(Bytes::from(token(module, &key(module)))),
        keep_alive: Duration::from_mins(1),
        clean_session: false,
        timeout: PATIENCE,
    }
}

pub async fn subscribe(client: &mut Connection, filter: &str) -> Option<QoS> {
    let id = client.subscribe(filter, QoS::AtLeastOnce).unwrap();
    loop {
        match event(client).await {
            Event::SubAck(acknowledged, granted) if acknowledged == id => return granted[0],
            Event::SubAck(..) => panic!("a SUBACK for something else"),
            _ => {}
        }
    }
}

pub async fn event(client: &mut Connection) -> Event {
    tokio::time::timeout(PATIENCE, client.next()).await.expect("an event in time").expect("an open connection")
}

/// The next message; it is not acknowledged.
pub async fn message(client: &mut Connection) -> Incoming {
    loop {
        if let Event::Message(message) = event(client).await {
            return message;
        }
    }
}

/// The next message, acknowledged.
pub async fn take(client: &mut Connection) -> Incoming {
    let message = message(client).await;
    if let Some(id) = message.packet_id {
        client.acknowledge(id).unwrap();
    }
    message
}

pub fn output_topic(module: &str, bag: &str) -> String {
    format!("devices/{DEVICE}/modules/{module}/messages/events/{bag}")
}

/// Publishes and waits for the PUBACK.
pub async fn publish(client: &mut Connection, topic: &str, body: impl Into<Bytes>) {
    let id = client.publish(topic, &body.into(), false).unwrap();
    loop {
        if let Event::PubAck(acknowledged) = event(client).await {
            assert_eq!(acknowledged, id);
            return;
        }
    }
}

/// How the hub ended a connection: waits until it does.
pub async fn ended(client: &mut Connection) {
    tokio::time::timeout(PATIENCE, async { while client.next().await.is_ok() {} }).await.expect("the hub ends the connection");
}

pub async fn http_get(address: SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}
