//! The journal on the operating system's disk: the everyday life of records.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::slice;
use std::sync::Arc;

use bytes::Bytes;
use edge_store::{AppendError, Destination, Destinations, Journal, JournalOptions, OnFull, OpenError, QueueName, Recovery};
use tempfile::TempDir;

const SMALL: JournalOptions =
    JournalOptions { segment_bytes: 64 * 1024, max_bytes: 64 * 1024 * 16, on_full: OnFull::RejectNew, min_free_bytes: 0 };

fn queue(name: &str) -> QueueName {
    name.parse().unwrap()
}

fn to<const N: usize>(endpoints: [&str; N]) -> Destinations {
    Destinations::new(endpoints.map(|name| queue(name).into()).to_vec()).unwrap()
}

fn open(directory: &TempDir) -> (Journal, Recovery) {
    Journal::open(directory.path(), SMALL).unwrap()
}

#[tokio::test]
async fn what_was_appended_is_read_in_order_by_every_queue_it_was_for() {
    let directory = TempDir::new().unwrap();
    let (journal, recovery) = open(&directory);
    assert_eq!(recovery, Recovery::default());
    let (a, b) = (queue("a"), queue("b"));
    for number in 0..100_u32 {
        let queues = if number % 2 == 0 { to(["a", "b"]) } else { to(["a"]) };
        journal.append(&queues, Bytes::from(number.to_string())).await.unwrap();
    }
    let mut reader = journal.reader(&a).unwrap();
    for number in 0..100_u32 {
        assert_eq!(reader.next().await.unwrap().payload, number.to_string());
    }
    let mut reader = journal.reader(&b).unwrap();
    for number in (0..100_u32).step_by(2) {
        assert_eq!(reader.next().await.unwrap().payload, number.to_string());
    }
    assert_eq!(reader.try_next(), None);
}

#[tokio::test]
async fn a_reader_waits_for_a_record_that_is_not_there_yet() {
    let directory = TempDir::new().unwrap();
    let (journal, _) = open(&directory);
    let mut reader = journal.reader(&queue("a")).unwrap();
    let waiting = tokio::spawn(async move { reader.next().await.unwrap().payload });
    tokio::task::yield_now().await;
    journal.append(&to(["a"]), Bytes::from_static(b"late")).await.unwrap();
    assert_eq!(waiting.await.unwrap(), "late");
}

#[tokio::test]
async fn what_was_settled_is_not_read_again_after_a_restart_and_the_rest_is() {
    let directory = TempDir::new().unwrap();
    let (journal, _) = open(&directory);
    for number in 0..10_u32 {
        journal.append(&to(["a"]), Bytes::from(number.to_string())).await.unwrap();
    }
    let mut reader = journal.reader(&queue("a")).unwrap();
    for _ in 0..4 {
        let record = reader.next().await.unwrap();
        reader.settle(record.offset);
    }
    drop(reader);
    journal.close().await;
    let (journal, recovery) = open(&directory);
    assert_eq!(recovery, Recovery { pending: 6, ..Recovery::default() });
    let mut reader = journal.reader(&queue("a")).unwrap();
    for number in 4..10_u32 {
        assert_eq!(reader.next().await.unwrap().payload, number.to_string());
    }
}

#[tokio::test]
async fn segments_are_used_again_and_the_directory_stays_small() {
    let directory = TempDir::new().unwrap();
    let (journal, _) = open(&directory);
    let mut reader = journal.reader(&queue("a")).unwrap();
    for number in 0..2000_u32 {
        let mut payload = vec![0; 1000];
        payload[..4].copy_from_slice(&number.to_le_bytes());
        journal.append(&to(["a"]), payload.into()).await.unwrap();
        let record = reader.next().await.unwrap();
        assert_eq!(record.payload[..4], number.to_le_bytes());
        reader.settle(record.offset);
    }
    let usage = journal.usage();
    assert!(usage.bytes_on_disk <= 4 * SMALL.segment_bytes, "{usage:?}");
}

#[tokio::test]
async fn a_full_journal_refuses_and_says_when_there_is_room() {
    let directory = TempDir::new().unwrap();
    let (journal, _) = open(&directory);
    let payload = Bytes::from(vec![7; 10_000]);
    let mut accepted = 0;
    let appender = Arc::new(journal.appender());
    let refusal = loop {
        match appender.submit(&to(["a"]), payload.clone()).await.await {
            Ok(()) => accepted += 1,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal, AppendError::EndpointFull { endpoint: queue("a") });
    assert!(journal.problem().borrow().is_some());
    let waiting = tokio::spawn({
        let appender = Arc::clone(&appender);
        async move { appender.writable().await }
    });
    let mut reader = journal.reader(&queue("a")).unwrap();
    for _ in 0..accepted {
        let record = reader.next().await.unwrap();
        reader.settle(record.offset);
    }
    waiting.await.unwrap();
    journal.append(&to(["a"]), payload).await.unwrap();
    assert!(journal.problem().borrow().is_none());
}

#[tokio::test]
async fn rewinding_hands_out_again_what_is_not_settled_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let (journal, _) = open(&directory);
    for number in 0..6_u32 {
        journal.append(&to(["a"]), Bytes::from(number.to_string())).await.unwrap();
    }
    let mut reader = journal.reader(&queue("a")).unwrap();
    let mut offsets = Vec::new();
    for _ in 0..5 {
        offsets.push(reader.next().await.unwrap().offset);
    }
    reader.settle(offsets[0]);
    reader.settle(offsets[2]);
    reader.rewind();
    let mut again = Vec::new();
    for _ in 0..4 {
        let record = reader.next().await.unwrap();
        again.push((record.payload, record.redelivered));
    }
    let expected = [("1", true), ("3", true), ("4", true), ("5", false)];
    assert_eq!(again, expected.map(|(payload, redelivered)| (Bytes::from(payload), redelivered)));
}

#[tokio::test]
async fn a_queue_has_one_reader_at_a_time() {
    let directory = TempDir::new().unwrap();
    let (journal, _) = open(&directory);
    let reader = journal.reader(&queue("a")).unwrap();
    assert!(journal.reader(&queue("a")).is_err());
    drop(reader);
    assert!(journal.reader(&queue("a")).is_ok());
}

#[tokio::test]
async fn a_second_process_is_kept_out() {
    let directory = TempDir::new().unwrap();
    let (journal, _) = open(&directory);
    assert!(matches!(Journal::open(directory.path(), SMALL), Err(OpenError::Locked { .. })));
    journal.close().await;
    assert_eq!(journal.append(&to(["a"]), Bytes::new()).await, Err(AppendError::Closed));
    open(&directory);
}

#[tokio::test]
async fn a_retired_queue_frees_what_it_held() {
    let directory = TempDir::new().unwrap();
    let (journal, _) = open(&directory);
    while journal.append(&to(["dead"]), Bytes::from(vec![7; 10_000])).await.is_ok() {}
    let depth = journal.queues()[0].depth;
    assert_eq!(journal.retire(&queue("dead")), Ok(depth));
    journal.append(&to(["alive"]), Bytes::new()).await.unwrap();
    assert_eq!(journal.usage().segments, 1);
    journal.close().await;
    let (journal, recovery) = open(&directory);
    assert_eq!(recovery.pending, 1);
    assert_eq!(journal.queues()[0].endpoint, queue("alive"));
}

#[tokio::test]
async fn a_closed_journal_hands_out_what_it_has_and_then_says_so() {
    let directory = TempDir::new().unwrap();
    let (journal, _) = open(&directory);
    journal.append(&to(["a"]), Bytes::from_static(b"last")).await.unwrap();
    let mut reader = journal.reader(&queue("a")).unwrap();
    journal.close().await;
    assert_eq!(reader.next().await.unwrap().payload, "last");
    assert!(reader.next().await.is_err());
}

#[tokio::test]
async fn appends_that_cannot_be_taken_are_refused_by_name() {
    let directory = TempDir::new().unwrap();
    let (journal, _) = open(&directory);
    assert_eq!(journal.append(&[], Bytes::new()).await, Err(AppendError::DestinationCount { endpoints: 0 }));
    let names: Vec<_> = (0..256).map(|number| Destination::new(queue(&number.to_string()))).collect();
    assert_eq!(journal.append(&names, Bytes::new()).await, Err(AppendError::DestinationCount { endpoints: 256 }));
    let large = Bytes::from(vec![0; 64 * 1024]);
    assert!(matches!(journal.append(&to(["a"]), large).await, Err(AppendError::TooLarge { bytes: 65536, .. })));
    let mut refusals = 0;
    for name in &names {
        refusals += usize::from(matches!(
            journal.append(slice::from_ref(name), Bytes::new()).await,
            Err(AppendError::TooManyQueues { .. })
        ));
    }
    assert!(refusals > 0, "the number of queues is bounded");
}

#[tokio::test]
async fn a_journal_opened_with_other_sizes_keeps_what_it_holds() {
    let directory = TempDir::new().unwrap();
    let (journal, _) = open(&directory);
    for number in 0..200_u32 {
        journal.append(&to(["a"]), Bytes::from(format!("{number:01000}"))).await.unwrap();
    }
    journal.close().await;
    let larger =
        JournalOptions { segment_bytes: 128 * 1024, max_bytes: 128 * 1024 * 8, on_full: OnFull::RejectNew, min_free_bytes: 0 };
    let (journal, _) = Journal::open(directory.path(), larger).unwrap();
    for number in 200..400_u32 {
        journal.append(&to(["a"]), Bytes::from(format!("{number:01000}"))).await.unwrap();
    }
    journal.close().await;
    // Smaller than what waits: nothing is accepted until that is read, and nothing of it is lost.
    let smaller =
        JournalOptions { segment_bytes: 64 * 1024, max_bytes: 64 * 1024 * 3, on_full: OnFull::RejectNew, min_free_bytes: 0 };
    let (journal, recovery) = Journal::open(directory.path(), smaller).unwrap();
    assert_eq!(recovery, Recovery { pending: 400, ..Recovery::default() });
    let appender = journal.appender();
    assert!(matches!(appender.submit(&to(["a"]), Bytes::new()).await.await, Err(AppendError::EndpointFull { .. })));
    let mut reader = journal.reader(&queue("a")).unwrap();
    for number in 0..400_u32 {
        let record = reader.next().await.unwrap();
        assert_eq!(record.payload, format!("{number:01000}"));
        reader.settle(record.offset);
    }
    appender.writable().await;
    journal.append(&to(["a"]), Bytes::from_static(b"last")).await.unwrap();
    assert_eq!(reader.next().await.unwrap().payload, "last");
}
