//! Routes as written. The language itself is read by the routing crate.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// One route: which messages, and where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteSpec {
    /// The route's name, unique in this object: what IoT Hub takes as one.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[^.$#\\\\s\\\\p{Z}\\\\p{Cc}]+$')")
        .message("a route name is 1 to 128 characters without spaces, control characters and . $ #"))]
    pub name: String,

    /// `[SELECT *] FROM <source> [WHERE <condition>] INTO <sink>`, for example
    /// `FROM /messages/modules/filter/outputs/* WHERE level = 'high' INTO $upstream`. One that does not compile stalls the object, and
    /// its status says why, with line and column.
    #[schemars(length(min = 1, max = 4096))]
    pub route: String,

    /// 0 (first) to 9: messages of a more urgent route overtake others on their way to the same endpoint, those that wait already
    /// included. Routes without a priority come after 9. Of several routes that lead a message to one endpoint the most urgent counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9))]
    pub priority: Option<i32>,

    /// Seconds that a message of this route may wait for its endpoint; then it is dropped and counted. 0 or absent: as long as
    /// `hub.storeAndForward.timeToLiveSecs` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub time_to_live_secs: Option<i64>,
}
