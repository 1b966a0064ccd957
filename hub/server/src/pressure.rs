//! Which endpoints have run out of room, and since when. Pure: figures of the journal and the time go in, a list for the status comes
//! out.
//!
//! Drops come in bursts, a segment's worth at a time, so an endpoint counts as full until nothing was dropped for [`QUIET`]. Otherwise
//! its condition would come and go with every burst.
//!
//! # Invariants
//! - Memory is bounded by the number of endpoints in the journal: one that is not there any more is forgotten.
//! - The list changes only when an endpoint begins or ends to be full, or gives way in another manner.

use std::collections::BTreeMap;
use std::time::Duration;

use edge_protocol::status::{FullEffect, FullEndpoint, MAX_FULL_ENDPOINTS};

/// How long nothing must have been dropped before an endpoint counts as having room again.
pub(crate) const QUIET: Duration = Duration::from_mins(1);

/// What the journal says of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndpointFigures {
    pub(crate) endpoint: String,
    /// Messages dropped for want of room, since the journal was opened.
    pub(crate) dropped: u64,
    /// Is an append for it refused now?
    pub(crate) refuses: bool,
}

/// What is remembered of one endpoint.
#[derive(Clone, Debug, Default)]
struct Known {
    dropped: u64,
    full: Option<Full>,
}

#[derive(Clone, Copy, Debug)]
struct Full {
    effect: FullEffect,
    /// Seconds of Unix time.
    since: u64,
    /// When it was last seen, on a clock that is never set.
    seen: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    known: BTreeMap<String, Known>,
}

impl Pressure {
    /// Looks at the figures of all endpoints. `elapsed` is the time since any fixed moment, `unix` the time of day.
    pub(crate) fn observe(&mut self, figures: Vec<EndpointFigures>, elapsed: Duration, unix: u64) -> Vec<FullEndpoint> {
        let mut before = std::mem::take(&mut self.known);
        for EndpointFigures { endpoint, dropped, refuses } in figures {
            let known = before.remove(&endpoint).unwrap_or_default();
            let effect =
                if dropped > known.dropped { Some(FullEffect::Dropping) } else { refuses.then_some(FullEffect::Refusing) };
            let full = match (effect, known.full) {
                (Some(effect), Some(full)) if full.effect == effect => Some(Full { seen: elapsed, ..full }),
                (Some(effect), _) => Some(Full { effect, since: unix, seen: elapsed }),
                (None, Some(full)) => Some(full).filter(|full| {
                    // Whether senders wait is seen at any moment; whether messages are dropped only when it happens.
                    full.effect == FullEffect::Dropping && elapsed.saturating_sub(full.seen) < QUIET
                }),
                (None, None) => None,
            };
            self.known.insert(endpoint, Known { dropped, full });
        }
        let full = self.known.iter().filter_map(|(endpoint, known)| {
            let Full { effect, since, seen: _ } = known.full?;
            Some(FullEndpoint { endpoint: endpoint.clone(), effect, since })
        });
        full.take(MAX_FULL_ENDPOINTS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_777_636_800;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn figures(endpoint: &str, dropped: u64, refuses: bool) -> EndpointFigures {
        EndpointFigures { endpoint: endpoint.to_owned(), dropped, refuses }
    }

    #[test]
    fn an_endpoint_that_drops_is_full_until_nothing_was_dropped_for_a_while() {
        let mut pressure = Pressure::default();
        assert_eq!(pressure.observe(vec![figures("a", 0, false), figures("b", 0, false)], at(0), NOON), []);
        let full = pressure.observe(vec![figures("a", 7, false), figures("b", 0, false)], at(1), NOON + 1);
        let expected = [FullEndpoint { endpoint: "a".into(), effect: FullEffect::Dropping, since: NOON + 1 }];
        assert_eq!(full, expected);
        assert_eq!(pressure.observe(vec![figures("a", 9, false)], at(50), NOON + 50), expected, "the same, not a new one");
        assert_eq!(pressure.observe(vec![figures("a", 9, false)], at(109), NOON + 109), expected);
        assert_eq!(pressure.observe(vec![figures("a", 9, false)], at(110), NOON + 110), []);
    }

    #[test]
    fn an_endpoint_that_refuses_is_full_only_while_it_does() {
        let mut pressure = Pressure::default();
        let full = pressure.observe(vec![figures("a", 0, true)], at(0), NOON);
        assert_eq!(full, [FullEndpoint { endpoint: "a".into(), effect: FullEffect::Refusing, since: NOON }]);
        assert_eq!(pressure.observe(vec![figures("a", 0, true)], at(9), NOON + 9), full);
        assert_eq!(pressure.observe(vec![figures("a", 0, false)], at(10), NOON + 10), []);
    }

    #[test]
    fn what_is_gone_is_forgotten_and_the_list_is_bounded() {
        let mut pressure = Pressure::default();
        let many = || (0..MAX_FULL_ENDPOINTS + 5).map(|number| figures(&format!("{number:02}"), 0, true)).collect();
        assert_eq!(pressure.observe(many(), at(0), NOON).len(), MAX_FULL_ENDPOINTS);
        assert_eq!(pressure.known.len(), MAX_FULL_ENDPOINTS + 5);
        assert_eq!(pressure.observe(Vec::new(), at(1), NOON), []);
        assert!(pressure.known.is_empty());
    }
}
