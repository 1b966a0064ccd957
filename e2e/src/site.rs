//! The place above: Debian's mosquitto with a volume, and a recorder that subscribes there and keeps a ledger per sender.
//!
//! The recorder's session is on mosquitto's volume, so whatever is published while the recorder is away waits for it. That makes
//! mosquitto the judge of what the hub delivered, and only what it was really given counts.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::eventually::eventually;
use crate::ledger::{Ledger, Ledgers};
use crate::module::LOAD;
use crate::namespace::Namespace;
use crate::{SOON, STARTED};

/// Name of the broker's StatefulSet and Service.
const BROKER: &str = "site";
/// Name of the recorder's pod and of its container.
const RECORDER: &str = "recorder";
const PORT: u16 = 1883;
/// Debian's broker keeps what it acknowledged until its subscriber has it, however much that is, and over its own restart.
const CONFIGURATION: &str = "\
listener 1883
allow_anonymous true
persistence true
persistence_location /mosquitto/data/
max_queued_messages 0
max_inflight_messages 200
log_dest stdout
";

/// Broker and recorder.
pub struct Site<'n> {
    namespace: &'n Namespace,
}

impl<'n> Site<'n> {
    /// Name of the recorder's pod.
    pub const RECORDER: &'static str = RECORDER;

    /// Starts both, and returns when the recorder's subscription stands.
    pub async fn start(namespace: &'n Namespace) -> Self {
        for object in objects() {
            namespace.apply(object).await;
        }
        let site = Self { namespace };
        eventually("the recorder has subscribed", STARTED, async || {
            let log = namespace.log(RECORDER, RECORDER).await;
            if log.contains("subscribed [Some(") { Ok(()) } else { Err(log) }
        })
        .await;
        site
    }

    /// The broker as `spec.upstream`.
    pub fn upstream() -> Value {
        json!({"mqtt": {"url": format!("mqtt://{BROKER}:{PORT}")}})
    }

    /// Ends the broker in order, so that it saves its sessions, and returns when it is gone.
    pub async fn stop(&self) {
        self.scale(0).await;
        eventually("the broker is gone", SOON, async || {
            match self.namespace.api::<Pod>().get_opt(&format!("{BROKER}-0")).await {
                Ok(None) => Ok(()),
                Ok(Some(pod)) => Err(format!("{:?}", pod.metadata.deletion_timestamp)),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// Starts the broker again. Returns at once: whoever needs it waits for what it brings.
    pub async fn resume(&self) {
        self.scale(1).await;
    }

    async fn scale(&self, replicas: u32) {
        let patch = json!({"spec": {"replicas": replicas}});
        self.namespace.api::<StatefulSet>().patch(BROKER, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    /// What has arrived, by topic.
    pub async fn ledgers(&self) -> Ledgers {
        Ledgers::newest_in(&self.namespace.log(RECORDER, RECORDER).await)
    }

    /// Waits until anything of `topic` has arrived.
    pub async fn has_any(&self, topic: &str, within: Duration) {
        eventually(&format!("any message of {topic}"), within, async || {
            let ledgers = self.ledgers().await;
            if ledgers.of(topic).arrivals > 0 { Ok(()) } else { Err(format!("{ledgers:?}")) }
        })
        .await;
    }

    /// Waits until number `count` of `topic` has arrived and none is missing, and returns the ledger.
    pub async fn complete(&self, topic: &str, count: u64, within: Duration) -> Ledger {
        eventually(&format!("messages 1 to {count} of {topic}"), within, async || {
            let ledgers = self.ledgers().await;
            let ledger = ledgers.of(topic);
            if ledger.highest >= count && ledger.missing == 0 { Ok(ledger) } else { Err(format!("{ledgers:?}")) }
        })
        .await
    }
}

fn objects() -> Vec<Value> {
    let labels = json!({"app": BROKER});
    let metadata = json!({"name": BROKER});
    vec![
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mosquitto.conf": CONFIGURATION}}),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"name": "mqtt", "port": PORT}]},
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata,
            "spec": {
                "replicas": 1, "serviceName": BROKER, "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "automountServiceAccountToken": false,
                        "enableServiceLinks": false,
                        "containers": [{
                            "name": "broker", "image": "edge-e2e/mosquitto:1",
                            "command": ["mosquitto", "-c", "/etc/site/mosquitto.conf"],
                            "ports": [{"containerPort": PORT}],
                            "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
                            "volumeMounts": [
                                {"name": "configuration", "mountPath": "/etc/site"},
                                {"name": "data", "mountPath": "/mosquitto/data"},
                            ],
                        }],
                        "volumes": [{"name": "configuration", "configMap": {"name": BROKER}}],
                    },
                },
                "volumeClaimTemplates": [{
                    "metadata": {"name": "data"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "256Mi"}}},
                }],
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": RECORDER},
            "spec": {
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                // It keeps its ledgers in memory. One that started anew would not know what is missing.
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "containers": [{
                    "name": RECORDER, "image": LOAD, "args": ["record", "--url", format!("mqtt://{BROKER}:{PORT}")],
                }],
            },
        }),
    ]
}
