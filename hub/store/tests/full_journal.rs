//! A journal in which all the room is taken: what is settled is saved and lets go of room, whoever waits is woken, and no more is
//! dropped than has to be.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edge_store::journal::DISK_PAUSE;
use edge_store::{AppendError, Journal, JournalOptions, OnFull, QueueReader, Quota, Record};
use support::{MemoryDisk, Operation, SMALL, TestClock, open, open_with, queue, to, until};

const DROPPING: JournalOptions = JournalOptions { on_full: OnFull::DropOldest, ..SMALL };
const SEGMENT: u64 = SMALL.segment_bytes;
/// About five fill a segment.
const LARGE: usize = 10_000;

async fn append(journal: &Journal, name: &str, bytes: usize) -> Result<(), AppendError> {
    journal.append(&to([name]), Bytes::from(vec![7; bytes])).await
}

/// Appends for an endpoint until it is refused. Cursors still fit into the newest segment.
async fn fill(journal: &Journal, name: &str) {
    while append(journal, name, LARGE).await.is_ok() {}
}

/// The same to the last byte: not even cursors fit, but where room is kept for them.
async fn fill_up(journal: &Journal, name: &str) {
    fill(journal, name).await;
    while append(journal, name, 1).await.is_ok() {}
}

/// Appends small records for an endpoint until it holds so many bytes.
async fn hold(journal: &Journal, name: &str, bytes: u64) {
    let held = || journal.usage().endpoints.iter().find(|usage| usage.endpoint == queue(name)).map_or(0, |usage| usage.bytes);
    while held() < bytes {
        let batch = vec![(to([name]), Bytes::from(vec![7; 100])); 50];
        journal.appender().submit_batch(batch).await.await.unwrap();
    }
}

async fn read(reader: &mut QueueReader, records: u64) -> Vec<Record> {
    let mut read = Vec::new();
    while (read.len() as u64) < records {
        read.push(reader.next().await.unwrap());
    }
    read
}

fn depth(journal: &Journal, name: &str) -> u64 {
    journal.queues().iter().filter(|usage| usage.endpoint == queue(name)).map(|usage| usage.depth).sum()
}

/// Settles all these, and waits until that has been written.
async fn settle_and_save(disk: &MemoryDisk, reader: &mut QueueReader, records: &[Record]) {
    let writes = disk.writes();
    assert_eq!(reader.settle_all(records.iter().map(|record| record.offset)), records.len());
    until(|| disk.writes() > writes).await;
}

#[tokio::test]
async fn a_journal_whose_readers_are_done_takes_appends_again() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    fill(&journal, "a").await;
    let mut reader = journal.reader(&queue("a")).unwrap();
    let records = read(&mut reader, depth(&journal, "a")).await;
    settle_and_save(&disk, &mut reader, &records).await;
    append(&journal, "a", LARGE).await.unwrap();
}

#[tokio::test]
async fn nothing_is_dropped_for_room_that_only_has_to_be_synced() {
    let disk = MemoryDisk::new();
    let (journal, _) = open_with(&disk, &TestClock::new(1), DROPPING);
    append(&journal, "dead", 100).await.unwrap();
    let (mut used, mut fit, mut more) = (SEGMENT, 0, 0);
    while used < SMALL.max_bytes {
        append(&journal, "a", LARGE).await.unwrap();
        more += 1;
        if journal.usage().bytes_used > used {
            (used, fit, more) = (journal.usage().bytes_used, more, 0);
        }
    }
    // The newest segment as full as those before.
    for _ in 1..fit {
        append(&journal, "a", LARGE).await.unwrap();
    }
    let mut reader = journal.reader(&queue("a")).unwrap();
    let records = read(&mut reader, depth(&journal, "a")).await;
    settle_and_save(&disk, &mut reader, &records).await;
    append(&journal, "a", LARGE).await.unwrap();
    assert_eq!(journal.usage().totals.dropped, 0);
}

#[tokio::test]
async fn a_sender_is_woken_by_what_the_reader_of_another_endpoint_lets_go_of() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    journal.set_endpoints(&[queue("x"), queue("y")]);
    hold(&journal, "y", 8 * SEGMENT).await;
    let appender = Arc::new(journal.appender());
    fill(&journal, "x").await;
    let refused = appender.submit(&to(["x"]), Bytes::from(vec![7; LARGE])).await.await;
    assert_eq!(refused, Err(AppendError::EndpointFull { endpoint: queue("x") }));
    let waiting = tokio::spawn({
        let appender = Arc::clone(&appender);
        async move { appender.writable().await }
    });
    tokio::task::yield_now().await;
    // About half, in steps that the reader's window has room for; nobody appends meanwhile.
    let mut reader = journal.reader(&queue("y")).unwrap();
    let mut left = depth(&journal, "y") / 2;
    while left > 0 {
        let records = read(&mut reader, left.min(500)).await;
        left -= records.len() as u64;
        settle_and_save(&disk, &mut reader, &records).await;
    }
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("nobody wakes the sender").unwrap();
    appender.resume();
    appender.submit(&to(["x"]), Bytes::from_static(b"1")).await.await.unwrap();
}

#[tokio::test]
async fn what_is_settled_after_a_restart_is_saved_although_nothing_is_appended() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    hold(&journal, "a", 5000).await;
    for _ in 0..2 {
        disk.kill_process();
        let (journal, _) = open(&disk);
        let mut reader = journal.reader(&queue("a")).unwrap();
        let before = depth(&journal, "a");
        let records = read(&mut reader, 10).await;
        settle_and_save(&disk, &mut reader, &records).await;
        drop(reader);
        disk.kill_process();
        let (journal, _) = open(&disk);
        assert_eq!(depth(&journal, "a"), before - 10);
    }
}

/// All room is taken, and the reader of an endpoint has much of it before it.
async fn full(disk: &MemoryDisk) -> (Journal, QueueReader) {
    let (journal, _) = open(disk);
    journal.set_endpoints(&[queue("alive"), queue("dead")]);
    hold(&journal, "alive", 5 * SEGMENT).await;
    fill_up(&journal, "dead").await;
    assert_eq!(journal.usage().bytes_used, SMALL.max_bytes);
    let reader = journal.reader(&queue("alive")).unwrap();
    (journal, reader)
}

#[tokio::test]
async fn nothing_is_dropped_to_save_cursors() {
    let disk = MemoryDisk::new();
    let (journal, mut reader) = full(&disk).await;
    journal.set_quota(Quota { on_full: OnFull::DropOldest, ..journal.quota() }).unwrap();
    let records = read(&mut reader, 10).await;
    settle_and_save(&disk, &mut reader, &records).await;
    assert_eq!(journal.usage().totals.dropped, 0);
    // Senders still get their room.
    append(&journal, "alive", LARGE).await.unwrap();
    assert!(journal.usage().totals.dropped > 0);
}

#[tokio::test]
async fn a_full_journal_saves_cursors_for_ever_and_does_not_grow_by_it() {
    let disk = MemoryDisk::new();
    let (journal, mut reader) = full(&disk).await;
    let mut settled = 0;
    // A refused append has the cursors saved at once.
    for _ in 0..120 {
        let record = reader.next().await.unwrap();
        settled += u64::from(reader.settle(record.offset));
        append(&journal, "dead", LARGE).await.unwrap_err();
    }
    let usage = journal.usage();
    assert!(usage.bytes_on_disk <= SMALL.max_bytes + SEGMENT, "{usage:?}");
    assert_eq!((settled, usage.totals.dropped), (120, 0));
    let left = depth(&journal, "alive");
    drop(reader);
    journal.close().await;
    drop(journal);
    let (journal, recovery) = open(&disk);
    assert_eq!((recovery.corrupt_records, depth(&journal, "alive")), (0, left), "what was settled is handed out again");
    // Once there is room, messages are taken again.
    for name in ["alive", "dead"] {
        let mut reader = journal.reader(&queue(name)).unwrap();
        while depth(&journal, name) > 0 {
            let records = read(&mut reader, depth(&journal, name).min(500)).await;
            settle_and_save(&disk, &mut reader, &records).await;
        }
    }
    for _ in 0..20 {
        append(&journal, "dead", LARGE).await.unwrap();
    }
    until(|| journal.usage().bytes_on_disk <= SMALL.max_bytes).await;
}

#[tokio::test]
async fn a_smaller_quota_on_a_failing_disk_drops_what_is_over_it_once() {
    let disk = MemoryDisk::new();
    let (journal, _) = open_with(&disk, &TestClock::new(1), DROPPING);
    for _ in 0..60 {
        append(&journal, "a", LARGE).await.unwrap();
    }
    disk.fail(Operation::Write, 0, std::io::ErrorKind::Other);
    append(&journal, "a", LARGE).await.unwrap_err();
    let smaller = Quota { max_bytes: 6 * SEGMENT, ..journal.quota() };
    journal.set_quota(smaller).unwrap();
    for _ in 0..10 {
        append(&journal, "a", LARGE).await.unwrap_err();
    }
    disk.mend();
    append(&journal, "a", LARGE).await.unwrap();
    until(|| journal.usage().bytes_on_disk <= smaller.max_bytes).await;
    assert!(depth(&journal, "a") >= 4 * 5, "{:?}", journal.usage());
}

#[tokio::test]
async fn a_smaller_quota_drops_what_is_over_it_and_not_more_with_few_syncs() {
    let disk = MemoryDisk::new();
    let (journal, _) = open_with(&disk, &TestClock::new(1), JournalOptions { max_bytes: 64 * SEGMENT, ..DROPPING });
    while journal.usage().bytes_used < 64 * SEGMENT {
        append(&journal, "a", LARGE).await.unwrap();
    }
    let (dropped, syncs) = (journal.usage().totals.dropped, journal.usage().syncs);
    assert_eq!(dropped, 0);
    let smaller = Quota { max_bytes: 8 * SEGMENT, ..journal.quota() };
    journal.set_quota(smaller).unwrap();
    until(|| journal.usage().bytes_on_disk <= smaller.max_bytes).await;
    let usage = journal.usage();
    assert!(usage.syncs <= syncs + 4, "{usage:?}");
    assert_eq!(usage.bytes_used, smaller.max_bytes, "no more than has to go");
    assert!(depth(&journal, "a") >= 7 * 5, "{usage:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_refused_at_the_floor_of_free_space_tries_again_after_a_pause() {
    let disk = MemoryDisk::new();
    let options = JournalOptions { min_free_bytes: 1 << 20, ..SMALL };
    let (journal, _) = open_with(&disk, &TestClock::new(1), options);
    append(&journal, "a", 1).await.unwrap();
    disk.set_free_bytes(1 << 20);
    let appender = journal.appender();
    let refusal = loop {
        if let Err(refusal) = appender.submit(&to(["a"]), Bytes::from(vec![7; LARGE])).await.await {
            break refusal;
        }
    };
    assert_eq!(refusal, AppendError::DiskFull);
    let before = tokio::time::Instant::now();
    appender.writable().await;
    assert!(before.elapsed() >= DISK_PAUSE, "a sender that asks for ever");
}
