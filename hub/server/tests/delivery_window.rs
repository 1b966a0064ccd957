//! How many messages a client gets before it acknowledges is the configuration's to say.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use edge_mqtt::{Event, QoS};
use serde_json::json;
use support::*;

#[tokio::test]
async fn a_client_gets_as_many_messages_as_the_window_holds_and_one_more_for_each_acknowledgement() {
    let hub = TestHub::start_with(|hub| {
        hub["routes"] = routes_json(&[SENSOR_TO_FILTER]);
        hub["delivery"] = json!({"window": 3});
    })
    .await;
    let mut sensor = hub.client("tempSensor").await;
    for n in 0..8 {
        publish(&mut sensor, &output_topic("tempSensor", ""), n.to_string()).await;
    }
    let mut filter = hub.subscriber("filter").await;
    let mut ids = Vec::new();
    for n in 0..3 {
        let message = message(&mut filter).await;
        assert_eq!(message.payload, n.to_string());
        ids.push(message.packet_id.unwrap());
    }
    hub.metric_reaches("edgehub_in_flight_deliveries", 3).await;
    // A round trip on the same connection: a fourth message would come before its answer.
    let asked = filter.subscribe("devices/line-7/modules/filter/inputs/other", QoS::AtLeastOnce).unwrap();
    assert!(matches!(event(&mut filter).await, Event::SubAck(answered, _) if answered == asked));
    // Acknowledged in any order, each makes room for one.
    filter.acknowledge(ids[2]).unwrap();
    assert_eq!(message(&mut filter).await.payload, "3");
    filter.acknowledge(ids[0]).unwrap();
    assert_eq!(message(&mut filter).await.payload, "4");
}
