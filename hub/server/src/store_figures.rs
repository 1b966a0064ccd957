//! The journal's figures in the form of Prometheus, taken when somebody asks.
//!
//! Labels are names of endpoints and numbers of priorities: as many as there are queues.

use std::fmt::{self, Display, Write as _};

use edge_store::{OnFull, QueueUsage, Quota, Usage};

/// The priority of routes without one, as IoT Edge's metrics have it.
const DEFAULT_PRIORITY: u32 = 2_000_000_000;

/// See the module.
pub(crate) struct StoreFigures {
    pub(crate) usage: Usage,
    pub(crate) quota: Quota,
}

impl StoreFigures {
    /// Appends all metrics of the journal to `text`.
    pub(crate) fn write(&self, text: &mut String) -> fmt::Result {
        let Usage { bytes_used, bytes_on_disk, corrupt_records, syncs, moved_bytes, queues, endpoints, totals, .. } = &self.usage;
        let of_queues = |value: fn(&QueueUsage) -> u64| queues.iter().map(move |queue| (labels(queue), value(queue)));
        family(
            text,
            "queue_length",
            "gauge",
            "Messages accepted and not yet acknowledged by their destination",
            of_queues(|queue| queue.depth),
        )?;
        family(text, "queue_bytes", "gauge", "Bytes of those messages on disk", of_queues(|queue| queue.bytes))?;
        let of_endpoints = endpoints.iter().map(|endpoint| (label("endpoint", &endpoint.endpoint), endpoint.bytes));
        family(text, "endpoint_bytes", "gauge", "Bytes on disk that an endpoint holds, over all priorities", of_endpoints)?;
        let parts = endpoints.iter().map(|endpoint| (label("endpoint", &endpoint.endpoint), endpoint.part_bytes));
        family(text, "endpoint_guaranteed_bytes", "gauge", "Bytes that nobody can take from an endpoint", parts)?;
        let policy = match self.quota.on_full {
            OnFull::DropOldest => "DropOldest",
            OnFull::RejectNew => "RejectNew",
        };
        family(text, "journal_on_full", "gauge", "What gives when there is no more room", [(label("policy", policy), 1)])?;
        for (name, kind, help, value) in [
            ("journal_used_bytes", "gauge", "Bytes of the journal that hold undelivered messages", *bytes_used),
            ("journal_disk_bytes", "gauge", "Bytes of all files of the journal, those to be used again included", *bytes_on_disk),
            (
                "journal_limit_bytes",
                "gauge",
                "Bytes that the journal may take; the limit is storeAndForward.maxBytes",
                self.quota.max_bytes,
            ),
            ("journal_min_free_bytes", "gauge", "Bytes of the volume that the journal leaves free", self.quota.min_free_bytes),
            ("journal_records_total", "counter", "Messages accepted, once for each destination", totals.appended),
            ("journal_settled_total", "counter", "Messages acknowledged by their destination", totals.settled),
            ("journal_syncs_total", "counter", "Synchronisations of the journal with the disk", *syncs),
            ("journal_moved_bytes_total", "counter", "Bytes moved to make room", *moved_bytes),
            ("journal_corrupt_records_total", "counter", "Damaged records skipped", *corrupt_records),
        ] {
            family(text, name, kind, help, [(String::new(), value)])?;
        }
        Ok(())
    }
}

fn labels(queue: &QueueUsage) -> String {
    let priority = queue.priority.number().map_or(DEFAULT_PRIORITY, u32::from);
    format!("{},priority=\"{priority}\"", label("endpoint", &queue.endpoint))
}

/// `name="value"`. Names of queues hold nothing that would have to be escaped; should one do so, it is not let through.
fn label(name: &str, value: impl Display) -> String {
    format!("{name}=\"{}\"", value.to_string().replace(['\\', '"', '\n'], "_"))
}

/// One metric with its lines; empty `labels`: without any.
fn family(text: &mut String, name: &str, kind: &str, help: &str, lines: impl IntoIterator<Item = (String, u64)>) -> fmt::Result {
    // The family of a counter is named without the end that its lines have.
    let family = name.strip_suffix("_total").unwrap_or(name);
    writeln!(text, "# HELP edgehub_{family} {help}.\n# TYPE edgehub_{family} {kind}")?;
    for (labels, value) in lines {
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        writeln!(text, "edgehub_{name}{labels} {value}")?;
    }
    Ok(())
}
