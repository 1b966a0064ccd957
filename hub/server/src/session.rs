//! Sessions: what is remembered per client id while the client is away.
//!
//! IoT SDKs subscribe once in their life and rely on the server to remember it over reconnects, token renewals and restarts of
//! the hub. So subscriptions are on disk before SUBACK. Nothing else is in a session: messages wait in the journal.
//!
//! # Invariants
//! - A session holds at most [`MAX_SUBSCRIPTIONS`] filters, each at most `topic::MAX_FILTER_BYTES` long (checked where it is read).
//! - What cannot be read as a session counts as none, and is logged: the client then sees "no session present" and can act on it.

use edge_protocol::identity::Identity;
use edge_store::{StateError, StateStore, Table};
use serde::{Deserialize, Serialize};

/// Most filters of one client. The busiest SDK uses five.
pub(crate) const MAX_SUBSCRIPTIONS: usize = 50;

const TABLE: Table = Table::named("sessions");

/// A filter and the quality of service granted to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subscription {
    pub(crate) filter: String,
    /// 0 or 1.
    pub(crate) qos: u8,
}

/// What is remembered of one client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) subscriptions: Vec<Subscription>,
}

impl Session {
    /// Adds or replaces a subscription. False: there are too many; nothing changed.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) -> bool {
        if let Some(known) = self.subscriptions.iter_mut().find(|known| known.filter == filter) {
            known.qos = qos;
            return true;
        }
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            return false;
        }
        self.subscriptions.push(Subscription { filter: filter.to_owned(), qos });
        true
    }

    /// Removes a subscription, if it is there.
    pub(crate) fn unsubscribe(&mut self, filter: &str) {
        self.subscriptions.retain(|known| known.filter != filter);
    }
}

/// The sessions of all clients, on disk.
#[derive(Clone)]
pub(crate) struct Sessions(StateStore);

impl Sessions {
    pub(crate) fn new(store: StateStore) -> Self {
        Self(store)
    }

    /// The stored session of a client, if there is one.
    pub(crate) async fn load(&self, client: &Identity) -> Result<Option<Session>, StateError> {
        let Some(bytes) = self.0.get(TABLE, &client.to_string()).await? else { return Ok(None) };
        Ok(serde_json::from_slice(&bytes)
            .inspect_err(|error| tracing::error!(%client, %error, "a stored session is unreadable and was dropped"))
            .ok())
    }

    /// Stores a session; returns once it is on disk.
    pub(crate) async fn save(&self, client: &Identity, session: &Session) -> Result<(), StateError> {
        let bytes = serde_json::to_vec(session).unwrap_or_default();
        self.0.put(TABLE, &client.to_string(), bytes.into()).await
    }

    /// Forgets the sessions of all clients that `keep` refuses: nobody will ask for them again, and they would pile up.
    pub(crate) async fn forget_unless(&self, keep: impl Fn(&Identity) -> bool) -> Result<(), StateError> {
        for (client, _) in self.0.load_all(TABLE).await? {
            if !client.parse::<Identity>().is_ok_and(|client| keep(&client)) {
                self.0.delete(TABLE, &client).await?;
                tracing::info!(client, "a session was dropped: its module is no longer deployed");
            }
        }
        Ok(())
    }

    /// Forgets a session.
    pub(crate) async fn delete(&self, client: &Identity) -> Result<(), StateError> {
        self.0.delete(TABLE, &client.to_string()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribing_twice_to_a_filter_keeps_one_subscription_with_the_new_qos() {
        let mut session = Session::default();
        assert!(session.subscribe("a/#", 1) && session.subscribe("a/#", 0));
        assert_eq!(session.subscriptions, [Subscription { filter: "a/#".into(), qos: 0 }]);
        session.unsubscribe("a/#");
        assert!(session.subscriptions.is_empty());
    }

    #[test]
    fn a_session_is_bounded_in_number() {
        let mut session = Session::default();
        for i in 0..MAX_SUBSCRIPTIONS {
            assert!(session.subscribe(&format!("t/{i}"), 1));
        }
        assert!(!session.subscribe("one/more", 1));
        assert!(session.subscribe("t/0", 0), "a known filter may still change");
    }
}
