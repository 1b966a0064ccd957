//! What the tests of the journal share: a disk in memory, a clock that stands still, and short ways to open and read.

// Every test binary uses a part of it.
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod damage;
mod gate;
mod memory_disk;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_store::clock::Clock;
use edge_store::{Destinations, Journal, JournalOptions, OnFull, QueueName, QueueReader, ReadError, Record, Recovery};

pub use self::gate::Release;
pub use self::memory_disk::{Chance, MemoryDisk, Operation, Process};

/// Small segments, so that tests cross their borders often.
pub const SMALL: JournalOptions =
    JournalOptions { segment_bytes: 64 * 1024, max_bytes: 64 * 1024 * 16, on_full: OnFull::RejectNew, min_free_bytes: 0 };

pub const DIRECTORY: &str = "/journal";

pub fn queue(name: &str) -> QueueName {
    name.parse().unwrap()
}

/// Endpoints at the default priority, for ever.
pub fn to<const N: usize>(endpoints: [&str; N]) -> Destinations {
    to_all(&endpoints)
}

/// The same, of any number.
pub fn to_all(endpoints: &[&str]) -> Destinations {
    Destinations::new(endpoints.iter().map(|name| queue(name).into()).collect()).unwrap()
}

/// Opens the journal of a disk in memory.
pub fn open(disk: &MemoryDisk) -> (Journal, Recovery) {
    Journal::open_on(Arc::new(Process::new(disk)), Path::new(DIRECTORY), SMALL).unwrap()
}

/// Opens the journal of a disk in memory, by another clock.
pub fn open_at(disk: &MemoryDisk, clock: &TestClock) -> (Journal, Recovery) {
    open_with(disk, clock, SMALL)
}

/// The same, with other options.
pub fn open_with(disk: &MemoryDisk, clock: &TestClock, options: JournalOptions) -> (Journal, Recovery) {
    Journal::open_with(Arc::new(Process::new(disk)), Arc::new(clock.clone()), Path::new(DIRECTORY), options).unwrap()
}

/// A clock that stands still until told. Clones are the same clock.
#[derive(Clone)]
pub struct TestClock(Arc<Mutex<(Duration, [u8; 16])>>);

impl TestClock {
    pub fn new(boot_id: u8) -> Self {
        Self(Arc::new(Mutex::new((Duration::ZERO, [boot_id; 16]))))
    }

    pub fn pass(&self, time: Duration) {
        self.0.lock().unwrap().0 += time;
    }

    /// The machine is started again: the clock begins at zero.
    pub fn restart_machine(&self, boot_id: u8) {
        *self.0.lock().unwrap() = (Duration::ZERO, [boot_id; 16]);
    }
}

impl Clock for TestClock {
    fn boot_time(&self) -> Duration {
        self.0.lock().unwrap().0
    }

    fn boot_id(&self) -> [u8; 16] {
        self.0.lock().unwrap().1
    }
}

/// Waits until something holds that other threads bring about.
pub async fn until(mut holds: impl FnMut() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    let wait = async {
        while !holds() {
            looks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("what is waited for does not happen");
}

/// Closes the journal and reads all that waits in a queue, settling none of it.
pub async fn close_and_read(journal: &Journal, name: &str) -> Vec<Record> {
    journal.close().await;
    let mut reader = journal.reader(&queue(name)).unwrap();
    read_to_end(&mut reader).await
}

/// Reads on until a closed journal has no more.
pub async fn read_to_end(reader: &mut QueueReader) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        match reader.next().await {
            Ok(record) => {
                // Settled in this process only: the journal is closed. It keeps the window from filling up.
                reader.settle(record.offset);
                records.push(record);
            }
            Err(ReadError::Closed) => return records,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The payloads of records, as text.
pub fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.payload.to_vec()).unwrap()).collect()
}
