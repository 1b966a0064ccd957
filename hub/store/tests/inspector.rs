//! The inspector tells what a journal holds and finds every damage, and changes nothing.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use edge_store::journal::inspect::{FileState, InspectError, inspect, verify};
use edge_store::{Destination, Journal, JournalOptions, Priority};
use support::{SMALL, queue, to};
use tempfile::TempDir;

const OPTIONS: JournalOptions = JournalOptions { max_bytes: 64 * 1024 * 8, ..SMALL };

fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// Waiting records of two endpoints, of which one has been compacted, after an orderly end.
async fn journal_in(directory: &Path) -> u64 {
    let (journal, _) = Journal::open(directory, OPTIONS).unwrap();
    let mut reader = journal.reader(&queue("alive")).unwrap();
    let urgent = Destination { priority: Priority::new(2).unwrap(), ..Destination::new(queue("dead")) };
    for number in 0..1500_u32 {
        let payload = Bytes::from(format!("{number:01000}"));
        if number % 20 == 0 {
            journal.append(std::slice::from_ref(&urgent), payload).await.unwrap();
        } else {
            journal.append(&to(["alive"]), payload).await.unwrap();
            let record = reader.next().await.unwrap();
            reader.settle(record.offset);
        }
    }
    let usage = journal.usage();
    assert!(usage.moved_bytes > 0, "{usage:?}");
    journal.close().await;
    usage.queues.iter().map(|queue| queue.depth).sum()
}

#[tokio::test]
async fn what_waits_is_listed_and_nothing_is_changed() {
    let folder = TempDir::new().unwrap();
    let depth = journal_in(folder.path()).await;
    let before = contents(folder.path());
    let inspection = inspect(folder.path()).unwrap();
    let dead = inspection.queues.iter().find(|queue| queue.name == "dead_Pri2").unwrap();
    assert_eq!((dead.depth, dead.numbers), (75, (0, 75)));
    assert_eq!(inspection.queues.iter().map(|queue| queue.depth).sum::<u64>(), depth);
    assert!(inspection.files.iter().any(|file| file.generation.is_some_and(|(_, _, compacted)| compacted)));
    assert_eq!(inspection.files.iter().filter(|file| file.state == FileState::Newest).count(), 1);
    let text = inspection.to_string();
    assert!(text.contains("dead_Pri2") && text.contains("compacted"), "{text}");
    let verification = verify(folder.path()).unwrap();
    assert_eq!(verification.damage, []);
    assert!(verification.messages >= depth && verification.to_string().ends_with("no damage\n"), "{verification}");
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn each_damage_is_found_and_named() {
    let folder = TempDir::new().unwrap();
    journal_in(folder.path()).await;
    let inspection = inspect(folder.path()).unwrap();
    let file = inspection.files.iter().find(|file| file.state == FileState::Needed).unwrap();
    let path = folder.path().join(&file.name);
    let whole = fs::read(&path).unwrap();
    // In a record, in one copy of the header, in the seal, in both copies.
    for (places, found) in [(vec![4000], 1), (vec![20], 1), (vec![1030], 1), (vec![20, 532], 1)] {
        let mut bytes = whole.clone();
        for at in &places {
            bytes[*at] ^= 0xff;
        }
        fs::write(&path, &bytes).unwrap();
        let verification = verify(folder.path()).unwrap();
        assert_eq!(verification.damage.len(), found, "{places:?}: {verification}");
        assert_eq!(verification.damage[0].file, file.name);
        assert!(verification.to_string().contains("DAMAGE"), "{verification}");
    }
    fs::write(&path, &whole[..5000]).unwrap();
    assert!(!verify(folder.path()).unwrap().damage.is_empty(), "cut short");
    fs::write(&path, &whole).unwrap();
    assert_eq!(verify(folder.path()).unwrap().damage, []);
}

#[tokio::test]
async fn a_journal_in_use_is_left_alone_and_a_directory_without_one_is_named() {
    let folder = TempDir::new().unwrap();
    let (journal, _) = Journal::open(folder.path(), OPTIONS).unwrap();
    journal.append(&to(["a"]), Bytes::new()).await.unwrap();
    assert!(matches!(inspect(folder.path()), Err(InspectError::InUse { .. })));
    assert!(matches!(verify(folder.path()), Err(InspectError::InUse { .. })));
    journal.close().await;
    assert_eq!(inspect(folder.path()).unwrap().queues[0].depth, 1);
    let empty = TempDir::new().unwrap();
    assert!(matches!(inspect(empty.path()), Err(InspectError::NoJournal { .. })));
}
