//! The place above the hub.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The place above.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upstream {
    /// Any MQTT 3.1.1 broker.
    pub mqtt: MqttUpstream,
}

/// An MQTT broker as the place above. Messages are published at QoS 1 and wait on the hub's disk while it is not reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.url.startsWith('mqtts:') || has(self.caSecretRef)")
        .message("caSecretRef is required with mqtts://: without it the broker's certificate cannot be checked")
        .field_path(".caSecretRef")
        .reason(Reason::FieldValueRequired),
    validation = Rule::new("!self.url.startsWith('mqtt:') || !has(self.caSecretRef)")
        .message("caSecretRef has no use with mqtt://, which is not encrypted: use mqtts:// or remove it")
        .field_path(".caSecretRef"),
)]
pub struct MqttUpstream {
    /// Where the broker is: `mqtt://host[:1883]` or `mqtts://host[:8883]`.
    #[schemars(length(min = 8, max = 300))]
    #[x_kube(validation = Rule::new(r"self.matches('^mqtts?://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\\[[0-9A-Fa-f:.]+\\])(:[1-9][0-9]{0,4})?$') && (!self.matches(':[0-9]{5}$') || int(self.substring(self.size() - 5)) <= 65535)")
        .message("must be mqtt://host[:port] or mqtts://host[:port], without user, path or query"))]
    pub url: String,

    /// Secret in this namespace with the keys `username` and `password`. Without one the hub connects anonymously.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretReference>,

    /// Secret in this namespace whose key `ca.crt` holds the PEM certificates that vouch for the broker. Required with `mqtts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretReference>,

    /// Topic of each message; `{deviceId}`, `{moduleId}` and `{output}` stand for where it came from.
    #[serde(default = "default_topic")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new(r"self.matches('^([^{}+#$\\x00]|\\{(deviceId|moduleId|output)\\})([^{}+#\\x00]|\\{(deviceId|moduleId|output)\\})*$')")
        .message("must be an MQTT topic without + and #, not begin with $, and hold no placeholders but {deviceId}, {moduleId} and {output}"))]
    pub topic: String,
}

fn default_topic() -> String {
    "edge/{deviceId}/{moduleId}/{output}".to_owned()
}

/// A Secret in the namespace of the EdgeDeployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of the Secret.
    #[schemars(schema_with = "crate::schema::object_name")]
    pub name: String,
}
