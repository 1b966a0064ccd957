//! The messages of records, in the form that conditions and routes look at.

use edge_protocol::message::Message;
use edge_protocol::system_properties::{SystemProperties, SystemProperty};
use edge_routing::{Property, Subject, SystemName};
use serde_json::{Map, Value};

use crate::record::{Error, Record};

/// A message with properties that no client of the hub could send, such as a system property without a value.
#[derive(Default)]
pub(super) struct Loose {
    application: Vec<(String, Option<String>)>,
    system: Vec<(String, Option<String>)>,
    body: Vec<u8>,
}

impl Loose {
    /// A message of a fixture.
    pub(super) fn new(record: &Record, message: &Map<String, Value>) -> Result<Self, Error> {
        let body = match (message.get("body_json"), message.get("body_utf8")) {
            (Some(json), _) => json.to_string(),
            (None, Some(Value::String(text))) => text.clone(),
            _ => return Err(record.wrong("message", "has no body")),
        };
        Ok(Self {
            application: properties(record, message.get("app_props"))?,
            system: properties(record, message.get("system_props"))?,
            body: body.into_bytes(),
        })
    }

    /// JSON in UTF-8, as it claims or not.
    pub(super) fn json(body: &str) -> Self {
        let system = [("contentType", "application/json"), ("contentEncoding", "utf-8")];
        let system = system.into_iter().map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).collect();
        Self { application: Vec::new(), system, body: body.as_bytes().to_vec() }
    }
}

/// Names and values; `null` is none.
pub(super) fn properties(record: &Record, given: Option<&Value>) -> Result<Vec<(String, Option<String>)>, Error> {
    let Some(given) = given else { return Ok(Vec::new()) };
    let object = given.as_object().ok_or_else(|| record.wrong("properties", "are no object"))?;
    let pairs = object.iter().map(|(name, value)| match value {
        Value::Null => Ok((name.clone(), None)),
        Value::String(text) => Ok((name.clone(), Some(text.clone()))),
        _ => Err(record.wrong(name, "is no text")),
    });
    pairs.collect()
}

fn look_up<'p>(properties: &'p [(String, Option<String>)], name: &str) -> Property<'p> {
    match properties.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        Some((_, Some(value))) => Property::Text(value),
        Some((_, None)) => Property::Empty,
        None => Property::Missing,
    }
}

impl Subject for Loose {
    fn application_property(&self, name: &str) -> Property<'_> {
        look_up(&self.application, name)
    }

    fn system_property(&self, name: &SystemName) -> Property<'_> {
        look_up(&self.system, name.name())
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}

/// A message as the hub has it.
pub(super) fn message(
    record: &Record,
    from: &str,
    output: Option<&str>,
    application: Option<&Value>,
    system: Option<&Value>,
) -> Result<Message, Error> {
    let mut message = Message {
        from: from.parse().map_err(|_| record.wrong("sender", "is no identity"))?,
        output: output.map(str::to_owned),
        system: SystemProperties::new(),
        properties: properties(record, application)?,
        body: bytes::Bytes::new(),
    };
    for (name, value) in properties(record, system)? {
        let property = SystemProperty::ALL.iter().find(|property| property.name() == name);
        let property = property.ok_or_else(|| record.wrong(&name, "is no system property"))?;
        message.system.set(*property, value.unwrap_or_default());
    }
    Ok(message)
}
