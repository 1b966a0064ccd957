//! Bytes from whoever: packets that were tampered with, in pieces of any size.
//!
//! However they come, they are read as the same packets up to the same error, and no more of them is held than [`Link`] says.

use std::{fmt, io, iter};

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rmqtt_codec::types::{Protocol, QoS};
use rmqtt_codec::v3::{Connect, LastWill, SubscribeReturnCode};
use tokio::io::ReadBuf;

use super::*;

/// A fixed header: one byte of flags, four of length.
const MAX_HEAD_BYTES: usize = 5;

/// Gives its bytes in pieces of these sizes, over and over, and then ends.
struct Pieces {
    bytes: Vec<u8>,
    given: usize,
    sizes: Vec<usize>,
    turn: usize,
}

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let size = self.sizes[self.turn % self.sizes.len()];
        let end = (self.given + size.min(buffer.remaining())).min(self.bytes.len());
        buffer.put_slice(&self.bytes[self.given..end]);
        (self.given, self.turn) = (end, self.turn + 1);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What was made of some bytes.
#[derive(Debug, PartialEq)]
struct Outcome {
    packets: Vec<String>,
    error: Option<String>,
}

/// All at once, without a link.
fn read_whole(bytes: &[u8], most: u32) -> Outcome {
    let mut incoming = BytesMut::from(bytes);
    let mut packets = Vec::new();
    loop {
        let taken = match Head::read(&incoming, most) {
            Ok(Some(head)) if head.packet_len() <= incoming.len() => head.take(&mut incoming),
            Ok(_) => return Outcome { packets, error: None },
            Err(error) => Err(error),
        };
        match taken {
            Ok(frame) => packets.push(format!("{frame:?}")),
            Err(error) => return Outcome { packets, error: Some(error.to_string()) },
        }
    }
}

/// The same bytes through a link, as a connection reads them: all packets that are there, and then more bytes.
async fn read_in_pieces(bytes: &[u8], sizes: &[usize], most: u32) -> Result<Outcome, TestCaseError> {
    let pieces = Pieces { bytes: bytes.to_vec(), given: 0, sizes: sizes.to_vec(), turn: 0 };
    let mut link = Link::new(Box::new(pieces), most);
    let held = usize::try_from(most).unwrap() + MAX_HEAD_BYTES + MAX_READ_BYTES;
    let mut packets = Vec::new();
    loop {
        loop {
            match link.frame() {
                Ok(Some(frame)) => packets.push(format!("{frame:?}")),
                Ok(None) => break,
                Err(error) => return Ok(Outcome { packets, error: Some(error.to_string()) }),
            }
        }
        let ended = match link.exchange(true).await {
            Ok(_) => false,
            Err(Error::Closed) => true,
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        prop_assert!(link.incoming.len() <= held, "{} bytes are held, at most {} may be", link.incoming.len(), held);
        prop_assert!(link.incoming.capacity() <= 2 * held, "{} bytes are set aside", link.incoming.capacity());
        if ended {
            return Ok(Outcome { packets, error: None });
        }
    }
}

#[derive(Clone, Debug)]
enum Tampering {
    Flip {
        at: usize,
        bit: u8,
    },
    Set {
        at: usize,
        value: u8,
    },
    Insert {
        at: usize,
        bytes: Vec<u8>,
    },
    Remove {
        at: usize,
        count: usize,
    },
    Repeat {
        from: usize,
        count: usize,
        times: usize,
    },
    /// The first packet ends early, and its header says so.
    Shorten {
        to: usize,
    },
}

/// Many places are among the first bytes, where the fixed headers are.
fn place() -> impl Strategy<Value = usize> {
    prop_oneof![0..8_usize, any::<usize>()]
}

fn tamperings() -> impl Strategy<Value = Vec<Tampering>> {
    let tampering = prop_oneof![
        3 => (place(), 0..8_u8).prop_map(|(at, bit)| Tampering::Flip { at, bit }),
        3 => (place(), prop_oneof![Just(0), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()]).prop_map(|(at, value)| Tampering::Set { at, value }),
        1 => (place(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Tampering::Insert { at, bytes }),
        1 => (place(), 1..9_usize).prop_map(|(at, count)| Tampering::Remove { at, count }),
        4 => place().prop_map(|to| Tampering::Shorten { to }),
        1 => (place(), 1..400_usize, 1..4_usize).prop_map(|(from, count, times)| Tampering::Repeat { from, count, times }),
    ];
    prop::collection::vec(tampering, 0..4)
}

fn tamper(bytes: &mut Vec<u8>, tampering: &Tampering) {
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len();
    match *tampering {
        Tampering::Flip { at, bit } => bytes[at % len] ^= 1 << bit,
        Tampering::Set { at, value } => bytes[at % len] = value,
        Tampering::Insert { at, bytes: ref more } => drop(bytes.splice(at % len..at % len, more.iter().copied())),
        Tampering::Remove { at, count } => drop(bytes.drain(at % len..(at % len + count).min(len))),
        Tampering::Shorten { to } => {
            let head_len = bytes.iter().skip(1).position(|byte| byte & 0x80 == 0).map(|last| last + 2);
            let (Some(head_len), Ok(Some(head))) = (head_len, Head::read(bytes, u32::MAX)) else { return };
            let end = head.packet_len().min(len);
            // Up to 127 bytes, so that one says how many they are.
            let kept = to % (end - head_len + 1).min(128);
            let body = bytes[head_len..head_len + kept].to_vec();
            drop(bytes.splice(1..end, iter::once(u8::try_from(kept).unwrap()).chain(body)));
        }
        Tampering::Repeat { from, count, times } => {
            let from = from % len;
            let repeated = bytes[from..(from + count).min(len)].repeat(times);
            bytes.extend(repeated);
        }
    }
}

/// A connection's worth of one kind of packet, as the codec writes it.
fn packet() -> impl Strategy<Value = Packet> {
    let id = (1..=u16::MAX).prop_map(|id| NonZeroU16::new(id).unwrap());
    let text = "[a-z/+#$°]{1,6}";
    let qos = prop::sample::select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
    let publish = (id.clone(), text, qos.clone(), prop::collection::vec(any::<u8>(), 0..900), any::<[bool; 2]>());
    let connect = (text, prop::option::of(text), any::<u16>(), any::<bool>());
    let kinds = [Packet::PingRequest, Packet::PingResponse, Packet::Disconnect];
    prop_oneof![
        4 => publish.prop_map(|(id, topic, qos, payload, [dup, retain])| {
            let packet_id = (qos != QoS::AtMostOnce).then_some(id);
            let topic = topic.into();
            let publish = rmqtt_codec::types::Publish { dup, retain, qos, topic, packet_id, payload: payload.into(), properties: None };
            Packet::Publish(Box::new(publish))
        }),
        2 => (id.clone(), prop::collection::vec((text.prop_map(Into::into), qos), 1..5))
            .prop_map(|(packet_id, topic_filters)| Packet::Subscribe { packet_id, topic_filters }),
        1 => (id.clone(), prop::collection::vec(text.prop_map(Into::into), 1..5))
            .prop_map(|(packet_id, topic_filters)| Packet::Unsubscribe { packet_id, topic_filters }),
        2 => connect.prop_map(|(client_id, will, keep_alive, clean_session)| {
            let last_will = will.map(|topic| {
                LastWill { qos: QoS::AtLeastOnce, retain: clean_session, topic: topic.into(), message: Bytes::from_static(b"gone") }
            });
            let username = Some("user".into());
            let password = Some(Bytes::from_static(b"secret"));
            let protocol = Protocol::default();
            let connect = Connect { protocol, clean_session, keep_alive, last_will, client_id: client_id.into(), username, password, cert: None };
            Packet::Connect(Box::new(connect))
        }),
        1 => id.clone().prop_map(|packet_id| Packet::PublishAck { packet_id }),
        1 => id.clone().prop_map(|packet_id| Packet::PublishRelease { packet_id }),
        1 => id.prop_map(|packet_id| Packet::SubscribeAck { packet_id, status: vec![SubscribeReturnCode::Failure] }),
        1 => prop::sample::select(kinds.to_vec()),
    ]
}

/// What a client sends: packets, tampered with one by one or as a whole, and the first of them perhaps many times over.
fn traffic() -> impl Strategy<Value = Traffic> {
    let packets = prop::collection::vec((packet(), tamperings()), 1..6);
    let times = prop_oneof![5 => Just(1_usize), 1 => 1..8_000_usize];
    (packets, times, tamperings()).prop_map(|(packets, times, tamperings)| {
        let mut all = Vec::new();
        for (place, (packet, tamperings)) in packets.into_iter().enumerate() {
            let mut bytes = BytesMut::new();
            Codec::new(0).encode(packet, &mut bytes).unwrap();
            let times = if place == 0 { times.min(MAX_TRAFFIC_BYTES / bytes.len()) } else { 1 };
            let mut bytes = bytes.repeat(times);
            for tampering in &tamperings {
                tamper(&mut bytes, tampering);
            }
            all.extend(bytes);
        }
        for tampering in &tamperings {
            tamper(&mut all, tampering);
        }
        Traffic(all)
    })
}

/// A failing one may have hundreds of kilobytes; its beginning tells.
struct Traffic(Vec<u8>);

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(200)];
        write!(f, "{} bytes, b\"{}\"", self.0.len(), shown.escape_ascii())
    }
}

/// Enough to fill the largest read several times.
const MAX_TRAFFIC_BYTES: usize = 400 * 1024;

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![3 => 1..9_usize, 2 => 1..5_000_usize, 2 => 1..400_000_usize];
    prop::collection::vec(size, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn however_bytes_come_they_are_the_same_packets_up_to_the_same_error(
        Traffic(traffic) in traffic(), sizes in sizes(), most in prop::sample::select(vec![60_u32, 1_000, 16 * 1024, 272 * 1024]),
    ) {
        let whole = read_whole(&traffic, most);
        // By the kilobyte a byte at a time would take minutes.
        let sizes: Vec<usize> = sizes.iter().map(|size| *size.max(&(traffic.len() / 500))).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let in_pieces = runtime.block_on(read_in_pieces(&traffic, &sizes, most))?;
        prop_assert_eq!(&in_pieces, &whole);
        if let Some(error) = whole.error {
            prop_assert!((8..100).contains(&error.len()) && !error.contains(char::is_control), "{}", error);
        }
    }
}
