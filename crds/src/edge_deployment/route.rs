//! Routes as written. The language itself is read by the routing crate.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// One route: which messages, and where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteSpec {
    /// The route's name, unique in this object.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_-]+$')")
        .message("a route name is 1 to 128 of letters, digits, - and _"))]
    pub name: String,

    /// `FROM <source> INTO <sink>`, for example `FROM /messages/modules/filter/outputs/alert INTO $upstream`.
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(validation = Rule::new("self.matches('(?i)^[ \\\\t\\\\r\\\\n]*FROM[ \\\\t\\\\r\\\\n]')").message("a route begins with FROM"))]
    pub route: String,
}
