//! What a queue's reader has passed beyond the cursor: handed out and not settled, or done with out of order. Pure.
//!
//! The cursor stands before the first record that is not done with. Everything from there to the last that was passed has a slot, in
//! the order of the queue; slots leave at the front once they are done with.

use std::collections::VecDeque;

use super::Offset;

/// One record, or several that were lost together.
#[derive(Clone, Copy, Debug)]
struct Slot {
    number: u64,
    /// Number after the last.
    end: u64,
    offset: Offset,
    bytes: u64,
    done: bool,
}

/// How a record is to be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handing {
    First,
    /// It was handed out before and not settled.
    Again,
    /// Not at all: it is done with.
    Not,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Window {
    slots: VecDeque<Slot>,
    /// Records done with that are still in it.
    ahead: u64,
    /// Records handed out and not settled.
    out: usize,
}

impl Window {
    /// Slots in it.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Records done with, behind the first that is not.
    pub(crate) const fn ahead(&self) -> u64 {
        self.ahead
    }

    /// Records handed out and not settled.
    pub(crate) const fn out(&self) -> usize {
        self.out
    }

    /// Has the record of this number a slot?
    pub(crate) fn has(&self, number: u64) -> bool {
        self.slots.back().is_some_and(|last| number < last.end)
    }

    fn slot_of(&mut self, number: u64) -> Option<&mut Slot> {
        let at = self.slots.partition_point(|slot| slot.end <= number);
        self.slots.get_mut(at).filter(|slot| slot.number <= number)
    }

    /// The reader has come to a record, which has not expired.
    pub(crate) fn hand_out(&mut self, number: u64, offset: Offset, bytes: u64) -> Handing {
        if self.has(number) {
            return match self.slot_of(number) {
                Some(slot) if !slot.done => Handing::Again,
                _ => Handing::Not,
            };
        }
        self.slots.push_back(Slot { number, end: number + 1, offset, bytes, done: false });
        self.out += 1;
        Handing::First
    }

    /// The reader has come to a record, which is not to be handed out. Returns whether it was not done with before.
    pub(crate) fn skip(&mut self, number: u64, offset: Offset, bytes: u64) -> bool {
        if self.has(number) {
            let newly = self.slot_of(number).is_some_and(|slot| !std::mem::replace(&mut slot.done, true));
            self.ahead += u64::from(newly);
            self.out -= usize::from(newly);
            return newly;
        }
        self.slots.push_back(Slot { number, end: number + 1, offset, bytes, done: true });
        self.ahead += 1;
        true
    }

    /// The reader has found that these records are not there. Returns how many of them were not done with before.
    pub(crate) fn miss(&mut self, first: u64, end: u64) -> u64 {
        let mut missed = 0;
        let known = self.slots.back().map_or(first, |last| last.end);
        for number in first..end.min(known.max(first)) {
            if let Some(slot) = self.slot_of(number).filter(|slot| !slot.done) {
                slot.done = true;
                self.ahead += 1;
                self.out -= 1;
                missed += 1;
            }
        }
        let first = first.max(known);
        if first < end {
            self.slots.push_back(Slot { number: first, end, offset: Offset::MAX, bytes: 0, done: true });
            self.ahead += end - first;
            missed += end - first;
        }
        missed
    }

    /// Marks the record at `offset` as done with. False: it was not handed out, or was done with before.
    pub(crate) fn settle(&mut self, offset: Offset) -> bool {
        // A lost record has no offset; it is not to be met by a search for one that comes later.
        let at = match self.slots.front() {
            Some(front) if front.offset == offset => Some(0),
            _ => self.search(offset),
        };
        let Some(slot) = at.and_then(|at| self.slots.get_mut(at)).filter(|slot| !slot.done) else { return false };
        slot.done = true;
        self.ahead += 1;
        self.out -= 1;
        true
    }

    /// Where the slot of a record stands. Lost ones in between carry no offset, so they are stepped over.
    fn search(&self, offset: Offset) -> Option<usize> {
        let (mut low, mut high) = (0, self.slots.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let with_offset = (middle..high).find(|at| self.slots[*at].offset != Offset::MAX);
            match with_offset {
                Some(at) if self.slots[at].offset == offset => return Some(at),
                Some(at) if self.slots[at].offset < offset => low = at + 1,
                _ => high = middle,
            }
        }
        None
    }

    /// Takes those done with from the front. Returns the number after the last, and the bytes they had.
    pub(crate) fn advance(&mut self) -> Option<(u64, u64)> {
        let mut passed = None;
        while let Some(slot) = self.slots.pop_front_if(|slot| slot.done) {
            self.ahead -= slot.end - slot.number;
            let (_, bytes) = passed.unwrap_or_default();
            passed = Some((slot.end, bytes + slot.bytes));
        }
        passed
    }

    /// Everything before `number` is over, whatever the reader makes of it. Returns how many of those records were done with before.
    pub(crate) fn forget_before(&mut self, number: u64) -> u64 {
        let mut done_before = 0;
        while let Some(slot) = self.slots.front_mut().filter(|slot| slot.number < number) {
            let count = slot.end.min(number) - slot.number;
            if slot.done {
                self.ahead -= count;
                done_before += count;
            } else {
                self.out -= 1;
            }
            slot.number = slot.end.min(number);
            if slot.number < slot.end {
                break;
            }
            self.slots.pop_front();
        }
        done_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(numbers: std::ops::Range<u64>) -> Window {
        let mut window = Window::default();
        for number in numbers {
            assert_eq!(window.hand_out(number, number * 10, 1), Handing::First);
        }
        window
    }

    #[test]
    fn the_cursor_waits_for_the_first_that_is_not_settled() {
        let mut window = window(0..5);
        assert!(window.settle(10) && window.settle(30));
        assert_eq!((window.advance(), window.ahead(), window.out()), (None, 2, 3));
        assert!(window.settle(0));
        assert_eq!(window.advance(), Some((2, 2)));
        assert!(!window.settle(0) && !window.settle(10) && !window.settle(30) && !window.settle(99));
        assert!(window.settle(20) && window.settle(40));
        assert_eq!((window.advance(), window.len(), window.ahead(), window.out()), (Some((5, 3)), 0, 0, 0));
    }

    #[test]
    fn after_a_rewind_what_is_settled_is_not_handed_out_again() {
        let mut window = window(0..3);
        window.settle(10);
        let again: Vec<_> = (0..4).map(|number| window.hand_out(number, number * 10, 1)).collect();
        assert_eq!(again, [Handing::Again, Handing::Not, Handing::Again, Handing::First]);
    }

    #[test]
    fn lost_and_expired_ones_are_passed_and_counted_once() {
        let mut window = window(0..2);
        assert!(window.skip(2, 20, 1) && !window.skip(2, 20, 1));
        assert_eq!(window.miss(3, 10), 7);
        assert_eq!(window.hand_out(10, 100, 1), Handing::First);
        assert_eq!(window.miss(3, 10), 0);
        assert!(window.settle(100) && window.settle(10));
        assert_eq!(window.miss(0, 11), 1, "one that was handed out is gone now");
        assert_eq!((window.advance(), window.len()), (Some((11, 4)), 0));
    }

    #[test]
    fn what_is_dropped_is_not_settled_any_more() {
        let mut window = window(0..4);
        window.settle(10);
        assert_eq!(window.forget_before(3), 1);
        assert!(!window.settle(0) && !window.settle(10) && !window.settle(20) && window.settle(30));
        assert_eq!(window.advance(), Some((4, 1)));
        window.miss(4, 20);
        assert_eq!(window.forget_before(10), 6);
        assert_eq!((window.ahead(), window.advance()), (10, Some((20, 0))));
    }
}
