//! Journals whose files are to be damaged, and where in them what stands.

use std::ops::Range;

use bytes::Bytes;
use edge_store::{Journal, Recovery};

use super::{MemoryDisk, close_and_read, open, queue, texts, to};

pub const HEAD_BYTES: usize = 1024;
/// Behind it the seal, and then the records.
pub const RECORDS_AT: usize = 2048;

/// A payload that is found again in a file, and that makes about `SIZE` bytes.
pub fn payload(number: u32) -> String {
    format!("<{number}>{}", ".".repeat(100))
}

pub fn payloads(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(payload).collect()
}

pub async fn append(journal: &Journal, name: &str, numbers: Range<u32>) {
    let appender = journal.appender();
    for number in numbers {
        appender.submit(&to([name]), Bytes::from(payload(number))).await.await.unwrap();
    }
}

/// A disk with records `numbers` of queue "a", each committed by itself, after an orderly end.
pub async fn disk_with(numbers: Range<u32>) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    append(&journal, "a", numbers).await;
    journal.close().await;
    disk
}

/// The same, but the process was killed: nothing says that the last commit was synced.
pub async fn disk_of_killed_process_with(numbers: Range<u32>) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    append(&journal, "a", numbers).await;
    disk.kill_process();
    disk
}

/// The file that holds a record, and where its payload begins.
pub fn find(disk: &MemoryDisk, number: u32) -> (String, usize) {
    let wanted = format!("<{number}>");
    let mut found = disk.segments().into_iter().filter_map(|name| {
        let bytes = disk.bytes(&name);
        let at = bytes.windows(wanted.len()).position(|window| window == wanted.as_bytes())?;
        Some((name, at))
    });
    found.next().unwrap()
}

/// The numbers of the records that a file holds.
pub fn numbers_in(disk: &MemoryDisk, name: &str) -> Vec<u32> {
    let bytes = disk.bytes(name);
    let starts = (0..bytes.len()).filter(|at| bytes[*at] == b'<');
    let numbers = starts.filter_map(|at| {
        let digits = bytes[at + 1..].split(|byte| *byte == b'>').next()?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    });
    numbers.collect()
}

/// Changes one byte at so many bytes from the beginning of a record's payload.
pub fn flip(disk: &MemoryDisk, number: u32, distance: isize) {
    let (name, at) = find(disk, number);
    disk.damage(&name, |bytes| bytes[at.checked_add_signed(distance).unwrap()] ^= 0x20);
}

/// Enough records to fill several segments of 64 KiB.
pub const MANY: u32 = 2000;

/// What is read of "a", how many records of it are lost, and how many damaged records were met in all.
pub async fn read_a(disk: &MemoryDisk) -> (Recovery, Vec<String>, u64, u64) {
    let (journal, recovery) = open(disk);
    let records = texts(&close_and_read(&journal, "a").await);
    let usage = journal.usage();
    let queue = usage.queues.iter().find(|usage| usage.endpoint == queue("a")).unwrap();
    assert_eq!(queue.depth, 0, "what is lost does not wait for ever");
    (recovery, records, queue.lost, usage.corrupt_records)
}
