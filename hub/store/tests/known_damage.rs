//! One test per way in which the journal's files can be damaged, named after its end. The list is in the head of `journal.rs`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use edge_store::{Journal, OpenError, Recovery};
use support::damage::{
    HEAD_BYTES, MANY, RECORDS_AT, append, disk_of_killed_process_with, disk_with, find, flip, numbers_in, payload, payloads,
    read_a,
};
use support::{DIRECTORY, MemoryDisk, Process, SMALL, close_and_read, open, queue, texts, to};

#[tokio::test]
async fn torn_tail_is_cut_and_the_rest_survives() {
    let disk = disk_of_killed_process_with(0..10).await;
    let (name, at) = find(&disk, 9);
    disk.damage(&name, |bytes| bytes[at + 20..].fill(0));
    let (recovery, records, lost, _) = read_a(&disk).await;
    assert_eq!(recovery, Recovery { pending: 9, cut_tail: true, ..Recovery::default() });
    assert_eq!((records, lost), (payloads(0..9), 0));
}

#[tokio::test]
async fn a_file_with_a_number_that_no_journal_comes_to_is_nobodys() {
    let disk = disk_with(0..10).await;
    let bytes = disk.bytes("00000.seg");
    disk.plant("4294967295.seg", bytes.clone());
    let (journal, recovery) = open(&disk);
    assert_eq!(recovery, Recovery { pending: 10, ..Recovery::default() });
    // Past the end of the segment, so that another is created.
    append(&journal, "a", 10..1500).await;
    assert_eq!((journal.usage().queues[0].depth, disk.bytes("4294967295.seg") == bytes), (1500, true));
}

#[tokio::test]
async fn torn_commit_is_cut_at_its_first_bad_record_and_those_after_it_never_come_to_life() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    append(&journal, "a", 0..5).await;
    // One commit of several records: they gather while a sync is held.
    let release = disk.hold_syncs();
    let appender = journal.appender();
    let first = appender.submit(&to(["a"]), Bytes::from(payload(5))).await;
    disk.sync_is_held().await;
    let mut commit = Vec::new();
    for number in 6..10 {
        commit.push(appender.submit(&to(["a"]), Bytes::from(payload(number))).await);
    }
    release.release();
    first.await.unwrap();
    for append in commit {
        append.await.unwrap();
    }
    disk.kill_process();
    flip(&disk, 7, 0);
    let (journal, recovery) = open(&disk);
    assert_eq!(recovery, Recovery { pending: 7, cut_tail: true, ..Recovery::default() });
    // Of the same size as the one that was cut: written there, it would be followed by the old 8 and 9.
    append(&journal, "a", 70..71).await;
    disk.kill_process();
    let (recovery, records, lost, _) = read_a(&disk).await;
    assert_eq!(recovery, Recovery { pending: 8, ..Recovery::default() });
    assert_eq!((records, lost), (payloads((0..7).chain([70])), 0));
}

#[tokio::test]
async fn damage_in_the_last_commit_of_a_killed_process_cannot_be_told_from_a_torn_tail() {
    let disk = disk_of_killed_process_with(0..10).await;
    flip(&disk, 9, 0);
    let (recovery, records, ..) = read_a(&disk).await;
    assert!(recovery.cut_tail);
    assert_eq!(records, payloads(0..9));
}

#[tokio::test]
async fn damage_in_the_last_commit_is_told_from_a_torn_tail_after_an_orderly_end() {
    let disk = disk_with(0..10).await;
    flip(&disk, 9, 0);
    let (recovery, records, ..) = read_a(&disk).await;
    assert_eq!(recovery, Recovery { pending: 9, corrupt_records: 1, ..Recovery::default() });
    assert_eq!(records, payloads(0..9));
}

#[tokio::test]
async fn bad_checksum_before_the_tail_skips_that_record_and_its_neighbours_are_read() {
    // The payload, the expiry, the number, the queue, the kind, the offset, the checksum, the length.
    for distance in [0, 50, -4, -12, -14, -20, -22, -28, -35, -40, -39, -38] {
        let disk = disk_of_killed_process_with(0..10).await;
        flip(&disk, 4, distance);
        let (recovery, records, lost, corrupt) = read_a(&disk).await;
        assert_eq!(recovery, Recovery { pending: 10, corrupt_records: 1, ..Recovery::default() }, "at {distance}");
        assert_eq!(records, payloads((0..4).chain(5..10)), "at {distance}");
        assert_eq!((lost, corrupt), (1, 1), "at {distance}");
    }
}

#[tokio::test]
async fn damage_over_several_records_skips_exactly_those() {
    let disk = disk_of_killed_process_with(0..10).await;
    let (name, at) = find(&disk, 3);
    let (_, end) = find(&disk, 6);
    disk.damage(&name, |bytes| bytes[at..=end].fill(0xff));
    let (recovery, records, lost, _) = read_a(&disk).await;
    assert_eq!(recovery.corrupt_records, 4);
    assert_eq!((records, lost), (payloads((0..3).chain(7..10)), 4));
}

#[tokio::test]
async fn damage_in_an_older_segment_is_met_when_it_is_read_and_skips_exactly_what_is_damaged() {
    let disk = disk_with(0..MANY).await;
    assert_ne!(find(&disk, 50).0, find(&disk, MANY - 1).0, "they are in different segments");
    flip(&disk, 50, 0);
    flip(&disk, 60, -38);
    let (recovery, records, lost, corrupt) = read_a(&disk).await;
    assert_eq!(recovery, Recovery { pending: u64::from(MANY), ..Recovery::default() });
    assert_eq!(records, payloads((0..50).chain(51..60).chain(61..MANY)));
    assert_eq!((lost, corrupt), (2, 2));
}

#[tokio::test]
async fn damage_at_the_end_of_an_older_segment_does_not_reach_the_next() {
    let disk = disk_with(0..MANY).await;
    let (first, _) = find(&disk, 0);
    let end = numbers_in(&disk, &first).last().unwrap() + 1;
    let (_, at) = find(&disk, end - 2);
    disk.damage(&first, |bytes| bytes[at..].fill(0));
    let (_, records, lost, _) = read_a(&disk).await;
    assert_eq!(records, payloads((0..end - 2).chain(end..MANY)));
    assert_eq!(lost, 2);
}

#[tokio::test]
async fn damage_to_records_of_one_queue_is_no_loss_to_another() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    for number in 0..10 {
        append(&journal, ["a", "b"][number as usize % 2], number..number + 1).await;
    }
    disk.kill_process();
    flip(&disk, 5, 0);
    let (_, records, lost, corrupt) = read_a(&disk).await;
    assert_eq!((records, lost, corrupt), (payloads([0, 2, 4, 6, 8]), 0, 1));
    let (journal, _) = open(&disk);
    assert_eq!(texts(&close_and_read(&journal, "b").await), payloads([1, 3, 7, 9]));
    let usage = journal.queues();
    assert_eq!(usage.iter().map(|usage| usage.lost).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn file_cut_short_loses_what_stood_beyond_the_cut() {
    let disk = disk_with(0..MANY).await;
    let (first, at) = find(&disk, 100);
    let end = numbers_in(&disk, &first).last().unwrap() + 1;
    disk.damage(&first, |bytes| bytes.truncate(at + 10));
    let (_, records, lost, _) = read_a(&disk).await;
    assert_eq!(records, payloads((0..100).chain(end..MANY)));
    assert_eq!(lost, u64::from(end - 100));
}

#[tokio::test]
async fn missing_segment_loses_exactly_what_it_held() {
    let disk = disk_with(0..MANY).await;
    let (name, _) = find(&disk, MANY / 2);
    let held = numbers_in(&disk, &name);
    disk.lose(&name);
    let (_, records, lost, _) = read_a(&disk).await;
    assert_eq!(records, payloads((0..MANY).filter(|number| !held.contains(number))));
    assert_eq!(lost, held.len() as u64);
}

#[tokio::test]
async fn damaged_header_is_read_from_its_copy() {
    for at in [0, 4, 10, 20, 41] {
        let disk = disk_with(0..10).await;
        let (name, _) = find(&disk, 0);
        disk.damage(&name, |bytes| bytes[at] ^= 0xff);
        let (recovery, records, lost, _) = read_a(&disk).await;
        assert_eq!(recovery, Recovery { pending: 10, ..Recovery::default() }, "at {at}");
        assert_eq!((records, lost), (payloads(0..10), 0), "at {at}");
    }
}

#[tokio::test]
async fn segment_without_a_readable_header_is_set_aside_and_the_others_are_read() {
    let disk = disk_with(0..MANY).await;
    let (name, _) = find(&disk, MANY / 2);
    let held = numbers_in(&disk, &name);
    disk.damage(&name, |bytes| bytes[..HEAD_BYTES].fill(0x55));
    let bytes = disk.bytes(&name);
    let (recovery, records, lost, _) = read_a(&disk).await;
    assert_eq!(recovery.damaged_segments, 1);
    assert_eq!(records, payloads((0..MANY).filter(|number| !held.contains(number))));
    assert_eq!(lost, held.len() as u64);
    assert_eq!(disk.bytes(&format!("{name}.damaged")), bytes, "kept for whoever wants to look");
}

#[tokio::test]
async fn copy_of_a_segment_under_another_name_is_set_aside() {
    let disk = disk_with(0..10).await;
    let (name, _) = find(&disk, 0);
    disk.plant("00099.seg", disk.bytes(&name));
    let (recovery, records, ..) = read_a(&disk).await;
    assert_eq!((recovery.damaged_segments, records), (1, payloads(0..10)));
    assert!(disk.names().contains(&"00099.seg.damaged".to_owned()));
}

#[tokio::test]
async fn unknown_format_is_refused_by_name_and_left_untouched() {
    let disk = disk_with(0..10).await;
    let (name, _) = find(&disk, 0);
    disk.damage(&name, |bytes| {
        bytes[4] = 1;
        bytes[512 + 4] = 1;
    });
    let bytes = disk.bytes(&name);
    let refusal = Journal::open_on(Arc::new(Process::new(&disk)), Path::new(DIRECTORY), SMALL).err();
    let Some(OpenError::UnknownFormat { file, format: 1 }) = refusal else { panic!("{refusal:?}") };
    assert_eq!(file, Path::new(DIRECTORY).join(&name));
    assert_eq!(disk.bytes(&name), bytes);
}

#[tokio::test]
async fn files_cut_short_while_they_were_created_are_removed_and_blank_ones_are_used() {
    let disk = disk_with(0..10).await;
    disk.plant("00050.seg", vec![0; 5000]);
    disk.plant("00051.seg", Vec::new());
    disk.plant("00052.seg", vec![0; 64 * 1024]);
    disk.plant("README", b"not ours".to_vec());
    let (recovery, records, ..) = read_a(&disk).await;
    assert_eq!(recovery, Recovery { pending: 10, ..Recovery::default() });
    assert_eq!(records, payloads(0..10));
    let names = disk.names();
    assert!(!names.contains(&"00050.seg".to_owned()) && !names.contains(&"00051.seg".to_owned()));
    assert!(names.contains(&"00052.seg".to_owned()) && names.contains(&"README".to_owned()));
}

/// Damages the list of queues at the head of a segment.
fn damage_snapshot(disk: &MemoryDisk, name: &str) {
    disk.damage(name, |bytes| bytes[RECORDS_AT + 20] ^= 0xff);
}

#[tokio::test]
async fn damaged_list_of_queues_is_made_good_from_the_segment_before() {
    let disk = disk_with(0..MANY).await;
    let (newest, _) = find(&disk, MANY - 1);
    damage_snapshot(&disk, &newest);
    let (recovery, records, lost, _) = read_a(&disk).await;
    assert_eq!(recovery, Recovery { pending: u64::from(MANY), corrupt_records: 1, ..Recovery::default() });
    assert_eq!((records, lost), (payloads(0..MANY), 0));
}

/// A quarter of [`MANY`] records settled, an orderly end, and then every list of queues but those of the files `spared`, and every
/// cursor record, damaged.
async fn disk_without_cursors(spared: &[&str]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    append(&journal, "a", 0..MANY).await;
    let mut reader = journal.reader(&queue("a")).unwrap();
    for _ in 0..MANY / 4 {
        let record = reader.next().await.unwrap();
        reader.settle(record.offset);
    }
    drop(reader);
    journal.close().await;
    for name in disk.segments().iter().filter(|name| !spared.contains(&name.as_str())) {
        damage_snapshot(&disk, name);
    }
    // Cursors were written after the last message, and nothing else was.
    let (newest, at) = find(&disk, MANY - 1);
    let end = at + payload(MANY - 1).len();
    disk.damage(&newest, |bytes| bytes[end..end + 200].fill(0));
    disk
}

#[tokio::test]
async fn no_cursor_record_means_reading_from_the_oldest_segment_with_duplicates_and_no_loss() {
    let disk = disk_without_cursors(&["00000.seg"]).await;
    let (_, records, lost, _) = read_a(&disk).await;
    assert_eq!((records.len(), lost), (MANY as usize, 0));
    assert_eq!(records, payloads(0..MANY));
}

#[tokio::test]
async fn no_list_of_queues_at_all_keeps_the_records_under_another_name() {
    let disk = disk_without_cursors(&[]).await;
    let (journal, _) = open(&disk);
    let records = texts(&close_and_read(&journal, "unnamed-1").await);
    assert_eq!(records.len(), MANY as usize);
    assert_eq!(records, payloads(0..MANY));
}

#[tokio::test]
async fn damaged_name_of_a_queue_keeps_its_records_under_another() {
    let disk = disk_of_killed_process_with(0..10).await;
    // The record that names the queue stands between the list of queues and the first message.
    let (name, at) = find(&disk, 0);
    let name_at = at - 40 - 1;
    disk.damage(&name, |bytes| {
        assert_eq!(bytes[name_at], b'a');
        bytes[name_at] = b'b';
    });
    let (journal, recovery) = open(&disk);
    assert_eq!((recovery.pending, recovery.corrupt_records), (10, 1));
    let names: Vec<_> = journal.queues().into_iter().map(|usage| usage.name()).collect();
    assert_eq!(names, ["unnamed-1"]);
    assert_eq!(texts(&close_and_read(&journal, "unnamed-1").await), payloads(0..10));
}

#[tokio::test]
async fn records_of_a_segments_earlier_use_never_come_back() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    let mut reader = journal.reader(&queue("a")).unwrap();
    for number in 0..MANY {
        append(&journal, "a", number..number + 1).await;
        let record = reader.next().await.unwrap();
        reader.settle(record.offset);
    }
    drop(reader);
    assert!(journal.usage().bytes_on_disk <= 4 * SMALL.segment_bytes, "segments were used again");
    append(&journal, "a", 5000..5001).await;
    disk.kill_process();
    let (recovery, records, lost, _) = read_a(&disk).await;
    assert!(!recovery.cut_tail && recovery.corrupt_records == 0, "{recovery:?}");
    assert_eq!((records.last(), lost), (Some(&payload(5000)), 0));
    assert!(records.len() <= 2, "at most the settlement that no commit carried is repeated");
}

#[tokio::test]
async fn payload_that_looks_like_a_record_does_not_become_one_when_the_record_around_it_is_damaged() {
    // A sender that knows the format puts a whole segment of another journal's making into its message.
    let other = disk_with(0..3).await;
    let (name, at) = find(&other, 0);
    let forged = other.bytes(&name)[at - 40..at + 1000].to_vec();
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    append(&journal, "a", 100..101).await;
    journal.append(&to(["a"]), Bytes::from([b"[[".to_vec(), forged].concat())).await.unwrap();
    append(&journal, "a", 101..103).await;
    journal.close().await;
    let (name, at) = find(&disk, 0);
    disk.damage(&name, |bytes| bytes[at - 42] ^= 0xff);
    let (_, records, lost, _) = read_a(&disk).await;
    assert_eq!((records, lost), (payloads(100..103), 1));
}

#[tokio::test]
async fn damaged_segment_is_removed_and_not_used_again_once_it_is_done_with() {
    let disk = disk_with(0..MANY).await;
    let (name, _) = find(&disk, 50);
    flip(&disk, 50, 0);
    let (journal, _) = open(&disk);
    let mut reader = journal.reader(&queue("a")).unwrap();
    for _ in 0..MANY - 1 {
        let record = reader.next().await.unwrap();
        reader.settle(record.offset);
    }
    append(&journal, "a", 0..1).await;
    assert_eq!(journal.usage().segments, 1);
    assert!(!disk.names().contains(&name));
}
