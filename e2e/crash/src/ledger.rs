//! What was acknowledged and what has arrived, per publisher, and what is wrong with it. Pure.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Faults that are written down; more are counted.
const MAX_FAULTS: usize = 20;

/// First arrivals of one publisher of which the time is remembered.
const MAX_TIMES: usize = 50_000;

/// One publisher's numbers, 0, 1, 2, …
#[derive(Clone, Debug, Default)]
struct Account {
    /// All below are acknowledged.
    acknowledged: u64,
    /// All below have arrived: the next first arrival.
    arrived: u64,
    /// When the newest of them arrived, the newest last.
    times: VecDeque<Instant>,
}

impl Account {
    fn first_arrival(&mut self, number: u64, now: Instant) {
        self.arrived = number + 1;
        if self.times.len() == MAX_TIMES {
            self.times.pop_front();
        }
        self.times.push_back(now);
    }

    /// When a number that is so far behind the next one arrived first; none: too long ago.
    fn time_of(&self, back: u64) -> Option<Instant> {
        let at = self.times.len().checked_sub(usize::try_from(back).ok()?)?;
        self.times.get(at).copied()
    }
}

#[derive(Debug, Default)]
struct Books {
    accounts: Vec<Account>,
    repeated: u64,
    /// How far behind the newest arrival a repeated one was.
    furthest_back: u64,
    /// How long before the hub's death it had arrived first.
    longest_before: Duration,
    last_death: Option<Instant>,
    faults: Vec<String>,
    fault_count: u64,
}

/// Shared by publishers, the subscriber and the rig.
#[derive(Debug)]
pub(crate) struct Ledger {
    books: Mutex<Books>,
    /// A repeated arrival may be so far back.
    reach: u64,
}

/// Everything at a moment.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) acknowledged: u64,
    pub(crate) arrived: u64,
    /// Acknowledged and not arrived.
    pub(crate) missing: u64,
    pub(crate) repeated: u64,
    pub(crate) furthest_back: u64,
    pub(crate) longest_before: Duration,
    pub(crate) faults: Vec<String>,
    pub(crate) fault_count: u64,
}

impl Ledger {
    /// Nothing yet, of so many publishers.
    pub(crate) fn new(publishers: usize, reach: u64) -> Self {
        let books = Books { accounts: vec![Account::default(); publishers], ..Books::default() };
        Self { books: Mutex::new(books), reach }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Every change is one step.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next number that a publisher has to send.
    pub(crate) fn unacknowledged(&self, publisher: usize) -> u64 {
        self.books().accounts.get(publisher).map_or(0, |account| account.acknowledged)
    }

    /// A publisher's next number is acknowledged.
    pub(crate) fn acknowledged(&self, publisher: usize) {
        if let Some(account) = self.books().accounts.get_mut(publisher) {
            account.acknowledged += 1;
        }
    }

    /// The hub has been killed.
    pub(crate) fn hub_died(&self, now: Instant) {
        self.books().last_death = Some(now);
    }

    /// A number has arrived.
    pub(crate) fn arrived(&self, publisher: usize, number: u64, now: Instant) {
        let mut books = self.books();
        let last_death = books.last_death;
        let Some(account) = books.accounts.get_mut(publisher) else {
            books.fault(format!("a message of publisher {publisher}, who does not exist"));
            return;
        };
        let due = account.arrived;
        match number.cmp(&due) {
            Ordering::Equal => account.first_arrival(number, now),
            Ordering::Less => {
                let back = due - number;
                let before = last_death.zip(account.time_of(back)).map(|(death, first)| death.saturating_duration_since(first));
                books.repeated += 1;
                books.furthest_back = books.furthest_back.max(back);
                books.longest_before = books.longest_before.max(before.unwrap_or_default());
                if back > self.reach {
                    books.fault(format!(
                        "publisher {publisher}: {number} came again when {due} was due; it had come {before:?} before the hub died"
                    ));
                }
            }
            Ordering::Greater => {
                // Whatever comes later is compared with this one, so that one gap is one fault.
                account.times.clear();
                account.first_arrival(number, now);
                books.fault(format!("publisher {publisher}: {number} came where {due} was due: lost, or out of order"));
            }
        }
    }

    /// Something else that must not be.
    pub(crate) fn fault(&self, what: String) {
        self.books().fault(what);
    }

    /// Everything.
    pub(crate) fn summary(&self) -> Summary {
        let books = self.books();
        let sum = |figure: fn(&Account) -> u64| books.accounts.iter().map(figure).sum();
        Summary {
            acknowledged: sum(|account| account.acknowledged),
            arrived: sum(|account| account.arrived),
            missing: sum(|account| account.acknowledged.saturating_sub(account.arrived)),
            repeated: books.repeated,
            furthest_back: books.furthest_back,
            longest_before: books.longest_before,
            faults: books.faults.clone(),
            fault_count: books.fault_count,
        }
    }
}

impl Books {
    fn fault(&mut self, what: String) {
        self.fault_count += 1;
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_a_far_repeat_and_a_stranger_are_faults_and_a_near_repeat_is_not() {
        let ledger = Ledger::new(1, 2);
        let begun = Instant::now();
        for (second, number) in (0..).zip([0, 1, 2, 3, 2]) {
            ledger.arrived(0, number, begun + Duration::from_secs(second));
        }
        assert_eq!(ledger.summary().fault_count, 0);
        ledger.hub_died(begun + Duration::from_secs(7));
        ledger.arrived(0, 0, begun + Duration::from_secs(8));
        ledger.arrived(0, 6, begun + Duration::from_secs(9));
        ledger.arrived(1, 0, begun + Duration::from_secs(9));
        let summary = ledger.summary();
        assert_eq!((summary.fault_count, summary.repeated, summary.furthest_back, summary.arrived), (3, 2, 4, 7));
        assert_eq!(summary.longest_before, Duration::from_secs(7));
    }

    #[test]
    fn what_is_acknowledged_and_has_not_arrived_is_missing() {
        let ledger = Ledger::new(2, 2);
        for _ in 0..3 {
            ledger.acknowledged(1);
        }
        ledger.arrived(1, 0, Instant::now());
        ledger.arrived(0, 0, Instant::now());
        assert_eq!(ledger.summary().missing, 2);
        assert_eq!(ledger.unacknowledged(1), 3);
    }
}
