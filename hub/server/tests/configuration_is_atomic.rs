//! A new configuration is in force as a whole, or not at all.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use edge_mqtt::Connection;
use edge_protocol::status::HubStatus;
use serde_json::json;
use support::*;

const OTHER_TO_FILTER: &str = "FROM /messages/modules/other/* INTO BrokeredEndpoint(\"/modules/filter/inputs/input2\")";

async fn agent(hub: &TestHub) -> Connection {
    let mut agent = hub.client("$edgeAgent").await;
    subscribe(&mut agent, "$edgehub/status").await;
    agent
}

/// Reads statuses until one satisfies the condition.
async fn status(agent: &mut Connection, wanted: impl Fn(&HubStatus) -> bool) -> HubStatus {
    loop {
        let status: HubStatus = serde_json::from_slice(&message(agent).await.payload).unwrap();
        if wanted(&status) {
            return status;
        }
    }
}

#[tokio::test]
async fn a_new_route_serves_a_module_that_is_connected() {
    let hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let mut agent = agent(&hub).await;
    let mut filter = hub.subscriber("filter").await;
    hub.configure(|hub| {
        hub["version"] = "2".into();
        hub["routes"] = routes_json(&[SENSOR_TO_FILTER, OTHER_TO_FILTER]);
    });
    status(&mut agent, |status| status.configuration.in_force == "2").await;
    let mut other = hub.client("other").await;
    publish(&mut other, &output_topic("other", ""), "x").await;
    assert!(take(&mut filter).await.topic.starts_with("devices/line-7/modules/filter/inputs/input2/"));
}

#[tokio::test]
async fn a_bad_route_leaves_the_old_routes_and_the_connections_and_says_why() {
    let hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let mut agent = agent(&hub).await;
    let (mut filter, mut sensor) = (hub.subscriber("filter").await, hub.client("tempSensor").await);
    hub.configure(|hub| {
        hub["version"] = "2".into();
        hub["routes"] = routes_json(&[OTHER_TO_FILTER, "FROM /messages/* INOT $upstream"]);
    });
    let status = status(&mut agent, |status| status.configuration.code == 400).await;
    assert_eq!((status.configuration.in_force.as_str(), status.configuration.offered.as_str()), ("1", "2"));
    for part in ["r1", "INOT"] {
        assert!(status.configuration.description.contains(part), "{}", status.configuration.description);
    }
    publish(&mut sensor, &output_topic("tempSensor", ""), "old route").await;
    assert_eq!(take(&mut filter).await.payload, "old route");
}

#[tokio::test]
async fn a_module_that_is_removed_loses_its_connection_and_its_queue_and_others_keep_theirs() {
    let hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let (mut filter, mut sensor) = (hub.subscriber("filter").await, hub.client("tempSensor").await);
    publish(&mut sensor, &output_topic("tempSensor", ""), "never read").await;
    assert_eq!(message(&mut filter).await.payload, "never read");
    hub.write_identities(&["tempSensor", "$edgeAgent"]);
    ended(&mut filter).await;
    hub.metric_reaches("edgehub_messages_dropped_total{reason=\"endpoint_removed\"}", 1).await;
    assert!(matches!(hub.connect("filter").open().await, Err(edge_mqtt::Error::Refused { code: 5 })));
    publish(&mut sensor, &output_topic("tempSensor", ""), "x").await;
    // Deployed again it is a new module: neither messages nor subscriptions of the old one are left.
    hub.write_identities(&["tempSensor", "filter", "$edgeAgent"]);
    let filter = async {
        loop {
            if let Ok(filter) = hub.connect("filter").open().await {
                return filter;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    assert!(!tokio::time::timeout(PATIENCE, filter).await.expect("the module may connect again").session_present());
}

#[tokio::test]
async fn a_module_that_connects_before_its_identity_has_arrived_is_let_in_when_it_does() {
    let hub = TestHub::start(&[]).await;
    let connect = hub.connect("justDeployed");
    let connecting = tokio::spawn(async move { connect.open().await });
    hub.metric_reaches("edgehub_handshakes", 1).await;
    hub.write_identities(&["justDeployed", "$edgeAgent"]);
    connecting.await.unwrap().expect("the module is let in");
}

#[tokio::test]
async fn every_bad_configuration_is_refused_with_the_member_named() {
    for (change, named) in [
        (json!({"listeners": {"mqttPlain": {"address": "0.0.0.0:1883"}}}), "listeners.mqttPlain.address"),
        (
            json!({"listeners": {"mqtt": {"address": "127.0.0.1:0", "certificateFile": "../../etc/passwd", "privateKeyFile": "k"}}}),
            "certificateFile",
        ),
        (json!({"upstream": {"mqtt": {"url": "ftp://x"}}}), "upstream.mqtt.url"),
        (json!({"upstream": {"mqtt": {"url": "mqtts://x"}}}), "upstream.mqtt.caFile"),
        (json!({"upstream": {"mqtt": {"url": "mqtt://x", "topic": "a/{nope}"}}}), "upstream.mqtt.topic"),
        (json!({"limits": {"maxClients": 0}}), "limits.maxClients"),
        (json!({"limits": {"maxClient": 1}}), "maxClient"),
        (json!({"storeAndForward": {"maxBytes": 1000}}), "storeAndForward.maxBytes"),
        (json!({"storeAndForward": {"timeToLiveSecs": 0}}), "storeAndForward.timeToLiveSecs"),
        (json!({"storeAndForward": {"timeToLiveSecs": -2}}), "storeAndForward.timeToLiveSecs"),
        (json!({"storeAndForward": {"onFull": "Block"}}), "Block"),
        (json!({"storeAndForward": {"maxBytez": 1}}), "maxBytez"),
        (json!({"routes": [{"name": "r", "route": "FROM /* INTO $upstream", "priority": 10}]}), "priority"),
        (json!({"routes": [{"name": "r", "route": "FROM /* INTO $upstream", "timeToLiveSecs": -1}]}), "-1"),
        (json!({"delivery": {"window": 0}}), "delivery.window"),
        (json!({"delivery": {"window": 1001}}), "delivery.window"),
        (json!({"deviceId": "a/b"}), "device id"),
    ] {
        let hub = TestHub::start(&[]).await;
        hub.configure(|hub| hub.as_object_mut().unwrap().extend(change.as_object().unwrap().clone()));
        let error = edge_hub::configuration::load(&hub.config()).err().unwrap_or_else(|| panic!("{change} was accepted"));
        assert!(error.to_string().contains(named), "{error} does not name {named}");
    }
}
