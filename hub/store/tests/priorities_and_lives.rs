//! Priority strictly first, order within; records that are too old are not handed out; time that jumps expires nothing.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use edge_store::{Counts, Destination, Destinations, Journal, Priority, QueueReader};
use support::{MemoryDisk, TestClock, close_and_read, open, open_at, queue, texts, to};

fn at(endpoint: &str, priority: Option<u8>, seconds: Option<u64>) -> Destinations {
    Destinations::from(Destination {
        endpoint: queue(endpoint),
        priority: priority.map_or(Priority::DEFAULT, |number| Priority::new(number).unwrap()),
        time_to_live: seconds.map(Duration::from_secs),
    })
}

async fn append(journal: &Journal, destinations: &Destinations, text: &str) {
    journal.append(destinations, Bytes::from(text.to_owned())).await.unwrap();
}

async fn next(reader: &mut QueueReader) -> String {
    let record = reader.next().await.unwrap();
    assert!(reader.settle(record.offset));
    String::from_utf8(record.payload.to_vec()).unwrap()
}

fn counts(journal: &Journal) -> Counts {
    let usage = journal.usage();
    let depth: u64 = usage.queues.iter().map(|queue| queue.depth).sum();
    let Counts { appended, settled, dropped, expired, lost, retired } = usage.totals;
    assert_eq!(appended, settled + dropped + expired + lost + retired + depth, "{usage:?}");
    usage.totals
}

#[tokio::test]
async fn the_most_urgent_goes_first_and_each_priority_keeps_its_order() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    for number in 0..30 {
        let priority = [None, Some(9), Some(0)][number % 3];
        append(&journal, &at("a", priority, None), &number.to_string()).await;
    }
    let expected: Vec<_> =
        (2..30).step_by(3).chain((1..30).step_by(3)).chain((0..30).step_by(3)).map(|n| n.to_string()).collect();
    let names: Vec<_> = journal.queues().iter().map(edge_store::QueueUsage::name).collect();
    assert_eq!(names, ["a_Pri0", "a_Pri9", "a"]);
    assert_eq!(texts(&close_and_read(&journal, "a").await), expected);
    let (journal, recovery) = open(&disk);
    assert_eq!(recovery.pending, 30);
    assert_eq!(texts(&close_and_read(&journal, "a").await), expected, "and so after a restart");
}

#[tokio::test]
async fn an_urgent_record_goes_out_next_while_a_backlog_is_read_ahead() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    for number in 0..100 {
        append(&journal, &to(["a"]), &number.to_string()).await;
    }
    let mut reader = journal.reader(&queue("a")).unwrap();
    assert_eq!(next(&mut reader).await, "0");
    for urgent in ["x", "y"] {
        append(&journal, &at("a", Some(5), None), urgent).await;
    }
    append(&journal, &at("a", Some(4), None), "z").await;
    for expected in ["z", "x", "y", "1", "2"] {
        assert_eq!(next(&mut reader).await, expected);
    }
}

#[tokio::test]
async fn after_a_rewind_priorities_count_and_what_is_settled_stays_settled() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    for number in 0..4 {
        append(&journal, &to(["a"]), &number.to_string()).await;
    }
    let mut reader = journal.reader(&queue("a")).unwrap();
    let mut records = Vec::new();
    while records.len() < 3 {
        reader.next_batch(&mut records, 3, usize::MAX).await.unwrap();
    }
    assert!(reader.settle(records[1].offset));
    append(&journal, &at("a", Some(1), None), "urgent").await;
    reader.rewind();
    let mut again = Vec::new();
    for _ in 0..4 {
        let record = reader.next().await.unwrap();
        again.push((String::from_utf8(record.payload.to_vec()).unwrap(), record.redelivered));
    }
    assert_eq!(again, [("urgent", false), ("0", true), ("2", true), ("3", false)].map(|(text, again)| (text.to_owned(), again)));
    drop(reader);
    let mut reader = journal.reader(&queue("a")).unwrap();
    let record = reader.next().await.unwrap();
    assert!(record.redelivered, "another reader is told, too");
    assert_eq!(counts(&journal).settled, 1);
}

#[tokio::test]
async fn a_record_past_its_life_is_skipped_and_counted_and_one_in_flight_is_not() {
    let (disk, clock) = (MemoryDisk::new(), TestClock::new(1));
    let (journal, _) = open_at(&disk, &clock);
    append(&journal, &at("a", None, Some(10)), "short").await;
    append(&journal, &at("a", None, Some(10)), "also short").await;
    append(&journal, &at("a", None, None), "for ever").await;
    append(&journal, &at("a", None, Some(100)), "long").await;
    let mut reader = journal.reader(&queue("a")).unwrap();
    let in_flight = reader.next().await.unwrap();
    clock.pass(Duration::from_secs(10));
    assert_eq!(next(&mut reader).await, "for ever");
    assert_eq!(next(&mut reader).await, "long");
    assert!(reader.settle(in_flight.offset), "it was handed out in time");
    assert_eq!(counts(&journal), Counts { appended: 4, settled: 3, expired: 1, ..Counts::default() });
}

#[tokio::test]
async fn each_destination_has_a_life_of_its_own() {
    let (disk, clock) = (MemoryDisk::new(), TestClock::new(1));
    let (journal, _) = open_at(&disk, &clock);
    let both = Destinations::new(vec![at("a", None, Some(5))[0].clone(), at("b", None, Some(50))[0].clone()]).unwrap();
    append(&journal, &both, "x").await;
    clock.pass(Duration::from_secs(6));
    assert_eq!(texts(&close_and_read(&journal, "a").await), [""; 0]);
    assert_eq!(texts(&close_and_read(&journal, "b").await), ["x"]);
}

#[tokio::test]
async fn time_while_the_process_was_away_counts_if_the_machine_stayed_up() {
    let (disk, clock) = (MemoryDisk::new(), TestClock::new(1));
    let (journal, _) = open_at(&disk, &clock);
    append(&journal, &at("a", None, Some(60)), "x").await;
    append(&journal, &at("a", None, Some(61)), "y").await;
    journal.close().await;
    clock.pass(Duration::from_mins(1));
    let (journal, _) = open_at(&disk, &clock);
    assert_eq!(texts(&close_and_read(&journal, "a").await), ["y"]);
}

#[tokio::test]
async fn over_a_restart_of_the_machine_life_goes_on_where_it_was() {
    let (disk, clock) = (MemoryDisk::new(), TestClock::new(1));
    clock.pass(Duration::from_secs(1_000_000));
    let (journal, _) = open_at(&disk, &clock);
    append(&journal, &at("a", None, Some(60)), "x").await;
    clock.pass(Duration::from_secs(40));
    journal.close().await;
    // The boot clock begins anew, and nobody knows for how long the machine was off.
    clock.restart_machine(2);
    clock.pass(Duration::from_secs(19));
    let (journal, _) = open_at(&disk, &clock);
    assert_eq!(journal.queues()[0].depth, 1);
    clock.pass(Duration::from_secs(19));
    append(&journal, &to(["b"]), "").await;
    let mut reader = journal.reader(&queue("a")).unwrap();
    let record = reader.next().await.unwrap();
    assert_eq!(record.payload, "x");
    drop(reader);
    clock.pass(Duration::from_secs(1));
    assert_eq!(texts(&close_and_read(&journal, "a").await), [""; 0]);
}

#[tokio::test]
async fn what_expires_in_a_queue_nobody_reads_is_ended_without_being_read() {
    let (disk, clock) = (MemoryDisk::new(), TestClock::new(1));
    let (journal, _) = open_at(&disk, &clock);
    for number in 0..300 {
        append(&journal, &at("a", Some(3), Some(60)), &format!("{number:01000}")).await;
    }
    assert!(journal.usage().segments > 3);
    clock.pass(Duration::from_secs(61));
    // Nothing may be read for it.
    disk.fail(support::Operation::Read, 0, std::io::ErrorKind::Other);
    support::until(|| journal.usage().queues.iter().all(|queue| queue.depth == 0)).await;
    append(&journal, &to(["b"]), "x").await;
    assert_eq!(journal.usage().segments, 1, "and the room is free");
    assert_eq!(counts(&journal).expired, 300);
}
