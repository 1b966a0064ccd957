//! The journal's own time: how long it has been open or, while the machine stayed up, closed. What expires, expires by it.
//!
//! It never goes back and never jumps: it counts on the clock since the machine's start, not on the time of day, so a time of day set
//! from 1970 to now expires nothing. Over a restart of the process it goes on where the journal last noted it, plus the time that
//! passed since if the machine was not started again meanwhile. Over a restart of the machine the time away is not counted: there
//! is no safe way to ask whether the time of day was right before and after.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Clock;
use crate::control::ClockMark;

/// The journal's clock, in milliseconds.
pub(crate) struct JournalTime {
    clock: Arc<dyn Clock>,
    boot_id: [u8; 16],
    /// Journal time at …
    base: u64,
    /// … this time of the clock below.
    base_boot: u64,
    latest: AtomicU64,
}

impl JournalTime {
    /// Goes on from what was noted last.
    pub(crate) fn after(clock: Arc<dyn Clock>, noted: ClockMark) -> Self {
        let boot_id = clock.boot_id();
        let boot = millis(clock.as_ref());
        let known = boot_id != [0; 16] && boot_id == noted.boot_id;
        let away = if known { boot.saturating_sub(noted.boot) } else { 0 };
        let base = noted.journal.saturating_add(away);
        Self { clock, boot_id, base, base_boot: boot, latest: AtomicU64::new(base) }
    }

    /// Now.
    pub(crate) fn now(&self) -> u64 {
        let now = self.base.saturating_add(millis(self.clock.as_ref()).saturating_sub(self.base_boot));
        self.latest.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// Now, to be noted on disk.
    pub(crate) fn mark(&self) -> ClockMark {
        ClockMark { journal: self.now(), boot: millis(self.clock.as_ref()), boot_id: self.boot_id }
    }
}

fn millis(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.boot_time().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct At(u64, [u8; 16]);
    impl Clock for At {
        fn boot_time(&self) -> Duration {
            Duration::from_millis(self.0)
        }
        fn boot_id(&self) -> [u8; 16] {
            self.1
        }
    }

    fn after(now: u64, boot_id: u8, noted: u64, noted_boot: u64) -> u64 {
        let noted = ClockMark { journal: noted, boot: noted_boot, boot_id: [1; 16] };
        JournalTime::after(Arc::new(At(now, [boot_id; 16])), noted).now()
    }

    #[test]
    fn time_away_counts_while_the_machine_stayed_up() {
        assert_eq!(after(500, 1, 70, 400), 170);
    }

    #[test]
    fn over_a_restart_of_the_machine_it_goes_on_where_it_was() {
        assert_eq!(after(500, 2, 70, 400), 70);
        assert_eq!(after(10, 2, 70, 400), 70);
        assert_eq!(after(500, 0, 70, 400), 70, "a machine that does not say");
    }

    #[test]
    fn a_clock_that_goes_back_all_the_same_stops_it_only() {
        assert_eq!(after(300, 1, 70, 400), 70);
    }
}
