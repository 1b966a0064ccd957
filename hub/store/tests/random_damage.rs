//! Whatever happens to the files' bytes: opening and reading end, nothing is made up or reordered, and the counts add up.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use edge_store::{Journal, OpenError};
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestCaseError};
use support::{DIRECTORY, MemoryDisk, Process, SMALL, open, queue, read_to_end, to};

const QUEUES: [&str; 2] = ["a", "b"];
/// Enough to fill several segments.
const RECORDS: u64 = 500;

#[derive(Clone, Debug)]
enum Damage {
    /// So many bytes from a place, both in thousandths of the file, become another value.
    Fill {
        file: usize,
        from: u16,
        count: u16,
        value: u8,
    },
    /// One bit of the head or of the records.
    Flip {
        file: usize,
        at: u32,
        bit: u8,
    },
    CutShort {
        file: usize,
        to: u16,
    },
    Lose {
        file: usize,
    },
    /// One file becomes a copy of another.
    Copy {
        file: usize,
        over: usize,
    },
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let file = 0..8_usize;
    let damage = prop_oneof![
        3 => (file.clone(), 0..1000_u16, 0..100_u16, any::<u8>())
            .prop_map(|(file, from, count, value)| Damage::Fill { file, from, count, value }),
        4 => (file.clone(), prop_oneof![0..1100_u32, any::<u32>()], 0..8_u8).prop_map(|(file, at, bit)| Damage::Flip { file, at, bit }),
        1 => (file.clone(), 0..1000_u16).prop_map(|(file, to)| Damage::CutShort { file, to }),
        1 => file.clone().prop_map(|file| Damage::Lose { file }),
        1 => (file.clone(), file).prop_map(|(file, over)| Damage::Copy { file, over }),
    ];
    prop::collection::vec(damage, 1..6)
}

fn inflict(disk: &MemoryDisk, damage: &Damage) {
    let names = disk.segments();
    let name = |file: usize| names.get(file % names.len().max(1)).cloned();
    let damage_file = |file: usize, change: &dyn Fn(&mut Vec<u8>)| {
        if let Some(name) = name(file) {
            disk.damage(&name, |bytes| change(bytes));
        }
    };
    match *damage {
        Damage::Fill { file, from, count, value } => damage_file(file, &|bytes| {
            let from = bytes.len() * usize::from(from) / 1000;
            let end = (from + bytes.len() * usize::from(count) / 1000).min(bytes.len());
            bytes[from..end].fill(value);
        }),
        Damage::Flip { file, at, bit } => damage_file(file, &|bytes| {
            if let Some(at) = usize::try_from(at).unwrap().checked_rem(bytes.len()) {
                bytes[at] ^= 1 << bit;
            }
        }),
        Damage::CutShort { file, to } => damage_file(file, &|bytes| bytes.truncate(bytes.len() * usize::from(to) / 1000)),
        Damage::Lose { file } => names.get(file % names.len().max(1)).into_iter().for_each(|name| disk.lose(name)),
        Damage::Copy { file, over } => {
            if let (Some(from), Some(over)) = (name(file), name(over)) {
                let copy = disk.bytes(&from);
                disk.damage(&over, |bytes| *bytes = copy);
            }
        }
    }
}

async fn check(damages: &[Damage], orderly_end: bool) -> Result<(), TestCaseError> {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk);
    let appender = journal.appender();
    for number in 0..RECORDS {
        let mut payload = number.to_le_bytes().to_vec();
        payload.resize(8 + usize::try_from(number * 7 % 900).unwrap(), b'x');
        // "a" gets all, "b" every third.
        let queues = if number % 3 == 0 { to(["a", "b"]) } else { to(["a"]) };
        appender.submit(&queues, Bytes::from(payload)).await.await.unwrap();
    }
    if orderly_end {
        journal.close().await;
    } else {
        disk.kill_process();
    }
    for damage in damages {
        inflict(&disk, damage);
    }
    let opened = Journal::open_on(Arc::new(Process::new(&disk)), Path::new(DIRECTORY), SMALL);
    let (journal, recovery) = match opened {
        Ok(opened) => opened,
        // Both copies of a header can come to look like those of another version.
        Err(OpenError::UnknownFormat { .. }) => return Ok(()),
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    };
    // What is accepted after damage is as good as ever.
    journal.append(&to(["a"]), Bytes::from(RECORDS.to_le_bytes().to_vec())).await.unwrap();
    journal.close().await;
    for name in QUEUES {
        let before = journal.queues().into_iter().find(|usage| usage.endpoint == queue(name)).map_or(0, |usage| usage.depth);
        let mut reader = journal.reader(&queue(name)).unwrap();
        let records = read_to_end(&mut reader).await;
        let numbers: Vec<_> = records.iter().map(|record| u64::from_le_bytes(record.payload[..8].try_into().unwrap())).collect();
        prop_assert!(numbers.is_sorted_by(|a, b| a < b), "{}: {:?}", name, numbers);
        for (record, number) in records.iter().zip(&numbers) {
            let len = if *number == RECORDS { 8 } else { 8 + usize::try_from(number * 7 % 900).unwrap() };
            prop_assert_eq!(record.payload.len(), len);
            prop_assert!(name == "a" || number % 3 == 0);
        }
        let usage = journal.queues().into_iter().find(|usage| usage.endpoint == queue(name)).unwrap();
        prop_assert_eq!(usage.depth, 0, "nothing waits for ever");
        prop_assert_eq!(usage.lost + records.len() as u64, before, "each record is found or counted as lost ({:?})", recovery);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("proptest-regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_damage_ends_in_what_is_whole_read_in_order_and_the_rest_counted(damages in damages(), orderly_end in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let check = tokio::time::timeout(std::time::Duration::from_secs(30), check(&damages, orderly_end));
            check.await.unwrap_or_else(|_| Err(TestCaseError::fail("reading hangs")))
        })?;
    }
}
