//! A reader's way along one queue.

use std::collections::VecDeque;

use crate::journal::fetch::{Fetch, Fetched, FetchedRecord, Place};
use crate::journal::ledger::{HotRecord, Ledger};
use crate::journal::shared::Shared;
use crate::record::QueueId;

/// What stands next in a queue.
pub(super) enum Item {
    Record(FetchedRecord),
    /// Records that are not where they should be.
    Gap {
        first: u64,
        end: u64,
    },
}

/// Where the next item is.
pub(super) enum Next {
    Item(Item),
    /// To be read first.
    OnDisk,
    /// There is none yet.
    Nothing,
}

/// See the module.
pub(super) struct Lane {
    pub(super) queue: QueueId,
    /// Where to read on; `None`: in the segment that holds the next number.
    place: Option<Place>,
    /// Number of the next record to read.
    next_number: u64,
    /// Read and not passed.
    ready: VecDeque<Item>,
}

impl Lane {
    pub(super) const fn new(queue: QueueId) -> Self {
        Self { queue, place: None, next_number: 0, ready: VecDeque::new() }
    }

    /// The next item, if it is in memory.
    pub(super) fn next(&mut self, ledger: &mut Ledger) -> Next {
        let Some(queue) = ledger.queues.get_mut(&self.queue) else { return Next::Nothing };
        // What was dropped or has expired meanwhile is over.
        let cursor = queue.cursor.number;
        while let Some(item) = self.ready.pop_front() {
            match item {
                Item::Record(record) if record.number < cursor => {}
                Item::Gap { end, .. } if end <= cursor => {}
                Item::Gap { first, end } => return Next::Item(Item::Gap { first: first.max(cursor), end }),
                record @ Item::Record(_) => return Next::Item(record),
            }
        }
        self.next_number = self.next_number.max(cursor);
        queue.read = self.next_number;
        if self.next_number >= queue.next.number {
            return Next::Nothing;
        }
        // What is kept in memory goes up to the newest record without a gap, so nothing is passed over.
        if queue.hot.front().is_none_or(|oldest| oldest.number > self.next_number) {
            return Next::OnDisk;
        }
        let Some(HotRecord { number, offset, expires, bytes, payload }) = ledger.take_hot(self.queue, self.next_number) else {
            return Next::OnDisk;
        };
        self.next_number = number + 1;
        if let Some(queue) = ledger.queues.get_mut(&self.queue) {
            queue.read = self.next_number;
        }
        self.place = None;
        Next::Item(Item::Record(FetchedRecord { number, offset, expires, bytes, payload }))
    }

    /// There is no room for an item now; it comes first the next time.
    pub(super) fn put_back(&mut self, item: Item) {
        self.ready.push_front(item);
    }

    /// What to read next. `None`: something changed, or the next item is a gap.
    pub(super) fn plan(&mut self, shared: &Shared) -> Option<Fetch> {
        let ledger = shared.ledger();
        let queue = ledger.queues.get(&self.queue)?;
        let Some(holding) = queue.holding_of(self.next_number) else {
            // The queue has more numbers than its segments have records.
            let end = queue.next.number;
            self.miss_through(end);
            return None;
        };
        if holding.first.number > self.next_number {
            self.miss_through(holding.first.number);
            return None;
        }
        let Some(segment) = ledger.segments.get(&holding.segment) else {
            self.miss_through(holding.end.number);
            return None;
        };
        let place = self.place.filter(|place| place.generation == segment.generation);
        if place.is_some_and(|place| place.offset >= segment.end_offset) {
            self.miss_through(holding.end.number);
            return None;
        }
        let place = place.unwrap_or_else(|| Place::start_of(segment));
        Some(Fetch::of(shared, segment, place, self.queue, holding, self.next_number))
    }

    /// Takes what was read, and notes what is missing.
    pub(super) fn take_in(&mut self, fetched: Fetched) {
        match fetched {
            // The segment was used again while it was read, or its records were moved.
            Fetched::Outdated => self.place = None,
            Fetched::Records { records, place, whole_segment_through } => {
                self.place = Some(place);
                for record in records {
                    if record.number < self.next_number {
                        continue;
                    }
                    self.miss_through(record.number);
                    self.next_number = record.number + 1;
                    self.ready.push_back(Item::Record(record));
                }
                if let Some(end) = whole_segment_through {
                    self.miss_through(end);
                }
            }
        }
    }

    /// The records before number `end` that were not found are lost.
    fn miss_through(&mut self, end: u64) {
        if end > self.next_number {
            self.ready.push_back(Item::Gap { first: self.next_number, end });
            self.next_number = end;
        }
    }
}
