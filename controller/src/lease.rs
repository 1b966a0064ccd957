//! Leader election: of several replicas only the one that holds the Lease acts.
//!
//! # Rules
//! - Clocks of other nodes are not trusted. A Lease counts as free when it has not changed for its duration on *our* clock.
//! - Every write carries the resource version that was read: of two replicas that take a free Lease, one fails.
//! - A holder stops acting [`RENEW_DEADLINE`] after it *sent* its last successful renewal, well before anybody else may take over,
//!   whatever it is waiting for at that moment.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::Instant;

/// Name of the Lease.
const NAME: &str = "edge-controller";
/// How long a Lease that is not renewed keeps others away.
const DURATION: Duration = Duration::from_secs(15);
/// How long a holder goes on without having renewed.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two looks at the Lease.
const PERIOD: Duration = Duration::from_secs(2);
/// Time for one request about the Lease.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// This replica's part in the election.
pub struct Candidate {
    api: Api<Lease>,
    namespace: String,
    identity: String,
    /// The Lease as it was last seen, and since when it has looked like that.
    seen: Option<(String, Instant)>,
    /// When the look began that last made the Lease ours.
    renewed: Option<Instant>,
}

/// Why a look at the Lease failed.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("the API server did not answer in {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout,
    #[error(transparent)]
    Api(#[from] kube::Error),
}

impl Candidate {
    /// Takes part in the election of `namespace` as `identity`, which no other replica may have.
    pub fn new(client: Client, namespace: &str, identity: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            seen: None,
            renewed: None,
        }
    }

    /// Waits until the Lease is ours.
    pub async fn acquire(&mut self) {
        tracing::info!(identity = self.identity, lease = NAME, namespace = self.namespace, "waiting for the Lease");
        loop {
            match self.look().await {
                Ok(true) => {
                    tracing::info!(identity = self.identity, "took the Lease: acting");
                    return;
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "failed to look at the Lease"),
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Renews the Lease; returns once it is lost.
    pub async fn hold(&mut self) {
        // Without a Lease that was ever ours there is no time left at all.
        while let Some(renewed) = self.renewed {
            let attempt = async {
                tokio::time::sleep(PERIOD).await;
                self.look().await
            };
            match tokio::time::timeout_at(renewed + RENEW_DEADLINE, attempt).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => {
                    tracing::error!(identity = self.identity, "another replica took the Lease");
                    return;
                }
                Ok(Err(error)) => tracing::warn!(%error, "failed to renew the Lease"),
                Err(_) => {
                    tracing::error!(identity = self.identity, "could not renew the Lease in time");
                    return;
                }
            }
        }
    }

    /// Gives the Lease back, so that the next replica need not wait.
    pub async fn release(&mut self) {
        let released = async {
            let Some(mut lease) = self.api.get_opt(NAME).await? else { return Ok(()) };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
                return Ok(());
            }
            spec.holder_identity = None;
            self.api.replace(NAME, &PostParams::default(), &lease).await.map(drop)
        };
        match tokio::time::timeout(REQUEST_TIMEOUT, released).await {
            Ok(Ok(())) => tracing::info!("gave the Lease back"),
            Ok(Err(error)) => tracing::warn!(%error, "failed to give the Lease back"),
            Err(_) => tracing::warn!("failed to give the Lease back in time"),
        }
    }

    /// Takes the Lease if it is ours or free. Is it ours now?
    async fn look(&mut self) -> Result<bool, LookError> {
        // The write may be stored long before its answer arrives, and from then on others count.
        let begun = Instant::now();
        let is_ours = tokio::time::timeout(REQUEST_TIMEOUT, self.look_unbounded()).await.map_err(|_| LookError::Timeout)??;
        if is_ours {
            self.renewed = Some(begun);
        }
        Ok(is_ours)
    }

    async fn look_unbounded(&mut self) -> Result<bool, kube::Error> {
        let Some(mut lease) = self.api.get_opt(NAME).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(NAME.to_owned()),
                    namespace: Some(self.namespace.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.spec(None)),
            };
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).filter(|holder| !holder.is_empty());
        let is_free = match holder {
            None => true,
            Some(holder) if holder == self.identity => true,
            Some(_) => {
                let version = lease.metadata.resource_version.clone().unwrap_or_default();
                let unchanged_since = match &self.seen {
                    Some((seen, since)) if *seen == version => *since,
                    _ => Instant::now(),
                };
                self.seen = Some((version, unchanged_since));
                let given = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
                let duration = given.and_then(|seconds| u64::try_from(seconds).ok()).map_or(DURATION, Duration::from_secs);
                unchanged_since.elapsed() > duration.max(DURATION)
            }
        };
        if !is_free {
            return Ok(false);
        }
        lease.spec = Some(self.spec(lease.spec.as_ref()));
        won(self.api.replace(NAME, &PostParams::default(), &lease).await)
    }

    /// The Lease as ours, after `before`.
    fn spec(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let ours = before.filter(|before| before.holder_identity.as_deref() == Some(self.identity.as_str()));
        let transitions = before.and_then(|before| before.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: ours.and_then(|ours| ours.acquire_time.clone()).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if ours.is_some() { transitions } else { transitions.saturating_add(1) }),
            ..LeaseSpec::default()
        }
    }
}

/// A conflict means that another replica was faster.
fn won(written: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
