//! Who is connected. One connection per identity: the newest wins, as in IoT Hub.
//!
//! # Invariants
//! - An entry exists exactly as long as its [`Registration`].
//! - A connection starts its deliveries only after the one it took over has ended, so a queue never has two readers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use edge_protocol::identity::Identity;
use tokio_util::sync::CancellationToken;

struct Entry {
    number: u64,
    take_over: CancellationToken,
    ended: CancellationToken,
}

#[derive(Default)]
struct Table {
    entries: HashMap<Identity, Entry>,
    next_number: u64,
}

/// The table of connected clients.
#[derive(Clone, Default)]
pub(crate) struct Clients(Arc<Mutex<Table>>);

/// Proof of being connected; dropping it frees the place.
pub(crate) struct Registration {
    table: Clients,
    identity: Identity,
    number: u64,
    /// Cancelled when a newer connection of the same identity arrives, or the identity is removed.
    pub(crate) take_over: CancellationToken,
    ended: CancellationToken,
    /// Cancelled when the connection that this one replaces has ended.
    pub(crate) predecessor: Option<CancellationToken>,
}

/// The table is full.
#[derive(Debug, thiserror::Error)]
#[error("{limit} clients are connected, which is the limit (limits.maxClients)")]
pub(crate) struct TooMany {
    limit: u32,
}

impl Clients {
    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        // A panic elsewhere cannot leave the table half changed: every change is one map operation.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a connection. The one it replaces is told to end.
    pub(crate) fn register(&self, identity: &Identity, limit: u32) -> Result<Registration, TooMany> {
        let mut table = self.lock();
        let replaces = table.entries.contains_key(identity);
        if !replaces && table.entries.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(TooMany { limit });
        }
        table.next_number += 1;
        let number = table.next_number;
        let (take_over, ended) = (CancellationToken::new(), CancellationToken::new());
        let entry = Entry { number, take_over: take_over.clone(), ended: ended.clone() };
        let predecessor = table.entries.insert(identity.clone(), entry).map(|old| {
            old.take_over.cancel();
            old.ended
        });
        Ok(Registration { table: self.clone(), identity: identity.clone(), number, take_over, ended, predecessor })
    }

    /// Ends the connections of all identities that `keep` refuses.
    pub(crate) fn end_unless(&self, keep: impl Fn(&Identity) -> bool) {
        for (identity, entry) in &self.lock().entries {
            if !keep(identity) {
                entry.take_over.cancel();
            }
        }
    }

    /// Clients connected now.
    pub(crate) fn count(&self) -> usize {
        self.lock().entries.len()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        // A successor may have taken the entry over; then it is not ours to remove.
        if table.entries.get(&self.identity).is_some_and(|entry| entry.number == self.number) {
            table.entries.remove(&self.identity);
        }
        drop(table);
        self.ended.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(module: &str) -> Identity {
        Identity::of_module("d".parse().unwrap(), module.parse().unwrap())
    }

    #[test]
    fn the_newest_connection_wins_and_learns_when_the_old_one_is_gone() {
        let clients = Clients::default();
        let old = clients.register(&identity("m"), 1).unwrap();
        let new = clients.register(&identity("m"), 1).unwrap();
        assert!(old.take_over.is_cancelled() && !new.take_over.is_cancelled());
        let predecessor = new.predecessor.clone().unwrap();
        assert!(!predecessor.is_cancelled());
        drop(old);
        assert!(predecessor.is_cancelled());
        assert_eq!(clients.count(), 1);
        drop(new);
        assert_eq!(clients.count(), 0);
    }

    #[test]
    fn one_client_too_many_is_refused_and_a_known_one_may_come_back() {
        let clients = Clients::default();
        let _first = clients.register(&identity("a"), 1).unwrap();
        assert!(clients.register(&identity("b"), 1).is_err());
        assert!(clients.register(&identity("a"), 1).is_ok());
    }

    #[test]
    fn a_removed_identity_loses_its_connection() {
        let clients = Clients::default();
        let (a, b) = (clients.register(&identity("a"), 9).unwrap(), clients.register(&identity("b"), 9).unwrap());
        clients.end_unless(|identity| identity.to_string() == "d/a");
        assert!(!a.take_over.is_cancelled() && b.take_over.is_cancelled());
    }
}
