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
use edge_routing::{Endpoint, Selection};
use edge_store::{Destination, Destinations, Journal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clients::Clients;
use crate::configuration::Active;
use crate::metrics::{DropReason, Metrics, StoreFigures};
use crate::session::Sessions;

/// A running hub.
pub(crate) struct Hub {
    pub(crate) active: ArcSwap<Active>,
    /// Changes whenever `active` does; connections look at their deliveries then.
    pub(crate) generation: watch::Sender<u64>,
    pub(crate) journal: Journal,
    pub(crate) sessions: Sessions,
    pub(crate) clients: Clients,
    pub(crate) metrics: Metrics,
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
            session_epoch,
        };
        Arc::new(Self {
            active: ArcSwap::from_pointee(active),
            generation: watch::Sender::new(0),
            journal,
            sessions,
            clients: Clients::default(),
            metrics: Metrics::new(),
            status: watch::Sender::new(status),
            stop,
            serving: AtomicBool::new(false),
        })
    }

    /// The endpoints that want a message. None: it is dropped, counted here, and still acknowledged, as in IoT Edge. `last` is what
    /// this found for the sender's message before.
    pub(crate) fn targets(&self, message: &Message, last: &mut LastTargets) -> Option<Destinations> {
        let active = self.active.load();
        let selection = active.routes.select(message);
        let same = last.active.as_ref().is_some_and(|known| Arc::ptr_eq(known, &active))
            && last.selected.iter().copied().eq(selection.iter().map(|selected| selected.index));
        if !same {
            last.active = Some(Arc::clone(&active));
            last.selected = selection.iter().map(|selected| selected.index).collect();
            (last.destinations, last.missing) = Self::resolve(&active, &selection);
        }
        if last.destinations.is_none() {
            self.metrics.dropped(last.missing);
        }
        last.destinations.clone()
    }

    fn resolve(active: &Active, selection: &Selection<'_>) -> (Option<Destinations>, DropReason) {
        let mut missing = DropReason::no_route;
        let mut targets = Vec::new();
        for selected in selection.iter() {
            match &selected.destination.endpoint {
                Endpoint::Upstream if !active.has_upstream => missing = DropReason::no_upstream,
                // Nobody could ever read it, and its queue would keep the disk from those who can.
                Endpoint::Input { module, .. } if !active.modules.contains_key(module) => missing = DropReason::no_module,
                wanted => targets.extend(active.queues.get(wanted).cloned().map(Destination::new)),
            }
        }
        (Destinations::new(targets).ok(), missing)
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
        self.metrics.text(&StoreFigures {
            queues: usage.queues.iter().map(|queue| (queue.name(), queue.depth)).collect(),
            used_bytes: usage.bytes_used,
            limit_bytes: usage.bytes_max,
            syncs: usage.syncs,
            corrupt: usage.corrupt_records,
            lost: usage.queues.iter().map(|queue| queue.lost).sum(),
        })
    }
}

/// Where a sender's last message went: the next one mostly goes there too, and need not be looked up. Forgotten when the configuration
/// changes.
pub(crate) struct LastTargets {
    active: Option<Arc<Active>>,
    /// Indices of the routes' destinations.
    selected: Vec<usize>,
    destinations: Option<Destinations>,
    missing: DropReason,
}

impl Default for LastTargets {
    fn default() -> Self {
        Self { active: None, selected: Vec::new(), destinations: None, missing: DropReason::no_route }
    }
}
