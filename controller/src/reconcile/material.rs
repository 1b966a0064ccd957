//! Keys and certificates: what exists, what is missing, and the making of the latter.
//!
//! # Invariants
//! - A CA, a key and a generation id are made once: written with *create*, and read again if somebody was faster. They are never
//!   rewritten, whatever is found in their place: a Secret that cannot be used is reported by name and left alone.
//! - They live as long as the hub's volume. With `hub.storage.retain` they have no owner, so that a deployment which is deleted and
//!   created again finds them; the Secrets of removed modules stay as well, since what a module encrypted may come back with it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use edge_crds::condition::reason;
use edge_crds::labels::{self, Component};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use ring::rand::SecureRandom;
use serde_json::Value;

use edge_protocol::configuration::SymmetricKey;
use edge_protocol::identity::EDGE_AGENT;

use super::certificates::{self, CertificateError, Pair, Verdict};
use super::child::{Child, Kind};
use super::fetch::Objects;
use super::rejection::{Problem, Rejection};
use super::valid::{ValidDeployment, ValidModule};

/// Bytes of a module's key and of its encryption key: as many as HMAC-SHA256 and AES-256 use.
const KEY_BYTES: usize = 32;
/// Key in the CA's Secret.
pub const CA_CERTIFICATE: &str = "ca.crt";
/// Key in the CA's Secret.
pub const CA_KEY: &str = "ca.key";
/// Key in the hub's certificate Secret.
pub const TLS_CERTIFICATE: &str = "tls.crt";
/// Key in the hub's certificate Secret.
pub const TLS_KEY: &str = "tls.key";

/// A module's identity, as its Secret holds it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Changes when an identity is made anew under an old name.
    pub generation: String,
    /// Signs its tokens.
    pub key: SymmetricKey,
}

/// Everything secret that objects are built from.
#[derive(Clone, Debug)]
pub struct Material {
    /// The CA.
    pub authority: Pair,
    /// The hub's certificate, and until when nothing is to be done about it.
    pub hub: Pair,
    /// When the hub's certificate will be renewed.
    pub renewal_at: Timestamp,
    /// Why it was made anew just now; whether that one can be stored shows later.
    pub renewed: Option<&'static str>,
    /// The controller's own identity at the hub.
    pub agent: Identity,
    /// The modules' identities, by name of their Secret.
    pub modules: BTreeMap<String, Identity>,
}

/// The Secrets that must be created before anything can be built.
pub fn missing(
    valid: &ValidDeployment,
    objects: &Objects,
    random: &dyn SecureRandom,
    now: Timestamp,
) -> Result<Vec<Child>, MakeError> {
    let absent = |name: &str| !objects.contains_key(&(Kind::Secret, name.to_owned()));
    let mut made = Vec::new();
    let ca = valid.names.ca();
    if absent(&ca) {
        let pair = certificates::authority(valid.names.deployment(), &certificates::new_key()?, now)?;
        let data = [(CA_CERTIFICATE, pair.certificate), (CA_KEY, pair.key)];
        made.push(secret(valid, &ca, Component::Trust, None, data));
    }
    let agent = valid.agent_secret();
    if absent(&agent) {
        made.push(identity(valid, &agent, EDGE_AGENT, None, random)?);
    }
    for module in &valid.modules {
        let name = module.names.identity_secret();
        if absent(&name) {
            made.push(identity(valid, &name, module.id.as_str(), Some(module), random)?);
        }
    }
    Ok(made)
}

fn identity(
    valid: &ValidDeployment,
    name: &str,
    module_id: &str,
    module: Option<&ValidModule>,
    random: &dyn SecureRandom,
) -> Result<Child, MakeError> {
    let data = [
        ("device-id", valid.device.to_string()),
        ("module-id", module_id.to_owned()),
        ("generation-id", decimal(random)?),
        ("key", base64_key(random)?),
        ("encryption-key", base64_key(random)?),
    ];
    let component = if module.is_some() { Component::Module } else { Component::Hub };
    Ok(secret(valid, name, component, module, data))
}

fn base64_key(random: &dyn SecureRandom) -> Result<String, MakeError> {
    let mut bytes = [0; KEY_BYTES];
    random.fill(&mut bytes).map_err(|_| MakeError::Random)?;
    Ok(BASE64_STANDARD.encode(bytes))
}

/// A generation id looks like IoT Hub's: eighteen decimal digits.
fn decimal(random: &dyn SecureRandom) -> Result<String, MakeError> {
    let mut bytes = [0; 8];
    random.fill(&mut bytes).map_err(|_| MakeError::Random)?;
    Ok(format!("{:018}", u64::from_le_bytes(bytes) % 1_000_000_000_000_000_000))
}

/// May this Secret outlive its EdgeDeployment? The CA and the keys of modules may, those of modules that were removed included. The
/// controller's own key may not: nobody but the hub of this deployment ever knew it.
pub fn may_outlive(valid: &ValidDeployment, secret: &str) -> bool {
    secret == valid.names.ca() || (secret.ends_with("-identity") && secret != valid.agent_secret())
}

/// A Secret that is created once.
fn secret<const N: usize>(
    valid: &ValidDeployment,
    name: &str,
    component: Component,
    module: Option<&ValidModule>,
    data: [(&str, String); N],
) -> Child {
    let deployment = valid.names.deployment();
    let outlives = valid.hub.storage.retain && may_outlive(valid, name);
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(valid.namespace.clone()),
            labels: Some(
                module
                    .map_or_else(|| labels::child(deployment, component), |module| labels::of_module(deployment, &module.names)),
            ),
            annotations: module.map(|module| labels::module_annotations(&module.names)),
            owner_references: (!outlives).then(|| vec![valid.owner.reference.clone()]),
            ..ObjectMeta::default()
        },
        data: Some(data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes()))).collect()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    Child::new(Kind::Secret, &secret)
}

/// Reads what [`missing`] has made sure of, and issues the hub's certificate where the one at hand no longer does.
pub fn read(valid: &ValidDeployment, objects: &Objects, hosts: &[String], now: Timestamp) -> Result<Material, ReadError> {
    let mut problems = Vec::new();
    let authority = read_authority(objects, &valid.names.ca(), &mut problems);
    let agent = read_identity(objects, &valid.agent_secret(), &mut problems);
    let mut modules = BTreeMap::new();
    for module in &valid.modules {
        let name = module.names.identity_secret();
        if let Some(identity) = read_identity(objects, &name, &mut problems) {
            modules.insert(name, identity);
        }
    }
    Rejection::verdict(problems)?;
    let (Some(authority), Some(agent)) = (authority, agent) else { return Err(ReadError::Vanished) };
    let stored = text(objects, &valid.names.hub_tls(), TLS_CERTIFICATE)
        .zip(text(objects, &valid.names.hub_tls(), TLS_KEY))
        .map(|(certificate, key)| Pair { certificate, key });
    let verdict = stored.as_ref().map(|stored| certificates::judge(stored, &authority, hosts, now));
    let (hub, renewal_at, renewed) = match (stored, verdict) {
        (Some(stored), Some(Verdict::Good(validity))) => (stored, validity.renewal_at(), None),
        (_, verdict) => {
            let made = certificates::hub(&authority, hosts, &certificates::new_key()?, now)?;
            let renewal_at = certificates::validity(&made.certificate).map_or(now, |validity| validity.renewal_at());
            let why = match verdict {
                Some(Verdict::Renew(why)) => Some(why),
                _ => None,
            };
            (made, renewal_at, why)
        }
    };
    Ok(Material { authority, hub, renewal_at, renewed, agent, modules })
}

fn read_authority(objects: &Objects, name: &str, problems: &mut Vec<Problem>) -> Option<Pair> {
    let pair =
        text(objects, name, CA_CERTIFICATE).zip(text(objects, name, CA_KEY)).map(|(certificate, key)| Pair { certificate, key });
    let usable =
        pair.filter(|pair| certificates::validity(&pair.certificate).is_some() && rcgen::KeyPair::from_pem(&pair.key).is_ok());
    if usable.is_none() {
        problems.push(unusable(name, "a PEM certificate in ca.crt and its key in ca.key"));
    }
    usable
}

fn read_identity(objects: &Objects, name: &str, problems: &mut Vec<Problem>) -> Option<Identity> {
    let generation = text(objects, name, "generation-id").filter(|id| !id.is_empty());
    let is_key = |key: &String| BASE64_STANDARD.decode(key).is_ok_and(|bytes| bytes.len() >= KEY_BYTES);
    let key = text(objects, name, "key").filter(is_key);
    let encryption = text(objects, name, "encryption-key").filter(is_key);
    let (Some(generation), Some(key), Some(_)) = (generation, key, encryption) else {
        problems.push(unusable(name, "a generation-id, and keys of 256 bits in base64 in key and encryption-key"));
        return None;
    };
    Some(Identity { generation, key: SymmetricKey::from_base64(key) })
}

fn unusable(name: &str, expected: &str) -> Problem {
    let message = format!("does not hold {expected}; correct it, or delete it to have a new one made");
    Problem::new(reason::INVALID_SECRET, format!("Secret {name}"), message)
}

/// The text under `key` in the Secret `name`.
fn text(objects: &Objects, name: &str, key: &str) -> Option<String> {
    let encoded = objects.get(&(Kind::Secret, name.to_owned()))?.data.get("data")?.get(key).and_then(Value::as_str)?;
    String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()
}

/// Why keys could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The system's source of randomness failed.
    #[error("the system gave no random bytes")]
    Random,
    /// A certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// Why keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A Secret holds what cannot be used.
    #[error("{0}")]
    Unusable(Rejection),
    /// The hub's certificate could not be issued.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A Secret that was there is gone.
    #[error("a Secret with keys vanished while it was read")]
    Vanished,
}

impl From<Rejection> for ReadError {
    fn from(rejection: Rejection) -> Self {
        Self::Unusable(rejection)
    }
}
