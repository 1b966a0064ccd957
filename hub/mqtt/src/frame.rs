//! The packets that come by the hundred thousand, PUBLISH and PUBACK, read and written without detour. All others go through the
//! codec crate.

use std::num::NonZeroU16;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::types::QoS;
use rmqtt_codec::v3::{Codec, Packet};
use tokio_util::codec::Decoder;

use crate::Error;

/// Most bytes of a fixed header: one of flags, four of length.
const MAX_HEAD_BYTES: usize = 5;
/// Largest length that a fixed header can say.
const MAX_REMAINING: usize = 268_435_455;
const PUBLISH: u8 = 3;
const PUBACK_HEAD: [u8; 2] = [0x40, 2];

/// One packet that came in.
#[derive(Debug)]
pub enum Frame {
    /// A message.
    Publish(Publish),
    /// The acknowledgement of one.
    PubAck(NonZeroU16),
    /// Any other packet.
    Other(Packet),
}

/// A PUBLISH. Topic and payload share the memory of the buffer that was read into: they are dropped soon, or copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Sent before, perhaps.
    pub dup: bool,
    /// To be retained.
    pub retain: bool,
    /// How it wants to be delivered.
    pub qos: QoS,
    /// Where to.
    pub topic: ByteString,
    /// Absent at QoS 0.
    pub packet_id: Option<NonZeroU16>,
    /// The body.
    pub payload: Bytes,
}

/// What a fixed header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    first: u8,
    /// Its own bytes.
    len: usize,
    /// Bytes that follow it.
    remaining: usize,
}

impl Head {
    /// Reads it; none: it is not there in whole. A packet over `most` bytes is refused before it has come.
    pub(crate) fn read(bytes: &[u8], most: u32) -> Result<Option<Self>, DecodeError> {
        let Some(first) = bytes.first() else { return Ok(None) };
        let mut remaining = 0;
        for (place, byte) in bytes.iter().enumerate().take(MAX_HEAD_BYTES).skip(1) {
            remaining |= usize::from(byte & 0x7f) << (7 * (place - 1));
            if byte & 0x80 == 0 {
                let size = u32::try_from(remaining).unwrap_or(u32::MAX);
                return if size > most {
                    Err(DecodeError::MaxSizeExceeded { size, max: most })
                } else {
                    Ok(Some(Self { first: *first, len: place + 1, remaining }))
                };
            }
        }
        if bytes.len() >= MAX_HEAD_BYTES { Err(DecodeError::InvalidLength) } else { Ok(None) }
    }

    /// Bytes of the whole packet.
    pub(crate) fn packet_len(self) -> usize {
        self.len + self.remaining
    }

    /// Takes the packet out of `incoming`, which holds it in whole.
    pub(crate) fn take(self, incoming: &mut BytesMut) -> Result<Frame, DecodeError> {
        if self.first >> 4 == PUBLISH {
            incoming.advance(self.len);
            return publish(self.first, incoming.split_to(self.remaining).freeze()).map(Frame::Publish);
        }
        if incoming.starts_with(&PUBACK_HEAD) && self.packet_len() == PUBACK_HEAD.len() + 2 {
            incoming.advance(PUBACK_HEAD.len());
            let id = NonZeroU16::new(incoming.get_u16()).ok_or(DecodeError::PacketIdRequired)?;
            return Ok(Frame::PubAck(id));
        }
        self.take_packet(incoming).map(Frame::Other)
    }

    /// The same, always by the codec.
    pub(crate) fn take_packet(self, incoming: &mut BytesMut) -> Result<Packet, DecodeError> {
        let mut whole = incoming.split_to(self.packet_len());
        // Its size has been judged already.
        match Codec::new(0).decode(&mut whole)? {
            Some((packet, _)) => Ok(packet),
            None => Err(DecodeError::InvalidLength),
        }
    }
}

fn publish(first: u8, mut body: Bytes) -> Result<Publish, DecodeError> {
    let qos = QoS::try_from(first >> 1 & 0b11)?;
    if body.len() < 2 {
        return Err(DecodeError::InvalidLength);
    }
    let topic_len = usize::from(body.get_u16());
    let id_len = if qos == QoS::AtMostOnce { 0 } else { 2 };
    if body.len() < topic_len + id_len {
        return Err(DecodeError::InvalidLength);
    }
    let topic = ByteString::try_from(body.split_to(topic_len)).map_err(|_| DecodeError::InvalidTopicName)?;
    if topic.is_empty() {
        return Err(DecodeError::InvalidTopicName);
    }
    let packet_id = match id_len {
        0 => None,
        _ => Some(NonZeroU16::new(body.get_u16()).ok_or(DecodeError::PacketIdRequired)?),
    };
    Ok(Publish { dup: first & 0b1000 != 0, retain: first & 1 != 0, qos, topic, packet_id, payload: body })
}

/// Appends a PUBLISH: at QoS 1 with an identifier, at QoS 0 without.
pub(crate) fn write_publish(
    out: &mut BytesMut,
    topic: &str,
    payload: &[u8],
    packet_id: Option<NonZeroU16>,
    dup: bool,
) -> Result<(), Error> {
    let refused = |reason: String| Err(Error::Encode { reason });
    let Ok(topic_len) = u16::try_from(topic.len()) else {
        return refused(format!("a topic of {} bytes", topic.len()));
    };
    let mut remaining = 2 + topic.len() + payload.len() + if packet_id.is_some() { 2 } else { 0 };
    if remaining > MAX_REMAINING {
        return refused(format!("a packet of {remaining} bytes"));
    }
    out.reserve(MAX_HEAD_BYTES + remaining);
    out.put_u8(PUBLISH << 4 | u8::from(dup) << 3 | u8::from(packet_id.is_some()) << 1);
    loop {
        let [low, ..] = remaining.to_le_bytes();
        remaining >>= 7;
        if remaining == 0 {
            out.put_u8(low & 0x7f);
            break;
        }
        out.put_u8(low | 0x80);
    }
    out.put_u16(topic_len);
    out.put_slice(topic.as_bytes());
    if let Some(id) = packet_id {
        out.put_u16(id.get());
    }
    out.put_slice(payload);
    Ok(())
}

/// Appends a PUBACK.
pub(crate) fn write_acknowledgement(out: &mut BytesMut, packet_id: NonZeroU16) {
    out.reserve(PUBACK_HEAD.len() + 2);
    out.put_slice(&PUBACK_HEAD);
    out.put_u16(packet_id.get());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio_util::codec::Encoder;

    const MOST: u32 = 300_000;

    fn take(bytes: &[u8]) -> Result<Option<Frame>, DecodeError> {
        let mut incoming = BytesMut::from(bytes);
        match Head::read(&incoming, MOST)? {
            Some(head) if head.packet_len() <= incoming.len() => head.take(&mut incoming).map(Some),
            _ => Ok(None),
        }
    }

    fn by_codec(bytes: &[u8]) -> Result<Option<Packet>, DecodeError> {
        Ok(Codec::new(MOST).decode(&mut BytesMut::from(bytes))?.map(|(packet, _)| packet))
    }

    fn as_packet(frame: Frame) -> Packet {
        match frame {
            Frame::Publish(Publish { dup, retain, qos, topic, packet_id, payload }) => {
                let publish = rmqtt_codec::types::Publish { dup, retain, qos, topic, packet_id, payload, properties: None };
                Packet::Publish(Box::new(publish))
            }
            Frame::PubAck(packet_id) => Packet::PublishAck { packet_id },
            Frame::Other(packet) => packet,
        }
    }

    #[test]
    fn a_publish_without_topic_or_identifier_or_with_a_third_quality_is_refused() {
        for bytes in
            [&b"\x30\x02\0\0"[..], b"\x32\x05\0\x01a\0\0", b"\x36\x05\0\x01a\0\x01", b"\x30\x03\0\x02a", b"\x30\x03\0\x01\xff"]
        {
            assert!(take(bytes).is_err(), "{bytes:?}");
        }
        assert!(take(b"\x40\x02\0\0").is_err(), "identifiers begin at 1");
    }

    #[test]
    fn a_packet_that_is_too_large_is_refused_before_it_has_come() {
        assert!(matches!(
            Head::read(b"\x30\xff\xff\xff\x7f", 99),
            Err(DecodeError::MaxSizeExceeded { size: 268_435_455, max: 99 })
        ));
        assert!(Head::read(b"\x30\xff\xff\xff\xff\x01", 99).is_err());
        assert_eq!(Head::read(b"\x30\xff\xff", 99).unwrap(), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_the_codec_writes(
            topic in "[a-zA-Z/°]{1,300}", payload in prop::collection::vec(any::<u8>(), 0..20_000), id in any::<u16>(), dup in any::<bool>(),
        ) {
            let packet_id = NonZeroU16::new(id);
            let (mut ours, mut theirs) = (BytesMut::new(), BytesMut::new());
            write_publish(&mut ours, &topic, &payload, packet_id, dup).unwrap();
            let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
            let publish = rmqtt_codec::types::Publish {
                dup, retain: false, qos, topic: topic.into(), packet_id, payload: payload.into(), properties: None,
            };
            Codec::new(0).encode(Packet::Publish(Box::new(publish)), &mut theirs).unwrap();
            if let Some(packet_id) = packet_id {
                write_acknowledgement(&mut ours, packet_id);
                Codec::new(0).encode(Packet::PublishAck { packet_id }, &mut theirs).unwrap();
            }
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn what_is_read_is_what_the_codec_reads(
            first in prop_oneof![Just(0x40_u8), 0x30..0x40_u8, any::<u8>()], body in prop::collection::vec(any::<u8>(), 0..100), topic in 0..9_u8,
        ) {
            let mut bytes = vec![first, u8::try_from(body.len()).unwrap()];
            bytes.extend(&body);
            if bytes.len() > 4 {
                bytes[2] = 0;
                bytes[3] = topic;
            }
            let (ours, theirs) = (take(&bytes), by_codec(&bytes));
            match (ours, theirs) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours.map(as_packet), theirs),
                (ours, theirs) => prop_assert_eq!(ours.is_err(), theirs.is_err()),
            }
        }
    }
}
