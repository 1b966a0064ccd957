//! Packets that were tampered with, sent to a running hub in pieces: each connection comes to its end, no task of the hub panics, and
//! what other clients get is right.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use edge_mqtt::{MAX_PACKET_BYTES, QoS};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use rmqtt_codec::types::{Protocol, Publish};
use rmqtt_codec::v3::{Codec, Connect, LastWill, Packet};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::codec::{Decoder, Encoder};

const CASES: u32 = 500;
const OTHER_TO_FILTER: &str = "FROM /messages/modules/other/* INTO BrokeredEndpoint(\"/modules/filter/inputs/in\")";
const LAST: &str = "the last one";

/// Panics of any thread, the hub's included.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Changes of a connection's bytes at a place, in thousandths of them all.
#[derive(Clone, Debug)]
enum Tampering {
    Set { at: usize, value: u8 },
    Insert { at: usize, bytes: Vec<u8> },
    Remove { at: usize, count: usize },
    CutShort { at: usize },
}

/// What one connection sends.
#[derive(Clone, Debug)]
struct Hostile {
    connect: Packet,
    packets: Vec<Packet>,
    tampering: Vec<Tampering>,
    /// Is the CONNECT left as it is, so that the rest meets an admitted client?
    admitted: bool,
    /// Sizes of what is written at a time.
    pieces: Vec<usize>,
}

impl Hostile {
    fn bytes(&self) -> Vec<u8> {
        let encoded = |packets: &[Packet]| {
            let mut bytes = BytesMut::new();
            for packet in packets {
                Codec::new(0).encode(packet.clone(), &mut bytes).unwrap();
            }
            bytes.to_vec()
        };
        let mut connect = encoded(std::slice::from_ref(&self.connect));
        let mut rest = encoded(&self.packets);
        if self.admitted {
            self.tamper(&mut rest);
        } else {
            self.tamper(&mut connect);
        }
        [connect, rest].concat()
    }

    fn tamper(&self, bytes: &mut Vec<u8>) {
        for tampering in &self.tampering {
            let len = bytes.len();
            let place = |at: usize| at * len / 1_000;
            match *tampering {
                Tampering::Set { at, value } => {
                    if let Some(byte) = bytes.get_mut(place(at)) {
                        *byte = value;
                    }
                }
                Tampering::Insert { at, bytes: ref more } => {
                    let at = place(at);
                    drop(bytes.splice(at..at, more.iter().copied()));
                }
                Tampering::Remove { at, count } => drop(bytes.drain(place(at)..(place(at) + count).min(len))),
                Tampering::CutShort { at } => bytes.truncate(place(at)),
            }
        }
    }
}

fn connect(will: Option<String>, clean_session: bool, keep_alive: u16) -> Packet {
    let last_will = will.map(|topic| LastWill {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: topic.into(),
        message: Bytes::from_static(b"will"),
    });
    Packet::Connect(Box::new(Connect {
        protocol: Protocol::default(),
        clean_session,
        keep_alive,
        last_will,
        client_id: format!("{DEVICE}/other").into(),
        username: Some(user_name("other").into()),
        password: Some(Bytes::from(token("other", &key("other")))),
        cert: None,
    }))
}

fn packets() -> impl Strategy<Value = Vec<Packet>> {
    let id = (1..=u16::MAX).prop_map(|id| NonZeroU16::new(id).unwrap());
    let bag = prop::sample::select(vec![
        "",
        "a=1",
        "%24.on=out&b",
        "a=b=c",
        "%24.cmid=filter&moduleId=filter",
        "%ff",
        "%24.mid=1&a=%C3%A9",
    ]);
    let topic = prop_oneof![
        6 => bag.prop_map(|bag| output_topic("other", bag)),
        1 => prop::sample::select(vec![output_topic("filter", ""), "$iothub/twin/GET/?$rid=1".to_owned(), "a/b".to_owned()]),
    ];
    let filter = prop_oneof![
        3 => Just(format!("devices/{DEVICE}/modules/other/inputs/#")),
        2 => prop::sample::select(vec!["$iothub/twin/res/#", "#", "a/+", "$edgehub/status", "a#"]).prop_map(str::to_owned),
        1 => "[a-z/+#]{1,12}",
    ];
    let qos = prop::sample::select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::AtLeastOnce]);
    let packet = prop_oneof![
        6 => (id.clone(), topic, qos.clone(), prop::collection::vec(any::<u8>(), 0..400), any::<[bool; 2]>()).prop_map(
            |(id, topic, qos, payload, [dup, retain])| {
                let packet_id = (qos != QoS::AtMostOnce).then_some(id);
                let publish = Publish { dup, retain, qos, topic: topic.into(), packet_id, payload: payload.into(), properties: None };
                Packet::Publish(Box::new(publish))
            }
        ),
        2 => (id.clone(), prop::collection::vec((filter.clone().prop_map(Into::into), qos), 1..5))
            .prop_map(|(packet_id, topic_filters)| Packet::Subscribe { packet_id, topic_filters }),
        1 => (id.clone(), prop::collection::vec(filter.prop_map(Into::into), 1..5))
            .prop_map(|(packet_id, topic_filters)| Packet::Unsubscribe { packet_id, topic_filters }),
        1 => id.prop_map(|packet_id| Packet::PublishAck { packet_id }),
        1 => Just(Packet::PingRequest),
        1 => prop::sample::select(vec![Packet::Disconnect, Packet::PingResponse]),
    ];
    prop::collection::vec(packet, 0..9)
}

fn hostile() -> impl Strategy<Value = Hostile> {
    let value = prop_oneof![Just(0), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()];
    let tampering = prop_oneof![
        4 => (0..1_000_usize, value).prop_map(|(at, value)| Tampering::Set { at, value }),
        1 => (0..1_000_usize, prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Tampering::Insert { at, bytes }),
        1 => (0..1_000_usize, 1..9_usize).prop_map(|(at, count)| Tampering::Remove { at, count }),
        1 => (0..1_000_usize).prop_map(|at| Tampering::CutShort { at }),
    ];
    let will =
        prop::option::of(prop::sample::select(vec![output_topic("other", "will"), output_topic("filter", ""), "#".to_owned()]));
    let connect = (will, any::<bool>(), prop::sample::select(vec![0, 1, 60, u16::MAX]))
        .prop_map(|(will, clean_session, keep_alive)| connect(will, clean_session, keep_alive));
    (
        connect,
        packets(),
        prop::collection::vec(tampering, 0..4),
        prop::bool::weighted(0.8),
        prop::collection::vec(prop_oneof![1..9_usize, 1..2_000_usize], 1..5),
    )
        .prop_map(|(connect, packets, tampering, admitted, pieces)| Hostile {
            connect,
            packets,
            tampering,
            admitted,
            pieces,
        })
}

/// Sends it all, says that nothing more comes, and returns what the hub says to its end.
async fn play(hub: &TestHub, hostile: &Hostile) -> Vec<u8> {
    let stream = TcpStream::connect(hub.plain_address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let send = async {
        let bytes = hostile.bytes();
        let (mut rest, mut pieces) = (&bytes[..], hostile.pieces.iter().cycle());
        while let Some(size) = pieces.next().filter(|_| !rest.is_empty()) {
            let (piece, more) = rest.split_at(*size.min(&rest.len()));
            // The hub may have had enough.
            if writing.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
            rest = more;
        }
        let _closed = writing.shutdown().await;
    };
    let mut answer = Vec::new();
    let receive = async {
        // A reset is as good an end as a close.
        let _ended = reading.read_to_end(&mut answer).await;
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(send, receive) }).await.expect("the hub ends the connection");
    answer
}

/// What the hub said is MQTT, and only what a server says.
fn check_answer(answer: &[u8]) -> Result<(), TestCaseError> {
    let mut bytes = BytesMut::from(answer);
    while let Some((packet, _)) = Codec::new(0).decode(&mut bytes).map_err(|error| TestCaseError::fail(error.to_string()))? {
        let of_a_server = matches!(
            packet,
            Packet::ConnectAck(_)
                | Packet::PublishAck { .. }
                | Packet::SubscribeAck { .. }
                | Packet::UnsubscribeAck { .. }
                | Packet::PingResponse
                | Packet::Publish(_)
        );
        prop_assert!(of_a_server, "{:?}", packet);
    }
    Ok(())
}

/// Is there something that is no packet, before the client says that it goes?
fn is_broken(bytes: &[u8]) -> bool {
    let mut bytes = BytesMut::from(bytes);
    loop {
        match Codec::new(MAX_PACKET_BYTES).decode(&mut bytes) {
            Ok(Some((Packet::Disconnect, _)) | None) => return false,
            Ok(Some(_)) => {}
            Err(_) => return true,
        }
    }
}

/// How many connections ended because their client broke the protocol, once all have ended.
async fn broken_connections(hub: &TestHub) -> u64 {
    let all_ended = async {
        while hub.metric("edgehub_connected_clients").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, all_ended).await.expect("the connection ends");
    hub.metric("edgehub_client_disconnect_total{reason=\"protocol\"}").await
}

/// Cases are the same in each run: what is sent to a hub that runs is not worth a chance.
#[test]
fn whatever_a_client_sends_its_connection_ends_and_the_hub_goes_on() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        report(panic);
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let hub = runtime.block_on(TestHub::start(&[OTHER_TO_FILTER]));
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&hostile(), |hostile| {
        let (before, answer, after) = runtime
            .block_on(async { (broken_connections(&hub).await, play(&hub, &hostile).await, broken_connections(&hub).await) });
        prop_assert_eq!(PANICS.load(Ordering::SeqCst), 0, "a task of the hub panicked");
        if hostile.admitted && is_broken(&hostile.bytes()) {
            prop_assert_eq!(after, before + 1, "what is no packet ends the connection, and is counted as that");
        }
        check_answer(&answer)
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    runtime.block_on(async {
        // All of them are gone, and what was taken of them comes under the name of its sender.
        let mut other = hub.client("other").await;
        publish(&mut other, &output_topic("other", ""), LAST).await;
        let mut filter = hub.subscriber("filter").await;
        let mut taken = 0_u32;
        loop {
            let message = take(&mut filter).await;
            assert!(message.topic.contains("%24.cmid=other") && !message.topic.contains("%24.cmid=filter"), "{}", message.topic);
            if message.payload == LAST {
                break;
            }
            taken += 1;
        }
        assert!(taken > CASES / 2, "of all that was sent only {taken} messages were taken");
        assert_eq!(hub.metric("edgehub_connected_clients").await, 2);
        assert_eq!(hub.metric("edgehub_handshakes").await, 0);
        let ended = hub.metric("edgehub_client_disconnect_total{reason=\"protocol\"}").await;
        let refused = hub.metric("edgehub_client_connect_failed_total{reason=\"protocol\"}").await;
        assert!(ended > 10 && refused > 3, "{ended} connections and {refused} hand-shakes ended with a reason");
    });
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}
