//! Many appends share one fsync, and each is answered after the one that covers it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use edge_store::journal::{MAX_WAITING_BYTES, WAITING_OVERHEAD_BYTES};
use edge_store::{AppendError, BatchRefused, Journal, JournalOptions, OnFull};
use futures::future::join_all;
use support::{DIRECTORY, MemoryDisk, Operation, Process, open, queue, to};

/// Large enough that no segment ends during a test.
const ROOMY: JournalOptions =
    JournalOptions { segment_bytes: 4 * 1024 * 1024, max_bytes: 64 * 1024 * 1024, on_full: OnFull::RejectNew, min_free_bytes: 0 };

fn roomy(disk: &MemoryDisk) -> Journal {
    Journal::open_on(Arc::new(Process::new(disk)), DIRECTORY.as_ref(), ROOMY).unwrap().0
}

#[tokio::test]
async fn a_thousand_concurrent_appends_to_twenty_queues_share_a_few_syncs() {
    let disk = MemoryDisk::new();
    let journal = roomy(&disk);
    // The first append creates the segment, which syncs by itself.
    journal.append(&to(["0"]), Bytes::new()).await.unwrap();
    let release = disk.hold_syncs();
    let before = disk.syncs();
    let mut pending = Vec::new();
    let appender = journal.appender();
    for number in 0..1000 {
        pending.push(appender.submit(&to([&(number % 20).to_string()]), Bytes::from_static(b"x")).await);
    }
    release.release();
    for outcome in join_all(pending).await {
        outcome.unwrap();
    }
    let syncs = disk.syncs() - before;
    // The one that was held, with whatever it had caught, and one for all that gathered meanwhile.
    assert!((1..=2).contains(&syncs), "{syncs} syncs");
    assert_eq!(journal.queues().iter().map(|usage| usage.depth).sum::<u64>(), 1001);
}

#[tokio::test]
async fn one_append_after_another_costs_one_sync_each_and_no_more() {
    let disk = MemoryDisk::new();
    let journal = roomy(&disk);
    let queues = to(["a", "b", "c"]);
    journal.append(&queues, Bytes::new()).await.unwrap();
    let mut reader = journal.reader(&queue("a")).unwrap();
    let before = disk.syncs();
    for _ in 0..50 {
        journal.append(&queues, Bytes::from_static(b"x")).await.unwrap();
        // Cursors travel with commits; they have none of their own.
        let record = reader.next().await.unwrap();
        reader.settle(record.offset);
    }
    assert_eq!(disk.syncs() - before, 50);
}

#[tokio::test]
async fn no_append_is_answered_before_its_sync() {
    let disk = MemoryDisk::new();
    let journal = roomy(&disk);
    journal.append(&to(["a"]), Bytes::new()).await.unwrap();
    let release = disk.hold_syncs();
    let appender = journal.appender();
    let mut pending = appender.submit(&to(["a"]), Bytes::from_static(b"x")).await;
    disk.sync_is_held().await;
    assert!(futures::poll!(&mut pending).is_pending());
    assert_eq!(journal.queues()[0].depth, 1, "and nobody can read it before");
    release.release();
    pending.await.unwrap();
    assert_eq!(journal.queues()[0].depth, 2);
}

#[tokio::test]
async fn a_sender_waits_while_four_mebibytes_are_on_their_way() {
    let disk = MemoryDisk::new();
    let journal = roomy(&disk);
    journal.append(&to(["a"]), Bytes::new()).await.unwrap();
    let release = disk.hold_syncs();
    let appender = journal.appender();
    let payload = Bytes::from(vec![0; 64 * 1024 - WAITING_OVERHEAD_BYTES]);
    let mut pending = Vec::new();
    for _ in 0..MAX_WAITING_BYTES / (64 * 1024) {
        pending.push(appender.submit(&to(["a"]), payload.clone()).await);
    }
    let queues = to(["a"]);
    let mut one_more = Box::pin(appender.submit(&queues, payload.clone()));
    assert!(futures::poll!(&mut one_more).is_pending());
    release.release();
    one_more.await.await.unwrap();
    for outcome in join_all(pending).await {
        outcome.unwrap();
    }
}

#[tokio::test]
async fn after_a_failure_nothing_of_a_sender_is_accepted_until_it_resumes_and_others_are() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    journal.append(&to(["a"]), Bytes::new()).await.unwrap();
    let (first, second) = (journal.appender(), journal.appender());
    disk.fail(Operation::Sync, 0, std::io::ErrorKind::Other);
    let failed = first.submit(&to(["a"]), Bytes::from_static(b"1")).await.await;
    assert!(matches!(failed, Err(AppendError::Disk { operation: "sync", .. })), "{failed:?}");
    disk.mend();
    let behind = first.submit(&to(["a"]), Bytes::from_static(b"2")).await.await;
    assert_eq!(behind, Err(AppendError::Behind));
    second.submit(&to(["a"]), Bytes::from_static(b"3")).await.await.unwrap();
    first.resume();
    first.submit(&to(["a"]), Bytes::from_static(b"1 again")).await.await.unwrap();
}

fn batch(destinations: &edge_store::Destinations, numbers: std::ops::Range<u32>) -> Vec<(edge_store::Destinations, Bytes)> {
    numbers.map(|number| (destinations.clone(), Bytes::from(number.to_string()))).collect()
}

#[tokio::test]
async fn a_batch_is_answered_once_with_one_sync_and_read_in_its_order() {
    let disk = MemoryDisk::new();
    let journal = roomy(&disk);
    let queues = to(["a", "b"]);
    journal.append(&queues, Bytes::from_static(b"first")).await.unwrap();
    let before = disk.syncs();
    let appender = journal.appender();
    appender.submit_batch(batch(&queues, 0..1000)).await.await.unwrap();
    assert_eq!(disk.syncs() - before, 1);
    appender.submit_batch(Vec::new()).await.await.unwrap();
    let mut reader = journal.reader(&queue("b")).unwrap();
    let mut records = Vec::new();
    while records.len() < 1001 {
        let count = reader.next_batch(&mut records, 100, 1 << 20).await.unwrap();
        assert!((1..=100).contains(&count));
    }
    let expected = std::iter::once("first".to_owned()).chain((0..1000).map(|number| number.to_string()));
    assert!(records.iter().map(|record| record.payload.to_vec()).eq(expected.map(String::into_bytes)));
    assert_eq!(reader.settle_all(records.iter().map(|record| record.offset)), 1001);
    assert_eq!(reader.settle_all(records.iter().map(|record| record.offset)), 0, "each is settled once");
}

#[tokio::test]
async fn a_batch_with_a_record_that_can_never_be_taken_is_refused_whole_and_names_it() {
    let disk = MemoryDisk::new();
    let journal = roomy(&disk);
    let mut records = batch(&to(["a"]), 0..5);
    records[3].1 = Bytes::from(vec![0; 2 << 20]);
    let appender = journal.appender();
    let refused = appender.submit_batch(records).await.await.unwrap_err();
    assert!(matches!(refused, BatchRefused { index: 3, error: AppendError::TooLarge { .. } }), "{refused:?}");
    appender.submit_batch(batch(&to(["a"]), 0..5)).await.await.unwrap();
    assert_eq!(journal.queues()[0].depth, 5);
}

#[tokio::test]
async fn of_a_batch_that_fails_half_way_what_is_before_the_failure_is_durable_and_nothing_after_it_is_accepted() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    journal.append(&to(["a"]), Bytes::new()).await.unwrap();
    disk.fail(Operation::Create, 0, std::io::ErrorKind::StorageFull);
    let appender = journal.appender();
    let records = (0..30_u32).map(|number| (to(["a"]), Bytes::from(format!("{number:06000}")))).collect();
    let next = batch(&to(["b"]), 0..1);
    let (first, second) = (appender.submit_batch(records).await, appender.submit_batch(next).await);
    let refused = first.await.unwrap_err();
    assert_eq!(refused.error, AppendError::DiskFull);
    assert_eq!(second.await, Err(BatchRefused { index: 0, error: AppendError::Behind }));
    disk.mend();
    disk.pull_the_plug(&mut |_| 0);
    let (journal, recovery) = open(&disk);
    assert_eq!(recovery.pending, refused.index as u64 + 1);
    assert!((5..30).contains(&refused.index), "{}", refused.index);
    assert_eq!(journal.queues().len(), 1);
}

#[tokio::test]
async fn a_batch_larger_than_all_that_may_wait_is_taken_when_nothing_else_waits() {
    let disk = MemoryDisk::new();
    let journal = roomy(&disk);
    let payload = Bytes::from(vec![7; 1 << 20]);
    let records = (0..6).map(|_| (to(["a"]), payload.clone())).collect();
    journal.appender().submit_batch(records).await.await.unwrap();
    assert_eq!(journal.queues()[0].depth, 6);
}
