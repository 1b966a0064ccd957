//! What was sent to a client and not yet acknowledged. Pure.
//!
//! Packet identifiers are given out one after the other, so that an acknowledgement is found by counting, whatever the order in which
//! they come.

use std::collections::VecDeque;
use std::num::NonZeroU16;

/// From the oldest that is not acknowledged to the newest, at most. A client that never acknowledges one of its messages gets so many
/// more, and then none until it connects again. Far below the number of identifiers.
const MAX_SPAN: usize = 4096;
/// How many identifiers there are: 1 to 65,535.
const IDENTIFIERS: usize = u16::MAX as usize;

/// Messages in flight, with what is to be remembered of each.
#[derive(Debug)]
pub(crate) struct InFlight<T> {
    /// From the oldest that is not acknowledged, without gaps in the identifiers. Acknowledged: nothing is remembered.
    sent: VecDeque<Option<T>>,
    /// The identifier of the first of `sent`, or of the next to be sent.
    first: NonZeroU16,
    unacknowledged: usize,
}

impl<T> Default for InFlight<T> {
    fn default() -> Self {
        Self { sent: VecDeque::new(), first: NonZeroU16::MIN, unacknowledged: 0 }
    }
}

impl<T> InFlight<T> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.unacknowledged
    }

    /// How many more may be sent under a window.
    pub(crate) fn room(&self, window: usize) -> usize {
        window.saturating_sub(self.unacknowledged).min(MAX_SPAN.saturating_sub(self.sent.len()))
    }

    /// Notes a message that is being sent, and names it. Only while there is [`room`](Self::room).
    pub(crate) fn send(&mut self, what: T) -> NonZeroU16 {
        let id = advance(self.first, self.sent.len());
        self.sent.push_back(Some(what));
        self.unacknowledged += 1;
        id
    }

    /// Takes an acknowledgement. None: of what was never sent, or was acknowledged before.
    pub(crate) fn acknowledge(&mut self, id: NonZeroU16) -> Option<T> {
        let place = (usize::from(id.get()) + IDENTIFIERS - usize::from(self.first.get())) % IDENTIFIERS;
        let what = self.sent.get_mut(place)?.take()?;
        self.unacknowledged -= 1;
        while let Some(None) = self.sent.front() {
            self.sent.pop_front();
            self.first = advance(self.first, 1);
        }
        Some(what)
    }
}

/// The identifier so many after another; 1 follows 65,535.
fn advance(id: NonZeroU16, by: usize) -> NonZeroU16 {
    let index = (usize::from(id.get()) - 1 + by) % IDENTIFIERS;
    u16::try_from(index + 1).ok().and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn identifiers_come_round_and_leave_out_zero() {
        let mut in_flight = InFlight::default();
        for number in 0..200_000_u32 {
            let id = in_flight.send(number);
            assert_eq!(u32::from(id.get()), number % 65_535 + 1);
            assert_eq!(in_flight.acknowledge(id), Some(number));
            assert_eq!(in_flight.acknowledge(id), None);
        }
        assert_eq!(in_flight.len(), 0);
    }

    #[test]
    fn a_message_that_is_never_acknowledged_stops_deliveries_before_identifiers_run_out() {
        let mut in_flight = InFlight::default();
        in_flight.send(0);
        let mut sent = 1;
        while in_flight.room(10) > 0 {
            let id = in_flight.send(sent);
            in_flight.acknowledge(id);
            sent += 1;
        }
        assert_eq!(sent, MAX_SPAN);
        assert_eq!(in_flight.acknowledge(NonZeroU16::MIN), Some(0));
        assert_eq!(in_flight.room(10), 10);
    }

    proptest! {
        #[test]
        fn every_message_is_acknowledged_once_in_whatever_order(steps in prop::collection::vec((1..40_usize, any::<prop::sample::Index>()), 1..300)) {
            const WINDOW: usize = 50;
            let mut in_flight = InFlight::default();
            let mut known = Vec::new();
            for (number, (count, index)) in steps.into_iter().enumerate() {
                for _ in 0..count.min(in_flight.room(WINDOW)) {
                    known.push((in_flight.send(number), number));
                }
                let (id, number) = known.swap_remove(index.index(known.len()));
                prop_assert_eq!(in_flight.acknowledge(id), Some(number));
                prop_assert_eq!(in_flight.acknowledge(id), None);
                prop_assert_eq!(in_flight.len(), known.len());
                prop_assert!(in_flight.len() <= WINDOW);
                if known.is_empty() {
                    known.push((in_flight.send(usize::MAX), usize::MAX));
                }
            }
        }
    }
}
