//! One queue: how far it is, where its records are, and what has become of them.

use std::collections::VecDeque;

use bytes::Bytes;
use tracing::error;

use crate::control::Mark;
use crate::destination::Priority;
use crate::journal::Offset;
use crate::journal::usage::Counts;
use crate::journal::window::Window;
use crate::queue::QueueName;

/// The records of a queue in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holding {
    /// Generation of the segment.
    pub(crate) segment: u64,
    pub(crate) first: Mark,
    pub(crate) end: Mark,
    /// When the last of them expires.
    pub(crate) expires: u64,
}

/// A record kept in memory for a reader that keeps up.
#[derive(Clone, Debug)]
pub(crate) struct HotRecord {
    pub(crate) number: u64,
    pub(crate) offset: Offset,
    pub(crate) expires: u64,
    /// Of the whole record on disk.
    pub(crate) bytes: u64,
    pub(crate) payload: Bytes,
}

/// A queue: the records of one priority for one endpoint.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) endpoint: QueueName,
    pub(crate) priority: Priority,
    /// Where the next record goes; all before it are on disk.
    pub(crate) next: Mark,
    /// The first record that is not done with.
    pub(crate) cursor: Mark,
    /// Where the disk says that the cursor is.
    pub(crate) durable: Mark,
    /// Where its records are, in order, from the durable cursor on. What lies between two of them is lost.
    pub(crate) holdings: VecDeque<Holding>,
    /// Does the disk know its name?
    pub(crate) named: bool,
    pub(crate) window: Window,
    /// Number of the next record that the reader wants.
    pub(crate) read: u64,
    /// The newest records, without gaps, up to `next`; empty if the reader does not keep up.
    pub(crate) hot: VecDeque<HotRecord>,
    pub(crate) counts: Counts,
}

impl Queue {
    pub(crate) fn new(endpoint: QueueName, priority: Priority) -> Self {
        Self {
            endpoint,
            priority,
            next: Mark::default(),
            cursor: Mark::default(),
            durable: Mark::default(),
            holdings: VecDeque::new(),
            named: false,
            window: Window::default(),
            read: 0,
            hot: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Records that are not done with.
    pub(crate) fn depth(&self) -> u64 {
        self.next.number.saturating_sub(self.cursor.number).saturating_sub(self.window.ahead())
    }

    /// Bytes of the records from the cursor on.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.next.bytes.saturating_sub(self.cursor.bytes)
    }

    /// Where the record of this number, or the first after it, is.
    pub(crate) fn holding_of(&self, number: u64) -> Option<Holding> {
        let at = self.holdings.partition_point(|holding| holding.end.number <= number);
        self.holdings.get(at).copied()
    }

    /// Moves the cursor past what is done with.
    pub(crate) fn advance(&mut self) {
        if let Some((number, bytes)) = self.window.advance() {
            self.move_cursor(number, self.cursor.bytes + bytes);
        }
    }

    /// Bytes are counted record by record; where some were damaged, the next segment sets the count right.
    fn move_cursor(&mut self, number: u64, bytes: u64) {
        let bytes = match self.holding_of(number) {
            _ if number >= self.next.number => self.next.bytes,
            Some(holding) => bytes.clamp(holding.first.bytes, holding.end.bytes),
            None => bytes.min(self.next.bytes),
        };
        self.cursor = Mark { number: self.cursor.number.max(number), bytes: self.cursor.bytes.max(bytes) };
    }

    /// The reader has found that the records from `first` to before `end` are not there.
    pub(crate) fn miss(&mut self, first: u64, end: u64) {
        let records = self.window.miss(first, end);
        if records > 0 {
            self.counts.lost += records;
            error!(queue = %self.name(), records, "records of this queue were damaged on disk and are lost");
        }
        self.advance();
    }

    /// Ends the records before `through` that are not done with yet, and returns how many of them there were. Those that are not
    /// there are counted as lost, and not returned.
    pub(crate) fn end_before(&mut self, through: u64) -> u64 {
        let through = through.min(self.next.number);
        if through <= self.cursor.number {
            return 0;
        }
        let mut unseen = self.cursor.number;
        while unseen < through && self.window.has(unseen) {
            unseen += 1;
        }
        let lost = self.missing_between(unseen, through);
        self.counts.lost += lost;
        let done_before = self.window.forget_before(through);
        let ended = through - self.cursor.number - done_before - lost;
        self.move_cursor(through, self.cursor.bytes);
        self.advance();
        ended
    }

    /// Numbers from `first` to before `end` that no segment has.
    fn missing_between(&self, first: u64, end: u64) -> u64 {
        let overlap = |holding: &Holding| holding.end.number.min(end).saturating_sub(holding.first.number.max(first));
        let present: u64 = self.holdings.iter().take_while(|holding| holding.first.number < end).map(overlap).sum();
        end.saturating_sub(first).saturating_sub(present)
    }

    /// The name that people know it by.
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.endpoint, self.priority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::window::Handing;

    fn mark(number: u64) -> Mark {
        Mark { number, bytes: number * 100 }
    }

    /// Numbers 0 to 29, of which 10 to 19 are missing.
    fn queue() -> Queue {
        let mut queue = Queue::new("a".parse().unwrap(), Priority::DEFAULT);
        let holding = |segment, first, end| Holding { segment, first: mark(first), end: mark(end), expires: 0 };
        queue.holdings = [holding(1, 0, 10), holding(2, 20, 30)].into();
        queue.next = mark(30);
        queue
    }

    #[test]
    fn bytes_are_set_right_where_records_were_lost() {
        let mut queue = queue();
        for number in 0..10 {
            assert_eq!(queue.window.hand_out(number, number, 90), Handing::First);
            assert!(queue.window.settle(number));
        }
        queue.advance();
        assert_eq!(queue.cursor, mark(20).min_number(10));
        queue.miss(10, 20);
        assert_eq!((queue.cursor, queue.counts.lost, queue.depth()), (mark(20), 10, 10));
    }

    #[test]
    fn ending_counts_each_record_once_and_the_missing_ones_as_lost() {
        let mut queue = queue();
        for number in 0..3 {
            queue.window.hand_out(number, number, 100);
        }
        assert!(queue.window.settle(1));
        assert_eq!(queue.end_before(25), 14);
        assert_eq!((queue.cursor.number, queue.counts.lost, queue.depth()), (25, 10, 5));
        assert!(!queue.window.settle(0) && !queue.window.settle(2));
        assert_eq!((queue.end_before(99), queue.held_bytes(), queue.depth()), (5, 0, 0));
    }

    impl Mark {
        fn min_number(self, number: u64) -> Self {
            Self { number, ..self }
        }
    }
}
