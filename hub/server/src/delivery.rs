//! Delivery of one queue to one connected module.
//!
//! A task per (connection, queue) reads records in order, hands them to the connection as packets and settles them as the module
//! acknowledges. The window is the client's: `delivery.window` unacknowledged messages over all its queues; past it the task
//! waits and the backlog stays on disk.
//!
//! # Invariants
//! - A record is settled only after its acknowledgement (QoS 1) or after it was queued for the socket (QoS 0).
//! - When the task ends, unsettled records are read again by the next one, flagged as duplicates.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edge_protocol::identity::Identity;
use edge_protocol::message::Message;
use edge_protocol::topic::{EmptyValues, MAX_TOPIC_BYTES, input_topic};
use edge_store::{Offset, QueueName, QueueReader, ReadError, ReaderError, Record};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::hub::Hub;
use crate::metrics::{Destination, DropReason};

/// Pause before a queue that could not be read is tried again.
const READ_PAUSE: Duration = Duration::from_secs(1);

/// One message on its way to a client.
pub(crate) struct Delivery {
    pub(crate) input: Arc<str>,
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) dup: bool,
    /// Where to report the acknowledgement.
    pub(crate) receipt: Receipt,
}

/// Kept by the connection until the client has acknowledged. Dropped unsettled, the record is sent again some time.
pub(crate) struct Receipt {
    offset: Offset,
    settled: mpsc::Sender<Offset>,
    hub: Arc<Hub>,
    _window: OwnedSemaphorePermit,
}

impl Receipt {
    /// The client has it.
    pub(crate) fn settle(self) {
        self.hub.metrics.sent(Destination::input);
        // Full cannot be: the channel holds a whole window. Closed means that the connection ends, and the record is sent again.
        let _ended = self.settled.try_send(self.offset);
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.hub.metrics.in_flight_deliveries.dec();
    }
}

/// What a delivery task needs.
pub(crate) struct Task {
    pub(crate) hub: Arc<Hub>,
    pub(crate) to: Identity,
    pub(crate) empty_values: EmptyValues,
    pub(crate) input: Arc<str>,
    pub(crate) queue: QueueName,
    pub(crate) window: Arc<Semaphore>,
    /// How many places the window has.
    pub(crate) window_size: usize,
    pub(crate) packets: mpsc::Sender<Delivery>,
}

impl Task {
    /// Delivers until the connection goes away; the connection aborts it then.
    pub(crate) async fn run(self) {
        let mut reader = match self.hub.journal.reader(&self.queue) {
            Ok(reader) => reader,
            Err(error @ (ReaderError::InUse { .. } | ReaderError::TooManyQueues { .. })) => {
                tracing::error!(%error, client = %self.to, "an input stays without deliveries until the client reconnects");
                return;
            }
        };
        let (settled, mut receipts) = mpsc::channel(self.window_size);
        // A record that waits for its place in the window. Kept here, so that a place is never held by a queue that is empty.
        let mut held = None;
        loop {
            let (record, window) = tokio::select! {
                biased;
                Some(offset) = receipts.recv() => {
                    reader.settle(offset);
                    continue;
                }
                window = Arc::clone(&self.window).acquire_owned(), if held.is_some() => match (held.take(), window) {
                    (Some(record), Ok(window)) => (record, window),
                    _ => return,
                },
                record = self.read(&mut reader), if held.is_none() => match record {
                    Some(record) => {
                        held = Some(record);
                        continue;
                    }
                    None => return,
                },
            };
            let Some((topic, payload)) = self.packet(&record) else {
                reader.settle(record.offset);
                continue;
            };
            let dup = self.hub.deliveries.mark(&self.queue, record.offset);
            self.hub.metrics.in_flight_deliveries.inc();
            let receipt =
                Receipt { offset: record.offset, settled: settled.clone(), hub: Arc::clone(&self.hub), _window: window };
            if self.packets.send(Delivery { input: Arc::clone(&self.input), topic, payload, dup, receipt }).await.is_err() {
                return;
            }
        }
    }

    async fn read(&self, reader: &mut QueueReader) -> Option<Record> {
        loop {
            match reader.next().await {
                Ok(record) => return Some(record),
                Err(ReadError::Closed) => return None,
                Err(error) => {
                    tracing::error!(error = chain(&error), queue = %self.queue, "failed to read a queue; trying again");
                    tokio::time::sleep(READ_PAUSE).await;
                }
            }
        }
    }

    /// None: the record can never be delivered. It is counted and skipped, so that it does not stop those behind it.
    fn packet(&self, record: &Record) -> Option<(String, Bytes)> {
        let message = match Message::decode(record.payload.clone()) {
            Ok(message) => message,
            Err(error) => {
                tracing::error!(%error, queue = %self.queue, offset = record.offset, "a stored message is unreadable and was dropped");
                self.hub.metrics.dropped(DropReason::corrupt);
                return None;
            }
        };
        let topic = input_topic(&self.to, &self.input, &message, self.empty_values);
        if topic.len() > MAX_TOPIC_BYTES {
            tracing::error!(
                queue = %self.queue, from = %message.from, bytes = topic.len(),
                "a message was dropped: its properties, percent-encoded, do not fit into an MQTT topic of 65535 bytes"
            );
            self.hub.metrics.dropped(DropReason::undeliverable);
            return None;
        }
        Some((topic, message.body))
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
