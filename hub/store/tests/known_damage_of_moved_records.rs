//! One test per way in which compacted segments, and the seals of all, can be damaged, named after its end. The list is in the head of
//! `journal.rs`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::damage::{HEAD_BYTES, MANY, append, find, flip, numbers_in, payloads, read_a};
use support::{MemoryDisk, SMALL, close_and_read, open, queue, texts};

/// A disk on which sparse segments were moved together: the numbers that wait for "a", after an orderly end.
async fn disk_with_compacted() -> (MemoryDisk, Vec<u32>) {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    let mut reader = journal.reader(&queue("b")).unwrap();
    let mut waiting = Vec::new();
    for number in 0..14_000 {
        if number % 20 == 0 {
            append(&journal, "a", number..number + 1).await;
            waiting.push(number);
        } else {
            append(&journal, "b", number..number + 1).await;
            let record = reader.next().await.unwrap();
            reader.settle(record.offset);
        }
    }
    assert!(journal.usage().moved_bytes > 0);
    journal.close().await;
    (disk, waiting)
}

/// The compacted segment files: those that are not of the usual size.
fn compacted(disk: &MemoryDisk) -> Vec<String> {
    let names = disk.segments().into_iter();
    names.filter(|name| disk.bytes(name).len() as u64 != SMALL.segment_bytes).collect()
}

#[tokio::test]
async fn damage_in_a_compacted_segment_skips_exactly_what_is_damaged() {
    let (disk, waiting) = disk_with_compacted().await;
    let name = &compacted(&disk)[0];
    let damaged = numbers_in(&disk, name)[3];
    flip(&disk, damaged, 0);
    let (_, records, lost, corrupt) = read_a(&disk).await;
    assert_eq!(records, payloads(waiting.into_iter().filter(|number| *number != damaged)));
    assert_eq!((lost, corrupt), (1, 1));
}

#[tokio::test]
async fn damaged_seal_makes_the_segment_be_read_whole_and_nothing_is_lost() {
    let (disk, waiting) = disk_with_compacted().await;
    for name in disk.segments() {
        disk.damage(&name, |bytes| bytes[HEAD_BYTES + 9] ^= 0xff);
    }
    let (recovery, records, lost, corrupt) = read_a(&disk).await;
    assert_eq!((recovery.corrupt_records, records, lost, corrupt), (0, payloads(waiting), 0, 0));
}

#[tokio::test]
async fn compacted_segment_cut_short_or_missing_loses_exactly_what_it_held() {
    for missing in [true, false] {
        let (disk, waiting) = disk_with_compacted().await;
        let name = compacted(&disk)[0].clone();
        let mut held = numbers_in(&disk, &name);
        if missing {
            disk.lose(&name);
        } else {
            let (_, at) = find(&disk, held[2]);
            disk.damage(&name, |bytes| bytes.truncate(at + 10));
            held.drain(..2);
        }
        let (_, records, lost, _) = read_a(&disk).await;
        assert_eq!(records, payloads(waiting.into_iter().filter(|number| !held.contains(number))), "missing: {missing}");
        assert_eq!(lost, held.len() as u64, "missing: {missing}");
    }
}

#[tokio::test]
async fn compacted_segment_without_a_readable_header_is_set_aside() {
    let (disk, waiting) = disk_with_compacted().await;
    let name = compacted(&disk)[0].clone();
    let held = numbers_in(&disk, &name);
    disk.damage(&name, |bytes| bytes[..HEAD_BYTES].fill(0x55));
    let (recovery, records, lost, _) = read_a(&disk).await;
    assert_eq!(recovery.damaged_segments, 1);
    assert_eq!(records, payloads(waiting.into_iter().filter(|number| !held.contains(number))));
    assert_eq!(lost, held.len() as u64);
}

#[tokio::test]
async fn unfinished_compacted_segment_is_removed_and_what_it_was_made_of_is_read() {
    let (disk, waiting) = disk_with_compacted().await;
    disk.plant("00099.new", disk.bytes(&compacted(&disk)[0])[..3000].to_vec());
    let (recovery, records, lost, _) = read_a(&disk).await;
    assert_eq!((recovery.damaged_segments, records, lost), (0, payloads(waiting), 0));
    assert!(!disk.names().contains(&"00099.new".to_owned()));
}

#[tokio::test]
async fn where_both_are_found_the_compacted_segment_counts_and_where_it_is_missing_the_originals_do() {
    // Everything as it was before something was moved, beside what was made of it.
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    append(&journal, "a", 0..MANY).await;
    let mut originals = Vec::new();
    let mut reader = journal.reader(&queue("a")).unwrap();
    let mut next = MANY;
    while compacted(&disk).is_empty() {
        originals = disk.segments().into_iter().map(|name| (name.clone(), disk.bytes(&name))).collect();
        // One in two is settled out of the way of the other, so that half of each segment is wanted.
        append(&journal, if next.is_multiple_of(2) { "a" } else { "b" }, next..next + 1).await;
        if next.is_multiple_of(2) {
            for _ in 0..2 {
                let record = reader.next().await.unwrap();
                reader.settle(record.offset);
            }
        }
        next += 1;
        assert!(next < 20 * MANY, "nothing is ever moved");
    }
    drop(reader);
    journal.close().await;
    let (journal, _) = open(&disk);
    let expected = texts(&close_and_read(&journal, "b").await);
    drop(journal);
    // Segments that are still there under their names hold more than they did; the others come back.
    let present = disk.segments();
    for (name, bytes) in originals {
        if !present.contains(&name) {
            disk.plant(&name, bytes);
        }
    }
    let (journal, recovery) = open(&disk);
    assert_eq!((recovery.corrupt_records, recovery.damaged_segments), (0, 0));
    assert_eq!(texts(&close_and_read(&journal, "b").await), expected);
    assert!(journal.queues().iter().all(|usage| usage.lost == 0));
}
