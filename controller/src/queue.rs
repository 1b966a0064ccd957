//! Who is reconciled when: the work queue, as pure data with the time as an argument.
//!
//! # Invariants
//! - An object is reconciled by one task at a time, and at most [`MAX_AT_ONCE`] objects are.
//! - A request while an object is being reconciled is kept: it runs once more.
//! - Failures of one object delay that object alone: 1 s, doubled up to five minutes; a new request comes first all the same.
//! - There is one entry per EdgeDeployment.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::hub_link::HubKey;

/// Objects reconciled at once. More would make a small API server slower for everybody.
pub const MAX_AT_ONCE: usize = 4;
/// Changes come in bursts: they are waited out this long.
pub const DEBOUNCE: Duration = Duration::from_millis(100);
/// Delay after a first failure.
const SHORTEST_DELAY: Duration = Duration::from_secs(1);
/// Longest delay after failures.
const LONGEST_DELAY: Duration = Duration::from_mins(5);

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    entries: HashMap<HubKey, Entry>,
    running: usize,
}

#[derive(Debug, Default)]
struct Entry {
    due: Option<Instant>,
    is_running: bool,
    failures: u32,
}

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Look again after this time.
    Again(Duration),
    /// The object is gone.
    Gone,
    /// It failed.
    Failed,
}

impl Queue {
    /// Reconcile `key` soon.
    pub fn request(&mut self, key: HubKey, now: Instant) {
        let entry = self.entries.entry(key).or_default();
        let due = now + DEBOUNCE;
        entry.due = Some(entry.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// The next object to reconcile now; it counts as running from here on.
    pub fn start(&mut self, now: Instant) -> Option<HubKey> {
        if self.running >= MAX_AT_ONCE {
            return None;
        }
        let due = self.entries.iter_mut().filter(|(_, entry)| !entry.is_running && entry.due.is_some_and(|due| due <= now));
        let (key, entry) = due.min_by_key(|(_, entry)| entry.due)?;
        entry.due = None;
        entry.is_running = true;
        self.running += 1;
        Some(key.clone())
    }

    /// The reconcile of `key` ended.
    pub fn finished(&mut self, key: &HubKey, outcome: Outcome, now: Instant) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.is_running = false;
        self.running = self.running.saturating_sub(1);
        let delay = match outcome {
            Outcome::Again(delay) => {
                entry.failures = 0;
                delay
            }
            Outcome::Failed => {
                entry.failures = entry.failures.saturating_add(1);
                SHORTEST_DELAY.saturating_mul(1 << (entry.failures - 1).min(9)).min(LONGEST_DELAY)
            }
            Outcome::Gone => {
                if entry.due.is_none() {
                    self.entries.remove(key);
                }
                return;
            }
        };
        let due = now + delay;
        entry.due = Some(entry.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// When [`Queue::start`] may have something next. Nothing while all places are taken: an end comes first then.
    pub fn next_due(&self) -> Option<Instant> {
        if self.running >= MAX_AT_ONCE {
            return None;
        }
        self.entries.values().filter(|entry| !entry.is_running).filter_map(|entry| entry.due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> HubKey {
        HubKey { namespace: "n".into(), deployment: name.into() }
    }

    #[test]
    fn a_burst_of_requests_is_one_reconcile() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.request(key("a"), now);
        queue.request(key("a"), now + DEBOUNCE / 2);
        assert_eq!(queue.start(now), None);
        assert_eq!(queue.next_due(), Some(now + DEBOUNCE));
        assert_eq!(queue.start(now + DEBOUNCE), Some(key("a")));
        assert_eq!(queue.start(now + DEBOUNCE), None);
    }

    #[test]
    fn a_request_during_a_reconcile_is_kept() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.request(key("a"), now);
        let later = now + DEBOUNCE;
        queue.start(later).unwrap();
        queue.request(key("a"), later);
        assert_eq!(queue.start(later + DEBOUNCE), None, "one task at a time");
        queue.finished(&key("a"), Outcome::Again(Duration::from_hours(1)), later + DEBOUNCE);
        assert_eq!(queue.start(later + DEBOUNCE), Some(key("a")));
    }

    #[test]
    fn places_are_bounded_and_freed() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for name in 0..=MAX_AT_ONCE {
            queue.request(key(&name.to_string()), now);
        }
        let later = now + DEBOUNCE;
        let started: Vec<_> = std::iter::from_fn(|| queue.start(later)).collect();
        assert_eq!(started.len(), MAX_AT_ONCE);
        assert_eq!(queue.next_due(), None);
        queue.finished(&started[0], Outcome::Gone, later);
        assert!(queue.start(later).is_some());
    }

    #[test]
    fn failures_delay_their_own_object_and_a_new_request_comes_first() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.request(key("a"), start);
        let mut now = start + DEBOUNCE;
        let mut delays = Vec::new();
        for _ in 0..11 {
            queue.start(now).unwrap();
            queue.finished(&key("a"), Outcome::Failed, now);
            let due = queue.next_due().unwrap();
            delays.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        queue.start(now).unwrap();
        queue.finished(&key("a"), Outcome::Failed, now);
        queue.request(key("a"), now);
        assert_eq!(queue.next_due(), Some(now + DEBOUNCE));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.request(key("a"), now);
        queue.start(now + DEBOUNCE).unwrap();
        queue.finished(&key("a"), Outcome::Gone, now);
        assert!(queue.entries.is_empty());
    }
}
