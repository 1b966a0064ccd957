//! Registry passwords and pull Secrets.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// A registry that asks for a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryCredential {
    /// A name for this entry, unique in the list.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_-]+$')")
        .message("the name is 1 to 128 of letters, digits, - and _"))]
    pub name: String,

    /// The registry, as images name it: `host[:port][/path]`.
    #[schemars(length(min = 1, max = 300))]
    #[x_kube(validation = Rule::new(r"self.matches('^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\\[[0-9A-Fa-f:.]+\\])(:[1-9][0-9]{0,4})?(/[A-Za-z0-9._-]+)*$')")
        .message("must be host[:port][/path] as images name it, without https://"))]
    pub address: String,

    /// The user name.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("!self.contains(':') && !self.matches('[[:cntrl:]]')")
        .message("a user name holds no colon and no control character"))]
    pub username: String,

    /// Where the password is. It is never written into this object.
    pub secret_ref: PasswordReference,
}

/// A key of a Secret in the namespace of the EdgeDeployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordReference {
    /// Name of the Secret.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,

    /// Key in the Secret.
    #[serde(default = "default_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

fn default_key() -> String {
    "password".to_owned()
}

/// A Secret of type `kubernetes.io/dockerconfigjson` in the namespace of the EdgeDeployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagePullSecret {
    /// Name of the Secret.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
}
