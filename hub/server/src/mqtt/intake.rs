//! From a PUBLISH to the inbox: whose message it is, where it goes, what is kept of it.

use std::num::NonZeroU16;
use std::sync::Arc;

use bytestring::ByteString;
use edge_mqtt::link::Publish;
use edge_protocol::date;
use edge_protocol::identity::Identity;
use edge_protocol::topic::{self, Publish as Meaning, TelemetryError};
use edge_store::fail_point;
use rmqtt_codec::types::QoS;

use super::end::End;
use super::inbox::Inbox;
use crate::clock;
use crate::hub::{Hub, LastTargets};
use crate::metrics::DropReason;
use crate::random::Uuids;

/// Takes the publishes of one client.
pub(crate) struct Intake {
    hub: Arc<Hub>,
    sender: Identity,
    pub(crate) inbox: Inbox,
    ids: Uuids,
    /// The last time that was written into a message, and its text: many messages come in the same millisecond.
    stamp: (u64, ByteString),
    last_targets: LastTargets,
    /// Taken since the last [`Intake::submit`].
    taken: u64,
}

impl Intake {
    pub(crate) fn new(hub: Arc<Hub>, sender: Identity) -> Self {
        let inbox = Inbox::new(&hub.journal, hub.metrics.waiting_publishes.clone());
        Self {
            hub,
            sender,
            inbox,
            ids: Uuids::default(),
            stamp: (0, date::round_trip(0).into()),
            last_targets: LastTargets::default(),
            taken: 0,
        }
    }

    /// Takes one; it is on its way only after [`Intake::submit`].
    pub(crate) fn take(&mut self, publish: Publish) -> Result<(), End> {
        if publish.qos == QoS::ExactlyOnce {
            return Err(End::Protocol("QoS 2 is not supported, as in IoT Hub".to_owned()));
        }
        let refused = |problem: &dyn std::fmt::Display| End::Protocol(problem.to_string());
        topic::check_name(&publish.topic).map_err(|error| refused(&error))?;
        let telemetry = match Meaning::parse(&publish.topic) {
            Meaning::Telemetry(telemetry) => telemetry,
            Meaning::Reserved => {
                tracing::debug!(client = %self.sender, "a publish to a $ topic that this version does not know was ignored");
                self.acknowledge_only(publish.packet_id);
                return Ok(());
            }
            Meaning::Unknown => {
                let topic: String = publish.topic.chars().take(200).collect();
                return Err(End::Protocol(format!("a publish to {topic:?}, which is no topic of IoT Hub")));
            }
        };
        let mut message = match topic::telemetry_message(telemetry, &self.sender, publish.payload, publish.retain, publish.dup) {
            Ok(message) => message,
            // SDKs send again what is not acknowledged, and would never get past it. IoT Edge acknowledges it, too.
            Err(error @ TelemetryError::Bag { .. }) => {
                tracing::warn!(%error, "a message was dropped");
                self.hub.metrics.dropped(DropReason::malformed);
                self.acknowledge_only(publish.packet_id);
                return Ok(());
            }
            Err(error) => return Err(refused(&error)),
        };
        let id = self.ids.next().map_err(|error| End::Storage(error.to_string()))?;
        message.system.stamp(id, self.now());
        let destinations = self.hub.targets(&message, &mut self.last_targets);
        let record = destinations.map(|destinations| {
            let record = self.inbox.record(message.encoded_len(), |out| message.encode_into(out));
            (destinations, record)
        });
        self.inbox.push(publish.packet_id, record);
        fail_point!("accept");
        self.taken += 1;
        Ok(())
    }

    /// Sends what was taken on its way to the disk.
    pub(crate) fn submit(&mut self) {
        if self.taken > 0 {
            self.hub.metrics.received.inc_by(std::mem::take(&mut self.taken));
            fail_point!("hand-over");
        }
        self.inbox.submit();
    }

    /// The configuration has changed.
    pub(crate) fn forget_targets(&mut self) {
        self.last_targets = LastTargets::default();
    }

    fn acknowledge_only(&mut self, packet_id: Option<NonZeroU16>) {
        self.inbox.push(packet_id, None);
    }

    fn now(&mut self) -> ByteString {
        let millis = clock::unix_millis();
        if millis != self.stamp.0 {
            self.stamp = (millis, date::round_trip(millis).into());
        }
        self.stamp.1.clone()
    }
}
