//! Topics and filters from whoever, put together from what they are made of: each gets an answer, what is taken can be stored and
//! delivered, and a filter selects just the inputs that MQTT says.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use edge_protocol::identity::Identity;
use edge_protocol::message::{Message, StoredMessage};
use edge_protocol::property_bag::{self, MAX_PROPERTIES};
use edge_protocol::system_properties::SystemProperty;
use edge_protocol::topic::{
    EmptyValues, Filter, MAX_FILTER_BYTES, MAX_TOPIC_BYTES, Publish, Telemetry, check_filter, check_name, input_address, matches,
    telemetry_message, write_input_topic,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

const PARTS: &[&str] = &[
    "devices",
    "modules",
    "messages",
    "events",
    "messages/events",
    "devicebound",
    "inputs",
    "outputs",
    "edge",
    "sensor",
    "in",
    "$iothub",
    "methods",
    "POST",
    "twin",
    "PATCH",
    "properties",
    "desired",
    "res",
    "$edgehub",
    "status",
    "+",
    "#",
    "/",
    "//",
    "",
    "$",
    "?",
    "é",
    "\u{0}",
    "😀",
    "devices/edge/modules/sensor",
    "devices/edge/modules/sensor/messages/events/",
];
const BAG_PARTS: &[&str] = &[
    "%24.on",
    "$.on",
    "$.mid",
    "%24.cid",
    "$.cdid",
    "%24.cmid",
    "$.ct",
    "%24.exp",
    "iothub-operation",
    "ack",
    "mqtt-dup",
    "mqtt-retain",
    "deviceId",
    "moduleId",
    "connectionModuleId",
    "a",
    "a",
    "b",
    "é",
    "\u{0}",
    "😀",
    "=",
    "=",
    "=",
    "&",
    "&",
    "&",
    "?",
    "/",
    "%",
    "%2",
    "%2F",
    "%26",
    "%3D",
    "%00",
    "%FF",
    "%C3%A9",
    "~~~~",
    "+",
    "#",
    " ",
];

fn sender() -> Identity {
    "edge/sensor".parse().unwrap()
}

fn joined(parts: &'static [&'static str], gap: &'static str, most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(parts), 0..most).prop_map(move |parts| parts.join(gap))
}

/// What the hub does with a message that it took: writes it down, reads it again and sends it to an input.
fn can_be_delivered(message: &Message) -> Result<(), TestCaseError> {
    prop_assert_eq!(message.check_size(), Ok(()));
    let record = message.encode();
    prop_assert_eq!(&Message::decode(record.clone()).unwrap(), message);
    let stored = StoredMessage::read(&record).unwrap();
    let mut topic = String::new();
    write_input_topic(&mut topic, &input_address(&"edge/reader".parse().unwrap(), "in"), &stored, EmptyValues::Write);
    prop_assert_eq!(check_name(&topic), Ok(()));
    let bag = topic.strip_prefix("devices/edge/modules/reader/inputs/in/").unwrap();
    // Pair by pair: with the sender's names there may be more of them than a client may send.
    let delivered: Vec<_> = bag.split('&').flat_map(|pair| property_bag::parse(pair).unwrap()).collect();
    let value =
        |key: &str| delivered.iter().filter(|(known, _)| known == key).map(|(_, value)| value.as_deref()).collect::<Vec<_>>();
    prop_assert_eq!(value("$.cdid"), [Some("edge")], "{}", bag);
    prop_assert_eq!(value("$.cmid"), [Some("sensor")], "{}", bag);
    for (key, sent) in message.properties.iter().filter(|(key, _)| !SystemProperty::is_reserved_key(key)) {
        prop_assert_eq!(value(key), [sent.as_deref().filter(|value| !value.is_empty())], "{} in {}", key, bag);
    }
    Ok(())
}

fn is_answered(topic: &str) -> Result<(), TestCaseError> {
    match check_name(topic) {
        Ok(()) => {}
        Err(error) => return short(&error),
    }
    let Publish::Telemetry(telemetry) = Publish::parse(topic) else { return Ok(()) };
    let own = telemetry.device == "edge" && telemetry.module == Some("sensor");
    match telemetry_message(telemetry, &sender(), Bytes::from_static(b"21"), true, true) {
        Ok(message) => {
            prop_assert!(own && message.from == sender(), "{} speaks for another", topic);
            can_be_delivered(&message)
        }
        Err(error) => {
            prop_assert!(error.to_string().starts_with("edge/sensor "), "{}", error);
            short(&error)
        }
    }
}

/// A reason for a log: of one line, and short however long the text was.
fn short(error: &dyn std::error::Error) -> Result<(), TestCaseError> {
    let text = error.to_string();
    prop_assert!((20..200).contains(&text.len()) && !text.contains(char::is_control), "{}", text);
    Ok(())
}

/// Does the hub deliver to the inputs that the filter selects as MQTT matches topics? One that begins with a wildcard asks for topics
/// in general, which is another matter; so does one with a wildcard for a word around the ids. One for certain properties selects nothing.
fn selects_what_matches(filter: &str) -> Result<(), TestCaseError> {
    if let Err(error) = check_filter(filter) {
        return short(&error);
    }
    prop_assert!(filter.len() <= MAX_FILTER_BYTES);
    for subscriber in ["edge/sensor", "edge/in", "edge"] {
        let subscriber: Identity = subscriber.parse().unwrap();
        let meaning = Filter::classify(filter, &subscriber);
        prop_assert!(meaning != Filter::Status, "only the agent reads the status");
        for input in ["in", "inputs", "status"] {
            let selected = matches!(&meaning, Filter::Inputs(inputs) if inputs.selects(input));
            let Some(_) = &subscriber.module else {
                prop_assert!(!selected, "a device has no inputs");
                continue;
            };
            let topic = format!("{}%24.cdid=sender", input_address(&subscriber, input));
            let in_general =
                filter.starts_with(['+', '#']) || filter.starts_with("devices/#") || filter.split('/').nth(2) != Some("modules");
            if selected || !in_general {
                let later = matches!(meaning, Filter::KnownLater(_));
                prop_assert!(selected == matches(filter, &topic) || later, "{} and {}: {:?}", filter, topic, meaning);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn parts_in_any_order(levels in joined(PARTS, "/", 12), text in joined(PARTS, "", 12)) {
        is_answered(&levels)?;
        is_answered(&text)?;
    }

    #[test]
    fn properties_in_any_order(bag in joined(BAG_PARTS, "", 30), end in "/?") {
        is_answered(&format!("devices/edge/modules/sensor/messages/events/{bag}{end}"))?;
        is_answered(&format!("devices/edge/messages/events/{bag}{end}"))?;
    }

    #[test]
    fn filters_in_any_order(filter in joined(PARTS, "/", 9), rest in joined(&["inputs", "in", "+", "#", "status", "%24.cdid=edge", "", "é"], "/", 5)) {
        selects_what_matches(&filter)?;
        for ids in ["devices/edge/modules/sensor", "devices/+/modules/+", "devices/edge/modules/in", "devices/edge2/modules/sensor"] {
            selects_what_matches(&format!("{ids}/{rest}"))?;
        }
    }
}

#[test]
fn long_topics_end_in_an_answer() {
    for unit in ["a&", "a=", "%2F=&", "&", "%", "/", "?", "a=~&", "😀", "$.ct=a&", "b=😀&", "%24.on=o&"] {
        for size in [1_000, 20_000, 60_000, MAX_TOPIC_BYTES + 1_000] {
            let bag = unit.repeat(size / unit.len());
            for bag in [bag.as_str(), bag.trim_end_matches('&')] {
                is_answered(&format!("devices/edge/modules/sensor/messages/events/{bag}")).unwrap();
                selects_what_matches(&format!("devices/edge/modules/sensor/inputs/{bag}")).unwrap();
            }
        }
    }
}

#[test]
fn as_many_properties_as_are_allowed_reach_their_reader() {
    let bag: Vec<String> = (0..MAX_PROPERTIES - 2).map(|number| format!("p{number}=%20")).collect();
    let bag = bag.join("&");
    let topic = Telemetry { device: "edge", module: Some("sensor"), bag: &bag };
    let message = telemetry_message(topic, &sender(), Bytes::new(), true, true).unwrap();
    assert_eq!(message.properties.len(), MAX_PROPERTIES);
    can_be_delivered(&message).unwrap();
}
