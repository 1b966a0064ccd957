//! What the hub reads: `hub.json` and `identities.json`. Their format is in `edge_protocol::configuration`.

use std::collections::BTreeMap;

use edge_crds::edge_deployment::OnFull as WhenFull;
use edge_crds::labels::Component;
use edge_protocol::configuration::{
    DEFAULT_DELIVERY_WINDOW, Delivery, HUB_FILE, HubConfiguration, Identities, Limits, Listeners, ModuleIdentity, MqttUpstream,
    OnFull, PlainListener, StoreAndForward, TlsListener, Upstream,
};
use edge_protocol::identity::ModuleName;
use k8s_openapi::api::core::v1::ConfigMap;

use super::network::{METRICS_PORT, MQTT_PORT};
use super::{Part, hash, metadata};
use crate::reconcile::child::{Child, Kind};
use crate::reconcile::claim_size;
use crate::reconcile::material::Material;
use crate::reconcile::valid::ValidDeployment;
use crate::settings::Settings;

/// How much of the volume the journal may take; the rest is for sessions and what is being rewritten.
const JOURNAL_PERCENT: u128 = 80;

/// `hub.json`, and its version: a hash of it and of who may connect, so that whoever sees the version in force knows both.
pub(super) fn hub_json(valid: &ValidDeployment, material: &Material, settings: &Settings) -> (String, String) {
    let hosts = valid.hub_hostnames(&settings.dns.domain);
    let mut configuration = HubConfiguration {
        version: String::new(),
        device_id: valid.device.clone(),
        iot_hub_hostname: hosts.first().cloned(),
        gateway_hostnames: hosts,
        listeners: Listeners {
            mqtt: Some(TlsListener {
                address: format!("0.0.0.0:{MQTT_PORT}"),
                certificate_file: "tls/tls.crt".to_owned(),
                private_key_file: "tls/tls.key".to_owned(),
            }),
            mqtt_plain: None,
            metrics: Some(PlainListener { address: format!("0.0.0.0:{METRICS_PORT}") }),
        },
        upstream: valid.upstream.as_ref().map(|upstream| {
            let mqtt = &upstream.mqtt;
            let credentials = mqtt.credentials_secret_ref.as_ref();
            Upstream {
                mqtt: MqttUpstream {
                    url: mqtt.url.clone(),
                    client_id: None,
                    username_file: credentials.map(|_| "upstream/username".to_owned()),
                    password_file: credentials.map(|_| "upstream/password".to_owned()),
                    ca_file: mqtt.ca_secret_ref.as_ref().map(|_| "upstream/ca.crt".to_owned()),
                    topic: mqtt.topic.clone(),
                },
            }
        }),
        routes: valid.routes.clone(),
        store_and_forward: store_and_forward(valid),
        delivery: Delivery { window: u32::try_from(valid.hub.delivery.window).unwrap_or(DEFAULT_DELIVERY_WINDOW) },
        limits: Limits { max_clients: u32::try_from(valid.hub.max_clients).unwrap_or(1) },
    };
    let identities: Vec<_> = identities(valid, material).modules;
    configuration.version = hash(&(&configuration, identities));
    (serde_json::to_string_pretty(&configuration).unwrap_or_default(), configuration.version)
}

/// What becomes of messages that wait. How much stays free on the volume is left to the hub, which can measure it.
fn store_and_forward(valid: &ValidDeployment) -> StoreAndForward {
    let wanted = &valid.hub.store_and_forward;
    StoreAndForward {
        time_to_live_secs: wanted.time_to_live_secs,
        max_bytes: journal_bytes(valid),
        on_full: match wanted.on_full {
            WhenFull::DropOldest => OnFull::DropOldest,
            WhenFull::RejectNew => OnFull::RejectNew,
        },
        min_free_bytes: None,
    }
}

/// The hub's share of its volume. Some storage ignores the size of a claim, so the hub must keep to it by itself; of a claim that
/// somebody else made the size is not known, and the hub measures.
fn journal_bytes(valid: &ValidDeployment) -> Option<u64> {
    if let Some(wanted) = &valid.hub.store_and_forward.max_bytes {
        return claim_size::bytes(&wanted.0).and_then(|bytes| u64::try_from(bytes).ok());
    }
    let storage = &valid.hub.storage;
    let size = storage.existing_claim.is_none().then(|| claim_size::bytes(&storage.size().0)).flatten()?;
    u64::try_from(size / 100 * JOURNAL_PERCENT).ok()
}

/// `identities.json`.
pub(super) fn identities_json(valid: &ValidDeployment, material: &Material) -> Vec<u8> {
    serde_json::to_vec(&identities(valid, material)).unwrap_or_default()
}

/// Stopped modules have an identity too: what runs elsewhere under their name is still theirs.
fn identities(valid: &ValidDeployment, material: &Material) -> Identities {
    let agent =
        ModuleIdentity { module_id: ModuleName::edge_agent(), primary_key: material.agent.key.clone(), secondary_key: None };
    let modules = valid.modules.iter().filter_map(|module| {
        let identity = material.modules.get(&module.names.identity_secret())?;
        Some(ModuleIdentity { module_id: module.id.clone(), primary_key: identity.key.clone(), secondary_key: None })
    });
    Identities { modules: std::iter::once(agent).chain(modules).collect() }
}

/// Changes when any file of the hub's configuration directory does.
pub(super) fn stamp(valid: &ValidDeployment, material: &Material, version: &str) -> String {
    let upstream = valid.upstream.as_ref().map(|upstream| &upstream.revisions);
    hash(&(version, &material.hub.certificate, upstream))
}

/// The ConfigMap with `hub.json`.
pub(super) fn config_map(valid: &ValidDeployment, hub_json: String) -> Child {
    let map = ConfigMap {
        metadata: metadata(valid, &valid.names.hub_configuration(), Part::Component(Component::Hub)),
        data: Some(BTreeMap::from([(HUB_FILE.to_owned(), hub_json)])),
        ..ConfigMap::default()
    };
    Child::new(Kind::ConfigMap, &map)
}
