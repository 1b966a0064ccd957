//! Priorities and times to live of routes: who goes first, and who does not go at all any more.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::*;

/// Routes from outputs of the sensor to one input of the filter: output, priority, time to live.
fn routes(outputs: &[(&str, Option<u8>, Option<u32>)]) -> Value {
    let route = |(output, priority, seconds): &(&str, Option<u8>, Option<u32>)| {
        let text = format!(
            "FROM /messages/modules/tempSensor/outputs/{output} INTO BrokeredEndpoint(\"/modules/filter/inputs/input1\")"
        );
        let mut route = json!({"name": output, "route": text});
        if let Some(priority) = priority {
            route["priority"] = json!(priority);
        }
        if let Some(seconds) = seconds {
            route["timeToLiveSecs"] = json!(seconds);
        }
        route
    };
    outputs.iter().map(route).collect()
}

async fn send(hub: &TestHub, messages: &[(&str, &str)]) {
    let mut sensor = hub.client("tempSensor").await;
    for (output, body) in messages {
        publish(&mut sensor, &output_topic("tempSensor", &format!("%24.on={output}")), (*body).to_owned()).await;
    }
}

/// What the filter gets, message by message.
async fn received(hub: &TestHub, count: usize) -> Vec<String> {
    let mut filter = hub.subscriber("filter").await;
    let mut bodies = Vec::new();
    for _ in 0..count {
        let message = take(&mut filter).await;
        assert!(!message.dup, "sent for the first time, in whatever order");
        bodies.push(String::from_utf8(message.payload.to_vec()).unwrap());
    }
    bodies
}

#[tokio::test]
async fn urgent_messages_overtake_those_that_wait_and_each_priority_keeps_its_order() {
    let mut hub = TestHub::start_with(|hub| {
        hub["routes"] = routes(&[("reading", None, None), ("alarm", Some(0), None), ("notice", Some(9), None)]);
    })
    .await;
    send(&hub, &[("reading", "r1"), ("notice", "n1"), ("reading", "r2"), ("alarm", "a1"), ("notice", "n2"), ("alarm", "a2")])
        .await;
    // Also what waited through a restart.
    hub.restart().await;
    send(&hub, &[("reading", "r3"), ("alarm", "a3")]).await;
    assert_eq!(received(&hub, 8).await, ["a1", "a2", "a3", "n1", "n2", "r1", "r2", "r3"]);
}

#[tokio::test]
async fn a_message_expires_after_its_routes_time_or_the_inherited_one_and_is_counted() {
    let hub = TestHub::start_with(|hub| {
        hub["routes"] = routes(&[("short", None, Some(1)), ("inherits", None, Some(0)), ("long", None, Some(3600))]);
        hub["storeAndForward"]["timeToLiveSecs"] = json!(1);
    })
    .await;
    send(&hub, &[("short", "s1"), ("long", "l1"), ("inherits", "i1"), ("long", "l2"), ("short", "s2")]).await;
    // Nothing but time makes messages expire.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    send(&hub, &[("short", "s3")]).await;
    assert_eq!(received(&hub, 3).await, ["l1", "l2", "s3"]);
    hub.metric_reaches("edgehub_messages_dropped_total{reason=\"ttl_expiry\"}", 3).await;
    assert_eq!(hub.metric("edgehub_messages_dropped_total{reason=\"ttl_expiry\"}").await, 3);
}

#[tokio::test]
async fn without_an_end_messages_wait_for_ever_and_a_changed_configuration_counts_for_new_ones() {
    let hub = TestHub::start_with(|hub| {
        hub["routes"] = routes(&[("reading", None, None)]);
        hub["storeAndForward"]["timeToLiveSecs"] = json!(-1);
    })
    .await;
    send(&hub, &[("reading", "kept")]).await;
    hub.configure(|hub| {
        hub["version"] = json!("2");
        hub["routes"] = routes(&[("reading", None, Some(1))]);
    });
    hub.metric_reaches("edgehub_configuration_applied_total", 1).await;
    send(&hub, &[("reading", "expires")]).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    send(&hub, &[("reading", "new")]).await;
    assert_eq!(received(&hub, 2).await, ["kept", "new"]);
}
