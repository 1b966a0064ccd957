//! The controller: turns each EdgeDeployment into a hub, pods and what they need, and reports what became of them.
//!
//! ```text
//! watches ─key─▶ queue ─▶ reconcile: fetch ▶ validate ▶ build, plan ▶ apply ▶ report
//! hubs ─status over MQTT─▶ hub links ─key─▶ queue
//! ```
//! The API server is the only memory: a controller that is killed at any moment goes on where it was.

pub mod cluster_dns;
pub mod context;
pub mod docker;
pub mod events;
pub mod http;
pub mod hub_link;
pub mod lease;
pub mod metrics;
pub mod queue;
pub mod reconcile;
pub mod run;
pub mod settings;
pub mod watch;
