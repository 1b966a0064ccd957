//! What arrived of one sender's messages. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

/// Most numbers that are remembered as missing; a sender that loses more has failed its test long before.
const MAX_MISSING: usize = 100_000;

/// The account of one sender, whose messages are numbered from 1.
///
/// A message may arrive more than once; its first arrival must come after the first arrivals of all before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ledger {
    /// The highest number that arrived.
    pub(crate) highest: u64,
    /// Arrivals, repeated ones included.
    pub(crate) arrivals: u64,
    /// Arrivals of a number that had arrived before.
    pub(crate) duplicates: u64,
    /// First arrivals after a higher number had arrived.
    pub(crate) late: u64,
    /// Arrivals without a number.
    pub(crate) unreadable: u64,
    /// How many numbers up to the highest have not arrived.
    pub(crate) missing: usize,
    #[serde(skip)]
    gaps: BTreeSet<u64>,
}

impl Ledger {
    /// Writes down one arrival.
    pub(crate) fn arrived(&mut self, body: &[u8]) {
        self.arrivals += 1;
        let Some(number) = number_of(body) else {
            self.unreadable += 1;
            return;
        };
        if number > self.highest {
            let room = MAX_MISSING - self.gaps.len();
            self.gaps.extend((self.highest + 1..number).take(room));
            self.highest = number;
        } else if self.gaps.remove(&number) {
            self.late += 1;
        } else {
            self.duplicates += 1;
        }
        self.missing = self.gaps.len();
    }
}

/// The number with which a body begins: decimal digits, then a space.
fn number_of(body: &[u8]) -> Option<u64> {
    let digits = body.split(|byte| *byte == b' ').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|number| *number > 0)
}

/// The body with `number`, padded to `size` bytes.
pub(crate) fn body(number: u64, size: usize) -> Vec<u8> {
    let mut body = format!("{number} ").into_bytes();
    body.resize(size.max(body.len()), b'.');
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(numbers: &[u64]) -> Ledger {
        let mut ledger = Ledger::default();
        for number in numbers {
            ledger.arrived(&body(*number, 64));
        }
        ledger
    }

    #[test]
    fn an_unbroken_row_has_nothing_to_say() {
        let ledger = after(&[1, 2, 3]);
        assert_eq!((ledger.highest, ledger.arrivals, ledger.missing, ledger.late, ledger.duplicates), (3, 3, 0, 0, 0));
    }

    #[test]
    fn a_run_sent_again_is_duplicates_and_not_disorder() {
        let ledger = after(&[1, 2, 3, 2, 3, 4]);
        assert_eq!((ledger.missing, ledger.late, ledger.duplicates), (0, 0, 2));
    }

    #[test]
    fn a_hole_is_missing_until_it_is_filled_and_late_from_then_on() {
        assert_eq!(after(&[1, 4]).missing, 2);
        let ledger = after(&[1, 4, 2, 3, 3]);
        assert_eq!((ledger.missing, ledger.late, ledger.duplicates), (0, 2, 1));
    }

    #[test]
    fn what_has_no_number_is_counted_apart() {
        let mut ledger = Ledger::default();
        for body in [&b"x 1"[..], b"", b"0 ", b"-1 ", b"99999999999999999999999 "] {
            ledger.arrived(body);
        }
        assert_eq!((ledger.unreadable, ledger.arrivals, ledger.highest), (5, 5, 0));
    }

    #[test]
    fn a_wild_number_costs_bounded_memory() {
        assert_eq!(after(&[u64::MAX]).missing, MAX_MISSING);
    }
}
