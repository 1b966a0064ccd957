//! One admitted client, served by one task until it goes.
//!
//! # Promises
//! - PUBACKs follow the disk and the order of the publishes ([`Inbox`]). SUBACK follows the durable commit of the session.
//! - A client acts only as the identity it proved; whoever publishes as another is cut off, with the reason in the log.
//! - What a client can make us hold is bounded: the [`Inbox`], a window of deliveries, [`MAX_QUEUED_BYTES`] to write.
//!   Past the first, reading pauses; if the journal refuses writes by then, the connection ends, since a client that cannot
//!   even ping would end it anyway.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use edge_mqtt::link::{Link, Progress};
use edge_protocol::date;
use edge_protocol::status::HubStatus;
use edge_protocol::topic::{self, Publish as Meaning, TelemetryError};
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v3::{Connect, Packet, SubscribeReturnCode};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::authenticate::Authenticated;
use super::handshake::Admitted;
use super::inbox::Inbox;
use super::subscriptions::{self, Deliveries};
use crate::clients::Registration;
use crate::clock;
use crate::delivery::{Delivery, Receipt};
use crate::hub::Hub;
use crate::metrics::{DropReason, EndReason};
use crate::random;
use crate::session::{MAX_SUBSCRIPTIONS, Session};

/// Bytes queued for a slow reader before deliveries and reading wait.
const MAX_QUEUED_BYTES: usize = 512 * 1024;
/// Longest keep-alive that is honoured, and the one of clients that ask for none. As in IoT Edge.
const MAX_KEEP_ALIVE: Duration = Duration::from_mins(10);
/// Time to write what is due when a connection ends from our side. Less than what a successor waits for its place.
const END_BUDGET: Duration = Duration::from_secs(2);

/// Longest time that a token is believed. It may say centuries, which an `Instant` cannot hold.
const LONGEST_TOKEN: Duration = Duration::from_hours(10 * 365 * 24);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the client said DISCONNECT")]
    Disconnect,
    #[error("the client closed the connection")]
    Closed(#[source] edge_mqtt::Error),
    #[error("the client was silent, or read nothing, for one and a half times its keep-alive")]
    KeepAlive,
    #[error("the client's token has expired; it may connect again with a new one")]
    TokenExpired,
    #[error("a newer connection of the same client took over, or its identity was removed")]
    TakenOver,
    #[error("the client broke the protocol: {0}")]
    Protocol(String),
    #[error("the disk refuses: {0}")]
    Storage(String),
    #[error("the hub stops")]
    Shutdown,
}

impl End {
    fn reason(&self) -> EndReason {
        match self {
            Self::Disconnect => EndReason::disconnect,
            Self::Closed(_) => EndReason::closed,
            Self::KeepAlive => EndReason::keep_alive,
            Self::TokenExpired => EndReason::token_expired,
            Self::TakenOver => EndReason::taken_over,
            Self::Protocol(_) => EndReason::protocol,
            Self::Storage(_) => EndReason::storage,
            Self::Shutdown => EndReason::shutdown,
        }
    }
}

impl From<edge_mqtt::Error> for End {
    fn from(error: edge_mqtt::Error) -> Self {
        Self::Closed(error)
    }
}

/// An admitted client.
pub(crate) struct Client {
    hub: Arc<Hub>,
    link: Link,
    authenticated: Authenticated,
    registration: Registration,
    session: Session,
    clean_session: bool,
    will: Option<rmqtt_codec::v3::LastWill>,
    keep_alive: Duration,
    heard: Instant,
    wrote: Instant,
    expires: Instant,
    inbox: Inbox,
    deliveries: Deliveries,
    packets: mpsc::Receiver<Delivery>,
    in_flight: HashMap<NonZeroU16, Receipt>,
    last_id: u16,
    status: watch::Receiver<HubStatus>,
    generation: watch::Receiver<u64>,
}

impl Client {
    pub(crate) fn new(hub: Arc<Hub>, link: Link, connect: Box<Connect>, admitted: Admitted) -> Self {
        let Admitted { client: authenticated, registration, session, session_present: _ } = admitted;
        let (deliveries, packets) = Deliveries::new(Arc::clone(&hub), authenticated.identity.clone(), authenticated.empty_values);
        let keep_alive = match connect.keep_alive {
            0 => MAX_KEEP_ALIVE,
            seconds => (Duration::from_secs(seconds.into()) * 3 / 2).min(MAX_KEEP_ALIVE),
        };
        let left = Duration::from_secs(authenticated.expires.remaining(clock::unix_seconds()));
        let now = Instant::now();
        Self {
            inbox: Inbox::new(&hub.journal, hub.metrics.waiting_publishes.clone()),
            status: hub.status.subscribe(),
            generation: hub.generation.subscribe(),
            link,
            registration,
            session,
            clean_session: connect.clean_session,
            will: connect.last_will,
            keep_alive,
            heard: now,
            wrote: now,
            expires: now + left.min(LONGEST_TOKEN),
            deliveries,
            packets,
            in_flight: HashMap::new(),
            last_id: 0,
            authenticated,
            hub,
        }
    }

    /// Serves the client to its end.
    pub(crate) async fn serve(mut self) {
        self.hub.metrics.connect_success.inc();
        tracing::info!(client = %self.authenticated.identity, "connected");
        let end = match self.run().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        self.farewell(&end).await;
        self.hub.metrics.disconnected(end.reason());
        let reason = crate::delivery::chain(&end);
        match end {
            End::Protocol(_) | End::Storage(_) => tracing::warn!(client = %self.authenticated.identity, reason, "disconnected"),
            _ => tracing::info!(client = %self.authenticated.identity, reason, "disconnected"),
        }
        // Receipts first, then the tasks that wait for them, then the place in the table: the successor finds free queues.
        self.in_flight.clear();
        self.deliveries.end().await;
        drop(self.registration);
    }

    async fn run(&mut self) -> Result<std::convert::Infallible, End> {
        self.deliveries.adjust(&self.session).await;
        self.status.mark_changed();
        loop {
            self.receive_all().await?;
            if self.inbox.is_full() && self.inbox.refused() {
                return Err(End::Storage(format!("{} publishes of this client wait for it", self.inbox.len())));
            }
            let room = self.link.queued_bytes() < MAX_QUEUED_BYTES;
            let may_read = room && !self.inbox.is_full();
            let wants_status = subscriptions::wants_status(&self.session, &self.authenticated.identity);
            // While we do not read, silence is ours; but then the client has to read.
            let silent_at = if room { self.heard } else { self.wrote } + self.keep_alive;
            tokio::select! {
                progress = self.link.exchange(may_read) => match progress? {
                    Progress::Read => self.heard = Instant::now(),
                    Progress::Wrote => self.wrote = Instant::now(),
                },
                durable = self.inbox.next() => match durable {
                    Ok(Some(packet_id)) => self.link.queue(Packet::PublishAck { packet_id })?,
                    Ok(None) => {}
                    Err(error) => {
                        self.hub.metrics.unacknowledged.inc();
                        return Err(End::Storage(error.to_string()));
                    }
                },
                Some(delivery) = self.packets.recv(), if room => self.deliver(delivery)?,
                Ok(()) = self.status.changed(), if wants_status && room => self.send_status()?,
                Ok(()) = self.generation.changed() => self.deliveries.adjust(&self.session).await,
                () = tokio::time::sleep_until(silent_at), if may_read || !room => return Err(End::KeepAlive),
                () = tokio::time::sleep_until(self.expires) => return Err(End::TokenExpired),
                () = self.registration.take_over.cancelled() => return Err(End::TakenOver),
                () = self.hub.stop.cancelled() => return Err(End::Shutdown),
            }
        }
    }

    /// Takes the packets that have come in whole, as far as there is room for them.
    async fn receive_all(&mut self) -> Result<(), End> {
        while !self.inbox.is_full() && self.link.queued_bytes() < MAX_QUEUED_BYTES {
            match self.link.decode() {
                Ok(Some((packet, _))) => self.receive(packet).await?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(End::Protocol(error.to_string())),
            }
        }
        Ok(())
    }

    async fn receive(&mut self, packet: Packet) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => self.publish(*publish),
            Packet::PublishAck { packet_id } => {
                // One that was never sent, or is acknowledged twice, changes nothing.
                if let Some(receipt) = self.in_flight.remove(&packet_id) {
                    receipt.settle();
                }
                Ok(())
            }
            Packet::Subscribe { packet_id, topic_filters } => self.subscribe(packet_id, topic_filters).await,
            Packet::Unsubscribe { packet_id, topic_filters } => self.unsubscribe(packet_id, topic_filters).await,
            Packet::PingRequest => Ok(self.link.queue(Packet::PingResponse)?),
            Packet::Disconnect => {
                self.will = None;
                Err(End::Disconnect)
            }
            Packet::Connect(_) => Err(End::Protocol("a second CONNECT".to_owned())),
            _ => Err(End::Protocol("a packet that belongs to QoS 2, or that only servers send".to_owned())),
        }
    }

    fn publish(&mut self, publish: Publish) -> Result<(), End> {
        if publish.qos == QoS::ExactlyOnce {
            return Err(End::Protocol("QoS 2 is not supported, as in IoT Hub".to_owned()));
        }
        let refused = |problem: &dyn std::fmt::Display| End::Protocol(problem.to_string());
        topic::check_name(&publish.topic).map_err(|error| refused(&error))?;
        let telemetry = match Meaning::parse(&publish.topic) {
            Meaning::Telemetry(telemetry) => telemetry,
            Meaning::Reserved => {
                tracing::debug!(client = %self.authenticated.identity, "a publish to a $ topic that this version does not know was ignored");
                self.inbox.push(publish.packet_id, None);
                return Ok(());
            }
            Meaning::Unknown => {
                let topic: String = publish.topic.chars().take(200).collect();
                return Err(End::Protocol(format!("a publish to {topic:?}, which is no topic of IoT Hub")));
            }
        };
        let sender = &self.authenticated.identity;
        let mut message = match topic::telemetry_message(telemetry, sender, publish.payload, publish.retain, publish.dup) {
            Ok(message) => message,
            // SDKs send again what is not acknowledged, and would never get past it. IoT Edge acknowledges it, too.
            Err(error @ TelemetryError::Bag { .. }) => {
                tracing::warn!(%error, "a message was dropped");
                self.hub.metrics.dropped(DropReason::malformed);
                self.inbox.push(publish.packet_id, None);
                return Ok(());
            }
            Err(error) => return Err(refused(&error)),
        };
        let id = random::uuid().map_err(|error| End::Storage(error.to_string()))?;
        message.system.stamp(id, date::round_trip(clock::unix_millis()));
        let record = self.hub.targets(&message).map(|destinations| (destinations, message.encode()));
        self.hub.metrics.received.inc();
        self.inbox.push(publish.packet_id, record);
        Ok(())
    }

    async fn subscribe(&mut self, packet_id: NonZeroU16, filters: Vec<(ByteString, QoS)>) -> Result<(), End> {
        let mut status = Vec::with_capacity(filters.len());
        for (filter, requested) in filters {
            topic::check_filter(&filter).map_err(|error| End::Protocol(error.to_string()))?;
            let granted = if requested == QoS::AtMostOnce { QoS::AtMostOnce } else { QoS::AtLeastOnce };
            let taken = self.session.subscribe(&filter, granted.value());
            status.push(if taken { SubscribeReturnCode::Success(granted) } else { SubscribeReturnCode::Failure });
        }
        if status.contains(&SubscribeReturnCode::Failure) {
            tracing::warn!(client = %self.authenticated.identity, "subscriptions were refused: the client has {MAX_SUBSCRIPTIONS}");
        }
        self.save_session().await?;
        self.link.queue(Packet::SubscribeAck { packet_id, status })?;
        self.deliveries.adjust(&self.session).await;
        // Whoever subscribes to the status hears the present one first.
        self.status.mark_changed();
        Ok(())
    }

    async fn unsubscribe(&mut self, packet_id: NonZeroU16, filters: Vec<ByteString>) -> Result<(), End> {
        for filter in filters {
            self.session.unsubscribe(&filter);
        }
        self.save_session().await?;
        self.deliveries.adjust(&self.session).await;
        Ok(self.link.queue(Packet::UnsubscribeAck { packet_id })?)
    }

    async fn save_session(&mut self) -> Result<(), End> {
        if self.clean_session {
            return Ok(());
        }
        self.hub.sessions.save(&self.authenticated.identity, &self.session).await.map_err(|error| End::Storage(error.to_string()))
    }

    fn deliver(&mut self, delivery: Delivery) -> Result<(), End> {
        let Delivery { input, topic, payload, dup, receipt } = delivery;
        let topic = ByteString::from(topic);
        match subscriptions::granted(&self.session, &self.authenticated.identity, &input) {
            // Unsubscribed meanwhile: the record stays in its queue.
            None => Ok(()),
            Some(0) => {
                self.link.queue(outgoing(topic, payload, None, false))?;
                receipt.settle();
                Ok(())
            }
            Some(_) => {
                let id = self.free_id();
                self.link.queue(outgoing(topic, payload, Some(id), dup))?;
                self.in_flight.insert(id, receipt);
                Ok(())
            }
        }
    }

    fn send_status(&mut self) -> Result<(), End> {
        let body = serde_json::to_vec(&*self.status.borrow_and_update()).map_err(|error| End::Protocol(error.to_string()))?;
        let topic = ByteString::from_static(edge_protocol::configuration::STATUS_TOPIC);
        // QoS 0: a lost status is followed by the next one, and a reconnect asks for the present one.
        Ok(self.link.queue(outgoing(topic, body.into(), None, false))?)
    }

    /// The window is far smaller than the range, so a free one is always near.
    fn free_id(&mut self) -> NonZeroU16 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(id) = NonZeroU16::new(self.last_id).filter(|id| !self.in_flight.contains_key(id)) {
                return id;
            }
        }
    }

    /// What is still owed when a connection ends: acknowledgements under way if the end is ours, the will if it is nobody's wish.
    async fn farewell(&mut self, end: &End) {
        if let Some(will) = self.will.take() {
            let publish = Publish {
                dup: false,
                retain: will.retain,
                qos: if will.qos == QoS::ExactlyOnce { QoS::AtLeastOnce } else { will.qos },
                topic: will.topic,
                packet_id: None,
                payload: will.message,
                properties: None,
            };
            if let Err(error) = self.publish(publish) {
                tracing::warn!(client = %self.authenticated.identity, %error, "the client's will could not be published");
            }
        }
        let settle = async {
            while self.inbox.len() > 0 && !self.inbox.refused() {
                match self.inbox.next().await {
                    Ok(Some(packet_id)) => self.link.queue(Packet::PublishAck { packet_id })?,
                    Ok(None) => {}
                    Err(_) => break,
                }
            }
            match end {
                End::Closed(_) => Ok(()),
                _ => self.link.shut_down().await,
            }
        };
        // Whatever cannot be said in time the client finds out by sending again.
        let _said = tokio::time::timeout(END_BUDGET, settle).await;
    }
}

/// A message to the client: at QoS 1 with an identifier, at QoS 0 without.
fn outgoing(topic: ByteString, payload: Bytes, packet_id: Option<NonZeroU16>, dup: bool) -> Packet {
    let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    Packet::Publish(Box::new(Publish { dup, retain: false, qos, topic, packet_id, payload, properties: None }))
}
