//! The system properties of a message: a closed set, each with an internal name and, for most, a name in MQTT topics.
//!
//! Three of them, connection device, connection module and output name, are not stored here: they are the `from` and `output` of
//! a [`crate::message::Message`], so that no stored copy can ever contradict the authenticated sender.
//!
//! # Source
//! Names and directions are those of the hub of IoT Edge 1.5; it takes wire names case-sensitively, and so do we.

use bytestring::ByteString;

/// `edgeHubOriginInterface` of a message from a module on this edge device.
pub const ORIGIN_INTERNAL: &str = "internal";

/// Which way a wire name is understood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    /// Never in a topic.
    None,
    /// Taken from clients only.
    In(&'static str),
    /// Sent to clients only. From a client it is an application property.
    Out(&'static str),
    /// Both.
    Both(&'static str),
}

macro_rules! system_properties {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal, $wire:expr;)*) => {
        /// A system property. The number is its code in stored messages: never changed, never used again.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum SystemProperty {
            $($(#[$doc])* $variant = $code,)*
        }

        impl SystemProperty {
            /// Every system property.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name by which routes ask for it, after a `$`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            const fn wire(self) -> Wire {
                match self { $(Self::$variant => $wire,)* }
            }

            pub(crate) const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

system_properties! {
    /// Chosen by the sender.
    MessageId = 1, "messageId", Wire::Both("$.mid");
    /// Correlation of messages, chosen by the sender.
    MessageCorrelationId = 2, "cid", Wire::Both("$.cid");
    /// Correlation of a request and its answer.
    CorrelationId = 3, "correlationId", Wire::None;
    /// Destination of a cloud-to-device message.
    To = 4, "to", Wire::Both("$.to");
    /// Chosen by the sender.
    UserId = 5, "userId", Wire::Both("$.uid");
    /// Feedback asked for a cloud-to-device message.
    Ack = 6, "ack", Wire::Both("ack");
    /// When the message is no longer wanted.
    AbsoluteExpiryTime = 7, "absolute-expiry-time", Wire::Both("$.exp");
    /// When the hub took it; stamped.
    EnqueuedTime = 8, "enqueuedTime", Wire::None;
    /// When the sender made it, in the sender's words.
    CreationTime = 9, "creationTime", Wire::Both("$.ctime");
    /// Media type of the body.
    ContentType = 10, "contentType", Wire::Both("$.ct");
    /// Character encoding of the body.
    ContentEncoding = 11, "contentEncoding", Wire::Both("$.ce");
    /// Schema of the body.
    MessageSchema = 12, "messageSchema", Wire::Both("$.schema");
    /// Operation, for internal messages of IoT Hub.
    Operation = 13, "operation", Wire::Both("iothub-operation");
    /// The input that a message is delivered to; travels in the topic's path.
    InputName = 14, "inputName", Wire::None;
    /// The output that it was sent to; derived from the message.
    OutputName = 15, "outputName", Wire::In("$.on");
    /// The sender's device; derived from the message.
    ConnectionDeviceId = 16, "connectionDeviceId", Wire::Out("$.cdid");
    /// The sender's module; derived from the message.
    ConnectionModuleId = 17, "connectionModuleId", Wire::Out("$.cmid");
    /// Generation of the sender's identity.
    ConnectionDeviceGenerationId = 18, "connectionDeviceGenerationId", Wire::None;
    /// How the sender was authenticated.
    ConnectionAuthMethod = 19, "connectionAuthMethod", Wire::None;
    /// Names one delivery.
    LockToken = 20, "lockToken", Wire::None;
    /// How often it was delivered before.
    DeliveryCount = 21, "deliveryCount", Wire::None;
    /// Place in the queue of a cloud-to-device message.
    SequenceNumber = 22, "sequenceNumber", Wire::None;
    /// Status of an answer.
    StatusCode = 23, "statusCode", Wire::None;
    /// Where an answer goes.
    OutboundUri = 24, "outBoundURI", Wire::None;
    /// Version of a twin.
    Version = 25, "version", Wire::None;
    /// `twinChangeNotification` for a change of a twin; absent for telemetry. No client can set it.
    MessageType = 26, "messageType", Wire::None;
    /// Given to the message by the hub; stamped.
    EdgeMessageId = 27, "edgeMessageId", Wire::None;
    /// On which side of the hub it came in; stamped.
    EdgeHubOriginInterface = 28, "edgeHubOriginInterface", Wire::None;
    /// Interface of IoT Hub's security agent.
    InterfaceId = 29, "iothub-interface-id", Wire::In("$.ifid");
    /// The sender's `PnP` model.
    ModelId = 30, "modelId", Wire::None;
    /// The sender's `PnP` component.
    Component = 31, "dt-subject", Wire::Both("$.sub");
    /// The device for which the hub speaks.
    RpSenderDeviceId = 32, "rpSenderDeviceId", Wire::None;
    /// The module for which the hub speaks.
    RpSenderModuleId = 33, "rpSenderModuleId", Wire::None;
}

impl SystemProperty {
    /// The property that a key of an incoming bag means; `None`: an application property. Exact case.
    pub fn from_incoming_key(key: &str) -> Option<Self> {
        // Two keys do without the prefix; everything else is cheap to tell from an application property.
        if !key.starts_with("$.") && !matches!(key, "ack" | "iothub-operation") {
            return None;
        }
        Self::ALL.iter().copied().find(|property| matches!(property.wire(), Wire::In(wire) | Wire::Both(wire) if wire == key))
    }

    /// The key under which clients receive it; `None`: they do not.
    pub const fn outgoing_key(self) -> Option<&'static str> {
        match self.wire() {
            Wire::Out(wire) | Wire::Both(wire) => Some(wire),
            Wire::None | Wire::In(_) => None,
        }
    }

    /// Is this a key that only the hub may write? An application property of that name would pose as a system property.
    pub fn is_reserved_key(key: &str) -> bool {
        (key.starts_with("$.") || matches!(key, "ack" | "iothub-operation"))
            && Self::ALL.iter().any(|property| match property.wire() {
                Wire::In(wire) | Wire::Out(wire) | Wire::Both(wire) => wire == key,
                Wire::None => false,
            })
    }

    /// Is it kept as the message's `from` or `output`, and so never in [`SystemProperties`]?
    pub const fn is_derived(self) -> bool {
        matches!(self, Self::OutputName | Self::ConnectionDeviceId | Self::ConnectionModuleId)
    }

    /// Does the hub set it when it takes a message?
    pub const fn is_stamped(self) -> bool {
        matches!(self, Self::EdgeMessageId | Self::EnqueuedTime | Self::EdgeHubOriginInterface)
    }
}

/// The system properties of one message, in the order in which they were set. At most one value each, so its length is bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemProperties(Vec<(SystemProperty, ByteString)>);

impl SystemProperties {
    /// No properties.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of `property`. The derived ones are answered by [`crate::message::Message::system_property`].
    pub fn get(&self, property: SystemProperty) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == property).map(|(_, value)| &**value)
    }

    /// Sets a property; a value that it had is replaced in place. Derived ones are ignored: see the module's documentation.
    pub fn set(&mut self, property: SystemProperty, value: impl Into<ByteString>) {
        if property.is_derived() {
            return;
        }
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| *known == property) {
            Some((_, old)) => *old = value,
            None => self.0.push((property, value)),
        }
    }

    /// Marks the message as taken by this hub from a module on its own device. `enqueued_time` is in the form of
    /// [`crate::date::round_trip`].
    pub fn stamp(&mut self, edge_message_id: impl Into<ByteString>, enqueued_time: impl Into<ByteString>) {
        self.set(SystemProperty::EdgeMessageId, edge_message_id);
        self.set(SystemProperty::EnqueuedTime, enqueued_time);
        self.set(SystemProperty::EdgeHubOriginInterface, ByteString::from_static(ORIGIN_INTERNAL));
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (SystemProperty, &str)> {
        self.0.iter().map(|(property, value)| (*property, &**value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_leads_back_to_its_property_and_no_name_is_used_twice() {
        for property in SystemProperty::ALL {
            assert_eq!(SystemProperty::from_code(*property as u8), Some(*property));
            assert_eq!(SystemProperty::ALL.iter().filter(|other| other.name() == property.name()).count(), 1);
        }
        assert_eq!(SystemProperty::from_code(0), None);
    }

    #[test]
    fn wire_names_are_understood_in_their_direction_and_exact_case_only() {
        use SystemProperty as P;
        for (key, incoming) in [
            ("$.mid", Some(P::MessageId)),
            ("$.on", Some(P::OutputName)),
            ("ack", Some(P::Ack)),
            ("$.ifid", Some(P::InterfaceId)),
            ("$.cdid", None),
            ("$.CT", None),
            ("messageId", None),
            ("$.", None),
        ] {
            assert_eq!(P::from_incoming_key(key), incoming, "{key}");
        }
        assert_eq!(P::OutputName.outgoing_key(), None);
        assert_eq!(P::ConnectionModuleId.outgoing_key(), Some("$.cmid"));
        assert!(P::is_reserved_key("$.cmid") && P::is_reserved_key("$.on") && !P::is_reserved_key("$.custom"));
    }

    #[test]
    fn setting_twice_replaces_in_place_and_derived_ones_are_not_kept() {
        let mut system = SystemProperties::new();
        system.set(SystemProperty::MessageId, "1");
        system.set(SystemProperty::To, "there");
        system.set(SystemProperty::MessageId, "2");
        system.set(SystemProperty::ConnectionDeviceId, "somebody else");
        assert_eq!(system.iter().collect::<Vec<_>>(), [(SystemProperty::MessageId, "2"), (SystemProperty::To, "there")]);
    }
}
