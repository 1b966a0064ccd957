//! One admitted client, served by one task until it goes.
//!
//! # Promises
//! - PUBACKs follow the disk and the order of the publishes ([`Inbox`](super::inbox::Inbox)). SUBACK follows the durable commit of the session.
//! - A client acts only as the identity it proved; whoever publishes as another is cut off, with the reason in the log.
//! - What a client can make us hold is bounded: the [`Inbox`](super::inbox::Inbox), a window of deliveries, [`MAX_QUEUED_BYTES`] to write.
//!   Past the first, reading pauses; if the journal refuses writes by then, the connection ends, since a client that cannot
//!   even ping would end it anyway.

use std::num::NonZeroU16;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use edge_mqtt::link::{Frame, Link, Publish};
use edge_protocol::status::HubStatus;
use edge_protocol::topic;
use edge_store::fail_point;
use rmqtt_codec::types::QoS;
use rmqtt_codec::v3::{Connect, Packet, SubscribeReturnCode};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::authenticate::Authenticated;
use super::end::End;
use super::handshake::Admitted;
use super::intake::Intake;
use super::subscriptions::{self, Deliveries};
use crate::clients::Registration;
use crate::clock;
use crate::hub::Hub;
use crate::session::{MAX_SUBSCRIPTIONS, Session};

/// Bytes queued for a slow reader before reading waits.
const MAX_QUEUED_BYTES: usize = 512 * 1024;
/// Bytes queued before more is delivered: what is not written yet is better read later, in larger pieces.
const MAX_QUEUED_DELIVERIES: usize = 64 * 1024;
/// Longest keep-alive that is honoured, and the one of clients that ask for none. As in IoT Edge.
const MAX_KEEP_ALIVE: Duration = Duration::from_mins(10);
/// Time to write what is due when a connection ends from our side. Less than what a successor waits for its place.
const END_BUDGET: Duration = Duration::from_secs(2);

/// Longest time that a token is believed. It may say centuries, which an `Instant` cannot hold.
const LONGEST_TOKEN: Duration = Duration::from_hours(10 * 365 * 24);

/// An admitted client.
pub(crate) struct Client {
    hub: Arc<Hub>,
    link: Link,
    authenticated: Authenticated,
    registration: Registration,
    session: Session,
    /// Follows from the session.
    wants_status: bool,
    clean_session: bool,
    will: Option<rmqtt_codec::v3::LastWill>,
    keep_alive: Duration,
    heard: Instant,
    wrote: Instant,
    /// Was there room to read when last looked at?
    was_reading: bool,
    expires: Instant,
    /// Fires at the latest when the client has been silent for too long, or its token expires; often earlier, to no effect.
    alarm: Pin<Box<Sleep>>,
    intake: Intake,
    /// Identifiers of publishes to be acknowledged at once.
    durable: Vec<NonZeroU16>,
    deliveries: Deliveries,
    status: watch::Receiver<HubStatus>,
    generation: watch::Receiver<u64>,
}

impl Client {
    pub(crate) fn new(hub: Arc<Hub>, link: Link, connect: Box<Connect>, admitted: Admitted) -> Self {
        let Admitted { client: authenticated, registration, session, session_present: _ } = admitted;
        let identity = &authenticated.identity;
        let keep_alive = match connect.keep_alive {
            0 => MAX_KEEP_ALIVE,
            seconds => (Duration::from_secs(seconds.into()) * 3 / 2).min(MAX_KEEP_ALIVE),
        };
        let left = Duration::from_secs(authenticated.expires.remaining(clock::unix_seconds()));
        let now = Instant::now();
        Self {
            deliveries: Deliveries::new(Arc::clone(&hub), identity.clone(), authenticated.empty_values),
            intake: Intake::new(Arc::clone(&hub), identity.clone()),
            wants_status: subscriptions::wants_status(&session, identity),
            durable: Vec::new(),
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
            was_reading: true,
            expires: now + left.min(LONGEST_TOKEN),
            alarm: Box::pin(tokio::time::sleep_until(now)),
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
        self.deliveries.settle();
        self.farewell(&end).await;
        self.hub.metrics.disconnected(end.reason());
        let reason = crate::delivery::chain(&end);
        match end {
            End::Protocol(_) | End::Storage(_) => tracing::warn!(client = %self.authenticated.identity, reason, "disconnected"),
            _ => tracing::info!(client = %self.authenticated.identity, reason, "disconnected"),
        }
        // The readers first, then the place in the table: the successor finds free queues.
        drop(self.deliveries);
        drop(self.registration);
    }

    async fn run(&mut self) -> Result<std::convert::Infallible, End> {
        self.deliveries.adjust(&self.session);
        self.status.mark_changed();
        loop {
            let received = self.receive_all().await;
            // Also when something is wrong: what came before it was in order.
            self.intake.submit();
            self.deliveries.settle();
            received?;
            let inbox = &mut self.intake.inbox;
            if inbox.is_full() && inbox.refused() {
                return Err(End::Storage(format!("{} publishes of this client wait for it", inbox.len())));
            }
            let room = self.link.queued_bytes() < MAX_QUEUED_BYTES;
            let may_read = room && !inbox.is_full();
            if may_read && !self.was_reading {
                // The silence was ours; the client's begins now.
                self.heard = Instant::now();
            }
            self.was_reading = may_read;
            self.set_alarm(room, may_read);
            tokio::select! {
                progress = self.link.exchange(may_read) => {
                    let progress = progress?;
                    let now = Instant::now();
                    if progress.read {
                        self.heard = now;
                    }
                    if progress.wrote {
                        self.wrote = now;
                        fail_point!("sent");
                    }
                }
                durable = self.intake.inbox.next(&mut self.durable) => {
                    fail_point!("acknowledge");
                    for packet_id in self.durable.drain(..) {
                        self.link.queue_acknowledgement(packet_id);
                    }
                    if let Err(error) = durable {
                        self.hub.metrics.unacknowledged.inc();
                        return Err(End::Storage(error.to_string()));
                    }
                }
                place = self.deliveries.next(), if self.link.queued_bytes() < MAX_QUEUED_DELIVERIES => self.deliveries.send(place, &mut self.link)?,
                Ok(()) = self.status.changed(), if self.wants_status && room => self.send_status()?,
                Ok(()) = self.generation.changed() => {
                    self.intake.forget_targets();
                    self.deliveries.adjust(&self.session);
                }
                () = &mut self.alarm => self.check_deadlines(room, may_read)?,
                () = self.registration.take_over.cancelled() => return Err(End::TakenOver),
                () = self.hub.stop.cancelled() => return Err(End::Shutdown),
            }
        }
    }

    /// When the client has been silent for too long. While we do not read, silence is ours; but then the client has to read. None:
    /// we do not read, and the client owes nothing.
    fn silent_at(&self, room: bool, may_read: bool) -> Option<Instant> {
        (may_read || !room).then(|| if room { self.heard } else { self.wrote } + self.keep_alive)
    }

    /// Moves the alarm forward where a deadline is before it. It is not moved back: that would cost more than a false alarm.
    fn set_alarm(&mut self, room: bool, may_read: bool) {
        let deadline = self.silent_at(room, may_read).map_or(self.expires, |silent_at| silent_at.min(self.expires));
        if deadline < self.alarm.deadline() {
            self.alarm.as_mut().reset(deadline);
        }
    }

    fn check_deadlines(&mut self, room: bool, may_read: bool) -> Result<(), End> {
        let now = Instant::now();
        let silent_at = self.silent_at(room, may_read);
        if silent_at.is_some_and(|silent_at| silent_at <= now) {
            return Err(End::KeepAlive);
        }
        if self.expires <= now {
            return Err(End::TokenExpired);
        }
        let deadline = silent_at.map_or(self.expires, |silent_at| silent_at.min(self.expires));
        self.alarm.as_mut().reset(deadline);
        // Comes round once in a while, so that a client that was busy once does not hold its memory for ever.
        self.link.rest();
        self.intake.inbox.rest();
        Ok(())
    }

    /// Takes the packets that have come in whole, as far as there is room for them.
    async fn receive_all(&mut self) -> Result<(), End> {
        while !self.intake.inbox.is_full() && self.link.queued_bytes() < MAX_QUEUED_BYTES {
            match self.link.frame() {
                Ok(Some(Frame::Publish(publish))) => self.intake.take(publish)?,
                Ok(Some(Frame::PubAck(packet_id))) => self.deliveries.acknowledge(packet_id),
                Ok(Some(Frame::Other(packet))) => self.receive(packet).await?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(End::Protocol(error.to_string())),
            }
        }
        Ok(())
    }

    async fn receive(&mut self, packet: Packet) -> Result<(), End> {
        match packet {
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
        self.follow_session();
        // Whoever subscribes to the status hears the present one first.
        self.status.mark_changed();
        Ok(())
    }

    async fn unsubscribe(&mut self, packet_id: NonZeroU16, filters: Vec<ByteString>) -> Result<(), End> {
        for filter in filters {
            self.session.unsubscribe(&filter);
        }
        self.save_session().await?;
        self.follow_session();
        Ok(self.link.queue(Packet::UnsubscribeAck { packet_id })?)
    }

    fn follow_session(&mut self) {
        self.wants_status = subscriptions::wants_status(&self.session, &self.authenticated.identity);
        self.deliveries.adjust(&self.session);
    }

    async fn save_session(&mut self) -> Result<(), End> {
        if self.clean_session {
            return Ok(());
        }
        self.hub.sessions.save(&self.authenticated.identity, &self.session).await.map_err(|error| End::Storage(error.to_string()))
    }

    fn send_status(&mut self) -> Result<(), End> {
        let body = serde_json::to_vec(&*self.status.borrow_and_update()).map_err(|error| End::Protocol(error.to_string()))?;
        // QoS 0: a lost status is followed by the next one, and a reconnect asks for the present one.
        Ok(self.link.queue_publish(edge_protocol::configuration::STATUS_TOPIC, &body, None, false)?)
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
            };
            if let Err(error) = self.intake.take(publish) {
                tracing::warn!(client = %self.authenticated.identity, %error, "the client's will could not be published");
            }
        }
        self.intake.submit();
        let inbox = &mut self.intake.inbox;
        let settle = async {
            while inbox.len() > 0 && !inbox.refused() {
                let durable = inbox.next(&mut self.durable).await;
                for packet_id in self.durable.drain(..) {
                    self.link.queue_acknowledgement(packet_id);
                }
                if durable.is_err() {
                    break;
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
