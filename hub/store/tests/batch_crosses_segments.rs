//! One commit may fill a segment and go on in the next: every record keeps its own number in its queue.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use edge_store::{Destination, Destinations, Journal, JournalOptions, OnFull, QueueName};

const COUNT: u64 = 300;

#[tokio::test]
async fn every_record_of_batches_that_cross_segments_is_read_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        JournalOptions { segment_bytes: 256 * 1024, max_bytes: 16 * 1024 * 1024, on_full: OnFull::RejectNew, min_free_bytes: 0 };
    let (journal, _) = Journal::open(folder.path(), options).unwrap();
    let queue: QueueName = "q".parse().unwrap();
    let to = Destinations::from(Destination::new(queue.clone()));
    let appender = journal.appender();
    // Submitted faster than the disk takes them, so that commits hold many.
    let mut pending = Vec::new();
    for number in 0..COUNT {
        let mut payload = vec![0; 20_000];
        payload[..8].copy_from_slice(&number.to_be_bytes());
        pending.push(appender.submit(&to, Bytes::from(payload)).await);
    }
    for append in pending {
        append.await.unwrap();
    }
    assert!(journal.usage().syncs < COUNT, "batches are what is tested here");
    let mut reader = journal.reader(&queue).unwrap();
    for number in 0..COUNT {
        let record = reader.next().await.unwrap();
        assert_eq!(record.payload[..8], number.to_be_bytes());
        reader.settle(record.offset);
    }
    assert_eq!(journal.usage().queues[0].depth, 0);
}
