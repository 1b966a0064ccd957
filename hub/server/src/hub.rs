//! The state that all parts of a running hub share, and the one decision they share: what becomes of a message.
//!
//! # Owners
//! - the configuration in force: [`Hub::active`], replaced by `run` alone;
//! - queues: the journal; sessions: [`Sessions`]; connections: [`Clients`];
//! - the status document: [`Hub::status`], each part set by the one task that knows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use edge_protocol::message::Message;
use edge_protocol::status::{ConfigurationStatus, HubStatus, UpstreamState, UpstreamStatus};
use edge_store::{Destinations, Journal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clients::Clients;
use crate::configuration::{Active, Nowhere};
use crate::metrics::{DropReason, Metrics};
use crate::session::Sessions;
use crate::storage::Told;
use crate::store_figures::StoreFigures;

/// A running hub.
pub(crate) struct Hub {
    pub(crate) active: ArcSwap<Active>,
    /// Changes whenever `active` does; connections look at their deliveries then.
    pub(crate) generation: watch::Sender<u64>,
    pub(crate) journal: Journal,
    pub(crate) sessions: Sessions,
    pub(crate) clients: Clients,
    pub(crate) metrics: Metrics,
    /// What `metrics` know of what the journal gave up.
    told: Told,
    pub(crate) status: watch::Sender<HubStatus>,
    pub(crate) stop: CancellationToken,
    serving: AtomicBool,
}

impl Hub {
    pub(crate) fn new(
        active: Active,
        journal: Journal,
        sessions: Sessions,
        session_epoch: String,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let status = HubStatus {
            configuration: ConfigurationStatus {
                in_force: active.version.clone(),
                offered: active.version.clone(),
                code: 200,
                description: String::new(),
            },
            upstream: UpstreamStatus {
                state: if active.has_upstream { UpstreamState::Disconnected } else { UpstreamState::None },
                error: None,
            },
            storage_problem: None,
            full_endpoints: Vec::new(),
            session_epoch,
        };
        Arc::new(Self {
            active: ArcSwap::from_pointee(active),
            generation: watch::Sender::new(0),
            journal,
            sessions,
            clients: Clients::default(),
            metrics: Metrics::new(),
            told: Told::default(),
            status: watch::Sender::new(status),
            stop,
            serving: AtomicBool::new(false),
        })
    }

    /// The endpoints that want a message. None: it is dropped, counted here, and still acknowledged, as in IoT Edge. `last` is what
    /// this found for the sender's message before.
    pub(crate) fn targets(&self, message: &Message, last: &mut LastTargets) -> Option<Destinations> {
        let active = self.active.load();
        let selection = active.targets.select(message);
        let same = last.active.as_ref().is_some_and(|known| Arc::ptr_eq(known, &active))
            && last.selected.iter().copied().eq(selection.iter().map(|selected| selected.index));
        if !same {
            last.active = Some(Arc::clone(&active));
            last.selected = selection.iter().map(|selected| selected.index).collect();
            last.found = active.targets.resolve(&selection);
        }
        match &last.found {
            Ok(destinations) => Some(destinations.clone()),
            Err(nowhere) => {
                self.metrics.dropped(match nowhere {
                    Nowhere::NoRoute => DropReason::no_route,
                    Nowhere::NoUpstream => DropReason::no_upstream,
                    Nowhere::NoModule => DropReason::no_module,
                });
                None
            }
        }
    }

    /// Changes the status document; subscribers hear of it only if it differs.
    pub(crate) fn set_status(&self, change: impl FnOnce(&mut HubStatus)) {
        self.status.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            *status != before
        });
    }

    pub(crate) fn serving(&self) -> bool {
        self.serving.load(Ordering::Relaxed) && !self.stop.is_cancelled()
    }

    pub(crate) fn set_serving(&self) {
        self.serving.store(true, Ordering::Relaxed);
    }

    pub(crate) fn metrics_text(&self) -> Result<String, std::fmt::Error> {
        let usage = self.journal.usage();
        self.metrics.connected_clients.set(i64::try_from(self.clients.count()).unwrap_or(i64::MAX));
        self.told.tell(&usage.totals, &self.metrics);
        self.metrics.text(&StoreFigures { usage, quota: self.journal.quota() })
    }
}

/// Where a sender's last message went: the next one mostly goes there too, and need not be looked up. Forgotten when the configuration
/// changes.
pub(crate) struct LastTargets {
    active: Option<Arc<Active>>,
    /// Indices of the routes' destinations.
    selected: Vec<usize>,
    found: Result<Destinations, Nowhere>,
}

impl Default for LastTargets {
    fn default() -> Self {
        Self { active: None, selected: Vec::new(), found: Err(Nowhere::NoRoute) }
    }
}
