//! Appends per second with 1, 100 and 1000 in flight, beside what the same disk gives to a plain `write` and `fdatasync` of the same
//! bytes per commit, in the same run; and how fast a queue is read back.
//!
//! ```sh
//! cargo run --profile fast -p edge-store --example bench_append -- [DIRECTORY]
//! ```
//! The directory must be on a real disk: on tmpfs a sync costs nothing.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::VecDeque;
use std::env;
use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use edge_store::{Destination, Destinations, Journal, JournalOptions};

const PAYLOAD_BYTES: usize = 256;
/// For each measurement; each is bounded by time, and by the size of the journal.
const BUDGET: Duration = Duration::from_millis(1500);
const REPEATS: usize = 3;
const WINDOWS: [usize; 3] = [1, 100, 1000];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let parent = env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let folder = tempfile::Builder::new().prefix("bench-append-").tempdir_in(parent)?;
    println!("{PAYLOAD_BYTES} B per record; median of {REPEATS}, plain and journal taking turns");
    println!("{:>9} {:>16} {:>16} {:>8}", "in flight", "plain records/s", "journal appends/s", "ratio");
    for window in WINDOWS {
        let (mut plain_rates, mut journal_rates) = (Vec::new(), Vec::new());
        for repeat in 0..REPEATS {
            plain_rates.push(plain(&folder.path().join("plain"), window)?);
            journal_rates.push(journal(&folder.path().join(format!("journal-{window}-{repeat}")), window).await?);
        }
        let (plain, journal) = (median(plain_rates), median(journal_rates));
        println!("{window:>9} {plain:>16.0} {journal:>16.0} {:>8.2}", journal / plain);
    }
    println!("{:>9} {:>16} {:>16.0}", "read", "", read(&folder.path().join("journal-1000-0")).await?);
    Ok(())
}

/// Records per second when `batch` of them are appended to a file and synced, again and again.
fn plain(path: &Path, batch: usize) -> Result<f64, Box<dyn Error>> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
    let bytes = vec![7; PAYLOAD_BYTES * batch];
    let start = Instant::now();
    let mut records = 0;
    while start.elapsed() < BUDGET {
        file.write_all(&bytes)?;
        file.sync_data()?;
        records += batch;
    }
    Ok(per_second(records, start))
}

/// Appends per second with `window` in flight, with all that belongs to it: new segments are created as the backlog grows.
async fn journal(directory: &Path, window: usize) -> Result<f64, Box<dyn Error>> {
    let (journal, _) = Journal::open(directory, JournalOptions::default())?;
    let queues = Destinations::from(Destination::new("bench".parse()?));
    let appender = journal.appender();
    let payload = Bytes::from(vec![7; PAYLOAD_BYTES]);
    let mut pending = VecDeque::with_capacity(window);
    let start = Instant::now();
    let mut records = 0;
    while start.elapsed() < BUDGET && (records % 1000 != 0 || !full(&journal)) {
        while pending.len() < window {
            pending.push_back(appender.submit(&queues, payload.clone()).await);
        }
        if let Some(append) = pending.pop_front() {
            append.await?;
            records += 1;
        }
    }
    let rate = per_second(records, start);
    for append in pending {
        append.await?;
    }
    journal.close().await;
    Ok(rate)
}

/// Close to its limit: what follows would measure refusals.
fn full(journal: &Journal) -> bool {
    let usage = journal.usage();
    usage.bytes_used + 2 * 4 * 1024 * 1024 > usage.bytes_max
}

/// Records per second read and settled from a backlog.
async fn read(directory: &Path) -> Result<f64, Box<dyn Error>> {
    let (journal, recovery) = Journal::open(directory, JournalOptions::default())?;
    let mut reader = journal.reader(&"bench".parse()?)?;
    let start = Instant::now();
    for _ in 0..recovery.pending {
        let record = reader.next().await?;
        reader.settle(record.offset);
    }
    let rate = per_second(usize::try_from(recovery.pending)?, start);
    journal.close().await;
    Ok(rate)
}

fn per_second(records: usize, start: Instant) -> f64 {
    let records = u32::try_from(records).unwrap_or(u32::MAX);
    f64::from(records) / start.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
}
