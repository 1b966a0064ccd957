//! Delivery of one queue to one connected module.
//!
//! An outbox reads records in order, a batch at a time, writes them as packets into the connection's outgoing buffer and settles them
//! as the module acknowledges. How many may be in flight is the client's window (`delivery.window`), over all its queues; past it the
//! backlog stays on disk.
//!
//! # Invariants
//! - A record is settled only after its acknowledgement (QoS 1) or after it was queued for the socket (QoS 0).
//! - When the outbox is dropped, unsettled records are read again by the next one, flagged as duplicates (after a restart of the hub, without the flag).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use edge_mqtt::link::Link;
use edge_protocol::identity::Identity;
use edge_protocol::message::StoredMessage;
use edge_protocol::topic::{EmptyValues, MAX_TOPIC_BYTES, input_address, write_input_topic};
use edge_store::{Offset, QueueName, QueueReader, ReadError, ReaderError, Record, fail_point};
use tokio::time::Sleep;

use crate::hub::Hub;
use crate::metrics::{Destination, DropReason};

/// Pause before a queue that could not be read is tried again.
const READ_PAUSE: Duration = Duration::from_secs(1);
/// Most messages of one queue that go out before another queue has its turn.
pub(crate) const MAX_BATCH: usize = 256;
/// About how many bytes of them.
const MAX_BATCH_BYTES: usize = 64 * 1024;

/// One queue on its way to one client.
pub(crate) struct Outbox {
    hub: Arc<Hub>,
    queue: QueueName,
    /// How the topics of its input begin.
    address: String,
    empty_values: EmptyValues,
    /// The quality of service that the client was granted.
    pub(crate) qos: u8,
    reader: QueueReader,
    /// Read and not sent.
    records: Vec<Record>,
    /// Acknowledged and not settled.
    acknowledged: Vec<Offset>,
    /// When to read again after a failure.
    retry: Option<Pin<Box<Sleep>>>,
}

impl Outbox {
    /// Starts at the first record not settled.
    pub(crate) fn open(
        hub: &Arc<Hub>,
        queue: QueueName,
        (to, input): (&Identity, &str),
        qos: u8,
        empty_values: EmptyValues,
    ) -> Result<Self, ReaderError> {
        let reader = hub.journal.reader(&queue)?;
        Ok(Self {
            hub: Arc::clone(hub),
            queue,
            address: input_address(to, input),
            empty_values,
            qos,
            reader,
            records: Vec::new(),
            acknowledged: Vec::new(),
            retry: None,
        })
    }

    /// The queue.
    pub(crate) fn queue(&self) -> &QueueName {
        &self.queue
    }

    /// Waits until there are records to be sent: up to `most`, and at most [`MAX_BATCH`]. May be dropped at any await.
    pub(crate) async fn read(&mut self, most: usize) {
        while self.records.is_empty() {
            if let Some(retry) = &mut self.retry {
                retry.await;
                self.retry = None;
            }
            match self.reader.next_batch(&mut self.records, most.min(MAX_BATCH), MAX_BATCH_BYTES).await {
                Ok(_) => {}
                Err(ReadError::Closed) => std::future::pending().await,
                Err(error) => {
                    tracing::error!(error = chain(&error), queue = %self.queue, "failed to read a queue; trying again");
                    self.retry = Some(Box::pin(tokio::time::sleep(READ_PAUSE)));
                }
            }
        }
    }

    /// Queues the records for the socket. `identify` gives each an identifier; none are needed at QoS 0.
    pub(crate) fn send(
        &mut self,
        link: &mut Link,
        topic: &mut String,
        mut identify: impl FnMut(Offset) -> std::num::NonZeroU16,
    ) -> Result<(), edge_mqtt::Error> {
        let mut undeliverable = Vec::new();
        for record in self.records.drain(..) {
            let Record { offset, redelivered, payload, .. } = record;
            let Some(message) = read_message(&self.hub, &self.queue, offset, &payload) else {
                undeliverable.push(offset);
                continue;
            };
            topic.clear();
            write_input_topic(topic, &self.address, &message, self.empty_values);
            if topic.len() > MAX_TOPIC_BYTES {
                tracing::error!(
                    queue = %self.queue, device = message.device, module = message.module, bytes = topic.len(),
                    "a message was dropped: its properties, percent-encoded, do not fit into an MQTT topic of 65535 bytes"
                );
                self.hub.metrics.dropped(DropReason::undeliverable);
                undeliverable.push(offset);
            } else if self.qos == 0 {
                link.queue_publish(topic, message.body, None, false)?;
                self.acknowledged.push(offset);
            } else {
                link.queue_publish(topic, message.body, Some(identify(offset)), redelivered)?;
            }
        }
        self.reader.settle_all(undeliverable);
        fail_point!("deliver");
        Ok(())
    }

    /// The client has it.
    pub(crate) fn acknowledge(&mut self, offset: Offset) {
        self.acknowledged.push(offset);
    }

    /// Settles what was acknowledged.
    pub(crate) fn settle(&mut self) {
        if self.acknowledged.is_empty() {
            return;
        }
        fail_point!("settle");
        let settled = self.reader.settle_all(self.acknowledged.drain(..));
        self.hub.metrics.sent(Destination::input, settled as u64);
    }
}

/// The message in a record. None: it can never be delivered; it is counted, and does not stop those behind it.
pub(crate) fn read_message<'a>(hub: &Hub, queue: &QueueName, offset: Offset, record: &'a [u8]) -> Option<StoredMessage<'a>> {
    match StoredMessage::read(record) {
        Ok(message) => Some(message),
        Err(error) => {
            tracing::error!(%error, %queue, offset, "a stored message is unreadable and was dropped");
            hub.metrics.dropped(DropReason::corrupt);
            None
        }
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
