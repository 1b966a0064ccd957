//! The body itself: what runs in the container, and as whom.

use serde_json::{Map, Value};

use super::members::Place;
use super::reader::{Reader, member, quote};
use super::remark::Remark;
use super::{CreateOptions, host_config, ports};

/// The members of the body that are read here or passed on.
const TAKEN: &[&str] =
    &["Env", "Cmd", "Entrypoint", "WorkingDir", "User", "Labels", "ExposedPorts", "HostConfig", "NetworkingConfig"];
/// The network that every module of IoT Edge joins: asking for it asks for what there is anyway.
const DEFAULT_NETWORK: &str = "azure-iot-edge";

/// One variable of `Env`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvVar {
    /// Before the first `=`.
    pub name: String,
    /// After it.
    pub value: String,
}

/// `User`, in numbers. Names cannot be translated: only the image knows its user table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user id.
    pub uid: i64,
    /// The group id, where one is given.
    pub gid: Option<i64>,
}

pub(super) fn read(body: &Map<String, Value>, options: &mut CreateOptions, reader: &mut Reader) {
    if let Some(env) = member(body, "Env") {
        options.env = read_env(env, reader);
    }
    options.cmd = member(body, "Cmd").and_then(|cmd| reader.command("Cmd", cmd));
    options.entrypoint = member(body, "Entrypoint").and_then(|entrypoint| reader.command("Entrypoint", entrypoint));
    options.working_dir = member(body, "WorkingDir").and_then(|dir| read_working_dir(dir, reader));
    options.user = member(body, "User").and_then(|user| read_user(user, reader));
    if let Some(labels) = member(body, "Labels").and_then(|labels| reader.object("Labels", labels)) {
        for (key, value) in labels {
            if let Some(value) = reader.text(&format!("Labels.{}", quote(key)), value) {
                options.labels.insert(key.clone(), value);
            }
        }
    }
    if let Some(exposed) = member(body, "ExposedPorts").and_then(|ports| reader.object("ExposedPorts", ports)) {
        options.exposed_ports = ports::read_exposed(exposed, reader);
    }
    if let Some(host) = member(body, "HostConfig").and_then(|host| reader.object("HostConfig", host)) {
        host_config::read(host, options, reader);
    }
    if let Some(networking) = member(body, "NetworkingConfig")
        && !joins_the_default_network_only(networking)
    {
        reader.remark(Remark::Unsupported { member: "NetworkingConfig".to_owned() });
    }
    reader.rest(Place::Body, "", body, TAKEN);
}

fn read_env(value: &Value, reader: &mut Reader) -> Vec<EnvVar> {
    let mut read = Vec::new();
    for (index, entry) in reader.texts("Env", value).unwrap_or_default().into_iter().enumerate() {
        match entry.split_once('=') {
            Some((name, _)) if name.is_empty() || !name.bytes().all(|b| (b' '..=b'~').contains(&b)) => {
                reader.problem(format!("Env[{index}]"), "has a name that is not printable ASCII");
            }
            Some((name, value)) => read.push(EnvVar { name: name.to_owned(), value: value.to_owned() }),
            None => {
                let how = "has no = and was left out".to_owned();
                reader.remark(Remark::Differs { member: format!("Env[{index}] ({})", quote(&entry)), how });
            }
        }
    }
    read
}

fn read_working_dir(value: &Value, reader: &mut Reader) -> Option<String> {
    let dir = reader.text("WorkingDir", value).filter(|dir| !dir.is_empty())?;
    if dir.starts_with('/') {
        return Some(dir);
    }
    reader.problem("WorkingDir", format!("must be an absolute path, not {:?}", quote(&dir)));
    None
}

/// `uid`, `uid:gid`, or names.
fn read_user(value: &Value, reader: &mut Reader) -> Option<User> {
    let text = match value {
        // Docker wants a string; a bare number is what people write, and can mean only one thing.
        Value::Number(number) => number.to_string(),
        other => reader.text("User", other)?,
    };
    if text.is_empty() {
        return None;
    }
    let (uid, gid) = match text.split_once(':') {
        Some((uid, gid)) => (uid, Some(gid)),
        None => (text.as_str(), None),
    };
    let (uid, gid) = (numeric_id(uid), gid.map(numeric_id));
    match (uid, gid) {
        (Some(uid), None) => Some(User { uid, gid: None }),
        (Some(uid), Some(Some(gid))) => Some(User { uid, gid: Some(gid) }),
        // `root` is user 0 in every image.
        (None, None) if text == "root" => Some(User { uid: 0, gid: None }),
        _ => {
            let how = "was left out: only numeric ids can be given to a pod, names are known to the image alone".to_owned();
            reader.remark(Remark::Differs { member: format!("User ({})", quote(&text)), how });
            None
        }
    }
}

fn numeric_id(text: &str) -> Option<i64> {
    text.parse::<i32>().ok().filter(|id| *id >= 0).map(i64::from)
}

/// Is this no more than `{"EndpointsConfig": {"azure-iot-edge": {}}}`, which every template has?
fn joins_the_default_network_only(value: &Value) -> bool {
    let Value::Object(networking) = value else { return false };
    networking.iter().all(|(name, endpoints)| {
        name.eq_ignore_ascii_case("EndpointsConfig")
            && match endpoints {
                Value::Null => true,
                Value::Object(networks) => networks
                    .iter()
                    .all(|(network, settings)| network == DEFAULT_NETWORK && super::reader::asks_for_nothing(settings)),
                _ => false,
            }
    })
}
