//! Sources, endpoints, queues, and where messages go.

use std::time::Duration;

use edge_protocol::message::Message;
use edge_routing::{Destination, Endpoint, MessageSource, Priority, RouteDefinition, RouteTable, Source, split_queue_id};
use serde_json::{Map, Value, json};

use super::message::message;
use crate::record::{Error, Record, Records};
use crate::report::Outcome;

/// The edge device of messages that do not name one.
const DEVICE: &str = "edge";
/// How IoT Edge writes that a route has no priority.
const DEFAULT_PRIORITY: u64 = 2_000_000_000;

/// A message that comes from there.
fn message_from(record: &Record, source: &str, application: Option<&Value>) -> Result<Option<Message>, Error> {
    let levels: Vec<&str> = source.split('/').filter(|level| !level.is_empty()).collect();
    let twin_change = json!({"messageType": "twinChangeNotification"});
    let (from, output, system) = match levels.as_slice() {
        ["twinChangeNotifications"] => (DEVICE.to_owned(), None, Some(&twin_change)),
        ["messages"] => (DEVICE.to_owned(), None, None),
        ["messages", "modules", module] => (format!("{DEVICE}/{module}"), None, None),
        ["messages", "modules", module, "outputs", output] => (format!("{DEVICE}/{module}"), Some(*output), None),
        _ => return Ok(None),
    };
    message(record, &from, output, application, system).map(Some)
}

pub(super) fn source_selects(record: &Record, _: &Records) -> Result<Outcome, Error> {
    let message = message_from(record, record.text("message_source")?, None)?
        .ok_or_else(|| record.wrong("message_source", "is none that a message can have"))?;
    let selects = Source::new(record.text("route_source")?).selects(&MessageSource::of(&message));
    Ok(Outcome::new(record.expected()?.clone(), selects))
}

pub(super) fn message_source(record: &Record, _: &Records) -> Result<Outcome, Error> {
    let mut system = record.object("system_props")?.clone();
    let mut text = |name: &str| system.remove(name).and_then(|value| value.as_str().map(str::to_owned));
    let from = text("connectionModuleId").map_or_else(|| DEVICE.to_owned(), |module| format!("{DEVICE}/{module}"));
    let output = text("outputName");
    let message = message(record, &from, output.as_deref(), None, Some(&Value::Object(system)))?;
    let source = MessageSource::of(&message);
    let got = json!({"source": source.to_string(), "is_telemetry": source.is_telemetry()});
    Ok(Outcome::new(record.expected()?.clone(), got))
}

fn priority_number(priority: Priority) -> u64 {
    priority.number().map_or(DEFAULT_PRIORITY, u64::from)
}

pub(super) fn queue_id_is_read(record: &Record, _: &Records) -> Result<Outcome, Error> {
    let (endpoint, priority) = split_queue_id(record.text("queue_id")?);
    let got = json!({"endpoint": endpoint, "priority": priority_number(priority)});
    Ok(Outcome::new(record.expected()?.clone(), got))
}

pub(super) fn endpoint(record: &Record, _: &Records) -> Result<Outcome, Error> {
    let expected = record.expected()?;
    let text = |member: &str| record.maybe(member).and_then(Value::as_str);
    let created = match (text("system"), text("function"), text("address")) {
        (Some(name), _, _) => Endpoint::from_system(name),
        (None, Some(function), Some(address)) => Endpoint::from_function(function, address).ok(),
        // Without a function there is nothing that a route could say.
        _ => None,
    };
    let got = match created {
        None => json!("error"),
        Some(Endpoint::Upstream) => json!({"kind": "cloud", "id": "iothub"}),
        Some(Endpoint::Input { module, input }) => {
            json!({"kind": "module", "id": format!("{}/{module}/{input}", record.text("edge_device")?), "input": input})
        }
    };
    // There are records that say less of the cloud's endpoint.
    let got = match (expected.as_object(), got) {
        (Some(wanted), Value::Object(got)) => {
            Value::Object(got.into_iter().filter(|(name, _)| wanted.contains_key(name)).collect())
        }
        (_, got) => got,
    };
    Ok(Outcome::new(expected.clone(), got))
}

/// A member of a route.
fn member<'v>(record: &Record, route: &'v Map<String, Value>, name: &str) -> Result<&'v str, Error> {
    route.get(name).and_then(Value::as_str).ok_or_else(|| record.wrong(name, "is missing or no text"))
}

pub(super) fn routes(record: &Record, _: &Records) -> Result<Outcome, Error> {
    let expected = record.expected()?;
    let mut texts = Vec::new();
    for route in record.list("routes")? {
        let route = route.as_object().ok_or_else(|| record.wrong("routes", "holds something else than objects"))?;
        let number = |name: &str| route.get(name).and_then(Value::as_u64).ok_or_else(|| record.wrong(name, "is no number"));
        let text = format!(
            "FROM {} WHERE {} INTO BrokeredEndpoint('/modules/{}/inputs/i')",
            member(record, route, "source")?.trim_end_matches('/'),
            member(record, route, "condition")?,
            member(record, route, "endpoint")?,
        );
        let priority = number("priority")?;
        let priority = (priority != DEFAULT_PRIORITY).then(|| u8::try_from(priority)).transpose();
        let priority = priority.map_err(|_| record.wrong("priority", "is too large"))?;
        texts.push((member(record, route, "id")?, text, priority, Duration::from_secs(number("ttl")?)));
    }
    let definitions = texts.iter().map(|(name, text, priority, time)| RouteDefinition {
        name,
        text,
        priority: *priority,
        time_to_live: Some(*time),
    });
    let table = match RouteTable::compile(definitions) {
        Ok(table) => table,
        Err(errors) => return Ok(Outcome::new(expected.clone(), format!("{errors:?}"))),
    };
    let given = record.object("message")?;
    let Some(message) = message_from(record, member(record, given, "source")?, given.get("app_props"))? else {
        return Ok(Outcome::new(expected.clone(), "no message has this source"));
    };
    let selection = table.select(&message);
    let got: Vec<Value> = selection
        .iter()
        .map(|selected| {
            let Destination { endpoint, priority, time_to_live } = selected.destination;
            let seconds = time_to_live.map_or(0, |time| time.as_secs());
            json!({"endpoint": module_of(endpoint), "priority": priority_number(*priority), "ttl": seconds})
        })
        .collect();
    Ok(Outcome { expected: sorted(expected.clone()), got: sorted(got.into()) })
}

fn module_of(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Upstream => endpoint.to_string(),
        Endpoint::Input { module, .. } => module.to_string(),
    }
}

/// Destinations have no order.
fn sorted(list: Value) -> Value {
    match list {
        Value::Array(mut items) => {
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        }
        other => other,
    }
}

pub(super) fn scenario(record: &Record, _: &Records) -> Result<Outcome, Error> {
    let expected = record.expected()?;
    let device = record.text("edge_device")?;
    let texts: Vec<&str> = record.list("routes")?.iter().filter_map(Value::as_str).collect();
    let names: Vec<String> = (0..texts.len()).map(|number| format!("route{number}")).collect();
    let definitions =
        names.iter().zip(&texts).map(|(name, text)| RouteDefinition { name, text, priority: None, time_to_live: None });
    let table = match RouteTable::compile(definitions) {
        Ok(table) => table,
        Err(errors) => return Ok(Outcome::new(expected.clone(), format!("{errors:?}"))),
    };
    let twin_change = json!({"messageType": "twinChangeNotification"});
    let (sender, system) = match record.maybe("reported_update_from") {
        Some(sender) => (sender, Some(&twin_change)),
        None => (record.get("sender")?, record.maybe("extra_system_props")),
    };
    let text = |name: &str| sender.get(name).and_then(Value::as_str);
    let from = match (text("module"), text("device")) {
        (Some(module), _) => format!("{device}/{module}"),
        (None, Some(leaf)) => leaf.to_owned(),
        (None, None) => return Err(record.wrong("sender", "is neither a device nor a module")),
    };
    let message = message(record, &from, text("output"), record.maybe("app_props"), system)?;
    let got: Vec<Value> =
        table.select(&message).iter().map(|selected| json!(selected.destination.endpoint.to_string())).collect();
    let got = sorted(got.into());
    if record.maybe("reported_update_from").is_some() {
        return Ok(Outcome::new(expected.clone(), json!({"destinations": got})));
    }
    Ok(Outcome { expected: sorted(expected.clone()), got })
}
