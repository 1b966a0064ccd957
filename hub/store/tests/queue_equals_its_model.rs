//! Any sequence of appends, settlements, rewinds, restarts, kills and power cuts, against a model of three lines: a queue is the
//! list of what was appended; what was acknowledged stays until it is settled; what was not may or may not be there.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use edge_store::{AppendError, Journal, QueueReader};
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestCaseError};
use support::{MemoryDisk, Operation, close_and_read, open, queue, read_to_end, to, to_all};

const QUEUES: [&str; 3] = ["a", "b", "modules/c/inputs/in"];

/// Nothing here takes so long, unless it hangs.
const HANG: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
enum Op {
    /// So many appends at once, each for the queues of the bit mask, with a payload of about that size.
    Append {
        count: u8,
        mask: u8,
        size: u16,
    },
    /// Hand out so many records of a queue.
    Read {
        queue: usize,
        count: u8,
    },
    /// Settle the nth record of those handed out.
    Settle {
        queue: usize,
        nth: u8,
    },
    /// Settle all that is handed out.
    SettleAll {
        queue: usize,
    },
    Rewind {
        queue: usize,
    },
    Close,
    Kill,
    /// The seed says what survives; `during` is a batch under way.
    PowerCut {
        seed: u64,
        during: u8,
    },
    /// The nth operation of the kind fails, and goes on failing during one batch.
    Trouble {
        operation: Operation,
        after: u8,
        full: bool,
        count: u8,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let queue = 0..QUEUES.len();
    let operation = prop_oneof![Just(Operation::Write), Just(Operation::Sync), Just(Operation::Create), Just(Operation::Open)];
    let op = prop_oneof![
        6 => (1..40_u8, 1..8_u8, prop_oneof![0..200_u16, 0..8000_u16]).prop_map(|(count, mask, size)| Op::Append { count, mask, size }),
        6 => (queue.clone(), 1..60_u8).prop_map(|(queue, count)| Op::Read { queue, count }),
        2 => (queue.clone(), any::<u8>()).prop_map(|(queue, nth)| Op::Settle { queue, nth }),
        3 => queue.clone().prop_map(|queue| Op::SettleAll { queue }),
        1 => queue.prop_map(|queue| Op::Rewind { queue }),
        1 => Just(Op::Close),
        1 => Just(Op::Kill),
        2 => (any::<u64>(), 0..20_u8).prop_map(|(seed, during)| Op::PowerCut { seed, during }),
        2 => (operation, 0..4_u8, any::<bool>(), 1..20_u8)
            .prop_map(|(operation, after, full, count)| Op::Trouble { operation, after, full, count }),
    ];
    prop::collection::vec(op, 1..60)
}

/// A record of the model: its number over all queues, and whether it was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Appended {
    number: u64,
    acknowledged: bool,
    /// Settled in this life of the process, and perhaps not on disk yet.
    settled: bool,
}

struct World {
    disk: MemoryDisk,
    journal: Journal,
    readers: Vec<Option<QueueReader>>,
    /// Handed out and not settled: offset and number.
    handed_out: Vec<Vec<(u64, u64)>>,
    /// Rewound: so many of the handed out come again first.
    again: Vec<Vec<u64>>,
    model: Vec<Vec<Appended>>,
    next_number: u64,
}

fn payload(number: u64, size: u16) -> Bytes {
    let mut bytes = number.to_le_bytes().to_vec();
    // Payloads that look like what the journal itself writes.
    bytes.extend((0..size).map(|at| (at % 251) as u8 * u8::from(!number.is_multiple_of(3))));
    bytes.into()
}

fn number_of(payload: &Bytes) -> u64 {
    u64::from_le_bytes(payload[..8].try_into().unwrap())
}

impl World {
    fn new() -> Self {
        let disk = MemoryDisk::new();
        let (journal, _) = open(&disk);
        let mut world = Self {
            disk,
            journal,
            readers: Vec::new(),
            handed_out: vec![Vec::new(); QUEUES.len()],
            again: vec![Vec::new(); QUEUES.len()],
            model: vec![Vec::new(); QUEUES.len()],
            next_number: 0,
        };
        world.attach_readers();
        world
    }

    fn attach_readers(&mut self) {
        self.readers = QUEUES.iter().map(|name| Some(self.journal.reader(&queue(name)).unwrap())).collect();
        self.handed_out.iter_mut().for_each(Vec::clear);
        self.again.iter_mut().for_each(Vec::clear);
    }

    /// Appends a batch through one sender. Of those that fail, all after the first failure must fail too.
    async fn append(&mut self, count: u8, mask: u8, size: u16) -> Result<(), TestCaseError> {
        let appender = self.journal.appender();
        let names: Vec<_> = (0..QUEUES.len()).filter(|at| mask & (1 << at) != 0).collect();
        let queues = to_all(&names.iter().map(|at| QUEUES[*at]).collect::<Vec<_>>());
        let mut pending = Vec::new();
        for _ in 0..count {
            let number = self.next_number;
            self.next_number += 1;
            pending.push((number, appender.submit(&queues, payload(number, size)).await));
        }
        let mut failed = false;
        for (number, pending) in pending {
            let outcome = pending.await;
            prop_assert!(!(failed && outcome.is_ok()), "a record overtook one that failed");
            failed |= outcome.is_err();
            prop_assert!(!matches!(outcome, Err(AppendError::TooLarge { .. } | AppendError::Closed)), "{outcome:?}");
            for at in &names {
                self.model[*at].push(Appended { number, acknowledged: outcome.is_ok(), settled: false });
            }
        }
        Ok(())
    }

    /// In this life of the process only what was acknowledged is read, in order, from the first not settled.
    async fn read(&mut self, at: usize, count: u8) -> Result<(), TestCaseError> {
        let furthest = self.handed_out[at].last().map(|(_, number)| *number);
        for _ in 0..count {
            let fresh = self.model[at].iter().find(|appended| {
                appended.acknowledged
                    && !appended.settled
                    && furthest
                        .max(self.handed_out[at].last().map(|(_, number)| *number))
                        .is_none_or(|last| appended.number > last)
            });
            let (expected, redelivered) = match (self.again[at].first(), fresh) {
                (Some(again), _) => (*again, true),
                (None, Some(fresh)) => (fresh.number, false),
                (None, None) => return Ok(()),
            };
            let next = self.readers[at].as_mut().unwrap().next();
            let Ok(record) = tokio::time::timeout(HANG, next).await else {
                return Err(TestCaseError::fail(format!("queue {} does not hand out {expected}", QUEUES[at])));
            };
            let record = record.unwrap();
            prop_assert_eq!(number_of(&record.payload), expected, "queue {}", QUEUES[at]);
            prop_assert_eq!(record.redelivered, redelivered);
            if redelivered {
                self.again[at].remove(0);
            } else {
                self.handed_out[at].push((record.offset, expected));
            }
        }
        Ok(())
    }

    fn settle(&mut self, at: usize, which: usize) {
        let (offset, number) = self.handed_out[at].remove(which);
        self.again[at].retain(|again| *again != number);
        self.readers[at].as_mut().unwrap().settle(offset);
        let settled = self.model[at].iter_mut().find(|appended| appended.number == number).unwrap();
        settled.settled = true;
    }

    fn rewind(&mut self, at: usize) {
        self.readers[at].as_mut().unwrap().rewind();
        self.again[at] = self.handed_out[at].iter().map(|(_, number)| *number).collect();
    }

    /// Closes in order: what was settled must not come again, up to the first record that was not.
    async fn close(&mut self) -> Result<(), TestCaseError> {
        // A full journal may have no room left to say how far the queues are.
        let has_room = self.journal.problem().borrow().is_none();
        self.journal.close().await;
        for (model, _) in self.model.iter_mut().zip(QUEUES).filter(|_| has_room) {
            let first_waiting =
                model.iter().position(|appended| appended.acknowledged && !appended.settled).unwrap_or(model.len());
            let mut at = 0;
            model.retain(|appended| {
                at += 1;
                at > first_waiting || !appended.settled
            });
        }
        self.reopen().await
    }

    /// Opens again and compares all that waits with the model; then takes what is there for granted.
    async fn reopen(&mut self) -> Result<(), TestCaseError> {
        for usage in self.journal.usage().queues {
            prop_assert_eq!(usage.lost, 0);
        }
        self.readers.clear();
        let (journal, recovery) = open(&self.disk);
        prop_assert_eq!(recovery.corrupt_records, 0, "nothing was damaged");
        prop_assert_eq!(recovery.damaged_segments, 0);
        journal.close().await;
        for (at, name) in QUEUES.iter().enumerate() {
            let mut reader = journal.reader(&queue(name)).unwrap();
            let found: Vec<_> = read_to_end(&mut reader).await.iter().map(|record| number_of(&record.payload)).collect();
            let model = &mut self.model[at];
            // In order, each once: nothing is found that was never appended.
            let mut position = 0;
            for number in &found {
                let skipped = model[position..].iter().position(|appended| appended.number == *number);
                let Some(skipped) = skipped else {
                    return Err(TestCaseError::fail(format!("{name}: {number} is out of order or unheard of, in {found:?}")));
                };
                // What stands before the first that is found may have been settled; later everything acknowledged must be there,
                // unless it was settled out of order.
                let passed = &model[position..position + skipped];
                let lost = passed.iter().find(|appended| appended.acknowledged && !appended.settled);
                prop_assert!(lost.is_none(), "{}: {:?} is lost", name, lost);
                position += skipped + 1;
            }
            let lost = model[position..].iter().find(|appended| appended.acknowledged && !appended.settled);
            prop_assert!(lost.is_none(), "{}: {:?} is lost", name, lost);
            *model = found.iter().map(|number| Appended { number: *number, acknowledged: true, settled: false }).collect();
        }
        for usage in journal.usage().queues {
            prop_assert_eq!(usage.lost, 0);
        }
        drop(journal);
        let (journal, recovery) = open(&self.disk);
        prop_assert_eq!(recovery.pending, self.model.iter().map(|model| model.len() as u64).sum::<u64>());
        self.journal = journal;
        self.attach_readers();
        Ok(())
    }

    async fn power_cut(&mut self, mut seed: u64, during: u8) -> Result<(), TestCaseError> {
        // A batch that nobody waits for: the plug is pulled somewhere in it.
        let appender = self.journal.appender();
        let queues = to(QUEUES);
        let mut pending = Vec::new();
        for _ in 0..during {
            let number = self.next_number;
            self.next_number += 1;
            pending.push((number, appender.submit(&queues, payload(number, 700)).await));
            tokio::task::yield_now().await;
        }
        self.disk.pull_the_plug(&mut |count| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % count
        });
        for (number, pending) in pending {
            let acknowledged = pending.await.is_ok();
            for model in &mut self.model {
                model.push(Appended { number, acknowledged, settled: false });
            }
        }
        self.reopen().await
    }

    async fn trouble(&mut self, operation: Operation, after: u8, full: bool, count: u8) -> Result<(), TestCaseError> {
        let kind = if full { std::io::ErrorKind::StorageFull } else { std::io::ErrorKind::Other };
        self.disk.fail(operation, u64::from(after), kind);
        self.append(count, 7, 3000).await?;
        self.disk.mend();
        Ok(())
    }

    async fn run(&mut self, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Append { count, mask, size } => self.append(count, mask, size).await,
            Op::Read { queue, count } => self.read(queue, count).await,
            Op::Settle { queue, nth } => {
                if !self.handed_out[queue].is_empty() {
                    let which = usize::from(nth) % self.handed_out[queue].len();
                    self.settle(queue, which);
                }
                Ok(())
            }
            Op::SettleAll { queue } => {
                while !self.handed_out[queue].is_empty() {
                    self.settle(queue, 0);
                }
                Ok(())
            }
            Op::Rewind { queue } => {
                self.rewind(queue);
                Ok(())
            }
            Op::Close => self.close().await,
            Op::Kill => {
                self.disk.kill_process();
                self.reopen().await
            }
            Op::PowerCut { seed, during } => self.power_cut(seed, during).await,
            Op::Trouble { operation, after, full, count } => self.trouble(operation, after, full, count).await,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("proptest-regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_queue_holds_what_was_acknowledged_and_not_settled_in_order(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for op in ops {
                world.run(op).await?;
            }
            world.disk.mend();
            world.close().await
        })?;
    }
}

#[tokio::test]
async fn without_fsync_the_same_check_finds_losses() {
    let disk = MemoryDisk::new();
    disk.let_syncs_lie();
    let (journal, _) = open(&disk);
    for number in 0..100 {
        journal.append(&to(["a"]), payload(number, 100)).await.unwrap();
    }
    disk.pull_the_plug(&mut |_| 0);
    let (journal, _) = open(&disk);
    assert_eq!(close_and_read(&journal, "a").await, []);
}
