//! The uplink: `$upstream`'s queue, published to an MQTT broker.
//!
//! # Promises
//! - A record is settled only after the broker's PUBACK. When the connection breaks, everything unsettled is published again, in
//!   order, flagged as duplicate.
//! - It reconnects for ever, after [`FIRST_PAUSE`] growing to [`LONGEST_PAUSE`], whatever the failure: credentials and certificates
//!   are mended at the broker's end too.
//! - At most [`WINDOW`] messages are in flight.
//!
//! Never here: the decision what goes upstream (routes), and any effect on local traffic.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use edge_mqtt::{Connect, Connection, Event};
use edge_protocol::message::StoredMessage;
use edge_protocol::status::{UpstreamState, UpstreamStatus};
use edge_protocol::topic::MAX_TOPIC_BYTES;
use edge_routing::Endpoint;
use edge_store::{Offset, QueueName, QueueReader, ReadError, Record};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::configuration::MqttUplink;
use crate::delivery::{chain, read_message};
use crate::hub::Hub;
use crate::metrics::{Destination, DropReason};

/// Published and not yet acknowledged by the broker.
pub(crate) const WINDOW: usize = 100;
/// About how many bytes of messages are read at a time.
const MAX_BATCH_BYTES: usize = 64 * 1024;
/// Bytes queued for the socket before no more records are read.
const MAX_QUEUED_BYTES: usize = 512 * 1024;
/// Pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A connection that held this long makes the next pause the first again.
const STEADY: Duration = Duration::from_secs(30);
/// Longest silence on the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Longest time without a PUBACK while some are due. A broker may have lost one, and only a new connection makes it look again.
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_mins(1);
/// Time for DNS, TCP, TLS and CONNACK together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Connection(#[from] edge_mqtt::Error),
    #[error("the broker acknowledged nothing for {ACKNOWLEDGEMENT_TIMEOUT:?}; if it refuses a message, its own log says why")]
    Unacknowledged,
    #[error("failed to read the queue of messages for the upstream")]
    Queue(#[from] ReadError),
}

/// Runs the uplink until the hub stops. `wanted` holds the upstream in force, or none; a change reconnects.
pub(crate) async fn run(hub: Arc<Hub>, mut wanted: watch::Receiver<Option<MqttUplink>>) {
    let queue = match Endpoint::Upstream.queue_name().parse::<QueueName>() {
        Ok(queue) => queue,
        Err(error) => {
            tracing::error!(%error, "the upstream's queue has no valid name");
            return;
        }
    };
    while !hub.stop.is_cancelled() {
        let uplink = wanted.borrow_and_update().clone();
        let serve = async {
            if let Some(uplink) = uplink {
                serve(&hub, &uplink, &queue).await;
            } else {
                report(&hub, UpstreamState::None, None);
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = hub.stop.cancelled() => {}
            () = serve => return,
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                tracing::info!("the upstream's configuration has changed");
            }
        }
        hub.metrics.upstream_connected.set(0);
    }
}

/// Connects, publishes, and connects again. Returns only when the journal is closed.
async fn serve(hub: &Hub, uplink: &MqttUplink, queue: &QueueName) {
    let mut reader = match hub.journal.reader(queue) {
        Ok(reader) => reader,
        Err(error) => {
            tracing::error!(%error, "the upstream stays without deliveries");
            return;
        }
    };
    let mut pause = FIRST_PAUSE;
    report(hub, UpstreamState::Disconnected, None);
    loop {
        let started = Instant::now();
        let error = match attempt(hub, uplink, queue, &mut reader).await {
            Error::Queue(ReadError::Closed) => return,
            error => error,
        };
        reader.rewind();
        hub.metrics.upstream_connected.set(0);
        if started.elapsed() > STEADY {
            pause = FIRST_PAUSE;
        }
        let reason = chain(&error);
        tracing::warn!(upstream = ?uplink.endpoint, error = reason, retry_in = ?pause, "the uplink does not work; messages wait on disk");
        report(hub, UpstreamState::Disconnected, Some(reason));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn report(hub: &Hub, state: UpstreamState, error: Option<String>) {
    hub.set_status(|status| status.upstream = UpstreamStatus { state, error });
}

async fn attempt(hub: &Hub, uplink: &MqttUplink, queue: &QueueName, reader: &mut QueueReader) -> Error {
    let connect = Connect {
        endpoint: uplink.endpoint.clone(),
        client_id: uplink.client_id.clone(),
        username: uplink.username.clone(),
        password: uplink.password.clone(),
        keep_alive: KEEP_ALIVE,
        // What is in flight is on our disk; a session at the broker would only repeat it.
        clean_session: true,
        timeout: CONNECT_TIMEOUT,
    };
    let connection = match connect.open().await {
        Ok(connection) => connection,
        Err(error) => return error.into(),
    };
    tracing::info!(upstream = ?uplink.endpoint, "the upstream is reached");
    hub.metrics.upstream_connected.set(1);
    hub.metrics.upstream_connections.inc();
    report(hub, UpstreamState::Connected, None);
    match publish(hub, uplink, queue, reader, connection).await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

async fn publish(
    hub: &Hub,
    uplink: &MqttUplink,
    queue: &QueueName,
    reader: &mut QueueReader,
    mut connection: Connection,
) -> Result<std::convert::Infallible, Error> {
    let mut in_flight: HashMap<NonZeroU16, Offset> = HashMap::with_capacity(WINDOW);
    let mut progress = Instant::now();
    let mut records = Vec::new();
    loop {
        let may_publish = in_flight.len() < WINDOW && connection.queued_bytes() < MAX_QUEUED_BYTES;
        tokio::select! {
            event = connection.next() => if let Event::PubAck(id) = event? && let Some(offset) = in_flight.remove(&id) {
                // Dropped for want of room while it was on its way: it is counted as that already.
                if reader.settle(offset) {
                    hub.metrics.sent(Destination::upstream, 1);
                }
                progress = Instant::now();
            },
            () = tokio::time::sleep_until(progress + ACKNOWLEDGEMENT_TIMEOUT), if !in_flight.is_empty() => return Err(Error::Unacknowledged),
            read = reader.next_batch(&mut records, WINDOW - in_flight.len(), MAX_BATCH_BYTES), if may_publish => {
                read?;
                if in_flight.is_empty() {
                    progress = Instant::now();
                }
                for record in records.drain(..) {
                    let Some((topic, message)) = packet(hub, uplink, queue, &record) else {
                        reader.settle(record.offset);
                        continue;
                    };
                    in_flight.insert(connection.publish(&topic, message.body, record.redelivered)?, record.offset);
                }
            }
        }
    }
}

/// None: the record can never be published. It is counted and skipped, so that it does not stop those behind it.
fn packet<'a>(hub: &Hub, uplink: &MqttUplink, queue: &QueueName, record: &'a Record) -> Option<(String, StoredMessage<'a>)> {
    let message = read_message(hub, queue, record.offset, &record.payload)?;
    let topic = uplink.topic(&message);
    if topic.is_empty() || topic.len() > MAX_TOPIC_BYTES {
        tracing::error!(
            device = message.device,
            module = message.module,
            "a message for the upstream was dropped: its topic would be empty or too long"
        );
        hub.metrics.dropped(DropReason::undeliverable);
        return None;
    }
    Some((topic, message))
}
