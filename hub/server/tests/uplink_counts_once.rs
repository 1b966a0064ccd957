//! A message that is dropped for want of room while it is on its way upstream is counted as dropped, and not as delivered too.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// More than the journal of the test holds.
const COUNT: u64 = 300;
const BODY_BYTES: usize = 64 * 1024;
/// As little as a journal can have.
const MAX_BYTES: u64 = 12 * 1024 * 1024;

/// One MQTT packet: its first byte, and what follows the length.
async fn packet(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let kind = stream.read_u8().await.unwrap();
    let (mut len, mut shift) = (0_usize, 0);
    loop {
        let byte = stream.read_u8().await.unwrap();
        len |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.unwrap();
    (kind, body)
}

/// Acknowledges one publication.
async fn acknowledge(stream: &mut TcpStream) {
    let (kind, body) = packet(stream).await;
    assert_eq!(kind & 0xf0, 0x30, "a PUBLISH");
    let id_at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
    stream.write_all(&[0x40, 2, body[id_at], body[id_at + 1]]).await.unwrap();
}

#[tokio::test]
async fn a_message_dropped_on_its_way_is_not_counted_as_delivered() {
    let broker = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtt://{}", broker.local_addr().unwrap());
    let hub = TestHub::start_with(|hub| {
        hub["routes"] = routes_json(&["FROM /messages/* INTO $upstream"]);
        hub["storeAndForward"] = json!({"maxBytes": MAX_BYTES, "onFull": "DropOldest"});
        hub["upstream"] = json!({"mqtt": {"url": url}});
    })
    .await;
    let (mut stream, _) = broker.accept().await.unwrap();
    assert_eq!(packet(&mut stream).await.0, 0x10, "a CONNECT");
    stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
    // The first are on their way, and nobody acknowledges them until more have come than there is room for.
    let mut sensor = hub.client("tempSensor").await;
    for _ in 0..COUNT {
        publish(&mut sensor, &output_topic("tempSensor", ""), vec![7; BODY_BYTES]).await;
    }
    let dropped = hub.metric("edgehub_messages_dropped_total{reason=\"store_full\"}").await;
    assert!(dropped > 0);
    // Those on their way come first, then all that was kept.
    let acknowledging = tokio::spawn(async move {
        loop {
            acknowledge(&mut stream).await;
        }
    });
    hub.metric_reaches("edgehub_journal_settled_total", COUNT - dropped).await;
    hub.metric_reaches("edgehub_messages_sent_total{to=\"upstream\"}", COUNT - dropped).await;
    assert_eq!(hub.metric("edgehub_messages_sent_total{to=\"upstream\"}").await, COUNT - dropped);
    acknowledging.abort();
}
