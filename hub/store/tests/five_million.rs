//! Five million records wait: opening takes less than a second, memory stays small, and the first record is there at once.
//!
//! Ignored by default: it writes 600 MB. `cargo test --profile fast -p edge-store --test five_million -- --ignored --nocapture`

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "it measures, too")]

use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use edge_store::{Destination, Destinations, Journal, JournalOptions, Priority};
use tempfile::TempDir;

const RECORDS: u64 = 5_000_000;
const OPTIONS: JournalOptions = JournalOptions { max_bytes: 2 << 30, ..JournalOptions::DEFAULT };
/// For the test harness and runtime as well.
const MAX_RESIDENT_BYTES: u64 = 24 << 20;

/// Bytes of this process in memory now.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn report(what: &str, since: Instant) {
    println!("{what}: {:?}, {} KiB resident", since.elapsed(), resident() / 1024);
}

#[tokio::test]
#[ignore = "writes 600 MB"]
async fn five_million_waiting_records_cost_neither_time_to_open_nor_memory() {
    // On the disk of the checkout: temporary folders may be in memory.
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let to = |endpoint: &str, priority| {
        let priority = Priority::new(priority).unwrap_or_default();
        Destinations::from(Destination { priority, ..Destination::new(endpoint.parse().unwrap()) })
    };
    let destinations = [to("$upstream", 9), to("filter/in", 99), to("alarm/in", 0)];
    let payload = Bytes::from(vec![7; 80]);
    let started = Instant::now();
    let (journal, _) = Journal::open(folder.path(), OPTIONS).unwrap();
    let appender = journal.appender();
    for batch in 0..RECORDS / 1000 {
        let to = &destinations[usize::try_from(batch).unwrap() % destinations.len()];
        let records = vec![(to.clone(), payload.clone()); 1000];
        appender.submit_batch(records).await.await.unwrap();
    }
    report("appended", started);
    assert!(resident() < MAX_RESIDENT_BYTES, "{} bytes while appending", resident());
    journal.close().await;
    drop((journal, appender));

    let started = Instant::now();
    let (journal, recovery) = Journal::open(folder.path(), OPTIONS).unwrap();
    let opened = started.elapsed();
    report("opened", started);
    assert_eq!(recovery.pending, RECORDS);
    assert!(opened < Duration::from_secs(1), "{opened:?}");
    let started = Instant::now();
    let mut reader = journal.reader(&"$upstream".parse().unwrap()).unwrap();
    let first = reader.next().await.unwrap();
    report("first record", started);
    reader.settle(first.offset);

    // A slow reader: a window in flight, and the backlog on disk.
    let mut records = Vec::new();
    while records.len() < 100 {
        reader.next_batch(&mut records, 100, 1 << 20).await.unwrap();
    }
    assert!(resident() < MAX_RESIDENT_BYTES, "{} bytes with a slow reader", resident());
    reader.settle_all(records.iter().map(|record| record.offset));
    let started = Instant::now();
    let mut read = 0;
    while read < 1_000_000 {
        records.clear();
        read += reader.next_batch(&mut records, 256, 1 << 20).await.unwrap();
        reader.settle_all(records.iter().map(|record| record.offset));
    }
    report("a million read", started);
    assert!(resident() < MAX_RESIDENT_BYTES, "{} bytes after reading", resident());
}
