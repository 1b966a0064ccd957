//! The journal on its volume: how much room it gets, what is said of it, and which of its queues nobody will ever read.
//!
//! # Invariants
//! - The room follows the configuration in force without a restart; what cannot be measured leaves the room as it was.
//! - Every record that the journal gave up is counted once, under its reason, whenever metrics are read.
//! - A full endpoint is no problem of the storage: the journal does with it what the configuration says.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use edge_protocol::configuration;
use edge_routing::Endpoint;
use edge_store::{Counts, OnFull, Problem, Quota, Usage};
use tokio::time::Instant;

use crate::clock;
use crate::configuration::Active;
use crate::hub::Hub;
use crate::metrics::{DropReason, Metrics};
use crate::pressure::{EndpointFigures, Pressure};

/// How often it is looked which endpoints have no more room.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most that is left free of a volume unless the configuration says otherwise.
const MOST_LEFT_FREE: u64 = 64 * 1024 * 1024;

/// The room that `active` gives to a journal in the directory `data`. What it does not say follows from the file system's size: the
/// journal gets four fifths, and a fiftieth stays free whoever fills the rest.
pub(crate) fn quota(active: &Active, data: &Path) -> io::Result<Quota> {
    let figures = rustix::fs::statvfs(data)?;
    let size = figures.f_blocks.saturating_mul(figures.f_frsize);
    Ok(Quota {
        max_bytes: active.max_journal_bytes.unwrap_or(size / 5 * 4),
        on_full: match active.on_full {
            configuration::OnFull::DropOldest => OnFull::DropOldest,
            configuration::OnFull::RejectNew => OnFull::RejectNew,
        },
        min_free_bytes: active.min_free_bytes.unwrap_or_else(|| (size / 50).min(MOST_LEFT_FREE)),
    })
}

/// Tells of storage in the hub's status until the hub stops.
pub(crate) async fn report(hub: Arc<Hub>) {
    let mut problem = hub.journal.problem();
    let mut pressure = Pressure::default();
    let begun = Instant::now();
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        let found = problem.borrow_and_update().clone();
        let figures = figures(&hub.journal.usage(), found == Some(Problem::Full));
        let text = found.as_ref().and_then(|problem| describe(problem, figures.iter().any(|figures| figures.refuses)));
        if text != last
            && let Some(text) = &text
        {
            tracing::error!(problem = text, "messages are not accepted");
        }
        last.clone_from(&text);
        let full = pressure.observe(figures, begun.elapsed(), clock::unix_seconds().0);
        hub.set_status(|status| {
            status.storage_problem = text;
            status.full_endpoints = full;
        });
        tokio::select! {
            () = hub.stop.cancelled() => return,
            changed = problem.changed() => if changed.is_err() { return },
            _ = look.tick() => {}
        }
    }
}

/// Large messages can use up the journal's last segment before an endpoint has all that it may hold. Whoever holds more than its part
/// is then as full as if it had.
fn figures(usage: &Usage, journal_is_full: bool) -> Vec<EndpointFigures> {
    let figures = usage.endpoints.iter().map(|endpoint| EndpointFigures {
        endpoint: endpoint.endpoint.to_string(),
        dropped: usage.queues.iter().filter(|queue| queue.endpoint == endpoint.endpoint).map(|queue| queue.counts.dropped).sum(),
        refuses: endpoint.refusing || (journal_is_full && endpoint.bytes > endpoint.part_bytes),
    });
    figures.collect()
}

/// What keeps the journal from accepting anything, for people. That an endpoint is full is said of the endpoint.
fn describe(problem: &Problem, an_endpoint_is_full: bool) -> Option<String> {
    Some(match problem {
        Problem::EndpointFull { .. } => return None,
        Problem::Full if an_endpoint_is_full => return None,
        Problem::Full => "the journal is full: senders wait until messages are delivered; look for an input that nobody reads or an upstream that is not reached, or give storeAndForward.maxBytes and the volume more room".to_owned(),
        Problem::DiskFull => "the volume of the journal has no space left: senders wait until there is some".to_owned(),
        Problem::Disk { detail } => format!("the disk of the journal fails: {detail}"),
    })
}

/// What the metrics have been told of the journal's losses so far.
#[derive(Default)]
pub(crate) struct Told(Mutex<Counts>);

impl Told {
    /// Counts what was lost since the last call.
    pub(crate) fn tell(&self, totals: &Counts, metrics: &Metrics) {
        // Nothing that holds the lock can panic halfway.
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.dropped_many(DropReason::store_full, totals.dropped.saturating_sub(told.dropped));
        metrics.dropped_many(DropReason::ttl_expiry, totals.expired.saturating_sub(told.expired));
        metrics.dropped_many(DropReason::damaged, totals.lost.saturating_sub(told.lost));
        *told = *totals;
    }
}

/// Drops the queues that nobody can ever read, and that would keep the disk from others: of modules that are no longer deployed,
/// of names that are none of ours (their own were damaged on disk), and, while there is no room, of an upstream that was removed.
pub(crate) fn retire_orphans(hub: &Hub) {
    let active = hub.active.load();
    let is_full = matches!(*hub.journal.problem().borrow(), Some(Problem::Full | Problem::EndpointFull { .. }));
    let endpoints: BTreeSet<_> = hub.journal.queues().into_iter().map(|queue| queue.endpoint).collect();
    for endpoint in endpoints {
        let (orphan, reason) = match Endpoint::from_queue_name(endpoint.as_str()) {
            Ok(Endpoint::Input { module, .. }) => (!active.modules.contains_key(&module), DropReason::endpoint_removed),
            Ok(Endpoint::Upstream) => (!active.has_upstream && is_full, DropReason::endpoint_removed),
            Err(_) => (true, DropReason::corrupt),
        };
        if !orphan {
            continue;
        }
        match hub.journal.retire(&endpoint) {
            Ok(count) => {
                tracing::warn!(queue = %endpoint, count, "messages were dropped: nobody can ever read them");
                hub.metrics.dropped_many(reason, count);
            }
            // The next look will find it again.
            Err(error) => tracing::debug!(queue = %endpoint, %error, "a queue cannot be retired yet"),
        }
    }
}
