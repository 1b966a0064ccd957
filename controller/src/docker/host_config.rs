//! `HostConfig`: what the container gets from its host.

use serde_json::{Map, Value};

use super::members::Place;
use super::reader::{Reader, member, quote};
use super::{CreateOptions, binds, ports};

/// The members of `HostConfig` that are read here or passed on.
const TAKEN: &[&str] = &["Binds", "Mounts", "PortBindings", "Privileged", "CapAdd", "CapDrop", "NetworkMode"];
/// Network modes that ask for the network that every module is on.
const ORDINARY_NETWORKS: [&str; 4] = ["", "default", "bridge", "azure-iot-edge"];

pub(super) fn read(host: &Map<String, Value>, options: &mut CreateOptions, reader: &mut Reader) {
    if let Some(given) = member(host, "Binds") {
        options.binds.extend(binds::read_binds(given, reader));
    }
    if let Some(given) = member(host, "Mounts") {
        options.binds.extend(binds::read_mounts(given, reader));
    }
    binds::refuse_shared_targets(&options.binds, reader);
    if let Some(given) = member(host, "PortBindings").and_then(|given| reader.object("HostConfig.PortBindings", given)) {
        options.port_bindings = ports::read_bindings(given, reader);
    }
    if let Some(given) = member(host, "Privileged") {
        options.privileged = reader.flag("HostConfig.Privileged", given).unwrap_or_default();
    }
    if let Some(given) = member(host, "CapAdd") {
        options.cap_add = read_capabilities("HostConfig.CapAdd", given, reader);
    }
    if let Some(given) = member(host, "CapDrop") {
        options.cap_drop = read_capabilities("HostConfig.CapDrop", given, reader);
    }
    if let Some(given) = member(host, "NetworkMode")
        && let Some(mode) = reader.text("HostConfig.NetworkMode", given)
        && !ORDINARY_NETWORKS.iter().any(|ordinary| ordinary.eq_ignore_ascii_case(&mode))
    {
        reader.remark(super::Remark::Unsupported { member: format!("HostConfig.NetworkMode ({})", quote(&mode)) });
    }
    reader.rest(Place::HostConfig, "HostConfig.", host, TAKEN);
}

/// Capability names in the form that Kubernetes takes: capitals, without `CAP_`, each once, in order of mention.
fn read_capabilities(path: &str, value: &Value, reader: &mut Reader) -> Vec<String> {
    let mut read = Vec::new();
    for (index, given) in reader.texts(path, value).unwrap_or_default().into_iter().enumerate() {
        let name = given.to_ascii_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name).to_owned();
        let legal = !name.is_empty() && name.len() <= 32 && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        if !legal {
            reader.problem(format!("{path}[{index}]"), format!("is not the name of a capability: {:?}", quote(&given)));
        } else if !read.contains(&name) {
            read.push(name);
        }
    }
    read
}
