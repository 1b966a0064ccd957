//! The clocks below the journal's own. A seam, so that tests can let time pass, and machines start again.

use std::fs;
use std::time::Duration;

/// A clock that only runs forward while the machine is up, and the name of this start of the machine.
pub trait Clock: Send + Sync {
    /// Time since the machine was started, suspended time included. Never goes back while [`boot_id`](Self::boot_id) stays the same,
    /// whatever becomes of the time of day.
    fn boot_time(&self) -> Duration;
    /// Tells one start of the machine from another; all zeros where that is not known.
    fn boot_id(&self) -> [u8; 16];
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealClock;

impl Clock for RealClock {
    fn boot_time(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    fn boot_id(&self) -> [u8; 16] {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        u128::from_str_radix(&digits, 16).unwrap_or(0).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_been_up_and_has_a_name_for_that() {
        assert!(RealClock.boot_time() > Duration::ZERO && RealClock.boot_time() <= RealClock.boot_time());
        assert_ne!(RealClock.boot_id(), [0; 16]);
        assert_eq!(RealClock.boot_id(), RealClock.boot_id());
    }
}
