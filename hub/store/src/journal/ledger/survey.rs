//! Which segments are worth moving together.
//!
//! A survey is taken under the ledger's lock and weighed without it. It is taken only when there is something new to see: otherwise a
//! journal that is nearly full would be looked through with each commit.

use std::collections::HashMap;

use super::{Ledger, Measured, Segment};

/// Most segments that are moved together.
const MAX_MOVED: usize = 64;
/// Bytes of files that are moved together: bounds what is read for one file.
const MAX_MOVED_BYTES: u64 = 64 * 1024 * 1024;
/// So many segments may be moved together, whatever their size.
const MIN_MOVED: usize = 4;

/// What has changed since the last survey.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookout {
    /// Segments have come or gone, or it was not looked at everything.
    due: bool,
    /// Bytes that were settled, as far as the disk knows: each record once per queue.
    settled: u64,
}

impl Default for Lookout {
    fn default() -> Self {
        Self { due: true, settled: 0 }
    }
}

impl Lookout {
    pub(crate) const fn has_changed(&mut self) {
        self.due = true;
    }

    pub(crate) const fn has_settled(&mut self, bytes: u64) {
        self.settled = self.settled.saturating_add(bytes);
    }

    /// Is there enough that is new? A move gains a quarter of a segment at least.
    pub(crate) const fn is_due(self, segment_bytes: u64) -> bool {
        self.due || self.settled >= segment_bytes / 4
    }
}

/// A segment that may be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) generation: u64,
    pub(crate) file_bytes: u64,
    first_offset: u64,
    /// Bytes of its records that are wanted.
    live: u64,
    /// Is that so? Otherwise it is the least that it can be.
    pub(crate) is_known: bool,
}

/// What may be moved.
#[derive(Debug)]
pub(crate) struct Survey {
    /// In the order of their records.
    candidates: Vec<Candidate>,
    segment_bytes: u64,
    /// What a file needs beside the records.
    overhead: u64,
}

/// What is still wanted of a segment, from the queues' numbers alone.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    /// The most that one queue wants: at least so much is.
    most: u64,
    /// All queues together, which counts a record once for each.
    sum: u64,
}

impl Ledger {
    /// What there is to move. Nothing is new after that, until something changes.
    pub(crate) fn survey(&mut self) -> Survey {
        self.lookout = Lookout { due: false, settled: 0 };
        let wanted = self.wanted();
        let segments = self.segments.values().filter(|segment| !self.is_newest(segment.generation));
        let mut candidates: Vec<_> = segments
            .map(|segment| Candidate::of(segment, wanted.get(&segment.generation).copied().unwrap_or_default()))
            .collect();
        candidates.sort_by_key(|candidate| candidate.first_offset);
        Survey { candidates, segment_bytes: self.limits.segment_bytes, overhead: 2 * self.limits.records_at }
    }

    /// The last survey was not acted upon as a whole.
    pub(crate) const fn look_again(&mut self) {
        self.lookout.has_changed();
    }

    fn wanted(&self) -> HashMap<u64, Wanted> {
        let mut wanted: HashMap<u64, Wanted> = HashMap::new();
        for queue in self.queues.values() {
            for holding in &queue.holdings {
                let from = holding.first.bytes.max(queue.durable.bytes);
                let bytes = holding.end.bytes.saturating_sub(from);
                let entry = wanted.entry(holding.segment).or_default();
                entry.most = entry.most.max(bytes);
                entry.sum += bytes;
            }
        }
        wanted
    }

    /// The cleaner has looked at some segments: so much of each is wanted.
    pub(crate) fn measured(&mut self, live: &HashMap<u64, u64>) {
        let wanted = self.wanted();
        for (generation, live) in live {
            let sum = wanted.get(generation).map_or(0, |wanted| wanted.sum);
            if let Some(segment) = self.segments.get_mut(generation) {
                segment.measured = Some(Measured { live: *live, sum });
            }
        }
    }
}

impl Candidate {
    /// What was measured counts unless much has been settled since.
    fn of(segment: &Segment, wanted: Wanted) -> Self {
        let Segment { generation, file_bytes, first_offset, .. } = *segment;
        let (live, is_known) = match segment.measured {
            Some(measured) if wanted.sum + file_bytes / 8 > measured.sum => (measured.live.min(wanted.sum), true),
            _ => (wanted.most, wanted.most == wanted.sum),
        };
        Self { generation, file_bytes, first_offset, live, is_known }
    }
}

impl Survey {
    /// Segments next to each other whose wanted records fit into one file, and are worth moving there: those of which most is
    /// gained for what has to be written.
    pub(crate) fn best(&self) -> Option<&[Candidate]> {
        let mut best: Option<(u64, &[Candidate])> = None;
        for first in 0..self.candidates.len() {
            let (mut bytes, mut written) = (0, self.overhead);
            for end in first + 1..=self.candidates.len().min(first + MAX_MOVED) {
                let run = &self.candidates[first..end];
                bytes += self.candidates[end - 1].file_bytes;
                written += self.candidates[end - 1].live;
                if written > self.segment_bytes || (bytes > MAX_MOVED_BYTES && run.len() > MIN_MOVED) {
                    break;
                }
                let score = self.score(bytes, written, run);
                if score > best.map_or(0, |(best, _)| best) {
                    best = Some((score, run));
                }
            }
        }
        best.map(|(_, run)| run)
    }

    /// How much moving a run gains for what it writes; 0: not worth while. At least a quarter must be gained; small files are put
    /// together for their number alone, if that takes no more room.
    fn score(&self, bytes: u64, written: u64, run: &[Candidate]) -> u64 {
        let gained = bytes.saturating_sub(written);
        let many_small = run.len() >= 4 && run.iter().all(|candidate| candidate.file_bytes <= self.segment_bytes / 8);
        if gained == 0 || (gained * 4 < bytes && !many_small) {
            return 0;
        }
        gained * 1000 / (written + 4096) + u64::from(many_small)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: u64 = 4 * 1024 * 1024;

    fn survey(live: &[u64]) -> Survey {
        let candidate = |(at, live): (usize, &u64)| Candidate {
            generation: at as u64,
            file_bytes: SEGMENT,
            first_offset: at as u64,
            live: *live,
            is_known: true,
        };
        Survey { candidates: live.iter().enumerate().map(candidate).collect(), segment_bytes: SEGMENT, overhead: 64 * 1024 }
    }

    fn best(live: &[u64]) -> Vec<u64> {
        survey(live).best().unwrap_or_default().iter().map(|candidate| candidate.generation).collect()
    }

    #[test]
    fn the_emptiest_neighbours_go_together_and_full_ones_stay() {
        assert_eq!(best(&[SEGMENT, SEGMENT / 10, SEGMENT / 10, SEGMENT]), [1, 2]);
        assert_eq!(best(&[SEGMENT, SEGMENT, SEGMENT / 10 * 9]), [0; 0]);
    }

    #[test]
    fn what_is_read_for_one_file_is_bounded() {
        assert_eq!(best(&[1000; 200]).len() as u64, MAX_MOVED_BYTES / SEGMENT);
    }

    #[test]
    fn nothing_is_looked_at_twice_unless_it_changed() {
        let mut lookout = Lookout::default();
        assert!(lookout.is_due(SEGMENT));
        lookout = Lookout { due: false, settled: 0 };
        lookout.has_settled(SEGMENT / 4 - 1);
        assert!(!lookout.is_due(SEGMENT));
        lookout.has_settled(1);
        assert!(lookout.is_due(SEGMENT));
    }
}
