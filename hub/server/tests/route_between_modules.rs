//! Messages go from outputs to inputs: as accepted, in order, at least once, and only to those whom the routes name.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::*;

#[tokio::test]
async fn a_message_reaches_the_input_that_its_route_names_with_the_sender_stamped() {
    let hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let mut filter = hub.subscriber("filter").await;
    let mut sensor = hub.client("tempSensor").await;
    publish(&mut sensor, &output_topic("tempSensor", "%24.on=temperatureOutput&%24.ct=application%2Fjson&level=high%20"), "21.5")
        .await;
    let message = take(&mut filter).await;
    assert_eq!(&message.payload[..], b"21.5");
    let (address, bag) = message.topic.rsplit_once('/').unwrap();
    assert_eq!(address, "devices/line-7/modules/filter/inputs/input1");
    for expected in ["level=high%20", "%24.ct=application%2Fjson", "%24.cdid=line-7", "%24.cmid=tempSensor"] {
        assert!(bag.split('&').any(|pair| pair == expected), "{expected} is missing in {bag}");
    }
    assert!(!bag.contains("%24.on"), "the output's name stays here: {bag}");
}

#[tokio::test]
async fn a_condition_lets_through_what_it_holds_for_by_property_body_and_what_the_hub_stamps() {
    let sink = |input: &str| format!("INTO BrokeredEndpoint(\"/modules/filter/inputs/{input}\")");
    let hot = format!("FROM /messages/* WHERE level = 'high' AND $body.machine.temperature > 100 {}", sink("hot"));
    let ours =
        format!("FROM /messages/* WHERE $edgeHubOriginInterface = 'internal' AND is_defined($edgeMessageId) {}", sink("ours"));
    let hub = TestHub::start(&[&hot, &ours]).await;
    let mut filter = hub.subscriber("filter").await;
    let mut sensor = hub.client("tempSensor").await;
    let json = "%24.ct=application%2Fjson&%24.ce=utf-8&level=";
    for (level, body) in [("low", "101.5"), ("high", "21.5"), ("high", "101.5")] {
        let body = format!("{{\"machine\": {{\"temperature\": {body}}}}}");
        publish(&mut sensor, &output_topic("tempSensor", &format!("{json}{level}")), body).await;
    }
    let mut arrived = Vec::new();
    for _ in 0..4 {
        let message = take(&mut filter).await;
        let input = message.topic.split('/').nth(5).unwrap().to_owned();
        arrived.push((input, String::from_utf8_lossy(&message.payload).into_owned()));
    }
    arrived.sort();
    let inputs: Vec<_> = arrived.iter().map(|(input, _)| input.as_str()).collect();
    assert_eq!(inputs, ["hot", "ours", "ours", "ours"]);
    assert_eq!(arrived[0].1, "{\"machine\": {\"temperature\": 101.5}}");
}

#[tokio::test]
async fn a_thousand_messages_arrive_in_order_and_are_acknowledged_in_order() {
    const COUNT: u32 = 1000;
    let hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let mut filter = hub.subscriber("filter").await;
    let mut sensor = hub.client("tempSensor").await;
    let sending = async {
        let topic = output_topic("tempSensor", "");
        let ids: Vec<_> = (0..COUNT).map(|n| sensor.publish(&topic, n.to_string().as_bytes(), false).unwrap()).collect();
        for id in ids {
            match event(&mut sensor).await {
                edge_mqtt::Event::PubAck(acknowledged) => assert_eq!(acknowledged, id),
                other => panic!("{other:?}"),
            }
        }
    };
    let receiving = async {
        for n in 0..COUNT {
            let message = take(&mut filter).await;
            assert_eq!(message.payload, n.to_string());
            assert!(!message.dup);
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn messages_wait_for_a_module_that_is_away_and_for_a_hub_that_restarts() {
    let mut hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let mut sensor = hub.client("tempSensor").await;
    publish(&mut sensor, &output_topic("tempSensor", ""), "before the restart").await;
    hub.restart().await;
    let mut filter = hub.subscriber("filter").await;
    assert_eq!(take(&mut filter).await.payload, "before the restart");
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_in_order_and_flagged() {
    let hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let mut sensor = hub.client("tempSensor").await;
    for n in 0..3 {
        publish(&mut sensor, &output_topic("tempSensor", ""), n.to_string()).await;
    }
    let mut filter = hub.subscriber("filter").await;
    assert_eq!(take(&mut filter).await.payload, "0");
    assert_eq!(message(&mut filter).await.payload, "1");
    filter.flush().await.unwrap();
    hub.metric_reaches("edgehub_messages_sent_total{to=\"input\"}", 1).await;
    drop(filter);
    let mut filter = hub.client("filter").await;
    let again = take(&mut filter).await;
    assert_eq!((&again.payload[..], again.dup), (&b"1"[..], true));
    assert_eq!(take(&mut filter).await.payload, "2");
}

#[tokio::test]
async fn a_message_that_no_route_wants_is_acknowledged_and_counted() {
    let hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let mut other = hub.client("other").await;
    publish(&mut other, &output_topic("other", ""), "x").await;
    assert_eq!(hub.metric("edgehub_messages_dropped_total{reason=\"no_route\"}").await, 1);
}

#[tokio::test]
async fn a_route_to_an_upstream_that_does_not_exist_drops_and_counts() {
    let hub = TestHub::start(&["FROM /messages/* INTO $upstream"]).await;
    let mut other = hub.client("other").await;
    publish(&mut other, &output_topic("other", ""), "x").await;
    assert_eq!(hub.metric("edgehub_messages_dropped_total{reason=\"no_upstream\"}").await, 1);
}

#[tokio::test]
async fn a_route_to_a_module_that_is_not_deployed_drops_and_counts() {
    let hub = TestHub::start(&["FROM /messages/* INTO BrokeredEndpoint(\"/modules/absent/inputs/in\")"]).await;
    let mut other = hub.client("other").await;
    publish(&mut other, &output_topic("other", ""), "x").await;
    assert_eq!(hub.metric("edgehub_messages_dropped_total{reason=\"no_module\"}").await, 1);
}

#[tokio::test]
async fn quality_of_service_is_the_lower_of_what_was_granted_and_one() {
    let hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let mut filter = hub.client("filter").await;
    let id = filter.subscribe("devices/line-7/modules/filter/#", edge_mqtt::QoS::AtMostOnce).unwrap();
    match event(&mut filter).await {
        edge_mqtt::Event::SubAck(acknowledged, granted) => {
            assert_eq!((acknowledged, granted), (id, vec![Some(edge_mqtt::QoS::AtMostOnce)]));
        }
        other => panic!("{other:?}"),
    }
    let mut sensor = hub.client("tempSensor").await;
    publish(&mut sensor, &output_topic("tempSensor", ""), "x").await;
    assert_eq!(message(&mut filter).await.packet_id, None);
}
