//! What the table decides about a message.

use std::time::Duration;

use smallvec::SmallVec;

use crate::endpoint::Endpoint;
use crate::priority::{Priority, QueueId};

/// Where a message goes, how urgently, and for how long it is kept there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Where.
    pub endpoint: Endpoint,
    /// How urgently.
    pub priority: Priority,
    /// For how long; `None`: the hub's default.
    pub time_to_live: Option<Duration>,
}

impl Destination {
    /// The queue that its messages wait in.
    pub fn queue_id(&self) -> QueueId {
        QueueId { endpoint: self.endpoint.clone(), priority: self.priority }
    }
}

/// One destination of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selected<'t> {
    /// Its place in [`crate::RouteTable::destinations`], for whoever keeps something beside them.
    pub index: usize,
    /// The destination.
    pub destination: &'t Destination,
}

/// The destinations of one message, each endpoint once. Up to four cost no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection<'t>(SmallVec<[Selected<'t>; 4]>);

impl<'t> Selection<'t> {
    pub(crate) fn push(&mut self, selected: Selected<'t>) {
        self.0.push(selected);
    }

    /// Does the message go nowhere?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, endpoints in the order in which routes name them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Selected<'t>> {
        self.0.iter().copied()
    }
}
