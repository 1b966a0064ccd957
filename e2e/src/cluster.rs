//! The cluster that the scenarios run in.

use std::io::Write as _;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Path of the kubeconfig.
pub(crate) const KUBECONFIG: &str = "EDGE_TEST_KUBECONFIG";
/// Set to 1 where a missing cluster must fail the run.
const REQUIRED: &str = "EDGE_REQUIRE_CLUSTER";
/// Field manager of what the scenarios apply.
pub const MANAGER: &str = "edge-e2e";
/// Where `e2e/test.sh` installs the operator.
pub const OPERATOR_NAMESPACE: &str = "edge-system";
/// The controller's Deployment.
pub const OPERATOR: &str = "edge-operator";

/// A connection to the cluster.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: Client,
}

impl Cluster {
    /// Connects, or returns `None` after a line on stderr that says why `test` is skipped.
    ///
    /// # Panics
    /// Without a cluster where one is required, and when the kubeconfig is no good.
    pub async fn connect(test: &str) -> Option<Self> {
        let Some(path) = std::env::var_os(KUBECONFIG).filter(|path| !path.is_empty()) else {
            assert_ne!(std::env::var(REQUIRED).as_deref(), Ok("1"), "{REQUIRED}=1, and {KUBECONFIG} is not set");
            // Not `eprintln`, which the test runner would swallow.
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {KUBECONFIG} is not set, so there is no cluster to run it in");
            return None;
        };
        let kubeconfig =
            Kubeconfig::read_from(&path).unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()));
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Some(Self { client: Client::try_from(config).unwrap() })
    }

    /// A client.
    pub fn client(&self) -> Client {
        self.client.clone()
    }
}
