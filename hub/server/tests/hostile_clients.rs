//! Whoever cannot prove its identity is refused with the right code; whoever misbehaves loses its connection, and nothing else.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use bytes::Bytes;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn refusal(connect: edge_mqtt::Connect) -> u8 {
    match connect.open().await {
        Err(edge_mqtt::Error::Refused { code }) => code,
        Err(other) => panic!("{other}"),
        Ok(_) => 0,
    }
}

#[tokio::test]
async fn whoever_cannot_prove_its_identity_gets_connack_5() {
    let hub = TestHub::start(&[]).await;
    let with = |change: &dyn Fn(&mut edge_mqtt::Connect)| {
        let mut connect = hub.connect("tempSensor");
        change(&mut connect);
        connect
    };
    for (case, connect) in [
        ("another module's key", with(&|c| c.password = Some(Bytes::from(token("tempSensor", &key("filter")))))),
        ("a token for another module", with(&|c| c.password = Some(Bytes::from(token("filter", &key("filter")))))),
        ("another module's client id", with(&|c| c.client_id = format!("{DEVICE}/filter"))),
        (
            "another device",
            with(&|c| {
                c.client_id = "line-8/tempSensor".into();
                c.username = Some(user_name("tempSensor").replace(DEVICE, "line-8"));
            }),
        ),
        ("no token", with(&|c| c.password = None)),
        ("garbage for a token", with(&|c| c.password = Some(Bytes::from_static(b"\xff\xfe")))),
        ("an empty token", with(&|c| c.password = Some(Bytes::new()))),
        ("no user name", with(&|c| (c.username, c.password) = (None, None))),
        ("a malformed user name", with(&|c| c.username = Some("tempSensor".into()))),
        ("no api-version", with(&|c| c.username = Some(format!("edgehub/{DEVICE}/tempSensor/?x=y")))),
    ] {
        assert_eq!(refusal(connect).await, 5, "{case}");
    }
    assert_eq!(refusal(connect_to(hub.plain_address(), "unknownModule")).await, 5);
    assert_eq!(refusal(hub.connect("tempSensor")).await, 0);
}

#[tokio::test]
async fn one_client_too_many_gets_connack_3() {
    let hub = TestHub::start_with(|hub| hub["limits"]["maxClients"] = 1.into()).await;
    let _first = hub.client("filter").await;
    assert_eq!(refusal(hub.connect("tempSensor")).await, 3);
}

#[tokio::test]
async fn another_protocol_version_gets_connack_1() {
    let hub = TestHub::start(&[]).await;
    let mut stream = TcpStream::connect(hub.plain_address()).await.unwrap();
    // CONNECT of MQTT 5: protocol level 5, an empty property list.
    stream.write_all(b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01x").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [0x20, 2, 0, 1]);
}

#[tokio::test]
async fn garbage_and_half_packets_end_their_connection_and_no_other() {
    let hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let mut filter = hub.subscriber("filter").await;
    for garbage in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\xff\xff\xff\xff\xff", b"\x10\xff\xff\xff\x7f", b"\x10\x7f\x00\x04MQTT", b"\x00\x00"]
    {
        let mut stream = TcpStream::connect(hub.plain_address()).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A reset is as good an end as a close.
        let _ended = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{garbage:?} was answered with {answer:?}");
    }
    let mut sensor = hub.client("tempSensor").await;
    publish(&mut sensor, &output_topic("tempSensor", ""), "still here").await;
    assert_eq!(take(&mut filter).await.payload, "still here");
}

#[tokio::test]
async fn a_silent_client_does_not_keep_others_out() {
    let hub = TestHub::start(&[]).await;
    // More than there are places, from an address of their own.
    let mut silent = Vec::new();
    for _ in 0..200 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        silent.push(socket.connect(hub.plain_address()).await.unwrap());
    }
    hub.metric_reaches("edgehub_client_connect_failed_total{reason=\"too_many_handshakes\"}", 184).await;
    hub.client("filter").await;
}

#[tokio::test]
async fn a_client_that_publishes_as_another_is_cut_off_and_its_message_goes_nowhere() {
    let hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let mut filter = hub.subscriber("filter").await;
    let mut impostor = hub.client("other").await;
    impostor.publish(&output_topic("tempSensor", ""), b"forged", false).unwrap();
    ended(&mut impostor).await;
    let mut sensor = hub.client("tempSensor").await;
    publish(&mut sensor, &output_topic("tempSensor", ""), "true").await;
    assert_eq!(take(&mut filter).await.payload, "true");
}

#[tokio::test]
async fn a_property_cannot_change_the_sender() {
    let hub = TestHub::start(&["FROM /messages/modules/other/* INTO BrokeredEndpoint(\"/modules/filter/inputs/in\")"]).await;
    let mut filter = hub.subscriber("filter").await;
    let mut other = hub.client("other").await;
    publish(&mut other, &output_topic("other", "moduleId=tempSensor&%24.cmid=tempSensor&%24.cdid=x"), "x").await;
    let topic = take(&mut filter).await.topic;
    assert!(topic.contains("%24.cmid=other") && !topic.contains("%24.cmid=tempSensor"), "{topic}");
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_connection_and_one_at_the_limit_passes() {
    let hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let mut filter = hub.subscriber("filter").await;
    let mut sensor = hub.client("tempSensor").await;
    publish(&mut sensor, &output_topic("tempSensor", ""), vec![7u8; 262_144]).await;
    assert_eq!(take(&mut filter).await.payload.len(), 262_144);
    for too_large in [262_145, 300_000] {
        let mut sensor = hub.client("tempSensor").await;
        sensor.publish(&output_topic("tempSensor", ""), &vec![7u8; too_large], false).unwrap();
        ended(&mut sensor).await;
    }
    assert_eq!(hub.metric("edgehub_messages_received_total").await, 1);
}

#[tokio::test]
async fn a_message_whose_properties_cannot_be_read_is_acknowledged_and_counted_so_that_its_sender_gets_past_it() {
    let hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let mut filter = hub.subscriber("filter").await;
    let mut sensor = hub.client("tempSensor").await;
    publish(&mut sensor, &output_topic("tempSensor", "a=b=c"), "lost").await;
    publish(&mut sensor, &output_topic("tempSensor", ""), "kept").await;
    assert_eq!(take(&mut filter).await.payload, "kept");
    assert_eq!(hub.metric("edgehub_messages_dropped_total{reason=\"malformed\"}").await, 1);
}

#[tokio::test]
async fn quality_of_service_2_is_refused_without_keeping_the_message() {
    let hub = TestHub::start(&[SENSOR_TO_FILTER]).await;
    let mut stream = TcpStream::connect(hub.plain_address()).await.unwrap();
    let topic = output_topic("tempSensor", "");
    let (id, user, password) = ("line-7/tempSensor", user_name("tempSensor"), token("tempSensor", &key("tempSensor")));
    let field = |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
    let body = [b"\x00\x04MQTT\x04\xc2\x00\x3c".to_vec(), field(id), field(&user), field(&password)].concat();
    stream.write_all(&packet(0x10, &body)).await.unwrap();
    stream.write_all(&packet(0x34, &[field(&topic), vec![0, 1], b"x".to_vec()].concat())).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0], "CONNACK and nothing else");
    assert_eq!(hub.metric("edgehub_messages_received_total").await, 0);
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length % 128).unwrap();
        length /= 128;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    [bytes, body.to_vec()].concat()
}
