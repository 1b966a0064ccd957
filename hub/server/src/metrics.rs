//! The hub's metrics, under IoT Edge's names where it has one.
//!
//! Labels come from closed sets: never a topic, a client id or a text from outside. The one label with names, `endpoint`, is
//! bounded by the number of queues.

use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

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
        writeln!(text, "# HELP edgehub_queue_length Messages accepted and not yet acknowledged by their destination.")?;
        writeln!(text, "# TYPE edgehub_queue_length gauge")?;
        for (endpoint, length) in &store.queues {
            let endpoint = endpoint.replace(['\\', '"', '\n'], "_");
            writeln!(text, "edgehub_queue_length{{endpoint=\"{endpoint}\"}} {length}")?;
        }
        for (name, help, value) in [
            ("journal_used_bytes", "Bytes of the journal that hold undelivered messages.", store.used_bytes),
            ("journal_limit_bytes", "Bytes that the journal may take; senders wait beyond.", store.limit_bytes),
            ("journal_syncs", "Synchronisations of the journal with the disk since the start.", store.syncs),
            (
                "journal_lost_records",
                "Records that were damaged on disk and could not be delivered, since the start.",
                store.lost,
            ),
            ("journal_corrupt_records", "Damaged records skipped since the start.", store.corrupt),
        ] {
            writeln!(text, "# HELP edgehub_{name} {help}\n# TYPE edgehub_{name} gauge\nedgehub_{name} {value}")?;
        }
        text.push_str(end);
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The store's figures, taken when somebody asks.
#[derive(Debug, Default)]
pub(crate) struct StoreFigures {
    pub(crate) queues: Vec<(String, u64)>,
    pub(crate) used_bytes: u64,
    pub(crate) limit_bytes: u64,
    pub(crate) syncs: u64,
    pub(crate) corrupt: u64,
    pub(crate) lost: u64,
}
