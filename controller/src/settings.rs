//! What the controller is told about its surroundings: flags and environment, read once at start.

use std::net::SocketAddr;

use clap::Args;

use crate::cluster_dns::{ClusterDns, DnsError};

/// Most namespaces that are watched one by one; more than that is a case for watching all.
pub const MAX_WATCHED_NAMESPACES: usize = 50;

/// Flags of `edge-controller run`, each with its environment variable.
#[derive(Args, Clone, Debug)]
pub struct RunArguments {
    /// The operator's own image: hub and sidecars run it
    #[arg(long, env = "EDGE_IMAGE")]
    pub image: String,
    /// Pull policy of the operator's own image: Always, `IfNotPresent` or Never
    #[arg(long, env = "EDGE_IMAGE_PULL_POLICY", default_value = "IfNotPresent", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub image_pull_policy: String,
    /// Pull Secrets for the operator's own image, by name, in the namespace of each EdgeDeployment; separated by commas
    #[arg(long, env = "EDGE_IMAGE_PULL_SECRETS", value_delimiter = ',')]
    pub image_pull_secrets: Vec<String>,
    /// Namespace of this pod; the Lease lives there
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub pod_namespace: String,
    /// Name of this pod: its identity in the Lease
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,
    /// Namespaces to watch, separated by commas; empty: all
    #[arg(long, env = "WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Grant what createOptions ask for in privileges, capabilities and host paths
    #[arg(long, env = "ALLOW_ELEVATED_PERMISSIONS", default_value = "true", action = clap::ArgAction::Set)]
    pub allow_elevated_permissions: bool,
    /// What is logged: error, warn, info, debug, or a filter such as `info,edge_controller=debug`
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// Where probes and metrics are served
    #[arg(long, env = "HTTP_ADDRESS", default_value = "0.0.0.0:8080")]
    pub http_address: SocketAddr,
    /// Act only while holding the Lease, so that two replicas never act at once
    #[arg(long, env = "LEADER_ELECTION", default_value = "true", action = clap::ArgAction::Set)]
    pub leader_election: bool,
    /// Address of the cluster's DNS server; default: as in this pod's own resolv.conf
    #[arg(long, env = "CLUSTER_DNS")]
    pub cluster_dns: Option<std::net::IpAddr>,
    /// Domain of the cluster; default: as in this pod's own resolv.conf
    #[arg(long, env = "CLUSTER_DOMAIN")]
    pub cluster_domain: Option<String>,
}

/// What building pods and objects needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's own image.
    pub image: String,
    /// Its pull policy.
    pub image_pull_policy: String,
    /// Pull Secrets for it, by name.
    pub image_pull_secrets: Vec<String>,
    /// Are privileges, capabilities and host paths granted?
    pub allow_elevated_permissions: bool,
    /// How names resolve in this cluster.
    pub dns: ClusterDns,
}

impl RunArguments {
    /// The settings for building, with the cluster's DNS as `resolv_conf` describes it unless flags say otherwise.
    pub fn settings(&self, resolv_conf: &str) -> Result<Settings, DnsError> {
        let dns = ClusterDns::read(resolv_conf, &self.pod_namespace, self.cluster_dns, self.cluster_domain.as_deref())?;
        Ok(Settings {
            image: self.image.clone(),
            image_pull_policy: self.image_pull_policy.clone(),
            image_pull_secrets: given(&self.image_pull_secrets),
            allow_elevated_permissions: self.allow_elevated_permissions,
            dns,
        })
    }

    /// What this replica calls itself; outside a pod the process id tells replicas apart.
    pub fn identity(&self) -> String {
        self.pod_name.clone().unwrap_or_else(|| format!("edge-controller-{}", std::process::id()))
    }

    /// The namespaces to watch one by one; empty: all of them.
    pub fn watched_namespaces(&self) -> Vec<String> {
        let mut namespaces = given(&self.watch_namespaces);
        namespaces.sort();
        namespaces.dedup();
        namespaces
    }
}

/// An empty variable arrives as one empty entry.
fn given(entries: &[String]) -> Vec<String> {
    entries.iter().map(|entry| entry.trim()).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}
