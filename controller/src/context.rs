//! What every reconcile shares.

use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;

use crate::events::Recorder;
use crate::hub_link::HubLinks;
use crate::metrics::Metrics;
use crate::settings::Settings;

/// What every reconcile shares.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What building needs to know.
    pub settings: Settings,
    /// Sends events.
    pub recorder: Recorder,
    /// The links to the hubs.
    pub links: HubLinks,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The clock; tests have their own.
    pub clock: fn() -> Timestamp,
}

impl Context {
    /// The time. Looked at once per reconcile.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
