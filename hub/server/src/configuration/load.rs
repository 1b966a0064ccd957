//! Reading a configuration directory into [`Loaded`]: bounded, whole, and from one snapshot.
//!
//! A projected volume of Kubernetes swaps its `..data` link; everything is read below the link's target, so files of two
//! generations never mix. In a plain directory a file written meanwhile is seen as the next change.

use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use edge_mqtt::Endpoint;
use edge_protocol::configuration::{
    FOR_EVER, HUB_FILE, HubConfiguration, IDENTITIES_FILE, Identities, MAX_DELIVERY_WINDOW, MAX_FILE_BYTES, MAX_IDENTITIES,
    MAX_ROUTES, MqttUpstream,
};
use edge_routing::{RouteError, RouteTable};
use edge_store::JournalOptions;

use super::active::{Active, Keys};
use super::targets::Targets;
use super::tls::{self, TlsFilesError};
use super::upstream::MqttUplink;

/// Why a configuration was refused. The old one stays in force.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing or unreadable.
    #[error("failed to read {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file is larger than any that the controller writes.
    #[error("{} is larger than {MAX_FILE_BYTES} bytes", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// A path in `hub.json` leads out of the directory.
    #[error("{member}: {path:?} must be a path inside the configuration directory")]
    Path {
        /// The member of `hub.json`.
        member: &'static str,
        /// What it holds.
        path: String,
    },
    /// JSON that is not what was expected.
    #[error("{file}: {source}")]
    Json {
        /// The file's name.
        file: &'static str,
        /// Line, column and member.
        source: serde_json::Error,
    },
    /// A member with a value that cannot be used.
    #[error("{HUB_FILE}: {member}: {problem}")]
    Member {
        /// The member.
        member: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Routes that do not compile, each with its position.
    #[error("{}", routes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Routes {
        /// All errors of all routes.
        routes: Vec<RouteError>,
    },
    /// A certificate or key that cannot be used.
    #[error("listeners.mqtt")]
    Tls(#[from] TlsFilesError),
}

/// A configuration that has been checked in every part and can be put in force.
pub struct Loaded {
    /// What applies to messages and clients; swapped as one.
    pub active: Active,
    /// Certificate of the TLS listener, if there is one.
    pub certificate: Option<tls::Certificate>,
    /// The uplink, if there is an upstream.
    pub uplink: Option<MqttUplink>,
    /// Addresses, used once at start.
    pub addresses: Addresses,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// MQTT over TLS.
    pub mqtt: Option<SocketAddr>,
    /// MQTT without TLS; a loopback address.
    pub mqtt_plain: Option<SocketAddr>,
    /// Metrics and probes.
    pub metrics: Option<SocketAddr>,
}

/// The `version` that a refused configuration bore, as far as it can be read: the status names it.
pub fn offered_version(directory: &Path) -> String {
    let read = read_bounded(&snapshot(directory).join(HUB_FILE)).ok();
    let parsed = read.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    parsed.and_then(|value| value.get("version")?.as_str().map(|text| text.chars().take(128).collect())).unwrap_or_default()
}

/// Reads and checks everything.
pub fn load(directory: &Path) -> Result<Loaded, Error> {
    let root = snapshot(directory);
    let hub: HubConfiguration = parse(&root, HUB_FILE)?;
    let identities: Identities = parse(&root, IDENTITIES_FILE)?;
    check_bounds(&hub, &identities)?;
    // Checked: what is not a number of seconds is FOR_EVER.
    let time_to_live = u64::try_from(hub.store_and_forward.time_to_live_secs).ok().map(Duration::from_secs);
    let routes = RouteTable::compile_with_default(&hub.routes, time_to_live).map_err(|routes| Error::Routes { routes })?;
    let uplink = hub.upstream.as_ref().map(|upstream| uplink(&root, &hub, &upstream.mqtt)).transpose()?;
    let certificate = match &hub.listeners.mqtt {
        Some(listener) => Some(tls::Certificate::from_pem(
            &read_member(&root, "listeners.mqtt.certificateFile", &listener.certificate_file)?,
            &read_member(&root, "listeners.mqtt.privateKeyFile", &listener.private_key_file)?,
        )?),
        None => None,
    };
    let addresses = addresses(&hub)?;
    let keys = identities.modules.into_iter().map(|module| {
        let secondary = module.secondary_key.into_iter();
        (module.module_id, Keys(std::iter::once(module.primary_key).chain(secondary).collect()))
    });
    let modules: HashMap<_, _> = keys.collect();
    let targets = Targets::new(routes, |module| modules.contains_key(module), uplink.is_some(), time_to_live);
    let active = Active {
        version: hub.version,
        device: hub.device_id,
        token_hosts: hub.gateway_hostnames.into_iter().chain(hub.iot_hub_hostname).collect(),
        has_upstream: uplink.is_some(),
        modules,
        targets,
        max_clients: hub.limits.max_clients,
        delivery_window: hub.delivery.window as usize,
        max_journal_bytes: hub.store_and_forward.max_bytes,
        on_full: hub.store_and_forward.on_full,
        min_free_bytes: hub.store_and_forward.min_free_bytes,
    };
    Ok(Loaded { active, certificate, uplink, addresses })
}

/// The directory that a `..data` link points to, or the directory itself.
fn snapshot(directory: &Path) -> PathBuf {
    std::fs::canonicalize(directory.join("..data")).unwrap_or_else(|_| directory.to_owned())
}

fn parse<T: serde::de::DeserializeOwned>(root: &Path, file: &'static str) -> Result<T, Error> {
    serde_json::from_slice(&read_bounded(&root.join(file))?).map_err(|source| Error::Json { file, source })
}

fn read_bounded(file: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { file: file.to_owned(), source };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::TooLarge { file: file.to_owned() });
    }
    Ok(bytes)
}

/// Reads a file that `hub.json` names. Only paths below the directory: the configuration must not become a way to read others.
fn read_member(root: &Path, member: &'static str, path: &str) -> Result<Vec<u8>, Error> {
    use std::path::Component;
    let inside =
        !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside {
        return Err(Error::Path { member, path: path.chars().take(200).collect() });
    }
    read_bounded(&root.join(path))
}

fn check_bounds(hub: &HubConfiguration, identities: &Identities) -> Result<(), Error> {
    let refuse = |member, problem: String| Err(Error::Member { member, problem });
    if hub.routes.len() > MAX_ROUTES {
        return refuse("routes", format!("{} routes, at most {MAX_ROUTES} are allowed", hub.routes.len()));
    }
    if identities.modules.len() > MAX_IDENTITIES {
        return refuse("identities", format!("{} identities, at most {MAX_IDENTITIES} are allowed", identities.modules.len()));
    }
    if hub.version.len() > 128 {
        return refuse("version", "longer than 128 bytes".to_owned());
    }
    let seconds = hub.store_and_forward.time_to_live_secs;
    if seconds != FOR_EVER && seconds < 1 {
        let problem = format!("{seconds} is neither a number of seconds from 1 nor {FOR_EVER}, which keeps messages for ever");
        return refuse("storeAndForward.timeToLiveSecs", problem);
    }
    if hub.store_and_forward.max_bytes.is_some_and(|bytes| bytes < JournalOptions::MIN_BYTES) {
        return refuse("storeAndForward.maxBytes", format!("at least {} bytes are needed", JournalOptions::MIN_BYTES));
    }
    if !(1..=MAX_DELIVERY_WINDOW).contains(&hub.delivery.window) {
        return refuse("delivery.window", format!("{} is not 1 to {MAX_DELIVERY_WINDOW}", hub.delivery.window));
    }
    if hub.limits.max_clients == 0 {
        return refuse("limits.maxClients", "0 would let nobody in".to_owned());
    }
    let mut seen = std::collections::HashSet::new();
    for module in &identities.modules {
        if !seen.insert(&module.module_id) {
            return refuse("identities", format!("module {} is listed twice", module.module_id));
        }
        let keys = std::iter::once(&module.primary_key).chain(&module.secondary_key);
        if keys.map(|key| STANDARD.decode(key.expose_base64())).any(|key| key.is_err()) {
            return refuse("identities", format!("a key of module {} is not base64", module.module_id));
        }
    }
    Ok(())
}

fn addresses(hub: &HubConfiguration) -> Result<Addresses, Error> {
    let parse = |member, text: &str| {
        text.parse::<SocketAddr>().map_err(|_| Error::Member { member, problem: format!("{text:?} is not IP:PORT") })
    };
    let listeners = &hub.listeners;
    let mqtt = listeners.mqtt.as_ref().map(|listener| parse("listeners.mqtt.address", &listener.address)).transpose()?;
    let plain =
        listeners.mqtt_plain.as_ref().map(|listener| parse("listeners.mqttPlain.address", &listener.address)).transpose()?;
    let metrics = listeners.metrics.as_ref().map(|listener| parse("listeners.metrics.address", &listener.address)).transpose()?;
    match plain {
        Some(address) if !address.ip().is_loopback() => Err(Error::Member {
            member: "listeners.mqttPlain.address",
            problem: format!("{address} is not a loopback address, and tokens must not travel in the clear"),
        }),
        mqtt_plain => Ok(Addresses { mqtt, mqtt_plain, metrics }),
    }
}

fn uplink(root: &Path, hub: &HubConfiguration, mqtt: &MqttUpstream) -> Result<MqttUplink, Error> {
    let refuse = |member, problem: String| Error::Member { member, problem };
    let mut endpoint = Endpoint::from_url(&mqtt.url).map_err(|error| refuse("upstream.mqtt.url", error.to_string()))?;
    let ca = mqtt.ca_file.as_ref().map(|file| read_member(root, "upstream.mqtt.caFile", file)).transpose()?;
    if Endpoint::is_tls_url(&mqtt.url) {
        let ca = ca.as_ref().ok_or_else(|| refuse("upstream.mqtt.caFile", "needed to verify an mqtts:// broker".to_owned()))?;
        let tls = edge_mqtt::client_config(ca).map_err(|error| refuse("upstream.mqtt.caFile", error.to_string()))?;
        endpoint.tls = Some(tls);
    }
    let text = |member, file: &Option<String>| -> Result<Option<String>, Error> {
        let Some(file) = file else { return Ok(None) };
        let bytes = read_member(root, member, file)?;
        let text = String::from_utf8(bytes).map_err(|_| refuse(member, "the file is not UTF-8 text".to_owned()))?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    };
    let username = text("upstream.mqtt.usernameFile", &mqtt.username_file)?;
    let password = text("upstream.mqtt.passwordFile", &mqtt.password_file)?;
    if password.is_some() && username.is_none() {
        return Err(refuse("upstream.mqtt.usernameFile", "MQTT 3.1.1 allows no password without a user name".to_owned()));
    }
    MqttUplink::new(endpoint, mqtt.client_id.clone(), username, password, ca, &mqtt.topic, &hub.device_id)
        .map_err(|problem| refuse("upstream.mqtt.topic", problem))
}
