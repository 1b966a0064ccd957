//! The harness of the scenarios: a namespace of their own in a real cluster, what a person does there, and what they see.
//!
//! - [`scenario`] runs one test in a new namespace. When it fails, everything that explains the failure is written to a folder
//!   first; then, as after success, the namespace goes.
//! - [`Namespace`] applies objects as `kubectl` would and looks at pods, logs and events. [`Edge`] is one EdgeDeployment in it.
//! - [`eventually`] is the only wait: for a condition, up to a limit, and with the last thing seen when it does not come.
//! - [`Node`] does to the cluster's node what no API allows: it kills a container.
//!
//! Scenarios need `EDGE_TEST_KUBECONFIG`, a cluster with the operator and the test images in it: `e2e/test.sh` sees to all that.
//! Without it they are skipped, and say so; with `EDGE_REQUIRE_CLUSTER=1` they fail.
//!
//! Everything here panics where it is surprised, since that is how a test fails.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at its first surprise"
)]

mod cluster;
mod dump;
mod edge;
mod eventually;
mod ledger;
mod module;
mod namespace;
mod node;
mod scenario;
mod site;
mod tool;

pub use cluster::{Cluster, MANAGER, OPERATOR, OPERATOR_NAMESPACE};
pub use edge::Edge;
pub use eventually::eventually;
pub use ledger::{Ledger, Ledgers};
pub use module::{BUSYBOX, LOAD, PYTHON, SLEEP, busybox, idle, load, visitor, with};
pub use namespace::{Namespace, Said};
pub use node::Node;
pub use scenario::scenario;
pub use site::Site;
pub use tool::{kubectl, script, try_kubectl};

use std::time::Duration;

/// What something that takes seconds on a quiet machine gets here, where several scenarios share two cores.
pub const SOON: Duration = Duration::from_secs(90);
/// What a new EdgeDeployment gets to be Ready: volumes, a hub, and a handful of pods.
pub const STARTED: Duration = Duration::from_secs(150);
