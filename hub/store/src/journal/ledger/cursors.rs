//! How far the queues are as far as the disk knows, and which segments that lets go of.
//!
//! A cursor is moved in memory, then written, then synced. Only what is synced frees a segment: what is merely written may be missing
//! after a power cut, and its records would be looked for.

use std::collections::{BTreeMap, HashMap};

use super::{Ledger, Segment};
use crate::control::CursorEntry;

impl Ledger {
    /// Is there something to write?
    pub(crate) fn cursors_moved(&self) -> bool {
        !self.dirty.is_empty() || !self.retired.is_empty() || self.clock_is_due
    }

    /// Is the disk not sure to know how far all queues are?
    pub(crate) fn cursors_unsaved(&self) -> bool {
        !self.unsaved.is_empty() || !self.retired.is_empty()
    }

    /// Cursors that have yet to be written.
    pub(crate) fn moved_cursors(&self) -> Vec<CursorEntry> {
        let moved = self.dirty.iter().filter_map(|id| Some((id, self.queues.get(id)?)));
        moved.filter(|(_, queue)| queue.named).map(|(id, queue)| CursorEntry { id: *id, cursor: queue.cursor }).collect()
    }

    /// These cursors are written; on disk if `synced`.
    pub(crate) fn cursors_written(&mut self, written: &[CursorEntry], synced: bool) {
        for entry in written {
            let Some(queue) = self.queues.get_mut(&entry.id) else { continue };
            if queue.cursor == entry.cursor {
                self.dirty.remove(&entry.id);
            }
            if synced {
                self.lookout.has_settled(entry.cursor.bytes.saturating_sub(queue.durable.bytes));
                queue.durable = entry.cursor;
                if queue.cursor == entry.cursor {
                    self.unsaved.remove(&entry.id);
                }
                while let Some(done) = queue.holdings.pop_front_if(|holding| holding.end.number <= entry.cursor.number) {
                    release(&mut self.segments, &mut self.released, done.segment);
                }
            }
        }
    }

    /// Cursors that were written must be written again: what they were written to is lost.
    pub(crate) fn cursors_unwritten(&mut self) {
        self.dirty.clone_from(&self.unsaved);
    }

    /// The disk knows that the first so many retired queues are gone.
    pub(crate) fn retired_written(&mut self, count: usize) {
        if count > 0 {
            self.lookout.has_changed();
        }
        for retired in self.retired.drain(..count) {
            for holding in retired.holdings {
                release(&mut self.segments, &mut self.released, holding.segment);
            }
        }
    }

    /// Would some segment be free if the disk knew all cursors?
    pub(crate) fn could_free(&self) -> bool {
        self.passed_by_all().next().is_some()
    }

    /// Bytes of the segments that would be.
    pub(crate) fn freeable_bytes(&self) -> u64 {
        self.passed_by_all().map(|segment| segment.file_bytes).sum()
    }

    /// Segments that no queue needs as far as memory knows, and of which the disk does not know it.
    fn passed_by_all(&self) -> impl Iterator<Item = &Segment> {
        let mut passed: HashMap<u64, usize> = HashMap::new();
        for queue in self.unsaved.iter().filter_map(|id| self.queues.get(id)) {
            for holding in queue.holdings.iter().take_while(|holding| holding.end.number <= queue.cursor.number) {
                *passed.entry(holding.segment).or_default() += 1;
            }
        }
        for holding in self.retired.iter().flat_map(|retired| &retired.holdings) {
            *passed.entry(holding.segment).or_default() += 1;
        }
        let segments = passed.into_iter().filter_map(|(generation, passed)| Some((self.segments.get(&generation)?, passed)));
        segments
            .filter(|(segment, passed)| !self.is_newest(segment.generation) && segment.needed_by == *passed)
            .map(|(segment, _)| segment)
    }

    /// Takes out of use the segments that nobody needs any more, and of which the disk knows that.
    pub(crate) fn take_unneeded(&mut self) -> Vec<Segment> {
        let released = std::mem::take(&mut self.released);
        let unneeded = |ledger: &Self, generation: &u64| {
            !ledger.is_newest(*generation) && ledger.segments.get(generation).is_some_and(|segment| segment.needed_by == 0)
        };
        released
            .into_iter()
            .filter_map(|generation| unneeded(self, &generation).then(|| self.remove_segment(generation))?)
            .collect()
    }

    /// Takes a segment out of use that nobody needs, whatever the disk knows.
    pub(crate) fn take_unneeded_unsaved(&mut self) -> Option<Segment> {
        let generation = self.passed_by_all().map(|segment| segment.generation).min()?;
        for queue in self.queues.values_mut() {
            queue.holdings.retain(|holding| holding.segment != generation);
        }
        for retired in &mut self.retired {
            retired.holdings.retain(|holding| holding.segment != generation);
        }
        self.remove_segment(generation)
    }
}

fn release(segments: &mut BTreeMap<u64, Segment>, released: &mut Vec<u64>, generation: u64) {
    if let Some(segment) = segments.get_mut(&generation) {
        segment.needed_by = segment.needed_by.saturating_sub(1);
        if segment.needed_by == 0 {
            released.push(generation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Mark;
    use crate::destination::Priority;
    use crate::journal::JournalOptions;
    use crate::journal::ledger::{Holding, Queue};
    use crate::journal::limits::Limits;
    use crate::journal::quota::Quota;

    const END: Mark = Mark { number: 10, bytes: 1000 };

    fn segment(generation: u64) -> Segment {
        Segment {
            slot: 0,
            generation,
            seed: 0,
            covers: (generation, generation),
            compacted: false,
            file_bytes: 4096,
            records_at: 0,
            first_offset: 0,
            end_offset: 20,
            end_position: 4096,
            needed_by: 0,
            suspect: false,
            measured: None,
        }
    }

    /// Two queues with ten records each in one segment, and a newer segment.
    fn ledger() -> Ledger {
        let options = JournalOptions::DEFAULT;
        let mut ledger = Ledger::new(Limits::of(&options).unwrap(), Quota::of(&options));
        ledger.add_segment(segment(1));
        for (id, name) in [(1, "x"), (2, "y")] {
            ledger.insert(id, Queue { next: END, named: true, ..Queue::new(name.parse().unwrap(), Priority::DEFAULT) });
            ledger.hold(id, Holding { segment: 1, first: Mark::default(), end: END, expires: 0 });
        }
        ledger.add_segment(segment(2));
        assert!(ledger.take_unneeded().is_empty());
        ledger
    }

    fn settle_all(ledger: &mut Ledger, id: u32) {
        ledger.change(id, |queue| queue.cursor = END).0.unwrap();
    }

    #[test]
    fn a_cursor_that_is_written_but_not_synced_counts_for_what_could_be_free() {
        let mut ledger = ledger();
        settle_all(&mut ledger, 1);
        ledger.cursors_written(&ledger.moved_cursors(), false);
        assert!(!ledger.cursors_moved() && ledger.cursors_unsaved() && !ledger.could_free());
        settle_all(&mut ledger, 2);
        assert!(ledger.could_free(), "the first queue is forgotten");
        assert_eq!(ledger.freeable_bytes(), 4096);
        ledger.cursors_unwritten();
        let all = ledger.moved_cursors();
        assert_eq!(all.len(), 2, "what was written to is lost");
        ledger.cursors_written(&all, true);
        assert!(!ledger.cursors_unsaved() && !ledger.could_free());
        assert_eq!(ledger.take_unneeded().len(), 1);
    }

    #[test]
    fn a_retired_queue_needs_nothing_and_the_disk_has_to_learn_it() {
        let mut ledger = ledger();
        settle_all(&mut ledger, 1);
        assert!(!ledger.could_free());
        assert_eq!(ledger.retire(&"y".parse().unwrap()), 10);
        assert!(ledger.could_free() && ledger.cursors_unsaved());
        assert_eq!(ledger.take_unneeded_unsaved().map(|segment| segment.generation), Some(1));
        assert!(!ledger.could_free());
    }
}
