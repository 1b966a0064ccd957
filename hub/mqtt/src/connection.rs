//! An open connection of a client: identifiers, acknowledgements and pings.

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use rmqtt_codec::types::QoS;
use rmqtt_codec::v3::{Packet, SubscribeReturnCode};
use tokio::time::Instant;

use crate::Error;
use crate::link::{Frame, Link};

/// A message from the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Where it was published.
    pub topic: ByteString,
    /// Its body.
    pub payload: Bytes,
    /// Present for QoS 1: what to give to [`Connection::acknowledge`].
    pub packet_id: Option<NonZeroU16>,
    /// Sent before, perhaps.
    pub dup: bool,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming({}, {} bytes, {:?})", self.topic, self.payload.len(), self.packet_id)
    }
}

/// What the server sent.
#[derive(Debug)]
pub enum Event {
    /// A message on a subscription.
    Message(Incoming),
    /// The publish with this identifier was taken.
    PubAck(NonZeroU16),
    /// The answer to a subscription, one entry per filter: the granted QoS, or none where it was refused.
    SubAck(NonZeroU16, Vec<Option<QoS>>),
}

/// An open connection. Dropping it closes the socket without DISCONNECT.
pub struct Connection {
    link: Link,
    /// Publishes without PUBACK; bounded by the number of identifiers.
    in_flight: HashSet<NonZeroU16>,
    last_id: u16,
    keep_alive: Duration,
    last_write: Instant,
    pinged: Option<Instant>,
    session_present: bool,
}

impl Connection {
    pub(crate) fn new(link: Link, keep_alive: Duration, session_present: bool) -> Self {
        Self {
            link,
            in_flight: HashSet::new(),
            last_id: 0,
            keep_alive: keep_alive.max(Duration::from_secs(1)),
            last_write: Instant::now(),
            pinged: None,
            session_present,
        }
    }

    /// Did the server keep a session for this client id?
    pub fn session_present(&self) -> bool {
        self.session_present
    }

    /// Bytes accepted from the caller and not yet taken by the socket.
    pub fn queued_bytes(&self) -> usize {
        self.link.queued_bytes()
    }

    /// Publishes that wait for their PUBACK.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Queues a message at QoS 1 and returns the identifier that its PUBACK will bear. [`Connection::next`] sends it.
    pub fn publish(&mut self, topic: &str, payload: &[u8], dup: bool) -> Result<NonZeroU16, Error> {
        let id = self.free_id()?;
        self.link.queue_publish(topic, payload, Some(id), dup)?;
        self.in_flight.insert(id);
        Ok(id)
    }

    /// Queues a subscription and returns the identifier that its SUBACK will bear.
    pub fn subscribe(&mut self, filter: &str, qos: QoS) -> Result<NonZeroU16, Error> {
        let packet_id = self.free_id()?;
        self.link.queue(Packet::Subscribe { packet_id, topic_filters: vec![(ByteString::from(filter), qos)] })?;
        Ok(packet_id)
    }

    /// Queues the PUBACK of a message.
    pub fn acknowledge(&mut self, packet_id: NonZeroU16) -> Result<(), Error> {
        self.link.queue_acknowledgement(packet_id);
        Ok(())
    }

    /// Sends what is queued, keeps the connection alive, and returns what the server says next. May be dropped at any await.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            while let Some(frame) = self.link.frame().map_err(|error| Error::Decode { reason: error.to_string() })? {
                if let Some(event) = self.receive(frame)? {
                    return Ok(event);
                }
            }
            let deadline = self.next_deadline();
            tokio::select! {
                progress = self.link.exchange(true) => {
                    if progress?.wrote {
                        self.last_write = Instant::now();
                    }
                }
                () = tokio::time::sleep_until(deadline) => self.keep_alive()?,
            }
        }
    }

    /// Sends what is queued without reading. For whoever will not call [`Connection::next`] for a while.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.link.flush().await
    }

    /// Says DISCONNECT and closes.
    pub async fn close(mut self) -> Result<(), Error> {
        self.link.queue(Packet::Disconnect)?;
        self.link.shut_down().await
    }

    fn receive(&mut self, frame: Frame) -> Result<Option<Event>, Error> {
        let packet = match frame {
            Frame::Publish(publish) if publish.qos == QoS::ExactlyOnce => {
                return Err(Error::Unexpected { what: "PUBLISH at QoS 2" });
            }
            Frame::Publish(publish) => {
                return Ok(Some(Event::Message(Incoming {
                    topic: publish.topic,
                    payload: publish.payload,
                    packet_id: publish.packet_id,
                    dup: publish.dup,
                })));
            }
            // An acknowledgement of something never sent is ignored, as MQTT 3.1.1 leaves it open and brokers differ after a restart.
            Frame::PubAck(packet_id) => return Ok(self.in_flight.remove(&packet_id).then_some(Event::PubAck(packet_id))),
            Frame::Other(packet) => packet,
        };
        match packet {
            Packet::SubscribeAck { packet_id, status } => {
                let granted = status.into_iter().map(|code| match code {
                    SubscribeReturnCode::Success(qos) => Some(qos),
                    SubscribeReturnCode::Failure => None,
                });
                Ok(Some(Event::SubAck(packet_id, granted.collect())))
            }
            Packet::UnsubscribeAck { .. } => Ok(None),
            Packet::PingResponse => {
                self.pinged = None;
                Ok(None)
            }
            _ => Err(Error::Unexpected { what: "a packet that only clients send" }),
        }
    }

    /// A server gives up after one and a half times the keep-alive; a ping at three quarters leaves as much for its answer.
    fn ping_after(&self) -> Duration {
        self.keep_alive / 4 * 3
    }

    fn next_deadline(&self) -> Instant {
        self.pinged.unwrap_or(self.last_write) + self.ping_after()
    }

    fn keep_alive(&mut self) -> Result<(), Error> {
        if let Some(since) = self.pinged {
            return Err(Error::Silent { waited: since.elapsed() });
        }
        self.pinged = Some(Instant::now());
        self.link.queue(Packet::PingRequest)
    }

    fn free_id(&mut self) -> Result<NonZeroU16, Error> {
        for _ in 0..u16::MAX {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if let Some(id) = NonZeroU16::new(self.last_id).filter(|id| !self.in_flight.contains(id)) {
                return Ok(id);
            }
        }
        Err(Error::NoPacketId)
    }
}
