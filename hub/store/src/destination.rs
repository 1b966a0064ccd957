//! Where a record goes: endpoints, each with a priority and a time to live.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::queue::QueueName;

/// Most endpoints that one record may go to.
pub const MAX_DESTINATIONS: usize = 255;

/// How urgent a record is to its endpoint: 0 goes first, 9 last but one, [`Priority::DEFAULT`] last.
///
/// # Source
/// Route priorities of IoT Edge: 0 to 9, and a route without one comes after all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// Of a record whose route names none.
    pub const DEFAULT: Self = Self(10);
    /// How many there are.
    pub const COUNT: usize = 11;

    /// The priority of that number: 0 to 9, or none.
    pub const fn new(number: u8) -> Option<Self> {
        if number < Self::DEFAULT.0 { Some(Self(number)) } else { None }
    }

    /// Its place among all, the most urgent being 0.
    pub(crate) const fn rank(self) -> u8 {
        self.0
    }

    /// The priority of that place, if there is one.
    pub(crate) const fn of_rank(rank: u8) -> Option<Self> {
        if rank <= Self::DEFAULT.0 { Some(Self(rank)) } else { None }
    }

    /// Its number; none for the default.
    pub const fn number(self) -> Option<u8> {
        if self.0 < Self::DEFAULT.0 { Some(self.0) } else { None }
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What follows an endpoint's name in the name of a queue: `_Pri{n}`, and nothing for the default.
impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(number) => write!(f, "_Pri{number}"),
            None => Ok(()),
        }
    }
}

/// One endpoint that a record goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The endpoint.
    pub endpoint: QueueName,
    /// Records of a more urgent priority overtake those of others on their way to the endpoint.
    pub priority: Priority,
    /// Age past which the record is not handed out any more. `None`: it never expires.
    pub time_to_live: Option<Duration>,
}

impl Destination {
    /// The endpoint with the default priority and no end of life.
    pub const fn new(endpoint: QueueName) -> Self {
        Self { endpoint, priority: Priority::DEFAULT, time_to_live: None }
    }
}

impl From<QueueName> for Destination {
    fn from(endpoint: QueueName) -> Self {
        Self::new(endpoint)
    }
}

/// Why destinations were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record for {endpoints} endpoints: 1 to {MAX_DESTINATIONS} are allowed")]
pub struct DestinationsError {
    /// How many endpoints were named.
    pub endpoints: usize,
}

/// The destinations of a record: 1 to [`MAX_DESTINATIONS`] endpoints, each once. Cheap to clone: whoever sends many records to the
/// same endpoints clones one value, and the journal looks its queues up once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destinations(Arc<[Destination]>);

impl Destinations {
    /// Checks and sorts them. Of several with the same endpoint the most urgent counts; of equally urgent ones, the longest time to
    /// live: an endpoint gets a record once.
    pub fn new(mut destinations: Vec<Destination>) -> Result<Self, DestinationsError> {
        let life = |destination: &Destination| destination.time_to_live.unwrap_or(Duration::MAX);
        destinations
            .sort_by(|a, b| a.endpoint.cmp(&b.endpoint).then(a.priority.cmp(&b.priority)).then_with(|| life(b).cmp(&life(a))));
        destinations.dedup_by(|later, kept| later.endpoint == kept.endpoint);
        if (1..=MAX_DESTINATIONS).contains(&destinations.len()) {
            Ok(Self(destinations.into()))
        } else {
            Err(DestinationsError { endpoints: destinations.len() })
        }
    }
}

impl Destinations {
    /// Is it the same value, as clones are? Equal ones that were made apart are not.
    pub(crate) fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl From<Destination> for Destinations {
    fn from(only: Destination) -> Self {
        Self([only].into())
    }
}

impl Deref for Destinations {
    type Target = [Destination];
    fn deref(&self) -> &[Destination] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(endpoint: &str, priority: Option<u8>, seconds: Option<u64>) -> Destination {
        Destination {
            endpoint: endpoint.parse().unwrap(),
            priority: priority.and_then(Priority::new).unwrap_or_default(),
            time_to_live: seconds.map(Duration::from_secs),
        }
    }

    #[test]
    fn an_endpoint_gets_a_record_once_at_its_most_urgent_priority_and_for_the_longest_time() {
        let destinations = Destinations::new(vec![
            to("b", None, None),
            to("a", Some(3), Some(9)),
            to("a", Some(2), Some(1)),
            to("a", Some(2), Some(5)),
            to("a", None, None),
        ])
        .unwrap();
        assert_eq!(destinations[..], [to("a", Some(2), Some(5)), to("b", None, None)]);
    }

    #[test]
    fn none_and_too_many_are_refused() {
        assert_eq!(Destinations::new(Vec::new()), Err(DestinationsError { endpoints: 0 }));
        let many = (0..=MAX_DESTINATIONS).map(|number| to(&number.to_string(), None, None)).collect();
        assert_eq!(Destinations::new(many), Err(DestinationsError { endpoints: 256 }));
    }

    #[test]
    fn priorities_are_0_to_9_and_the_default_comes_last() {
        assert!(Priority::new(0) < Priority::new(9) && Priority::new(9) < Some(Priority::DEFAULT));
        assert_eq!(Priority::new(10), None);
        assert_eq!((Priority::new(3).unwrap().to_string(), Priority::DEFAULT.to_string()), ("_Pri3".to_owned(), String::new()));
    }
}
