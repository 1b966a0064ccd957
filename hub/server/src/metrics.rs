//! The hub's metrics, under IoT Edge's names where it has one.
//!
//! Labels come from closed sets: never a topic, a client id or a text from outside. The one label with names, `endpoint`, is
//! bounded by the number of queues.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::store_figures::StoreFigures;

/// Why a message was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the variants are label values, which are written so")]
pub(crate) enum DropReason {
    /// No route wants it.
    no_route,
    /// A route leads to `$upstream`, and there is none.
    no_upstream,
    /// A record on disk that cannot be read as a message any more.
    corrupt,
    /// It waited for a module that was removed, or for an upstream that was removed while the journal was full.
    endpoint_removed,
    /// A route leads to a module that is not deployed.
    no_module,
    /// Its properties cannot be read.
    malformed,
    /// It cannot be put into a packet of the destination.
    undeliverable,
    /// It was older than its route, or the hub, lets messages become. Once for each destination.
    ttl_expiry,
    /// It was among the oldest when there was no more room. Once for each destination.
    store_full,
    /// It was damaged on disk. Once for each destination.
    damaged,
}

/// Where a delivery went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the variants are label values, which are written so")]
pub(crate) enum Destination {
    /// A module's input.
    input,
    /// The place above.
    upstream,
}

/// How a connection failed before it was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the variants are label values, which are written so")]
pub(crate) enum ConnectFailure {
    not_authenticated,
    too_many_clients,
    too_many_handshakes,
    tls,
    timeout,
    protocol,
    storage,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the variants are label values, which are written so")]
pub(crate) enum EndReason {
    disconnect,
    closed,
    keep_alive,
    token_expired,
    taken_over,
    protocol,
    storage,
    shutdown,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Dropped {
    reason: DropReason,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectFailed {
    reason: ConnectFailure,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Disconnected {
    reason: EndReason,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Sent {
    to: Destination,
}

/// All counters and gauges, and the registry that prints them.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) received: Counter,
    sent: Family<Sent, Counter>,
    dropped: Family<Dropped, Counter>,
    pub(crate) unacknowledged: Counter,
    pub(crate) connect_success: Counter,
    connect_failed: Family<ConnectFailed, Counter>,
    disconnected: Family<Disconnected, Counter>,
    pub(crate) connected_clients: Gauge,
    pub(crate) handshakes: Gauge,
    pub(crate) waiting_publishes: Gauge,
    pub(crate) in_flight_deliveries: Gauge,
    pub(crate) upstream_connected: Gauge,
    pub(crate) upstream_connections: Counter,
    pub(crate) configuration_applied: Counter,
    pub(crate) configuration_refused: Counter,
    start_time: Gauge<f64, AtomicU64>,
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("edgehub"),
            received: Counter::default(),
            sent: Family::default(),
            dropped: Family::default(),
            unacknowledged: Counter::default(),
            connect_success: Counter::default(),
            connect_failed: Family::default(),
            disconnected: Family::default(),
            connected_clients: Gauge::default(),
            handshakes: Gauge::default(),
            waiting_publishes: Gauge::default(),
            in_flight_deliveries: Gauge::default(),
            upstream_connected: Gauge::default(),
            upstream_connections: Counter::default(),
            configuration_applied: Counter::default(),
            configuration_refused: Counter::default(),
            start_time: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("messages_received", "Messages taken from modules", self.received.clone());
        r.register("messages_sent", "Messages acknowledged by their destination, or sent at QoS 0", self.sent.clone());
        r.register("messages_dropped", "Messages that were accepted and reached nobody", self.dropped.clone());
        r.register(
            "messages_unack",
            "Connections ended because the journal could not take their messages",
            self.unacknowledged.clone(),
        );
        r.register("client_connect_success", "Connections accepted", self.connect_success.clone());
        r.register("client_connect_failed", "Connections refused", self.connect_failed.clone());
        r.register("client_disconnect", "Connections ended", self.disconnected.clone());
        r.register("connected_clients", "Clients connected now; the limit is limits.maxClients", self.connected_clients.clone());
        r.register("handshakes", "Connections that have not authenticated yet; the limit is 64", self.handshakes.clone());
        r.register(
            "waiting_publishes",
            "Publishes received and not yet durable; at most 1000 per client",
            self.waiting_publishes.clone(),
        );
        r.register(
            "in_flight_deliveries",
            "Deliveries sent and not yet acknowledged; at most delivery.window per client",
            self.in_flight_deliveries.clone(),
        );
        r.register("upstream_connected", "1 while the upstream is reached", self.upstream_connected.clone());
        r.register("upstream_connections", "Connections made to the upstream", self.upstream_connections.clone());
        r.register("configuration_applied", "Configurations put in force", self.configuration_applied.clone());
        r.register("configuration_refused", "Configurations refused; the old one stayed", self.configuration_refused.clone());
        r.register_with_unit("start_time", "Unix time of the start", Unit::Seconds, self.start_time.clone());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.start_time.set(now.as_secs_f64());
    }

    pub(crate) fn dropped(&self, reason: DropReason) {
        self.dropped.get_or_create(&Dropped { reason }).inc();
    }

    pub(crate) fn dropped_many(&self, reason: DropReason, count: u64) {
        self.dropped.get_or_create(&Dropped { reason }).inc_by(count);
    }

    pub(crate) fn sent(&self, to: Destination, messages: u64) {
        self.sent.get_or_create(&Sent { to }).inc_by(messages);
    }

    pub(crate) fn connect_failed(&self, reason: ConnectFailure) {
        self.connect_failed.get_or_create(&ConnectFailed { reason }).inc();
    }

    pub(crate) fn disconnected(&self, reason: EndReason) {
        self.disconnected.get_or_create(&Disconnected { reason }).inc();
    }

    /// The Prometheus text, with the store's figures of this moment added.
    pub(crate) fn text(&self, store: &StoreFigures) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        // The encoder closes with an end mark; what follows must come before it.
        let end = "# EOF\n";
        let cut = text.trim_end().strip_suffix(end.trim_end()).map_or(text.len(), str::len);
        text.truncate(cut);
        store.write(&mut text)?;
        text.push_str(end);
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use edge_store::{Counts, EndpointUsage, OnFull, Priority, QueueUsage, Quota, Usage};

    use super::*;

    /// Every kind of metric once.
    fn text() -> String {
        let metrics = Metrics::new();
        metrics.sent(Destination::input, 1);
        metrics.dropped(DropReason::no_route);
        metrics.connect_failed(ConnectFailure::tls);
        metrics.disconnected(EndReason::closed);
        let endpoint: edge_store::QueueName = "filter/in".parse().unwrap();
        let queue = |priority, depth| QueueUsage {
            endpoint: endpoint.clone(),
            priority,
            depth,
            bytes: 7,
            lost: 0,
            counts: Counts::default(),
        };
        let usage = Usage {
            bytes_used: 1,
            bytes_max: 2,
            bytes_on_disk: 3,
            segments: 4,
            corrupt_records: 5,
            syncs: 6,
            moved_bytes: 7,
            queues: vec![queue(Priority::new(0).unwrap(), 8), queue(Priority::DEFAULT, 9)],
            endpoints: vec![EndpointUsage { endpoint: endpoint.clone(), bytes: 10, part_bytes: 11, refusing: false }],
            totals: Counts::default(),
        };
        let quota = Quota { max_bytes: 12, on_full: OnFull::RejectNew, min_free_bytes: 13 };
        metrics.text(&StoreFigures { usage, quota }).unwrap()
    }

    #[test]
    fn the_reference_has_every_metric_and_no_other() {
        let reference = include_str!("../../../docs/reference/metrics.md");
        let listed: std::collections::BTreeSet<_> = reference
            .lines()
            .filter_map(|line| line.strip_prefix("| `edgehub_")?.split_once('`'))
            .map(|(name, _)| name)
            .collect();
        let text = text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let printed: std::collections::BTreeSet<_> =
            lines.filter_map(|line| line.strip_prefix("edgehub_")?.split(['{', ' ']).next()).collect();
        assert_eq!(printed, listed);
    }

    #[test]
    fn queues_are_told_apart_by_endpoint_and_priority_and_the_end_is_at_the_end() {
        let text = text();
        for line in [
            "edgehub_queue_length{endpoint=\"filter/in\",priority=\"0\"} 8",
            "edgehub_queue_length{endpoint=\"filter/in\",priority=\"2000000000\"} 9",
            "edgehub_journal_on_full{policy=\"RejectNew\"} 1",
            "edgehub_journal_limit_bytes 12",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
        assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    }
}
