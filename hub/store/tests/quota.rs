//! The room of the journal: who yields when there is none left, that nobody starves, and that every record is accounted for.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edge_store::{
    AppendError, Counts, Destination, Destinations, Journal, JournalOptions, OnFull, Priority, Problem, Quota, Usage,
};
use support::{MemoryDisk, SMALL, TestClock, open, open_with, queue, read_to_end, to, until};

const DROPPING: JournalOptions = JournalOptions { on_full: OnFull::DropOldest, ..SMALL };

fn payload(number: u32) -> Bytes {
    format!("{number:01000}").into()
}

fn number_of(payload: &Bytes) -> u32 {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}

/// Every record is accounted for, and the files take no more than they may: records are moved to one more, cursors saved in another.
fn check(journal: &Journal) -> Usage {
    let usage = journal.usage();
    let depth: u64 = usage.queues.iter().map(|queue| queue.depth).sum();
    let Counts { appended, settled, dropped, expired, lost, retired } = usage.totals;
    assert_eq!(appended, settled + dropped + expired + lost + retired + depth, "{usage:?}");
    assert!(usage.bytes_on_disk <= usage.bytes_max + 2 * SMALL.segment_bytes, "{usage:?}");
    usage
}

async fn append(journal: &Journal, endpoints: &Destinations, number: u32) -> Result<(), AppendError> {
    journal.append(endpoints, payload(number)).await
}

#[tokio::test]
async fn the_oldest_of_the_endpoint_that_holds_most_are_dropped_and_the_sum_is_exact() {
    let disk = MemoryDisk::new();
    let (journal, _) = open_with(&disk, &TestClock::new(1), DROPPING);
    let mut reader = journal.reader(&queue("alive")).unwrap();
    let (mut delivered, mut published) = (0_u64, 0_u64);
    for number in 0..4000 {
        append(&journal, &to(["dead"]), number).await.unwrap();
        published += 1;
        if number % 4 == 0 {
            append(&journal, &to(["alive"]), number).await.unwrap();
            published += 1;
            let record = reader.next().await.unwrap();
            assert_eq!(number_of(&record.payload), number, "none of the living endpoint's is dropped");
            delivered += u64::from(reader.settle(record.offset));
        }
        if number % 97 == 0 {
            check(&journal);
        }
    }
    let usage = check(&journal);
    let dead = usage.queues.iter().find(|usage| usage.endpoint == queue("dead")).unwrap();
    assert_eq!(published, delivered + usage.totals.dropped + dead.depth);
    assert!(usage.totals.dropped > 2000, "{usage:?}");
    assert!(dead.bytes > usage.bytes_max / 2, "the room is used: {usage:?}");
    // What is left are the newest, in order.
    let depth = u32::try_from(dead.depth).unwrap();
    journal.close().await;
    let left = read_to_end(&mut journal.reader(&queue("dead")).unwrap()).await;
    assert!(left.iter().map(|record| number_of(&record.payload)).eq(4000 - depth..4000));
}

#[tokio::test]
async fn the_least_urgent_are_dropped_first() {
    let disk = MemoryDisk::new();
    let (journal, _) = open_with(&disk, &TestClock::new(1), DROPPING);
    let urgent = Destination { priority: Priority::new(0).unwrap(), ..Destination::new(queue("a")) };
    for number in 0..2000 {
        append(&journal, &to(["a"]), number).await.unwrap();
        if number % 10 == 0 {
            append(&journal, &Destinations::from(urgent.clone()), number).await.unwrap();
        }
    }
    let usage = check(&journal);
    assert_eq!(usage.queues[0].name(), "a_Pri0");
    assert_eq!((usage.queues[0].depth, usage.queues[0].counts.dropped), (200, 0));
    assert!(usage.queues[1].counts.dropped > 500);
}

#[tokio::test]
async fn what_is_dropped_in_flight_is_not_settled_as_well() {
    let disk = MemoryDisk::new();
    let (journal, _) = open_with(&disk, &TestClock::new(1), DROPPING);
    let mut reader = journal.reader(&queue("a")).unwrap();
    let mut in_flight = Vec::new();
    for number in 0..3000 {
        append(&journal, &to(["a"]), number).await.unwrap();
        if number < 50 {
            in_flight.push(reader.next().await.unwrap().offset);
        }
    }
    assert_eq!(reader.settle_all(in_flight), 0);
    let usage = check(&journal);
    assert_eq!(usage.totals.settled, 0);
    let first = reader.next().await.unwrap();
    assert_eq!(u64::from(number_of(&first.payload)), usage.totals.dropped, "reading goes on behind what was dropped");
}

#[tokio::test]
async fn only_senders_to_the_full_endpoint_are_refused_and_they_are_woken() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    journal.set_endpoints(&[queue("dead"), queue("alive")]);
    let appender = Arc::new(journal.appender());
    let mut taken = 0;
    let refusal = loop {
        match appender.submit(&to(["dead"]), payload(taken)).await.await {
            Ok(()) => taken += 1,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal, AppendError::EndpointFull { endpoint: queue("dead") });
    assert_eq!(*journal.problem().borrow(), Some(Problem::EndpointFull { endpoint: queue("dead") }));
    let usage = check(&journal);
    let dead = usage.endpoints.iter().find(|usage| usage.endpoint == queue("dead")).unwrap();
    assert!(dead.refusing && dead.bytes > usage.bytes_max / 2 && dead.bytes < usage.bytes_max, "{usage:?}");

    // The other goes on, for far more than its part, as long as somebody reads it.
    let mut reader = journal.reader(&queue("alive")).unwrap();
    for number in 0..3000 {
        append(&journal, &to(["alive"]), number).await.unwrap();
        let record = reader.next().await.unwrap();
        assert!(reader.settle(record.offset));
    }
    assert_eq!(append(&journal, &to(["dead"]), 0).await, Err(AppendError::EndpointFull { endpoint: queue("dead") }));
    // And when nobody does, it has its part.
    let mut backlog = 0;
    while append(&journal, &to(["alive"]), backlog).await.is_ok() {
        backlog += 1;
    }
    assert!(u64::from(backlog) * 1000 > usage.bytes_max / 5, "{backlog}");
    check(&journal);

    let waiting = tokio::spawn({
        let appender = Arc::clone(&appender);
        async move { appender.writable().await }
    });
    let mut dead = journal.reader(&queue("dead")).unwrap();
    for number in 0..taken {
        let record = dead.next().await.unwrap();
        assert_eq!(number_of(&record.payload), number);
        assert!(dead.settle(record.offset));
    }
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("nobody wakes the sender").unwrap();
    appender.resume();
    appender.submit(&to(["dead"]), payload(0)).await.await.unwrap();
    check(&journal);
}

#[tokio::test]
async fn a_smaller_quota_takes_effect_at_once_where_records_may_be_dropped() {
    let disk = MemoryDisk::new();
    let (journal, _) = open_with(&disk, &TestClock::new(1), DROPPING);
    for number in 0..800 {
        append(&journal, &to(["a"]), number).await.unwrap();
    }
    let smaller = Quota { max_bytes: 4 * SMALL.segment_bytes, ..journal.quota() };
    assert!(journal.set_quota(Quota { max_bytes: SMALL.segment_bytes, ..smaller }).is_err());
    journal.set_quota(smaller).unwrap();
    until(|| journal.usage().bytes_on_disk <= smaller.max_bytes).await;
    assert!(check(&journal).totals.dropped > 400);
    journal.set_quota(Quota { max_bytes: 32 * SMALL.segment_bytes, ..smaller }).unwrap();
    let before = check(&journal).totals.dropped;
    for number in 0..1500 {
        append(&journal, &to(["a"]), number).await.unwrap();
    }
    assert_eq!(check(&journal).totals.dropped, before);
}

#[tokio::test]
async fn below_the_floor_of_free_space_no_file_is_created() {
    let disk = MemoryDisk::new();
    let options = JournalOptions { min_free_bytes: 1 << 20, ..DROPPING };
    let (journal, _) = open_with(&disk, &TestClock::new(1), options);
    for number in 0..200 {
        append(&journal, &to(["a"]), number).await.unwrap();
    }
    let files = disk.segments().len();
    disk.set_free_bytes(1 << 20);
    for number in 0..500 {
        append(&journal, &to(["a"]), number).await.unwrap();
    }
    assert_eq!(disk.segments().len(), files);
    assert!(check(&journal).totals.dropped > 0);
    let mut quota = journal.quota();
    quota.on_full = OnFull::RejectNew;
    journal.set_quota(quota).unwrap();
    let refused = async { while append(&journal, &to(["a"]), 0).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(30), refused).await.expect("more is taken than there are files for");
    check(&journal);
}

#[tokio::test]
async fn what_a_dead_endpoint_needs_of_sparse_segments_is_moved_together_and_nothing_is_lost() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    let mut reader = journal.reader(&queue("alive")).unwrap();
    // One in ten is for the dead endpoint: without moving, its records would hold all segments after a tenth of the room.
    let mut for_dead = Vec::new();
    for number in 0..4000 {
        if number % 10 == 0 {
            append(&journal, &to(["dead"]), number).await.unwrap();
            for_dead.push(number);
        } else {
            append(&journal, &to(["alive"]), number).await.unwrap();
            let record = reader.next().await.unwrap();
            assert!(reader.settle(record.offset));
        }
        if number % 101 == 0 {
            check(&journal);
        }
    }
    let usage = check(&journal);
    assert_eq!((usage.totals.dropped, usage.totals.lost), (0, 0));
    assert!(usage.moved_bytes > 0, "{usage:?}");
    // Each byte of the dead endpoint's was moved two times or three, and others hardly ever.
    assert!(usage.moved_bytes < 4 * 400 * 1100, "{usage:?}");
    drop(reader);
    disk.kill_process();
    let (journal, recovery) = open(&disk);
    assert_eq!((recovery.corrupt_records, recovery.damaged_segments), (0, 0));
    journal.close().await;
    let found = read_to_end(&mut journal.reader(&queue("dead")).unwrap()).await;
    assert_eq!(found.iter().map(|record| number_of(&record.payload)).collect::<Vec<_>>(), for_dead);
    assert_eq!(journal.usage().totals.lost, 0);
}
