//! Publishers and the subscriber: they connect again and again, and go on where they were.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use edge_bench::Error;
use edge_bench::hub::{self, DEVICE};
use edge_mqtt::{Connect, Connection, Endpoint, Event, QoS};
use tokio::sync::watch;

use crate::ledger::Ledger;

/// Messages in flight of each publisher.
pub(crate) const WINDOW: usize = 100;
/// How many publish.
pub(crate) const PUBLISHERS: usize = 4;
/// Bytes of a body: a segment is full after some thousand messages.
const BODY_BYTES: usize = 1024;
/// Every so many messages one goes to an input that nobody reads as well, so that there is something to be kept and cleaned.
const LAGGING: u64 = 40;
/// Time for a hand-shake.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before the next try while the hub is down.
const PAUSE: Duration = Duration::from_millis(5);

/// What the publishers are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Publish.
    Go,
    /// Send nothing new: cursors are then saved by themselves.
    Rest,
    /// Send nothing new, and end when all is acknowledged.
    Finish,
}

/// The name of a publisher's module.
pub(crate) fn publisher(place: usize) -> String {
    format!("p{place}")
}

/// The module that reads.
pub(crate) const READER: &str = "reader";
/// The module that never comes.
pub(crate) const ABSENT: &str = "absent";

/// Two publishers share an input; one message in [`LAGGING`] also goes to the module that never comes.
pub(crate) fn routes() -> Vec<String> {
    let into = |place: usize| {
        let (module, input) = (publisher(place), place / 2);
        format!("FROM /messages/modules/{module}/* INTO BrokeredEndpoint(\"/modules/{READER}/inputs/in{input}\")")
    };
    let lagging = format!("FROM /messages/* WHERE lag = '1' INTO BrokeredEndpoint(\"/modules/{ABSENT}/inputs/in\")");
    (0..PUBLISHERS).map(into).chain([lagging]).collect()
}

async fn connected(port: u16, module: &str) -> Result<Connection, Error> {
    let who = hub::credentials(module)?;
    let connect = Connect {
        endpoint: Endpoint { host: "127.0.0.1".to_owned(), port, tls: None },
        client_id: who.client_id,
        username: Some(who.user_name),
        password: Some(Bytes::from(who.password)),
        keep_alive: Duration::from_mins(1),
        clean_session: false,
        timeout: TIMEOUT,
    };
    loop {
        match connect.open().await {
            Ok(connection) => return Ok(connection),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Publishes 0, 1, 2, … and goes back to the first unacknowledged one when the connection breaks.
pub(crate) async fn publish(
    port: u16,
    place: usize,
    ledger: Arc<Ledger>,
    mut phase: watch::Receiver<Phase>,
) -> Result<(), Error> {
    let module = publisher(place);
    let topic = |number: u64| {
        let property = if number.is_multiple_of(LAGGING) { "lag=1" } else { "" };
        format!("devices/{DEVICE}/modules/{module}/messages/events/{property}")
    };
    // Sent at some time: it may have been taken without our knowing.
    let mut sent = 0;
    loop {
        let mut connection = connected(port, &module).await?;
        let mut next = ledger.unacknowledged(place);
        let mut in_flight = VecDeque::new();
        loop {
            let now = *phase.borrow_and_update();
            while in_flight.len() < WINDOW && (now == Phase::Go || next < sent) {
                let Ok(id) = connection.publish(&topic(next), &body(place, next), next < sent) else { break };
                in_flight.push_back(id);
                next += 1;
                sent = sent.max(next);
            }
            if now == Phase::Finish && in_flight.is_empty() {
                return Ok(());
            }
            tokio::select! {
                event = connection.next() => match event {
                    Ok(Event::PubAck(id)) => {
                        if in_flight.pop_front() != Some(id) {
                            ledger.fault(format!("publisher {place}: an acknowledgement out of order"));
                        }
                        ledger.acknowledged(place);
                    }
                    Ok(_) => {}
                    Err(_) => break,
                },
                _ = phase.changed() => {}
            }
        }
    }
}

/// Reads until it is dropped; the ledger judges.
pub(crate) async fn read(port: u16, ledger: Arc<Ledger>) -> Result<(), Error> {
    let mut subscribed = false;
    loop {
        let mut connection = connected(port, READER).await?;
        if subscribed && !connection.session_present() {
            ledger.fault("the reader's session is gone".to_owned());
        }
        if !subscribed && connection.subscribe(&format!("devices/{DEVICE}/modules/{READER}/inputs/#"), QoS::AtLeastOnce).is_err()
        {
            continue;
        }
        while let Ok(event) = connection.next().await {
            match event {
                Event::SubAck(_, granted) if granted == [Some(QoS::AtLeastOnce)] => subscribed = true,
                Event::Message(message) => {
                    match origin(&message.payload) {
                        Some((place, number)) => ledger.arrived(place, number, Instant::now()),
                        None => ledger.fault("a body that nobody sent".to_owned()),
                    }
                    if let Some(id) = message.packet_id
                        && connection.acknowledge(id).is_err()
                    {
                        break;
                    }
                }
                Event::SubAck(..) | Event::PubAck(_) => {}
            }
        }
    }
}

fn body(place: usize, number: u64) -> Vec<u8> {
    let mut body = format!("{place} {number} ").into_bytes();
    body.resize(BODY_BYTES, b'.');
    body
}

fn origin(body: &[u8]) -> Option<(usize, u64)> {
    let mut words = std::str::from_utf8(body).ok()?.split(' ');
    let origin = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (body.len() == BODY_BYTES).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_says_whose_it_is_and_a_damaged_one_says_nothing() {
        let mut whole = body(3, 12_345);
        assert_eq!(origin(&whole), Some((3, 12_345)));
        whole.pop();
        assert_eq!(origin(&whole), None);
        assert_eq!(origin(b"junk"), None);
    }
}
