//! Many appends share one fsync, and each is answered after the one that covers it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use edge_store::journal::{MAX_WAITING_BYTES, WAITING_OVERHEAD_BYTES};
use edge_store::{AppendError, Journal, JournalOptions};
use futures::future::join_all;
use support::{DIRECTORY, MemoryDisk, Operation, Process, open, queue};

/// Large enough that no segment ends during a test.
const ROOMY: JournalOptions = JournalOptions { segment_bytes: 4 * 1024 * 1024, max_bytes: 64 * 1024 * 1024 };

fn roomy(disk: &MemoryDisk) -> Journal {
    Journal::open_on(Arc::new(Process::new(disk)), DIRECTORY.as_ref(), ROOMY).unwrap().0
}

#[tokio::test]
async fn a_thousand_concurrent_appends_to_twenty_queues_share_a_few_syncs() {
    let disk = MemoryDisk::new();
    let journal = roomy(&disk);
    // The first append creates the segment, which syncs by itself.
    journal.append(&[queue("0")], Bytes::new()).await.unwrap();
    let release = disk.hold_syncs();
    let before = disk.syncs();
    let mut pending = Vec::new();
    let appender = journal.appender();
    for number in 0..1000 {
        pending.push(appender.submit(&[queue(&(number % 20).to_string())], Bytes::from_static(b"x")).await);
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
    let queues = [queue("a"), queue("b"), queue("c")];
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
    journal.append(&[queue("a")], Bytes::new()).await.unwrap();
    let release = disk.hold_syncs();
    let appender = journal.appender();
    let mut pending = appender.submit(&[queue("a")], Bytes::from_static(b"x")).await;
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
    journal.append(&[queue("a")], Bytes::new()).await.unwrap();
    let release = disk.hold_syncs();
    let appender = journal.appender();
    let payload = Bytes::from(vec![0; 64 * 1024 - WAITING_OVERHEAD_BYTES]);
    let mut pending = Vec::new();
    for _ in 0..MAX_WAITING_BYTES / (64 * 1024) {
        pending.push(appender.submit(&[queue("a")], payload.clone()).await);
    }
    let queues = [queue("a")];
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
    journal.append(&[queue("a")], Bytes::new()).await.unwrap();
    let (first, second) = (journal.appender(), journal.appender());
    disk.fail(Operation::Sync, 0, std::io::ErrorKind::Other);
    let failed = first.submit(&[queue("a")], Bytes::from_static(b"1")).await.await;
    assert!(matches!(failed, Err(AppendError::Disk { operation: "sync", .. })), "{failed:?}");
    disk.mend();
    let behind = first.submit(&[queue("a")], Bytes::from_static(b"2")).await.await;
    assert_eq!(behind, Err(AppendError::Behind));
    second.submit(&[queue("a")], Bytes::from_static(b"3")).await.await.unwrap();
    first.resume();
    first.submit(&[queue("a")], Bytes::from_static(b"1 again")).await.await.unwrap();
}
