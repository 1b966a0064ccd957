//! Full disks, failing writes, failing syncs: what was acknowledged stays, what was not is refused, and it goes on by itself.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edge_store::journal::DISK_PAUSE;
use edge_store::{AppendError, Journal, OpenError, Problem, ReadError};
use support::{DIRECTORY, MemoryDisk, Operation, Process, SMALL, close_and_read, open, queue, texts, to, until};

/// So large that about ten fill a segment.
fn payload(number: u32) -> Bytes {
    format!("{number:06000}").into()
}

async fn append(journal: &Journal, number: u32) -> Result<(), AppendError> {
    journal.append(&to(["a"]), payload(number)).await
}

fn problem(journal: &Journal) -> Option<Problem> {
    journal.problem().borrow().clone()
}

/// Numbers of what a new process finds, with nothing lost or damaged.
async fn found(disk: &MemoryDisk) -> Vec<u32> {
    let (journal, recovery) = open(disk);
    assert_eq!((recovery.corrupt_records, recovery.damaged_segments), (0, 0));
    let records = texts(&close_and_read(&journal, "a").await);
    assert!(journal.queues().iter().all(|usage| usage.lost == 0));
    records.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_full_disk_refuses_from_the_segment_it_has_no_room_for_and_works_again_when_there_is_room() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    append(&journal, 0).await.unwrap();
    disk.fail(Operation::Create, 0, ErrorKind::StorageFull);
    let mut accepted = 1;
    let refusal = loop {
        match append(&journal, accepted).await {
            Ok(()) => accepted += 1,
            Err(refusal) => break refusal,
        }
    };
    assert!(accepted > 5, "the segment there is takes records as long as it has room");
    assert_eq!((refusal, problem(&journal)), (AppendError::DiskFull, Some(Problem::DiskFull)));
    assert_eq!(append(&journal, accepted).await, Err(AppendError::DiskFull));
    disk.mend();
    append(&journal, accepted).await.unwrap();
    assert_eq!(problem(&journal), None);
    disk.pull_the_plug(&mut |_| 0);
    assert_eq!(found(&disk).await, (0..=accepted).collect::<Vec<_>>());
}

#[tokio::test]
async fn no_room_for_the_zeros_of_a_new_segment_leaves_no_half_file() {
    for operation in [Operation::Write, Operation::Sync] {
        let disk = MemoryDisk::new();
        let (journal, _) = open(&disk);
        disk.fail(operation, 0, ErrorKind::StorageFull);
        assert_eq!(append(&journal, 0).await, Err(AppendError::DiskFull));
        assert_eq!(disk.names(), Vec::<String>::new());
        disk.mend();
        append(&journal, 0).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_in_the_way_of_a_new_segment_is_left_alone() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    append(&journal, 0).await.unwrap();
    disk.plant("00001.seg", b"somebody's".to_vec());
    let mut accepted = 1;
    while append(&journal, accepted).await.is_ok() {
        accepted += 1;
    }
    assert_eq!(disk.bytes("00001.seg"), b"somebody's");
    append(&journal, accepted).await.unwrap();
    assert_eq!(disk.segments(), ["00000.seg", "00001.seg", "00002.seg"]);
}

#[tokio::test]
async fn on_a_full_disk_segments_that_were_read_are_used_again() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    let mut reader = journal.reader(&queue("a")).unwrap();
    for number in 0..25 {
        append(&journal, number).await.unwrap();
    }
    // More than a segment behind the writer, and never two.
    for _ in 0..15 {
        let record = reader.next().await.unwrap();
        reader.settle(record.offset);
    }
    disk.fail(Operation::Create, 0, ErrorKind::StorageFull);
    for number in 25..500 {
        let record = reader.next().await.unwrap();
        reader.settle(record.offset);
        append(&journal, number).await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_write_or_sync_refuses_what_it_covered_and_the_next_append_works() {
    for operation in [Operation::Write, Operation::Sync] {
        for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
            let disk = MemoryDisk::new();
            let (journal, _) = open(&disk);
            append(&journal, 0).await.unwrap();
            append(&journal, 1).await.unwrap();
            disk.fail(operation, 0, kind);
            let refusal = append(&journal, 99).await.unwrap_err();
            match kind {
                ErrorKind::StorageFull => assert_eq!(refusal, AppendError::DiskFull),
                _ => assert!(matches!(refusal, AppendError::Disk { .. }), "{refusal:?}"),
            }
            assert!(problem(&journal).is_some());
            disk.mend();
            append(&journal, 2).await.unwrap();
            assert_eq!(problem(&journal), None);
            // In this process it is never handed out …
            let mut reader = journal.reader(&queue("a")).unwrap();
            for number in 0..3 {
                assert_eq!(reader.next().await.unwrap().payload, payload(number));
            }
            drop(reader);
            // … nor in the next one, although its bytes may have reached the disk: the segment was abandoned before them.
            disk.kill_process();
            assert_eq!(found(&disk).await, [0, 1, 2], "{operation:?} {kind:?}");
        }
    }
}

#[tokio::test]
async fn what_was_refused_and_not_found_once_is_not_brought_back_by_a_power_cut() {
    let mut not_found = 0;
    for after in 0..8 {
        let disk = MemoryDisk::new();
        let (journal, _) = open(&disk);
        append(&journal, 0).await.unwrap();
        disk.fail(Operation::Sync, 0, ErrorKind::Other);
        append(&journal, 98).await.unwrap_err();
        disk.mend();
        // Fails in whatever is synced to begin another segment, the record in it and the removal of its file included.
        disk.fail(Operation::Sync, after, ErrorKind::Other);
        let refused = append(&journal, 99).await.is_err();
        until(|| !refused || disk.names().len() == 1).await;
        disk.kill_process();
        disk.mend();
        drop(journal);
        let before = found(&disk).await;
        not_found += u32::from(refused && !before.contains(&99));
        // Of removed files nothing reached the device, of bytes everything.
        let mut is_first = true;
        disk.pull_the_plug(&mut |count| if std::mem::take(&mut is_first) { 0 } else { count - 1 });
        assert_eq!(found(&disk).await, before, "the {after}th sync failed");
    }
    assert!(not_found >= 2, "{not_found} were refused and not found");
}

#[tokio::test]
async fn while_the_disk_fails_every_append_is_refused_and_readers_read() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    for number in 0..5 {
        append(&journal, number).await.unwrap();
    }
    disk.fail(Operation::Write, 0, ErrorKind::Other);
    let mut reader = journal.reader(&queue("a")).unwrap();
    for number in 0..5 {
        assert!(append(&journal, 99).await.is_err());
        let record = reader.next().await.unwrap();
        assert_eq!(record.payload, payload(number));
        reader.settle(record.offset);
    }
    assert!(disk.names().len() <= 2, "a failing disk is not filled with attempts: {:?}", disk.names());
    disk.mend();
    append(&journal, 5).await.unwrap();
    assert_eq!(reader.next().await.unwrap().payload, payload(5));
    assert_eq!(journal.usage().queues[0].lost, 0);
}

#[tokio::test]
async fn a_batch_that_needs_a_second_segment_is_accepted_up_to_the_failure_and_not_beyond() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    append(&journal, 0).await.unwrap();
    disk.fail(Operation::Create, 0, ErrorKind::StorageFull);
    let appender = journal.appender();
    let mut pending = Vec::new();
    for number in 1..30 {
        pending.push(appender.submit(&to(["a"]), payload(number)).await);
    }
    let mut accepted = 1;
    let mut refused = false;
    for append in pending {
        let outcome = append.await;
        assert!(!(refused && outcome.is_ok()), "one overtook another");
        refused |= outcome.is_err();
        accepted += u32::from(outcome.is_ok());
    }
    assert!(refused);
    disk.pull_the_plug(&mut |_| 0);
    disk.mend();
    assert_eq!(found(&disk).await, (0..accepted).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_unreadable_segment_is_an_error_each_time_and_nothing_is_passed_over() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    append(&journal, 0).await.unwrap();
    let mut reader = journal.reader(&queue("a")).unwrap();
    disk.fail(Operation::Read, 0, ErrorKind::Other);
    for _ in 0..3 {
        let Err(ReadError::Disk { file, .. }) = reader.next().await else { panic!("read on a failing disk") };
        assert!(file.ends_with("00000.seg"), "{file}");
    }
    disk.mend();
    assert_eq!(reader.next().await.unwrap().payload, payload(0));
}

#[tokio::test]
async fn a_disk_that_fails_while_opening_is_an_error_that_names_the_file() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    append(&journal, 0).await.unwrap();
    journal.close().await;
    // The first sync is the directory's.
    let failures = [(Operation::Open, 0), (Operation::Read, 0), (Operation::Sync, 1), (Operation::SyncDirectory, 0)];
    for (operation, after) in failures {
        disk.fail(operation, after, ErrorKind::Other);
        let refusal = Journal::open_on(Arc::new(Process::new(&disk)), Path::new(DIRECTORY), SMALL).err();
        let Some(OpenError::Disk { path, .. }) = refusal else { panic!("{operation:?}: {refusal:?}") };
        let expected = if operation == Operation::SyncDirectory { DIRECTORY } else { "00000.seg" };
        assert!(path.ends_with(expected), "{operation:?}: {path:?}");
        disk.mend();
    }
    assert_eq!(found(&disk).await, [0]);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_failed_disk_is_let_try_again_after_a_pause() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    let appender = journal.appender();
    appender.writable().await;
    disk.fail(Operation::Write, 0, ErrorKind::Other);
    assert!(appender.submit(&to(["a"]), payload(0)).await.await.is_err());
    let before = tokio::time::Instant::now();
    appender.writable().await;
    assert!(before.elapsed() >= DISK_PAUSE && before.elapsed() < DISK_PAUSE + Duration::from_millis(10));
}

#[tokio::test]
async fn closing_on_a_failed_disk_ends_and_costs_at_most_repetition() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    append(&journal, 0).await.unwrap();
    let mut reader = journal.reader(&queue("a")).unwrap();
    let record = reader.next().await.unwrap();
    reader.settle(record.offset);
    disk.fail(Operation::Write, 0, ErrorKind::Other);
    journal.close().await;
    disk.mend();
    disk.kill_process();
    let found = found(&disk).await;
    assert!(found == [0] || found.is_empty(), "{found:?}");
}
