//! Deployments for tests: chainable, and through the real validation and building, so that they cannot drift from either.

use std::collections::BTreeMap;

use edge_crds::EdgeDeployment;
use edge_protocol::configuration::SymmetricKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::build::{self, Desired, Surroundings};
use super::certificates::Pair;
use super::child::Kind;
use super::fetch::Fetched;
use super::material::{Identity, Material};
use super::plan::{self, Plan};
use super::rejection::Rejection;
use super::valid::ValidDeployment;
use super::validate;
use crate::cluster_dns::ClusterDns;
use crate::settings::Settings;

/// An EdgeDeployment under test, as the JSON that a user would send.
#[derive(Clone, Debug)]
pub(super) struct Example {
    json: Value,
    secrets: BTreeMap<String, Option<k8s_openapi::api::core::v1::Secret>>,
    settings: Settings,
}

/// The time in these tests.
pub(super) fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

impl Example {
    /// Two modules, one route, no upstream.
    pub(super) fn new() -> Self {
        let json = serde_yaml_ng::from_str(include_str!("../../tests/line-7.yaml")).unwrap();
        let dns = ClusterDns::read("", "edge-system", Some("10.96.0.10".parse().unwrap()), None).unwrap();
        let settings = Settings {
            image: "edge-operator:test".to_owned(),
            image_pull_policy: "IfNotPresent".to_owned(),
            image_pull_secrets: Vec::new(),
            allow_elevated_permissions: true,
            dns,
        };
        Self { json, secrets: BTreeMap::new(), settings }
    }

    /// Sets `value` at `pointer` below `spec`.
    pub(super) fn with(mut self, pointer: &str, value: Value) -> Self {
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        let parent = self.json.pointer_mut(&format!("/spec{parent}")).unwrap();
        match parent {
            Value::Array(entries) if member == "-" => entries.push(value),
            Value::Array(entries) => entries[member.parse::<usize>().unwrap()] = value,
            parent => parent[member] = value,
        }
        self
    }

    /// A Secret that exists in the namespace.
    pub(super) fn with_secret(mut self, name: &str, data: &[(&str, &str)]) -> Self {
        let data: BTreeMap<_, _> =
            data.iter().map(|(key, value)| (key.to_string(), k8s_openapi::ByteString(value.as_bytes().to_vec()))).collect();
        let mut secret = k8s_openapi::api::core::v1::Secret { data: Some(data), ..Default::default() };
        secret.metadata.resource_version = Some("7".to_owned());
        self.secrets.insert(name.to_owned(), Some(secret));
        self
    }

    /// Without elevated permissions.
    pub(super) fn confined(mut self) -> Self {
        self.settings.allow_elevated_permissions = false;
        self
    }

    /// With another image of the operator's own.
    pub(super) fn with_own_image(mut self, image: &str) -> Self {
        image.clone_into(&mut self.settings.image);
        self
    }

    /// With the operator on another node, which resolves names by `dns`, and with another pull secret of its own.
    pub(super) fn moved(mut self, dns: ClusterDns, pull_secret: &str) -> Self {
        self.settings.dns = dns;
        self.settings.image_pull_secrets = vec![pull_secret.to_owned()];
        self
    }

    /// The object.
    pub(super) fn edge(&self) -> EdgeDeployment {
        serde_json::from_value(self.json.clone()).unwrap()
    }

    /// Validated.
    pub(super) fn validate(&self) -> Result<ValidDeployment, Rejection> {
        validate::validate(&self.edge(), &self.secrets)
    }

    /// Validated, and valid.
    pub(super) fn valid(&self) -> ValidDeployment {
        self.validate().unwrap_or_else(|rejection| panic!("{rejection}"))
    }

    /// Why it is refused.
    pub(super) fn rejection(&self) -> Rejection {
        self.validate().expect_err("valid")
    }

    /// What should exist.
    pub(super) fn build(&self) -> Desired {
        let valid = self.valid();
        build::build(&valid, &material(&valid), &self.settings, Surroundings { hub_address: Some("10.96.7.7".parse().unwrap()) })
    }

    /// What to do where `fetched` is there.
    pub(super) fn plan(&self, fetched: &Fetched, now: Timestamp) -> Plan {
        plan::plan(&self.valid(), &self.build(), fetched, None, now)
    }

    /// Everything that this deployment asks for, as it would be found once applied and running.
    pub(super) fn running(&self) -> Fetched {
        let desired = self.build();
        let mut fetched = Fetched::default();
        for child in desired.children {
            let name = child.name().to_owned();
            let mut object: DynamicObject = child.object;
            object.metadata.uid = Some(format!("uid-of-{name}"));
            fetched.objects.insert((child.kind, name), object);
        }
        for pod in desired.pods {
            fetched.pods.push(run(pod.pod));
        }
        fetched
    }
}

/// Keys that are the same in every test.
fn material(valid: &ValidDeployment) -> Material {
    let identity = |generation: &str| Identity { generation: generation.to_owned(), key: SymmetricKey::from_base64("a2V5") };
    Material {
        authority: Pair { certificate: "(the CA)\n".to_owned(), key: "(its key)\n".to_owned() },
        hub: Pair { certificate: "(the hub's certificate)\n".to_owned(), key: "(its key)\n".to_owned() },
        renewal_at: now(),
        renewed: None,
        agent: identity("1"),
        modules: valid.modules.iter().map(|module| (module.names.identity_secret(), identity("638000000000000001"))).collect(),
    }
}

/// `pod` as a kubelet would run it.
pub(super) fn run(mut pod: Pod) -> Pod {
    pod.metadata.uid = Some("uid-of-the-pod".to_owned());
    pod.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    with_state(pod, "Running", &json!({"running": {"startedAt": now().to_string()}}), &json!({}), 0)
}

/// `pod` in this phase, with its module's container in these states.
pub(super) fn with_state(mut pod: Pod, phase: &str, state: &Value, last: &Value, restarts: i32) -> Pod {
    let status = json!({
        "phase": phase,
        "containerStatuses": [{
            "name": "module", "image": "i", "imageID": "sha256:1", "ready": true,
            "restartCount": restarts, "state": state, "lastState": last,
        }],
    });
    pod.status = serde_json::from_value(status).unwrap();
    pod
}

/// The names of a kind among what should exist.
pub(super) fn names_of(desired: &Desired, kind: Kind) -> Vec<String> {
    desired.children.iter().filter(|child| child.kind == kind).map(|child| child.name().to_owned()).collect()
}
