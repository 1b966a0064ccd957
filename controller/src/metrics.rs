//! Metrics of the controller. Labels come from closed sets: an object's name is never one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use edge_crds::EdgeDeploymentStatus;
use edge_crds::condition::ConditionType;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::hub_link::HubKey;
use crate::reconcile::Error;

/// How a reconcile ended: `ok`, or the reason of its error.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result {
    result: &'static str,
}

/// Which kind of object is watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Watched {
    kind: &'static str,
}

/// Is it ready?
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ready {
    ready: &'static str,
}

/// All metrics.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<Result, Counter>,
    duration: Histogram,
    watch_failures: Family<Watched, Counter>,
    deployments: Family<Ready, Gauge>,
    hubs: Gauge,
    leader: Gauge,
    /// Readiness of each EdgeDeployment, for the gauge. As many entries as there are objects.
    readiness: Mutex<HashMap<HubKey, bool>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("edge_controller");
        let reconciles = Family::<Result, Counter>::default();
        for result in ["ok"].into_iter().chain(Error::REASONS) {
            let _ = reconciles.get_or_create(&Result { result });
        }
        registry.register("reconciles", "Reconciles, by how they ended", reconciles.clone());
        let duration = Histogram::new([0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]);
        registry.register_with_unit("reconcile_duration", "How long reconciles took", Unit::Seconds, duration.clone());
        let watch_failures = Family::<Watched, Counter>::default();
        registry.register("watch_failures", "Watches that broke and were begun anew", watch_failures.clone());
        let deployments = Family::<Ready, Gauge>::default();
        registry.register("deployments", "EdgeDeployments, by readiness", deployments.clone());
        let hubs = Gauge::default();
        registry.register("hubs_reached", "Hubs that say how they are", hubs.clone());
        let leader = Gauge::default();
        registry.register("leader", "1 while this replica acts", leader.clone());
        Self { registry, reconciles, duration, watch_failures, deployments, hubs, leader, readiness: Mutex::default() }
    }
}

impl Metrics {
    /// A reconcile ended.
    pub fn reconciled(&self, result: &std::result::Result<Option<Duration>, Error>, took: Duration) {
        let result = result.as_ref().map_or_else(Error::reason, |_| "ok");
        self.reconciles.get_or_create(&Result { result }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// A watch broke.
    pub fn watch_failed(&self, kind: &'static str) {
        self.watch_failures.get_or_create(&Watched { kind }).inc();
    }

    /// A status was written or confirmed.
    pub fn reported(&self, key: &HubKey, status: &EdgeDeploymentStatus) {
        let ready = status.conditions.iter().any(|c| c.type_ == ConditionType::Ready.as_str() && c.status == "True");
        self.readiness.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), ready);
    }

    /// An EdgeDeployment is gone.
    pub fn forget(&self, key: &HubKey) {
        self.readiness.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Does this replica act?
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// The text that Prometheus reads.
    pub fn text(&self, hubs_reached: usize) -> String {
        self.hubs.set(i64::try_from(hubs_reached).unwrap_or(i64::MAX));
        let (ready, all) = {
            let readiness = self.readiness.lock().unwrap_or_else(PoisonError::into_inner);
            (readiness.values().filter(|ready| **ready).count(), readiness.len())
        };
        for (label, count) in [("true", ready), ("false", all - ready)] {
            self.deployments.get_or_create(&Ready { ready: label }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
