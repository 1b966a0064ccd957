//! The packets of MQTT 3.1.1 that the client needs, written from templates and read in place.

/// Bytes of every body.
pub const BODY_BYTES: usize = 256;
/// Digits of a message's number.
const DIGITS: usize = 10;
/// Where the number stands in a body.
const NUMBER_AT: usize = 6;
/// Where the publisher's two digits stand in a body.
const PUBLISHER_AT: usize = 23;

/// Who connects.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Names the session.
    pub client_id: String,
    /// As a device SDK writes it.
    pub user_name: String,
    /// A token.
    pub password: String,
}

/// Seconds of silence that the client promises not to exceed: longer than any measurement, so it never pings.
const KEEP_ALIVE_SECONDS: u16 = 1800;

/// CONNECT for a session that is kept.
pub fn connect(who: &Credentials) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    // Level 4; user name and password follow; the session is not clean.
    body.extend_from_slice(&[4, 0b1100_0000]);
    body.extend_from_slice(&KEEP_ALIVE_SECONDS.to_be_bytes());
    text(&mut body, &who.client_id);
    text(&mut body, &who.user_name);
    text(&mut body, &who.password);
    packet(0x10, &body)
}

/// SUBSCRIBE to one filter.
pub fn subscribe(filter: &str, qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    text(&mut body, filter);
    body.push(qos);
    packet(0x82, &body)
}

/// Appends PUBACK.
pub fn acknowledge(out: &mut Vec<u8>, id: u16) {
    let [high, low] = id.to_be_bytes();
    out.extend_from_slice(&[0x40, 2, high, low]);
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut length = body.len();
    loop {
        let [low, ..] = length.to_le_bytes();
        length >>= 7;
        if length == 0 {
            out.push(low & 0x7f);
            break;
        }
        out.push(low | 0x80);
    }
    out.extend_from_slice(body);
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// A PUBLISH of which only identifier and numbers change. The body is JSON: `{"n":"0000000000","p":"00","level":7,"pad":"…"}`.
#[derive(Debug)]
pub struct Template {
    bytes: Vec<u8>,
    id_at: Option<usize>,
    body_at: usize,
    /// Where the topic's last [`DIGITS`] bytes begin, if each message has a topic of its own.
    topic_number_at: Option<usize>,
}

impl Template {
    /// A message of a publisher, 0 to 99. With `topic_per_message` the topic ends in the message's number.
    pub fn new(topic: &str, qos: u8, publisher: usize, topic_per_message: bool) -> Self {
        let topic = if topic_per_message { format!("{topic}0000000000") } else { topic.to_owned() };
        let mut body = Vec::new();
        text(&mut body, &topic);
        if qos > 0 {
            body.extend_from_slice(&[0, 0]);
        }
        let head = body.len();
        let start = format!("{{\"n\":\"0000000000\",\"p\":\"{:02}\",\"level\":7,\"pad\":\"", publisher % 100);
        body.extend_from_slice(start.as_bytes());
        body.resize(head + BODY_BYTES - 2, b'x');
        body.extend_from_slice(b"\"}");
        let bytes = packet(0x30 | qos << 1, &body);
        let body_at = bytes.len() - BODY_BYTES;
        let id_at = (qos > 0).then(|| body_at - 2);
        let topic_end = id_at.unwrap_or(body_at);
        Self { bytes, id_at, body_at, topic_number_at: topic_per_message.then(|| topic_end - DIGITS) }
    }

    /// Appends the message with a number.
    pub fn write(&self, out: &mut Vec<u8>, id: u16, number: u64) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        if let Some(at) = self.id_at {
            out[start + at..start + at + 2].copy_from_slice(&id.to_be_bytes());
        }
        digits(&mut out[start + self.body_at + NUMBER_AT..][..DIGITS], number);
        if let Some(at) = self.topic_number_at {
            digits(&mut out[start + at..][..DIGITS], number);
        }
    }

    /// Bytes of one packet.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: a packet has a head at least.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

fn digits(out: &mut [u8], mut number: u64) {
    for digit in out.iter_mut().rev() {
        // Below ten, so no digit is cut off.
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

/// Publisher and number of a body that [`Template`] wrote; none: another body.
pub fn origin(body: &[u8]) -> Option<(usize, u64)> {
    let number = decimal(body.get(NUMBER_AT..NUMBER_AT + DIGITS)?)?;
    let publisher = decimal(body.get(PUBLISHER_AT..PUBLISHER_AT + 2)?)?;
    Some((usize::try_from(publisher).ok()?, number))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

/// A packet from a server.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// Let in (code 0), or not.
    ConnAck {
        /// 0: let in.
        code: u8,
    },
    /// The answer to a subscription: the granted quality of service, or 128.
    SubAck {
        /// What was granted.
        code: u8,
    },
    /// A publish was taken.
    PubAck {
        /// Which.
        id: u16,
    },
    /// A message.
    Publish {
        /// At QoS 1, what to acknowledge.
        id: Option<u16>,
        /// Its body.
        body: &'a [u8],
    },
    /// Anything else: its first byte.
    Other(u8),
}

/// Bytes that are not MQTT.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// The packet that `bytes` begin with, and its length; none: it is not there in whole.
pub fn first(bytes: &[u8]) -> Result<Option<(Incoming<'_>, usize)>, Malformed> {
    let mut length = 0_usize;
    let mut at = 1;
    loop {
        let Some(byte) = bytes.get(at) else { return Ok(None) };
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
        if at > 4 {
            return Err(Malformed);
        }
    }
    let Some(body) = bytes.get(at..at + length) else { return Ok(None) };
    Ok(Some((read(bytes[0], body).ok_or(Malformed)?, at + length)))
}

fn read(first: u8, body: &[u8]) -> Option<Incoming<'_>> {
    Some(match first >> 4 {
        2 => Incoming::ConnAck { code: *body.get(1)? },
        3 => {
            let topic = usize::from(number(body, 0)?);
            let (id, body_at) = if first & 0b110 == 0 { (None, topic + 2) } else { (Some(number(body, topic + 2)?), topic + 4) };
            Incoming::Publish { id, body: body.get(body_at..)? }
        }
        4 => Incoming::PubAck { id: number(body, 0)? },
        9 => Incoming::SubAck { code: *body.get(2)? },
        _ => Incoming::Other(first),
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_template_writes_is_read_back_with_its_number_and_publisher() {
        for (qos, per_message) in [(0, false), (1, false), (1, true)] {
            let template = Template::new("devices/d/modules/m/messages/events/n=", qos, 17, per_message);
            let mut out = Vec::new();
            template.write(&mut out, 513, 9_876_543_210);
            assert_eq!(out.len(), template.len());
            let (packet, length) = first(&out).unwrap().unwrap();
            assert_eq!(length, out.len());
            let Incoming::Publish { id, body } = packet else { panic!("{packet:?}") };
            assert_eq!((id, body.len()), ((qos > 0).then_some(513), BODY_BYTES));
            assert_eq!(origin(body), Some((17, 9_876_543_210)));
            assert!(serde_json::from_slice::<serde_json::Value>(body).unwrap()["level"] == 7);
            assert_eq!(out.windows(12).any(|part| part == b"n=9876543210"), per_message);
        }
    }

    #[test]
    fn a_packet_is_read_only_when_it_is_there_in_whole() {
        let mut out = Vec::new();
        acknowledge(&mut out, 7);
        for end in 0..out.len() {
            assert_eq!(first(&out[..end]), Ok(None));
        }
        assert_eq!(first(&out), Ok(Some((Incoming::PubAck { id: 7 }, 4))));
        assert_eq!(first(&[0x40, 0xff, 0xff, 0xff, 0xff, 1]), Err(Malformed));
        assert_eq!(first(&[0x40, 1, 0]), Err(Malformed));
    }

    #[test]
    fn the_hand_shake_is_that_of_mqtt_3_1_1() {
        let who = Credentials { client_id: "c".into(), user_name: "u".into(), password: "p".into() };
        assert_eq!(connect(&who), b"\x10\x13\0\x04MQTT\x04\xc0\x07\x08\0\x01c\0\x01u\0\x01p");
        assert_eq!(subscribe("a/#", 1), b"\x82\x08\0\x01\0\x03a/#\x01");
    }
}
