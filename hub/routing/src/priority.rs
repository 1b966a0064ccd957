//! The rank of a route, and the name of a queue, which has one endpoint and one rank.

use std::fmt;

use crate::endpoint::{Endpoint, QueueNameError};

/// How urgent a route's messages are: 0 first, 9 last, and after it what has no number. Orders accordingly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(Rank);

/// In the order in which queues are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Rank {
    Number(u8),
    #[default]
    Default,
}

impl Priority {
    /// That of a route without one; ranks after all others.
    pub const DEFAULT: Self = Self(Rank::Default);
    /// The last number.
    pub const LOWEST: u8 = 9;

    /// `None` above [`Self::LOWEST`].
    pub const fn new(number: u8) -> Option<Self> {
        if number <= Self::LOWEST { Some(Self(Rank::Number(number))) } else { None }
    }

    /// `None`: the default.
    pub const fn number(self) -> Option<u8> {
        match self.0 {
            Rank::Number(number) => Some(number),
            Rank::Default => None,
        }
    }
}

/// Names one queue: `{endpoint}`, or `{endpoint}_Pri{n}` for a priority other than the default.
///
/// # Source
/// The form of IoT Edge. Its weakness is kept, for the sake of dashboards: an input that itself ends in `_Pri3` reads as priority 3.
/// So this is a name for people and metrics; what decides anything keeps the two apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId {
    /// Where its messages go.
    pub endpoint: Endpoint,
    /// Their rank.
    pub priority: Priority,
}

/// Between endpoint and number.
const SEPARATOR: &str = "_Pri";

/// Splits the text of a [`QueueId`]: at its last `_Pri`, if a priority follows.
pub fn split_queue_id(text: &str) -> (&str, Priority) {
    let split = text.rsplit_once(SEPARATOR).filter(|(_, number)| number.len() == 1);
    split
        .and_then(|(endpoint, number)| Some((endpoint, Priority::new(number.parse().ok()?)?)))
        .unwrap_or((text, Priority::DEFAULT))
}

impl std::str::FromStr for QueueId {
    type Err = QueueNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (endpoint, priority) = split_queue_id(text);
        Ok(Self { endpoint: Endpoint::from_queue_name(endpoint)?, priority })
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.endpoint)?;
        self.priority.number().map_or(Ok(()), |number| write!(f, "{SEPARATOR}{number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_numbers_come_first_and_the_default_last() {
        let mut sorted = [Priority::DEFAULT, Priority::new(9).unwrap(), Priority::new(0).unwrap(), Priority::new(3).unwrap()];
        sorted.sort();
        assert_eq!(sorted.map(Priority::number), [Some(0), Some(3), Some(9), None]);
        assert_eq!(Priority::default(), Priority::DEFAULT);
        assert_eq!(Priority::new(10), None);
    }

    #[test]
    fn queue_ids_read_back_and_say_no_more_than_the_endpoint_at_the_default() {
        for (text, endpoint, priority) in [
            ("$upstream", "$upstream", None),
            ("$upstream_Pri0", "$upstream", Some(0)),
            ("filter/in_Pri9", "filter/in", Some(9)),
            ("filter/in_Pri3_Pri4", "filter/in_Pri3", Some(4)),
            ("filter/in_Pri10", "filter/in_Pri10", None),
            ("filter/in_Pri1a", "filter/in_Pri1a", None),
            ("filter/in_Pri", "filter/in_Pri", None),
            ("filter/in_Pri07", "filter/in_Pri07", None),
        ] {
            let id: QueueId = text.parse().unwrap();
            assert_eq!((id.endpoint.to_string().as_str(), id.priority.number()), (endpoint, priority), "{text}");
            assert_eq!(id.to_string(), text);
        }
        assert!("_Pri1".parse::<QueueId>().is_err());
    }
}
