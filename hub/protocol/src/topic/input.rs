//! The topic under which a module receives a message on one of its inputs.
//!
//! # Source
//! The SDKs. Node loses a message without a slash after the input's name, and C# picks the wrong level where there are no
//! properties: the sender's ids are always there. C# closes its connection over a date in any but the round-trip form, so other
//! dates are left out. Java closes its connection over a property without a value, see [`EmptyValues`].

use crate::date;
use crate::identity::{Identity, ModuleName};
use crate::message::StoredMessage;
use crate::property_bag::write_pair;
use crate::system_properties::SystemProperty;

/// What becomes of a property without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyValues {
    /// Written as `key=`, for readers that take it as it is meant.
    Write,
    /// Left out. The Java SDK drops its connection over `key=`, and over `key` too; the message would come again for ever.
    Omit,
}

impl EmptyValues {
    /// What suits a client that calls itself so in its user name (`DeviceClientType`).
    pub fn for_client(device_client_type: Option<&str>) -> Self {
        match device_client_type {
            Some(name) if name.contains("com.microsoft.azure.sdk.iot") => Self::Omit,
            _ => Self::Write,
        }
    }
}

/// How every topic of an input begins.
pub fn input_address(to: &Identity, input: &str) -> String {
    let module = to.module.as_ref().map_or("", ModuleName::as_str);
    format!("devices/{}/modules/{module}/inputs/{input}/", to.device)
}

/// Appends the topic of `message` on the input with that address.
///
/// The sender's ids come first, then the other system properties, then the application's in their order: the Java SDK reads from
/// the first `%24.` on, and would lose what stands before it. An application property under the name of a system property is left
/// out: it could pose as the sender.
pub fn write_input_topic(topic: &mut String, address: &str, message: &StoredMessage<'_>, empty: EmptyValues) {
    topic.push_str(address);
    let start = topic.len();
    for (property, value) in
        [(SystemProperty::ConnectionDeviceId, Some(message.device)), (SystemProperty::ConnectionModuleId, message.module)]
    {
        if let (Some(key), Some(value)) = (property.outgoing_key(), value) {
            write_pair(topic, start, key, value);
        }
    }
    for (property, value) in message.system() {
        let Some(key) = property.outgoing_key() else { continue };
        let dated = matches!(property, SystemProperty::AbsoluteExpiryTime | SystemProperty::CreationTime);
        if !value.is_empty() && (!dated || date::is_round_trip(value)) {
            write_pair(topic, start, key, value);
        }
    }
    for (key, value) in message.properties() {
        let value = value.unwrap_or_default();
        let kept = !value.is_empty() || empty == EmptyValues::Write;
        if kept && !SystemProperty::is_reserved_key(key) {
            write_pair(topic, start, key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::Message;
    use crate::property_bag;
    use crate::system_properties::SystemProperties;
    use crate::topic::{MAX_TOPIC_BYTES, check_name, matches};

    fn message() -> Message {
        Message {
            from: "edge/sensor".parse().unwrap(),
            output: Some("readings".into()),
            system: SystemProperties::new(),
            properties: Vec::new(),
            body: Bytes::new(),
        }
    }

    fn input_topic(to: &Identity, input: &str, message: &Message, empty: EmptyValues) -> String {
        let record = message.encode();
        let mut topic = String::new();
        write_input_topic(&mut topic, &input_address(to, input), &StoredMessage::read(&record).unwrap(), empty);
        topic
    }

    fn topic(message: &Message, empty: EmptyValues) -> String {
        input_topic(&"edge/filter".parse().unwrap(), "in 1", message, empty)
    }

    #[test]
    fn a_bare_message_still_has_the_sender_as_properties() {
        let topic = topic(&message(), EmptyValues::Write);
        assert_eq!(topic, "devices/edge/modules/filter/inputs/in 1/%24.cdid=edge&%24.cmid=sensor");
        assert!(matches("devices/edge/modules/filter/inputs/#", &topic));
        let mut from_device = message();
        from_device.from.module = None;
        assert!(self::topic(&from_device, EmptyValues::Write).ends_with("/%24.cdid=edge"));
    }

    #[test]
    fn the_senders_ids_come_first_for_java_and_the_output_stays_behind() {
        let mut message = message();
        message.properties = vec![("Level".into(), Some("too high".into())), ("unit".into(), Some("°C".into()))];
        message.system.set(SystemProperty::ContentEncoding, "utf-8");
        message.system.set(SystemProperty::ContentType, "application/json");
        message.system.set(SystemProperty::InterfaceId, "urn:x");
        message.system.stamp("id", "2026-03-01T12:00:00.0000000Z");
        assert!(
            topic(&message, EmptyValues::Write)
                .ends_with("/%24.cdid=edge&%24.cmid=sensor&%24.ce=utf-8&%24.ct=application%2Fjson&Level=too%20high&unit=%C2%B0C")
        );
    }

    #[test]
    fn an_application_property_cannot_pose_as_a_system_property() {
        let mut message = message();
        message.from.module = None;
        message.properties = ["$.cmid", "$.cdid", "$.exp", "$.on"].map(|key| (key.into(), Some("posing".into()))).into();
        assert!(topic(&message, EmptyValues::Write).ends_with("/in 1/%24.cdid=edge"));
    }

    #[test]
    fn dates_are_passed_on_in_the_strict_form_only() {
        let mut message = message();
        message.system.set(SystemProperty::AbsoluteExpiryTime, "2027-01-31");
        message.system.set(SystemProperty::CreationTime, "2026-03-01T12:00:00.0000000Z");
        let topic = topic(&message, EmptyValues::Write);
        assert!(topic.ends_with("&%24.ctime=2026-03-01T12%3A00%3A00.0000000Z") && !topic.contains("24.exp"), "{topic}");
    }

    #[test]
    fn an_empty_value_reaches_all_clients_but_java() {
        let mut message = message();
        message.properties = vec![("flag".into(), None), ("note".into(), Some(String::new())), ("n".into(), Some("1".into()))];
        assert!(topic(&message, EmptyValues::Write).ends_with("&flag=&note=&n=1"));
        assert!(topic(&message, EmptyValues::Omit).ends_with("%24.cmid=sensor&n=1"));
        let java = Some("com.microsoft.azure.sdk.iot.iot-device-client/2.5.0 (x64)");
        assert_eq!(EmptyValues::for_client(java), EmptyValues::Omit);
        assert_eq!(EmptyValues::for_client(Some("azure-iot-device/1.18.4")), EmptyValues::Write);
        assert_eq!(EmptyValues::for_client(None), EmptyValues::Write);
    }

    #[test]
    fn whatever_was_accepted_fits_into_a_topic() {
        let long: Identity = format!("{}/{}", "@".repeat(128), "m".repeat(128)).parse().unwrap();
        let mut message = message();
        message.from = long.clone();
        message.properties = vec![("~".into(), Some(String::new()))];
        while message.check_size().is_ok() {
            let value = message.properties[0].1.as_mut().unwrap();
            value.push_str(&"~".repeat(if value.len() < 21_000 { 1_000 } else { 1 }));
        }
        message.properties[0].1.as_mut().unwrap().pop();
        assert_eq!(message.check_size(), Ok(()));
        let topic = input_topic(&long, &"i".repeat(128), &message, EmptyValues::Write);
        assert!((60_000..=MAX_TOPIC_BYTES).contains(&topic.len()), "{}", topic.len());
        check_name(&topic).unwrap();
        assert!(property_bag::parse(topic.rsplit_once('/').unwrap().1).is_ok());
    }
}
