//! The cleaner: that it makes room where it can, that nobody waits long for it, and that its own troubles cost nothing.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use edge_store::{AppendError, Appender, Destination, Destinations, Journal, JournalOptions, OnFull, QueueReader, Quota};
use support::{MemoryDisk, Operation, SMALL, TestClock, open, open_at, open_with, queue, read_to_end, to, until};

const DROPPING: JournalOptions = JournalOptions { on_full: OnFull::DropOldest, ..SMALL };
const LONG: Duration = Duration::from_secs(30);

fn payload(number: u32) -> Bytes {
    format!("{number:01000}").into()
}

fn number_of(payload: &Bytes) -> u32 {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}

/// A journal in which most of every segment is settled, and one record in ten is not.
struct Sparse {
    journal: Journal,
    alive: QueueReader,
    number: u32,
    for_dead: Vec<u32>,
}

impl Sparse {
    fn new(disk: &MemoryDisk, options: JournalOptions) -> Self {
        let (journal, _) = open_with(disk, &TestClock::new(1), options);
        let alive = journal.reader(&queue("alive")).unwrap();
        Self { journal, alive, number: 0, for_dead: Vec::new() }
    }

    /// Appends the next record, and settles it at once unless it is for the dead endpoint.
    async fn add(&mut self) -> Result<(), AppendError> {
        let number = self.number;
        let is_for_dead = number.is_multiple_of(10);
        let endpoints = if is_for_dead { to(["dead"]) } else { to(["alive"]) };
        let appended = tokio::time::timeout(LONG, self.journal.append(&endpoints, payload(number)));
        appended.await.expect("a sender waits for ever")?;
        self.number += 1;
        if is_for_dead {
            self.for_dead.push(number);
        } else {
            let record = self.alive.next().await.unwrap();
            assert!(self.alive.settle(record.offset));
        }
        Ok(())
    }

    async fn fill(&mut self, segments: u64) {
        while self.journal.usage().segments < segments {
            self.add().await.unwrap();
        }
    }

    async fn fill_until_refused(&mut self) -> AppendError {
        loop {
            if let Err(refusal) = self.add().await {
                return refusal;
            }
        }
    }

    /// What was appended for the dead endpoint is there, and nothing else.
    async fn check(self) {
        let totals = self.journal.usage().totals;
        assert_eq!((totals.dropped, totals.lost), (0, 0));
        self.journal.close().await;
        let found = read_to_end(&mut self.journal.reader(&queue("dead")).unwrap()).await;
        assert_eq!(found.iter().map(|record| number_of(&record.payload)).collect::<Vec<_>>(), self.for_dead);
    }
}

async fn tried_again(appender: &Appender, endpoints: &Destinations) {
    let tries = async {
        while appender.submit(endpoints, payload(0)).await.await.is_err() {
            appender.writable().await;
            appender.resume();
        }
    };
    tokio::time::timeout(LONG, tries).await.expect("nobody wakes the sender");
}

/// The bytes of all files that hold records, or are to.
fn bytes_of_files(disk: &MemoryDisk) -> u64 {
    disk.sizes().iter().filter(|(name, _)| !name.contains("lock")).map(|(_, bytes)| *bytes).sum()
}

#[tokio::test]
async fn senders_do_not_wait_for_a_cleaner_that_takes_its_time_and_are_woken_when_it_is_done() {
    let disk = MemoryDisk::new();
    let mut sparse = Sparse::new(&disk, SMALL);
    let held = disk.hold_the_cleaner();
    let refusal = sparse.fill_until_refused().await;
    assert_eq!(refusal, AppendError::Full { max_bytes: SMALL.max_bytes });
    // Not every sender is kept waiting for it.
    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(sparse.add().await, Err(refusal.clone()));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let appender = sparse.journal.appender();
    let waiting = tokio::spawn(async move { tried_again(&appender, &to(["other"])).await });
    held.release();
    waiting.await.unwrap();
    assert!(sparse.journal.usage().moved_bytes > 0);
    sparse.check().await;
}

#[tokio::test]
async fn what_is_over_a_smaller_quota_is_moved_together_before_anything_is_dropped() {
    let disk = MemoryDisk::new();
    let mut sparse = Sparse::new(&disk, DROPPING);
    sparse.fill(10).await;
    assert_eq!(sparse.journal.usage().moved_bytes, 0, "there is room enough");
    let smaller = Quota { max_bytes: 5 * SMALL.segment_bytes, ..sparse.journal.quota() };
    sparse.journal.set_quota(smaller).unwrap();
    until(|| sparse.journal.usage().bytes_on_disk <= smaller.max_bytes).await;
    sparse.check().await;
}

#[tokio::test]
async fn a_journal_over_its_quota_takes_records_again_once_most_of_what_it_holds_is_settled() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    let mut number = 0;
    let mut for_dead = 0;
    while journal.usage().segments < 8 {
        let endpoint = if number % 10 == 0 { to(["dead"]) } else { to(["alive"]) };
        for_dead += u32::from(number % 10 == 0);
        journal.append(&endpoint, payload(number)).await.unwrap();
        number += 1;
    }
    journal.set_quota(Quota { max_bytes: 3 * SMALL.segment_bytes, ..journal.quota() }).unwrap();
    // As many more as there is room for in the segment begun last.
    while journal.append(&to(["alive"]), payload(number)).await.is_ok() {
        number += 1;
        assert!(number < 1000);
    }
    while journal.append(&to(["other"]), payload(0)).await.is_ok() {}
    let waiting = [to(["alive"]), to(["other"])].map(|endpoint| {
        let appender = journal.appender();
        tokio::spawn(async move { tried_again(&appender, &endpoint).await })
    });
    let mut alive = journal.reader(&queue("alive")).unwrap();
    for _ in 0..number - for_dead {
        let record = alive.next().await.unwrap();
        assert!(alive.settle(record.offset));
    }
    for sender in waiting {
        sender.await.unwrap();
    }
    assert!(journal.usage().moved_bytes > 0);
    assert_eq!(journal.usage().totals.lost, 0);
}

#[tokio::test]
async fn whoever_waits_for_room_is_woken_when_what_takes_it_expires() {
    let (disk, clock) = (MemoryDisk::new(), TestClock::new(1));
    let (journal, _) = open_at(&disk, &clock);
    let short = Destination { time_to_live: Some(Duration::from_mins(1)), ..Destination::new(queue("a")) };
    let short = Destinations::from(short);
    let appender = journal.appender();
    while appender.submit(&short, payload(0)).await.await.is_ok() {}
    let waiting = tokio::spawn(async move {
        appender.writable().await;
        appender.resume();
        appender.submit(&to(["a"]), payload(0)).await.await
    });
    // It waits before anything expires.
    tokio::task::yield_now().await;
    clock.pass(Duration::from_secs(61));
    tokio::time::timeout(LONG, waiting).await.expect("nobody wakes the sender").unwrap().unwrap();
    assert!(journal.usage().totals.expired > 0);
}

#[tokio::test]
async fn a_segment_that_goes_away_before_the_cleaner_opens_it_stops_nothing() {
    let disk = MemoryDisk::new();
    let mut sparse = Sparse::new(&disk, DROPPING);
    let held = disk.hold_the_cleaner();
    let mut dead = sparse.journal.reader(&queue("dead")).unwrap();
    sparse.fill(15).await;
    disk.cleaner_is_held().await;
    // What the oldest segments hold is settled, and with a smaller quota their files are removed.
    for _ in 0..sparse.for_dead.len() / 4 {
        let record = dead.next().await.unwrap();
        assert!(dead.settle(record.offset));
        sparse.for_dead.remove(0);
    }
    let smaller = Quota { max_bytes: 6 * SMALL.segment_bytes, ..sparse.journal.quota() };
    sparse.journal.set_quota(smaller).unwrap();
    until(|| !disk.segments().contains(&"00000.seg".to_owned())).await;
    held.release();
    until(|| sparse.journal.usage().bytes_on_disk <= smaller.max_bytes).await;
    drop(dead);
    sparse.check().await;
}

#[tokio::test]
async fn damage_that_the_cleaner_meets_is_counted_and_the_file_is_not_used_again() {
    let disk = MemoryDisk::new();
    let mut sparse = Sparse::new(&disk, DROPPING);
    sparse.fill(6).await;
    let victim = sparse.for_dead.remove(sparse.for_dead.len() / 2);
    let wanted = payload(victim);
    let holds = |bytes: &[u8]| bytes.windows(wanted.len()).position(|window| window == wanted);
    let file = disk.segments().into_iter().find(|name| holds(&disk.bytes(name)).is_some()).unwrap();
    disk.damage(&file, |bytes| {
        let at = holds(bytes).unwrap();
        bytes[at] ^= 1;
    });
    while sparse.journal.usage().moved_bytes == 0 {
        sparse.add().await.unwrap();
    }
    until(|| !disk.segments().contains(&file)).await;
    assert_eq!(sparse.journal.usage().corrupt_records, 1);
    sparse.journal.close().await;
    let found = read_to_end(&mut sparse.journal.reader(&queue("dead")).unwrap()).await;
    assert_eq!(found.iter().map(|record| number_of(&record.payload)).collect::<Vec<_>>(), sparse.for_dead);
    assert_eq!(sparse.journal.usage().totals.lost, 1);
}

#[tokio::test]
async fn below_the_floor_of_free_space_nothing_is_moved_and_it_is_tried_again_later() {
    let disk = MemoryDisk::new();
    let mut sparse = Sparse::new(&disk, JournalOptions { min_free_bytes: 1 << 20, ..DROPPING });
    sparse.fill(13).await;
    disk.set_free_bytes(1 << 20);
    assert_eq!(disk.cleaners_looks_at_free_bytes(), 0);
    // Now room is short.
    sparse.journal.set_quota(Quota { max_bytes: 14 * SMALL.segment_bytes, ..sparse.journal.quota() }).unwrap();
    let free = disk.names().len();
    for _ in 0..10 {
        sparse.add().await.unwrap();
    }
    until(|| disk.cleaners_looks_at_free_bytes() > 0).await;
    assert_eq!((sparse.journal.usage().moved_bytes, disk.names().len()), (0, free));
    disk.set_free_bytes(1 << 30);
    until(|| sparse.journal.usage().moved_bytes > 0).await;
    sparse.check().await;
}

#[tokio::test]
async fn of_a_move_that_fails_nothing_is_left() {
    let disk = MemoryDisk::new();
    let mut sparse = Sparse::new(&disk, SMALL);
    let held = disk.hold_the_cleaner();
    sparse.fill_until_refused().await;
    disk.fail(Operation::SyncDirectory, 0, std::io::ErrorKind::Other);
    disk.fail(Operation::Remove, 0, std::io::ErrorKind::Other);
    let before = disk.segments().len();
    held.release();
    // The copy has its name, which may not be on disk, and cannot be removed.
    until(|| disk.segments().len() > before).await;
    disk.mend();
    let appender = sparse.journal.appender();
    tried_again(&appender, &to(["other"])).await;
    until(|| bytes_of_files(&disk) == sparse.journal.usage().bytes_on_disk).await;
    sparse.check().await;
}
