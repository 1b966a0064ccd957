//! What a client publishes, and the message that becomes of it.
//!
//! # Source
//! Topics, and the properties `mqtt-retain` and `mqtt-dup`, are those of IoT Edge 1.5. It takes the sender from the topic, or
//! even from properties named `deviceId` and `moduleId`; here the sender is who authenticated, and a topic that says otherwise is refused.

use bytes::Bytes;

use crate::identity::{Identity, ModuleName};
use crate::message::{Message, TooLarge};
use crate::property_bag::{self, BagError, Properties};
use crate::system_properties::{SystemProperties, SystemProperty};

/// What a topic that a client publishes to means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publish<'a> {
    /// A message to be routed.
    Telemetry(Telemetry<'a>),
    /// `$…`: a name kept for IoT Hub, MQTT or the hub, with no meaning in this version.
    Reserved,
    /// Nothing that the hub knows.
    Unknown,
}

/// A topic of telemetry, in parts. The ids are what the client wrote: compare, never trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telemetry<'a> {
    /// The device in the topic.
    pub device: &'a str,
    /// The module in the topic.
    pub module: Option<&'a str>,
    /// The properties; empty: none.
    pub bag: &'a str,
}

/// Why a publish is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TelemetryError {
    /// A client may speak only for itself.
    #[error("{authenticated} published to the topic of another identity")]
    OtherIdentity {
        /// Who did.
        authenticated: Identity,
    },
    /// The properties cannot be read.
    #[error("{from} published a message whose properties cannot be read: {source}")]
    Bag {
        /// The sender.
        from: Identity,
        /// What is wrong with them.
        source: BagError,
    },
    /// Past a limit.
    #[error("{from} published too much: {source}")]
    TooLarge {
        /// The sender.
        from: Identity,
        /// Which limit.
        source: TooLarge,
    },
}

impl<'a> Publish<'a> {
    /// Sorts a legal topic name.
    pub fn parse(topic: &'a str) -> Self {
        if topic.starts_with('$') {
            return Self::Reserved;
        }
        telemetry(topic).map_or(Self::Unknown, Self::Telemetry)
    }
}

/// `devices/{device}[/modules/{module}]/messages/events[/{bag}][/]`
fn telemetry(topic: &str) -> Option<Telemetry<'_>> {
    let (device, rest) = topic.strip_prefix("devices/")?.split_once('/')?;
    let (module, rest) = match rest.strip_prefix("modules/") {
        Some(rest) => rest.split_once('/').map(|(module, rest)| (Some(module), rest))?,
        None => (None, rest),
    };
    let bag = rest.strip_prefix("messages/events")?;
    let bag = if bag.is_empty() { bag } else { bag.strip_prefix('/')? };
    let bag = bag.strip_suffix('/').unwrap_or(bag);
    // One level of properties. A slash inside a value is written %2F.
    if bag.contains('/') { None } else { Some(Telemetry { device, module, bag }) }
}

/// Makes a message of what `authenticated` published. `retain` and `dup` are the flags of the packet: the hub retains nothing,
/// but tells the reader.
pub fn telemetry_message(
    topic: Telemetry<'_>,
    authenticated: &Identity,
    body: Bytes,
    retain: bool,
    dup: bool,
) -> Result<Message, TelemetryError> {
    let own_topic =
        topic.device == authenticated.device.as_str() && topic.module == authenticated.module.as_ref().map(ModuleName::as_str);
    if !own_topic {
        return Err(TelemetryError::OtherIdentity { authenticated: authenticated.clone() });
    }
    let pairs = property_bag::parse(topic.bag).map_err(|source| TelemetryError::Bag { from: authenticated.clone(), source })?;
    let mut output = None;
    let mut system = SystemProperties::new();
    let mut properties = Properties::with_capacity(pairs.len());
    for (key, value) in pairs {
        match (SystemProperty::from_incoming_key(&key), value) {
            (Some(SystemProperty::OutputName), value) => output = value,
            (Some(property), Some(value)) => system.set(property, value),
            // A system property without a value is the same as none.
            (Some(_), None) => {}
            (None, value) => properties.push((key, value)),
        }
    }
    for (flag, name) in [(retain, "mqtt-retain"), (dup, "mqtt-dup")] {
        if flag {
            property_bag::set(&mut properties, name, Some("true".to_owned()));
        }
    }
    let message = Message { from: authenticated.clone(), output, system, properties, body };
    match message.check_size() {
        Ok(()) => Ok(message),
        Err(source) => Err(TelemetryError::TooLarge { from: authenticated.clone(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn take(topic: &str) -> Result<Message, TelemetryError> {
        match Publish::parse(topic) {
            Publish::Telemetry(telemetry) => {
                telemetry_message(telemetry, &"edge/sensor".parse().unwrap(), Bytes::from_static(b"21"), false, false)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn topics_of_devices_and_modules_are_taken_apart() {
        for (topic, device, module, bag) in [
            ("devices/d/messages/events", "d", None, ""),
            ("devices/d/messages/events/", "d", None, ""),
            ("devices/d/messages/events/a=1", "d", None, "a=1"),
            ("devices/d/modules/m/messages/events/a=1&b/", "d", Some("m"), "a=1&b"),
            ("devices/d/modules/m/messages/events/?a=1", "d", Some("m"), "?a=1"),
            ("devices/modules/messages/events", "modules", None, ""),
        ] {
            assert_eq!(Publish::parse(topic), Publish::Telemetry(Telemetry { device, module, bag }), "{topic}");
        }
    }

    #[test]
    fn everything_else_is_reserved_or_unknown() {
        for topic in ["$iothub/twin/GET/?$rid=1", "$iothub/methods/res/200/?$rid=1", "$edgehub/status", "$SYS/x"] {
            assert_eq!(Publish::parse(topic), Publish::Reserved, "{topic}");
        }
        for topic in [
            "devices/d",
            "devices/d/messages/eventsx",
            "devices/d/messages/devicebound/",
            "devices/d/modules/m",
            "devices/d/modules/m/messages",
            "devices/d/messages/events/a=1/b=2",
            "x/devices/d/messages/events/",
            "Devices/d/messages/events/",
            "sensors/1",
        ] {
            assert_eq!(Publish::parse(topic), Publish::Unknown, "{topic}");
        }
    }

    #[test]
    fn properties_are_sorted_into_output_system_and_application() {
        let message =
            take("devices/edge/modules/sensor/messages/events/%24.on=readings&$.ct=text%2Fplain&%24.mid=7&unit=C&raw&%24.uid=")
                .unwrap();
        assert_eq!(message.from.to_string(), "edge/sensor");
        assert_eq!(message.output.as_deref(), Some("readings"));
        assert_eq!(
            message.system.iter().collect::<Vec<_>>(),
            [(SystemProperty::ContentType, "text/plain"), (SystemProperty::MessageId, "7")]
        );
        assert_eq!(message.properties, [("unit".to_owned(), Some("C".to_owned())), ("raw".to_owned(), None)]);
    }

    #[test]
    fn nobody_can_speak_for_another() {
        for topic in [
            "devices/edge/modules/other/messages/events/",
            "devices/other/modules/sensor/messages/events/",
            "devices/edge/messages/events/",
            "devices/edge/modules/Sensor/messages/events/",
            "devices/edge/modules//messages/events/",
        ] {
            assert!(matches!(take(topic), Err(TelemetryError::OtherIdentity { .. })), "{topic}");
        }
        let posing =
            take("devices/edge/modules/sensor/messages/events/deviceId=x&moduleId=y&%24.cdid=x&%24.cmid=y&connectionModuleId=y")
                .unwrap();
        assert_eq!(posing.from.to_string(), "edge/sensor");
        assert_eq!(posing.system_property(SystemProperty::ConnectionDeviceId), Some("edge"));
        assert_eq!(posing.system_property(SystemProperty::ConnectionModuleId), Some("sensor"));
        assert_eq!(posing.system.iter().len(), 0);
    }

    #[test]
    fn flags_of_the_packet_become_properties() {
        let topic = Telemetry { device: "edge", module: None, bag: "mqtt-dup=no" };
        let message = telemetry_message(topic, &"edge".parse().unwrap(), Bytes::new(), true, true).unwrap();
        let yes = Some("true".to_owned());
        assert_eq!(message.properties, [("mqtt-dup".to_owned(), yes.clone()), ("mqtt-retain".to_owned(), yes)]);
    }

    #[test]
    fn a_bad_bag_and_a_large_body_are_refused_with_the_reason() {
        let error = take("devices/edge/modules/sensor/messages/events/a=1&&b=2").unwrap_err();
        assert_eq!(
            error.to_string(),
            "edge/sensor published a message whose properties cannot be read: property 2 of the topic has no name"
        );
        let topic = Telemetry { device: "edge", module: None, bag: "" };
        let error = telemetry_message(topic, &"edge".parse().unwrap(), vec![0; 262_145].into(), false, false).unwrap_err();
        assert!(error.to_string().contains("262145 bytes"), "{error}");
    }

    proptest! {
        #[test]
        fn no_topic_makes_the_parser_panic(topic in any::<String>(), tail in ".{0,60}") {
            let _ = Publish::parse(&topic);
            let topic = format!("devices/edge/modules/sensor/messages/events/{tail}");
            if let Publish::Telemetry(telemetry) = Publish::parse(&topic) {
                let _ = telemetry_message(telemetry, &"edge/sensor".parse().unwrap(), Bytes::new(), true, true);
            }
        }
    }
}
