//! What recorder and receivers say of what came, read from their logs.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What is said of one sender.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// The highest number that arrived.
    pub highest: u64,
    /// Arrivals, repeated ones included.
    pub arrivals: u64,
    /// Arrivals of a number that had arrived before.
    pub duplicates: u64,
    /// First arrivals after a higher number had arrived.
    pub late: u64,
    /// Arrivals without a number.
    pub unreadable: u64,
    /// Numbers up to the highest that have not arrived.
    pub missing: u64,
}

/// The ledgers by sender: a topic at the place above, a module's name in a receiver.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Ledgers(BTreeMap<String, Ledger>);

impl Ledgers {
    /// The newest in a log; empty ones where there are none yet.
    pub fn newest_in(log: &str) -> Self {
        let newest = log.lines().rev().find_map(|line| line.strip_prefix("ledgers "));
        newest.map(|line| serde_json::from_str(line).unwrap()).unwrap_or_default()
    }

    /// The ledger of one sender; an empty one where nothing came.
    pub fn of(&self, sender: &str) -> Ledger {
        self.0.get(sender).cloned().unwrap_or_default()
    }
}
