//! Subscriptions outlive connections and hubs, as SDKs rely on; clean sessions do not.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::*;

#[tokio::test]
async fn a_module_that_never_subscribes_again_still_gets_its_messages_after_a_hub_restart() {
    let mut hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let filter = hub.subscriber("filter").await;
    assert!(!filter.session_present());
    hub.restart().await;
    let mut filter = hub.client("filter").await;
    assert!(filter.session_present());
    let mut sensor = hub.client("tempSensor").await;
    publish(&mut sensor, &output_topic("tempSensor", ""), "x").await;
    assert_eq!(take(&mut filter).await.payload, "x");
}

#[tokio::test]
async fn a_clean_session_forgets_what_was_subscribed_before() {
    let hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    drop(hub.subscriber("filter").await);
    let mut clean = hub.connect("filter");
    clean.clean_session = true;
    assert!(!clean.open().await.unwrap().session_present());
    assert!(!hub.client("filter").await.session_present());
}

#[tokio::test]
async fn a_newer_connection_of_the_same_client_takes_over() {
    let hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let mut old = hub.subscriber("filter").await;
    let mut new = hub.client("filter").await;
    ended(&mut old).await;
    let mut sensor = hub.client("tempSensor").await;
    publish(&mut sensor, &output_topic("tempSensor", ""), "x").await;
    assert_eq!(take(&mut new).await.payload, "x");
}

#[tokio::test]
async fn the_controller_hears_of_the_hubs_status_when_it_subscribes_and_others_do_not() {
    let hub = TestHub::start(&[]).await;
    let mut agent = hub.client("$edgeAgent").await;
    subscribe(&mut agent, "$edgehub/status").await;
    let status: edge_protocol::status::HubStatus = serde_json::from_slice(&message(&mut agent).await.payload).unwrap();
    assert_eq!((status.configuration.in_force.as_str(), status.configuration.code), ("1", 200));
    assert_eq!(status.upstream.state, edge_protocol::status::UpstreamState::None);

    let mut curious = hub.client("other").await;
    subscribe(&mut curious, "$edgehub/status").await;
    // The answer to a ping would come after a status, if there were one.
    publish(&mut curious, &output_topic("other", ""), "x").await;
}
