//! `ExposedPorts` and `HostConfig.PortBindings`.

use serde_json::{Map, Value};

use super::reader::{Reader, asks_for_nothing, member, quote};
use super::remark::Remark;

/// Transport of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// The default.
    Tcp,
    /// Datagrams.
    Udp,
    /// Rare, but Docker and Kubernetes both know it.
    Sctp,
}

impl Protocol {
    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

/// A port of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// 1 to 65535.
    pub number: u16,
    /// Its transport.
    pub protocol: Protocol,
}

/// A container's port and the number under which it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortBinding {
    /// The port inside.
    pub container: Port,
    /// The number outside; the container's where none was given.
    pub published: u16,
}

pub(super) fn read_exposed(given: &Map<String, Value>, reader: &mut Reader) -> Vec<Port> {
    let mut read = Vec::new();
    for key in given.keys() {
        match parse(key) {
            Some(port) if !read.contains(&port) => read.push(port),
            Some(_) => {}
            None => reader.problem(format!("ExposedPorts.{}", quote(key)), WRONG_PORT),
        }
    }
    read
}

pub(super) fn read_bindings(given: &Map<String, Value>, reader: &mut Reader) -> Vec<PortBinding> {
    let mut read: Vec<PortBinding> = Vec::new();
    for (key, value) in given {
        let path = format!("HostConfig.PortBindings.{}", quote(key));
        let Some(container) = parse(key) else {
            reader.problem(path, WRONG_PORT);
            continue;
        };
        let hosts = match value {
            Value::Null => &[],
            other => reader.list(&path, other).unwrap_or_default(),
        };
        let mut published: Vec<u16> = hosts
            .iter()
            .enumerate()
            .filter_map(|(index, host)| read_host(&format!("{path}[{index}]"), host, container, reader))
            .collect();
        if hosts.is_empty() {
            published.push(container.number);
        }
        for number in published {
            let taken = read.iter().find(|other| other.published == number && other.container.protocol == container.protocol);
            match taken {
                Some(other) if other.container == container => {}
                Some(other) => reader.problem(
                    &path,
                    format!("publishes {number}, which port {} of the same module publishes already", other.container.number),
                ),
                None => read.push(PortBinding { container, published: number }),
            }
        }
    }
    read
}

const WRONG_PORT: &str = "is not a port: a number from 1 to 65535 is expected, with /tcp, /udp or /sctp after it";

/// `{"HostIp": …, "HostPort": …}`; `None` where it was refused or left out.
fn read_host(path: &str, value: &Value, container: Port, reader: &mut Reader) -> Option<u16> {
    let host = reader.object(path, value)?;
    if let Some(ip) = member(host, "HostIp")
        && !asks_for_nothing(ip)
        && ip.as_str() != Some("0.0.0.0")
    {
        let how = "has no effect: the port is published by a Service of the cluster, on the Service's address".to_owned();
        reader.remark(Remark::Differs { member: format!("{path}.HostIp"), how });
    }
    let number = match member(host, "HostPort") {
        None => return Some(container.number),
        Some(Value::Number(number)) => number.to_string(),
        Some(other) => reader.text(&format!("{path}.HostPort"), other)?,
    };
    if number.is_empty() || number == "0" {
        return Some(container.number);
    }
    if number.contains('-') {
        let how = format!("({}) is a range, of which one port is chosen: {} is published", quote(&number), container.number);
        reader.remark(Remark::Differs { member: format!("{path}.HostPort"), how });
        return Some(container.number);
    }
    let parsed = number.parse::<u16>().ok().filter(|number| *number > 0);
    if parsed.is_none() {
        reader.problem(format!("{path}.HostPort"), format!("must be a number from 1 to 65535, not {:?}", quote(&number)));
    }
    parsed
}

/// `8080`, `8080/tcp`, `53/UDP`.
fn parse(text: &str) -> Option<Port> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return None,
    };
    // `parse` alone would take "+80".
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let number = number.parse().ok().filter(|number| digits && *number > 0)?;
    Some(Port { number, protocol })
}
