//! The uplink's settings, checked: where to connect, as whom, and the topic of each message.

use bytes::Bytes;
use edge_mqtt::Endpoint;
use edge_protocol::identity::DeviceId;
use edge_protocol::message::StoredMessage;

/// Longest topic template, in bytes. MQTT's own limit is 65,535; names of 128 bytes must still fit into it.
const MAX_TEMPLATE_BYTES: usize = 1024;

/// A piece of a topic template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    DeviceId,
    ModuleId,
    Output,
}

/// Everything the uplink needs. Two equal values need no reconnection. No `Debug`: it holds a password.
#[derive(Clone)]
pub struct MqttUplink {
    pub(crate) endpoint: Endpoint,
    pub(crate) client_id: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Bytes>,
    /// What `endpoint.tls` was made of; compared instead of it.
    ca: Option<Vec<u8>>,
    topic: Vec<Part>,
}

impl PartialEq for MqttUplink {
    fn eq(&self, other: &Self) -> bool {
        // No `..`: a setting that is not compared would never take effect.
        let Self { endpoint: Endpoint { host, port, tls: _ }, client_id, username, password, ca, topic } = self;
        (host, *port) == (&other.endpoint.host, other.endpoint.port)
            && (client_id, username, password, ca, topic)
                == (&other.client_id, &other.username, &other.password, &other.ca, &other.topic)
    }
}

impl MqttUplink {
    /// Checks the topic template. The error is one sentence for the person who wrote it.
    pub(crate) fn new(
        endpoint: Endpoint,
        client_id: Option<String>,
        username: Option<String>,
        password: Option<String>,
        ca: Option<Vec<u8>>,
        topic: &str,
        device: &DeviceId,
    ) -> Result<Self, String> {
        Ok(Self {
            endpoint,
            client_id: client_id.unwrap_or_else(|| format!("edge-{device}")),
            username,
            password: password.map(Bytes::from),
            ca,
            topic: parse_template(topic)?,
        })
    }

    /// The topic of one message. Names are placed as they are: they cannot hold `/`, and an output that does stays one path.
    /// A message without module or output leaves no empty level behind. `+`, `#` and NUL, which topics cannot hold, become `_`.
    pub(crate) fn topic(&self, message: &StoredMessage<'_>) -> String {
        let mut topic = String::new();
        for part in &self.topic {
            match part {
                Part::Text(text) => topic.push_str(text),
                Part::DeviceId => push_name(&mut topic, message.device),
                Part::ModuleId => push_name(&mut topic, message.module.unwrap_or_default()),
                Part::Output => push_name(&mut topic, message.output.unwrap_or_default()),
            }
        }
        let levels: Vec<&str> = topic.split('/').filter(|level| !level.is_empty()).collect();
        levels.join("/")
    }
}

fn push_name(topic: &mut String, name: &str) {
    topic.extend(name.chars().map(|c| if matches!(c, '+' | '#' | '\0') { '_' } else { c }));
}

fn parse_template(text: &str) -> Result<Vec<Part>, String> {
    if text.len() > MAX_TEMPLATE_BYTES {
        return Err(format!("longer than {MAX_TEMPLATE_BYTES} bytes"));
    }
    if text.contains(['+', '#', '\0']) || text.trim_matches('/').is_empty() {
        return Err("a topic must not be empty nor contain +, # or NUL".to_owned());
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, from_brace)) = rest.split_once('{') {
        let (name, after) = from_brace.split_once('}').ok_or("a { without its }")?;
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(match name {
            "deviceId" => Part::DeviceId,
            "moduleId" => Part::ModuleId,
            "output" => Part::Output,
            other => return Err(format!("unknown placeholder {{{other}}}: deviceId, moduleId and output are known")),
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use edge_protocol::identity::Identity;
    use edge_protocol::message::Message;
    use edge_protocol::system_properties::SystemProperties;

    fn uplink(template: &str) -> Result<MqttUplink, String> {
        let endpoint = Endpoint::from_url("mqtt://broker").unwrap();
        MqttUplink::new(endpoint, None, None, None, None, template, &"line-7".parse().unwrap())
    }

    fn topic(template: &str, output: Option<&str>) -> String {
        let from = Identity::of_module("line-7".parse().unwrap(), "filter".parse().unwrap());
        let message = Message {
            from,
            output: output.map(str::to_owned),
            system: SystemProperties::default(),
            properties: vec![],
            body: Bytes::new(),
        };
        uplink(template).unwrap().topic(&StoredMessage::read(&message.encode()).unwrap())
    }

    #[test]
    fn placeholders_are_replaced_and_absent_names_leave_no_empty_level() {
        let template = "edge/{deviceId}/{moduleId}/{output}";
        assert_eq!(topic(template, Some("alerts")), "edge/line-7/filter/alerts");
        assert_eq!(topic(template, None), "edge/line-7/filter");
    }

    #[test]
    fn an_output_cannot_smuggle_wildcards_into_a_topic() {
        assert_eq!(topic("x/{output}", Some("a+b/#")), "x/a_b/_");
    }

    #[test]
    fn unknown_placeholders_and_wildcards_are_refused_by_name() {
        assert!(uplink("x/{modul}").err().unwrap().contains("{modul}"));
        for refused in ["", "/", "a/#", "a/+/b", "a/{deviceId"] {
            assert!(uplink(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_new_password_is_a_different_uplink() {
        let one = uplink("x").unwrap();
        let mut other = one.clone();
        assert!(one == other);
        other.password = Some(Bytes::from_static(b"new"));
        assert!(one != other);
    }
}
