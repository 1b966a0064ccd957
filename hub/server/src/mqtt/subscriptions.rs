//! Which queues a client's subscriptions reach, and the outboxes that serve them.

use std::collections::HashMap;
use std::future::poll_fn;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::task::Poll;

use edge_mqtt::link::Link;
use edge_protocol::identity::Identity;
use edge_protocol::topic::{EmptyValues, Filter};
use edge_routing::Endpoint;
use edge_store::{Offset, QueueName};

use super::in_flight::InFlight;
use crate::delivery::{MAX_BATCH, Outbox};
use crate::hub::Hub;
use crate::session::Session;

/// The quality of service granted for an input; none: nothing subscribed reaches it.
pub(crate) fn granted(session: &Session, identity: &Identity, input: &str) -> Option<u8> {
    let reaching = session.subscriptions.iter().filter(|subscription| {
        matches!(Filter::classify(&subscription.filter, identity), Filter::Inputs(filter) if filter.selects(input))
    });
    reaching.map(|subscription| subscription.qos).max()
}

/// Does the client want to hear of the hub's status?
pub(crate) fn wants_status(session: &Session, identity: &Identity) -> bool {
    session.subscriptions.iter().any(|subscription| Filter::classify(&subscription.filter, identity) == Filter::Status)
}

/// What is to be remembered of a message in flight.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// Which outbox it came from; it may be gone, and another in its place.
    place: usize,
    serial: u64,
    offset: Offset,
}

struct Place {
    serial: u64,
    outbox: Outbox,
}

/// The deliveries of one connection: an outbox per queue that its subscriptions reach, and the window that they share.
pub(crate) struct Deliveries {
    hub: Arc<Hub>,
    identity: Identity,
    empty_values: EmptyValues,
    window: usize,
    in_flight: InFlight<Sent>,
    /// A place is used again once its outbox is gone.
    places: Vec<Option<Place>>,
    last_serial: u64,
    /// The place that is looked at first: they take turns.
    turn: usize,
    /// Memory for the topic of one message.
    topic: String,
}

impl Deliveries {
    /// No outboxes yet.
    pub(crate) fn new(hub: Arc<Hub>, identity: Identity, empty_values: EmptyValues) -> Self {
        let window = hub.active.load().delivery_window;
        Self {
            hub,
            identity,
            empty_values,
            window,
            in_flight: InFlight::default(),
            places: Vec::new(),
            last_serial: 0,
            turn: 0,
            topic: String::new(),
        }
    }

    /// Opens and closes outboxes so that they fit the session and the configuration in force.
    pub(crate) fn adjust(&mut self, session: &Session) {
        let mut wanted = self.wanted(session);
        for place in &mut self.places {
            match place.as_mut().and_then(|place| Some((wanted.remove(place.outbox.queue())?, place))) {
                Some(((_, qos), place)) => place.outbox.qos = qos,
                // Its reader goes with it, so that another connection can have the queue.
                None => *place = None,
            }
        }
        for (queue, (input, qos)) in wanted {
            let to = (&self.identity, input.as_str());
            match Outbox::open(&self.hub, queue, to, qos, self.empty_values) {
                Ok(outbox) => {
                    self.last_serial += 1;
                    let new = Place { serial: self.last_serial, outbox };
                    match self.places.iter_mut().find(|place| place.is_none()) {
                        Some(place) => *place = Some(new),
                        None => self.places.push(Some(new)),
                    }
                }
                Err(error) => {
                    tracing::error!(%error, client = %self.identity, "an input stays without deliveries until the client reconnects");
                }
            }
        }
    }

    /// Queues of the routes in force, and those of former routes that still hold messages for this module: with the input and the
    /// quality of service.
    fn wanted(&self, session: &Session) -> HashMap<QueueName, (String, u8)> {
        let Some(module) = &self.identity.module else { return HashMap::new() };
        let active = self.hub.active.load();
        let former = self.hub.journal.queues().into_iter().filter(|queue| queue.depth > 0).map(|queue| queue.endpoint);
        let queues = active.targets.endpoints().into_iter().chain(former);
        let mine = queues.filter_map(|queue| match Endpoint::from_queue_name(queue.as_str()) {
            Ok(Endpoint::Input { module: to, input }) if to == *module => Some((queue, input)),
            _ => None,
        });
        mine.filter_map(|(queue, input)| Some((queue, (granted(session, &self.identity, &input)?, input))))
            .map(|(queue, (qos, input))| (queue, (input, qos)))
            .collect()
    }

    /// Waits until some outbox has records that may be sent, and returns its place. May be dropped at any await.
    pub(crate) async fn next(&mut self) -> usize {
        let room = self.in_flight.room(self.window);
        let turn = self.turn;
        let most = |outbox: &Outbox| if outbox.qos == 0 { MAX_BATCH } else { room };
        // The usual case: a module with one input.
        if let [Some(only)] = &mut self.places[..] {
            let most = most(&only.outbox);
            if most > 0 {
                only.outbox.read(most).await;
                return 0;
            }
        }
        let count = self.places.len().max(1);
        let mut reading: Vec<_> = (self.places.iter_mut().enumerate())
            .filter_map(|(at, place)| Some((at, &mut place.as_mut()?.outbox)))
            .filter_map(|(at, outbox)| Some(most(outbox)).filter(|most| *most > 0).map(|most| (at, Box::pin(outbox.read(most)))))
            .collect();
        reading.sort_by_key(|(at, _)| (*at + count - turn % count) % count);
        poll_fn(|context| {
            for (at, read) in &mut reading {
                if read.as_mut().poll(context).is_ready() {
                    return Poll::Ready(*at);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Queues for the socket what the outbox at a place has read.
    pub(crate) fn send(&mut self, at: usize, link: &mut Link) -> Result<(), edge_mqtt::Error> {
        let Some(Some(Place { serial, outbox })) = self.places.get_mut(at) else { return Ok(()) };
        let before = self.in_flight.len();
        let sent = outbox.send(link, &mut self.topic, |offset| self.in_flight.send(Sent { place: at, serial: *serial, offset }));
        // At QoS 0 there is nothing to wait for.
        outbox.settle();
        self.turn = at + 1;
        self.hub.metrics.in_flight_deliveries.inc_by(count(self.in_flight.len() - before));
        sent
    }

    /// Takes an acknowledgement. One of a message that was never sent, or is acknowledged twice, changes nothing.
    pub(crate) fn acknowledge(&mut self, id: NonZeroU16) {
        let Some(Sent { place, serial, offset }) = self.in_flight.acknowledge(id) else { return };
        self.hub.metrics.in_flight_deliveries.dec();
        if let Some(Some(place)) = self.places.get_mut(place)
            && place.serial == serial
        {
            place.outbox.acknowledge(offset);
        }
    }

    /// Settles what was acknowledged.
    pub(crate) fn settle(&mut self) {
        for place in self.places.iter_mut().flatten() {
            place.outbox.settle();
        }
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.hub.metrics.in_flight_deliveries.dec_by(count(self.in_flight.len()));
    }
}

fn count(messages: usize) -> i64 {
    i64::try_from(messages).unwrap_or(i64::MAX)
}
