//! How the room of the journal is shared out among endpoints. Pure.
//!
//! Half of the room is guaranteed to the endpoints in equal parts; the other half is for whoever needs it first. So an endpoint that
//! nobody reads takes its part and the common half, and leaves the others their parts.
//!
//! A part is promised in bytes of records, and files hold fewer of them than their size: so a third more than what is left of the
//! parts is kept free, at the expense of the common half. With two endpoints one that nobody reads gets two thirds of the room, with
//! ten two fifths, with very many a third.

/// See the module. Kept up to date with each change of what an endpoint holds, so that asking costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Bytes guaranteed to each endpoint.
    part: u64,
    /// Bytes of the guaranteed parts that are not in use.
    unfilled: u64,
}

impl Shares {
    /// Of `max_bytes`, for endpoints that hold so many bytes each.
    pub(crate) fn of(max_bytes: u64, held: impl Iterator<Item = u64> + Clone) -> Self {
        let endpoints = held.clone().count() as u64;
        let part = (max_bytes / 2).checked_div(endpoints).unwrap_or(max_bytes / 2);
        Self { part, unfilled: held.map(|bytes| part.saturating_sub(bytes)).sum() }
    }

    /// What an endpoint holds has changed.
    pub(crate) fn change(&mut self, before: u64, after: u64) {
        let unfilled = self.unfilled + self.part.saturating_sub(after);
        self.unfilled = unfilled.saturating_sub(self.part.saturating_sub(before));
    }

    /// Bytes guaranteed to each endpoint.
    pub(crate) const fn part(self) -> u64 {
        self.part
    }

    /// Bytes of disk to keep for those who have not used their parts. More than the bytes themselves: a segment need not be full of
    /// records that are still wanted, see the cleaner.
    pub(crate) const fn reserved(self) -> u64 {
        self.unfilled / 3 * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_guaranteed_in_equal_parts() {
        let shares = Shares::of(800, [0, 50, 900, 100].into_iter());
        assert_eq!((shares.part(), shares.unfilled), (100, 150));
        assert_eq!(Shares::of(800, [].into_iter()).part(), 400);
    }

    #[test]
    fn what_an_endpoint_that_nobody_reads_may_take_is_as_documented() {
        for (endpoints, left_to_it) in [(1, 1_000_000), (2, 666_666), (10, 400_000), (1000, 334_000)] {
            let held = std::iter::once(1_000_000).chain(std::iter::repeat_n(0, endpoints - 1));
            let left = 1_000_000 - Shares::of(1_000_000, held).reserved();
            assert!(left.abs_diff(left_to_it) < 10, "{endpoints}: {left}");
        }
    }

    #[test]
    fn changes_add_up_to_the_same_as_counting_anew() {
        let mut held = [0, 50, 900, 100];
        let mut shares = Shares::of(800, held.into_iter());
        for (endpoint, bytes) in [(0, 30), (2, 10), (1, 200), (3, 0), (2, 100), (0, 0)] {
            shares.change(held[endpoint], bytes);
            held[endpoint] = bytes;
            assert_eq!(shares, Shares::of(800, held.into_iter()));
        }
    }
}
