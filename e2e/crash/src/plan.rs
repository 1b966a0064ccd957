//! Where to kill next, and what has been hit so far. Pure.

use std::collections::BTreeMap;

/// A place in the hub, and how often it is passed before it kills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) place: &'static str,
    pub(crate) pass: u64,
}

impl Target {
    /// As the hub is told.
    pub(crate) fn setting(&self) -> String {
        format!("{}:{}", self.place, self.pass)
    }
}

/// Misses of one place in a row after which it counts as one that cannot be reached.
const MAX_MISSES: u32 = 4;
/// Places that are passed once per segment or less often.
const RARE: [&str; 6] = ["rotate-sealed", "rotate-head", "clean-written", "clean-synced", "clean-named", "clean-freed"];
/// Passes of a rare place before it kills, at most; the first pass kills, too.
const FEW: u64 = 2;
/// The same for the others: some hundred commits.
const MANY: u64 = 400;
/// Passed only while nothing else is written.
const IDLE: &str = "cursor-written";

/// See the module.
#[derive(Debug)]
pub(crate) struct Plan {
    places: Vec<&'static str>,
    hits_each: u32,
    kills: u32,
    hits: BTreeMap<&'static str, u32>,
    misses: BTreeMap<&'static str, u32>,
    turn: usize,
    /// Of a small generator: the same places in every run, passed as often.
    state: u64,
}

impl Plan {
    /// All places of the store and the hub whose names contain `only`.
    pub(crate) fn new(hits_each: u32, kills: u32, only: &str) -> Self {
        let places: Vec<_> = edge_store::failpoint::NAMES.into_iter().chain(edge_hub::FAIL_POINTS).collect();
        Self::of(places.into_iter().filter(|place| place.contains(only)).collect(), hits_each, kills)
    }

    fn of(places: Vec<&'static str>, hits_each: u32, kills: u32) -> Self {
        Self { places, hits_each, kills, hits: BTreeMap::new(), misses: BTreeMap::new(), turn: 0, state: 1 }
    }

    /// The next target; none: all is done.
    pub(crate) fn next(&mut self) -> Option<Target> {
        let enough_kills = self.kills() >= self.kills;
        for _ in 0..self.places.len() {
            let place = self.places[self.turn % self.places.len()];
            self.turn += 1;
            if self.hits_of(place) < self.hits_each || !enough_kills {
                let most = if RARE.contains(&place) || place == IDLE { FEW } else { MANY };
                return Some(Target { place, pass: 1 + self.random() % most });
            }
        }
        None
    }

    /// The hub died where it should.
    pub(crate) fn hit(&mut self, target: &Target) {
        *self.hits.entry(target.place).or_default() += 1;
        self.misses.remove(target.place);
    }

    /// It never came there. False: that has been so too often.
    pub(crate) fn missed(&mut self, target: &Target) -> bool {
        let misses = self.misses.entry(target.place).or_default();
        *misses += 1;
        *misses < MAX_MISSES
    }

    /// Kills so far.
    pub(crate) fn kills(&self) -> u32 {
        self.hits.values().sum()
    }

    /// Each place with its hits.
    pub(crate) fn report(&self) -> impl Iterator<Item = (&'static str, u32)> {
        self.places.iter().map(|place| (*place, self.hits_of(place)))
    }

    fn hits_of(&self, place: &str) -> u32 {
        self.hits.get(place).copied().unwrap_or_default()
    }

    fn random(&mut self) -> u64 {
        // Constants of Knuth's MMIX; the high bits are the random ones.
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.state >> 33
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_hit_as_often_as_asked_and_all_go_on_until_there_are_enough_kills() {
        let mut plan = Plan::of(vec!["append", "rotate-head", "settle"], 2, 10);
        while let Some(target) = plan.next() {
            assert!(target.pass >= 1 && (target.place != "rotate-head" || target.pass <= FEW));
            plan.hit(&target);
        }
        assert!(plan.kills() >= 10);
        assert!(plan.report().all(|(_, hits)| hits >= 2));
    }

    #[test]
    fn a_place_that_is_never_reached_is_given_up() {
        let mut plan = Plan::of(vec!["nowhere"], 1, 1);
        let target = plan.next().unwrap();
        assert_eq!((1..=MAX_MISSES).map(|_| plan.missed(&target)).collect::<Vec<_>>(), [true, true, true, false]);
    }

    #[test]
    fn the_places_are_those_of_the_code_and_every_rare_one_exists() {
        let plan = Plan::new(1, 1, "");
        assert!(plan.places.len() >= 15);
        assert!(RARE.iter().chain([&IDLE]).all(|rare| plan.places.contains(rare)));
    }
}
