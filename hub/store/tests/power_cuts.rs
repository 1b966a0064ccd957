//! Power cuts at every step: the plug is pulled in the middle of any write, sync, creation, renaming or removal, by whichever thread,
//! while records are appended, settled, moved and dropped. What was not synced is forgotten, kept, or torn at any byte.
//!
//! `EDGE_POWER_CUTS` says how many (500 for each policy by default), `EDGE_POWER_CUT_SEED` where chance begins.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use edge_store::{Counts, Destination, Destinations, Journal, JournalOptions, OnFull, Priority, QueueReader, Usage};
use support::{Chance, MemoryDisk, SMALL, TestClock, open_with, queue, read_to_end};

/// Few segments, so that room is short soon and records are moved all the time.
const TIGHT: JournalOptions = JournalOptions { max_bytes: 64 * 1024 * 6, ..SMALL };
const ENDPOINTS: [&str; 3] = ["alive", "slow", "dead"];
/// Cuts on one disk before the next one is begun.
const CUTS_PER_DISK: u64 = 20;

/// Priority of a queue, and of the model.
type QueueId = (usize, Option<u8>);

#[derive(Clone, Debug)]
struct Appended {
    number: u64,
    acknowledged: bool,
    settled: bool,
    /// It may expire.
    mortal: bool,
}

struct World {
    disk: MemoryDisk,
    clock: TestClock,
    options: JournalOptions,
    chance: Chance,
    journal: Journal,
    readers: Vec<QueueReader>,
    /// Handed out by each reader and not settled: offset, number and queue.
    out: Vec<Vec<(u64, u64, Option<u8>)>>,
    model: BTreeMap<QueueId, Vec<Appended>>,
    next_number: u64,
    pending_at_open: u64,
    moved: u64,
}

fn payload(number: u64, priority: Option<u8>, size: usize) -> Bytes {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.push(priority.unwrap_or(99));
    bytes.resize(9 + size, b'.');
    bytes.into()
}

fn identity_of(payload: &Bytes) -> (u64, Option<u8>) {
    let priority = payload[8];
    (u64::from_le_bytes(payload[..8].try_into().unwrap()), (priority != 99).then_some(priority))
}

fn numbers(records: &[edge_store::Record], priority: Option<u8>) -> Vec<u64> {
    let found = records.iter().map(|record| identity_of(&record.payload));
    found.filter(|(_, of)| *of == priority).map(|(number, _)| number).collect()
}

impl World {
    fn new(seed: u64, on_full: OnFull) -> Self {
        let (disk, clock, options) = (MemoryDisk::new(), TestClock::new(1), JournalOptions { on_full, ..TIGHT });
        let (journal, _) = open_with(&disk, &clock, options);
        let mut world = Self {
            disk,
            clock,
            options,
            chance: Chance::new(seed),
            journal,
            readers: Vec::new(),
            out: vec![Vec::new(); ENDPOINTS.len()],
            model: BTreeMap::new(),
            next_number: 0,
            pending_at_open: 0,
            moved: 0,
        };
        world.attach_readers();
        world
    }

    fn attach_readers(&mut self) {
        self.readers = ENDPOINTS.iter().map(|name| self.journal.reader(&queue(name)).unwrap()).collect();
        self.out.iter_mut().for_each(Vec::clear);
    }

    /// Some endpoints, mostly the living one: what is left for the others is sparse.
    fn destinations(&mut self) -> (Destinations, Vec<QueueId>, bool) {
        let mask = [1, 1, 1, 1, 2, 3, 3, 4, 5, 7][self.chance.of(10)];
        let priority = [None, None, Some(0)][self.chance.of(3)];
        let mortal = self.options.on_full == OnFull::DropOldest && self.chance.of(4) == 0;
        let wanted: Vec<_> = (0..ENDPOINTS.len()).filter(|at| mask & (1 << at) != 0).collect();
        let destinations = wanted.iter().map(|at| Destination {
            endpoint: queue(ENDPOINTS[*at]),
            priority: priority.map_or(Priority::DEFAULT, |number| Priority::new(number).unwrap()),
            time_to_live: mortal.then_some(Duration::from_secs(20)),
        });
        (Destinations::new(destinations.collect()).unwrap(), wanted.iter().map(|at| (*at, priority)).collect(), mortal)
    }

    async fn append(&mut self) -> Result<(), String> {
        let count = 1 + self.chance.of(20);
        let (mut batch, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (destinations, queues, mortal) = self.destinations();
            let number = self.next_number;
            self.next_number += 1;
            let size = self.chance.of(if number.is_multiple_of(7) { 6000 } else { 1200 });
            batch.push((destinations, payload(number, queues[0].1, size)));
            expected.push((number, queues, mortal));
        }
        let outcome = self.journal.appender().submit_batch(batch).await.await;
        let accepted = outcome.as_ref().map_or_else(|refused| refused.index, |()| count);
        for (index, (number, queues, mortal)) in expected.into_iter().enumerate() {
            for queue in queues {
                let appended = Appended { number, acknowledged: index < accepted, settled: false, mortal };
                self.model.entry(queue).or_default().push(appended);
            }
        }
        Ok(())
    }

    /// Takes what is in memory or on disk, up to some, and settles some of it.
    async fn read(&mut self, at: usize) -> Result<(), String> {
        let mut records = Vec::new();
        let wanted = 1 + self.chance.of(60);
        while records.len() < wanted {
            let depth: u64 =
                self.journal.queues().iter().filter(|usage| usage.endpoint == queue(ENDPOINTS[at])).map(|q| q.depth).sum();
            if depth <= (self.out[at].len() + records.len()) as u64 {
                break;
            }
            let next = self.readers[at].next_batch(&mut records, wanted, usize::MAX);
            // Those that wait may have been dropped or have expired meanwhile.
            match tokio::time::timeout(Duration::from_millis(300), next).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => break,
            }
        }
        for record in &records {
            let (number, priority) = identity_of(&record.payload);
            let model = self.model.get(&(at, priority)).map(Vec::as_slice).unwrap_or_default();
            let known = model.iter().find(|appended| appended.number == number).ok_or(format!("{number} was never appended"))?;
            if !known.acknowledged || known.settled {
                return Err(format!("{}: handed out {known:?}", ENDPOINTS[at]));
            }
            if self.out[at].iter().any(|(_, earlier, of)| *of == priority && *earlier >= number) {
                return Err(format!("{}: {number} comes after a later one", ENDPOINTS[at]));
            }
            self.out[at].push((record.offset, number, priority));
        }
        let settle_all = at != 1 || self.chance.of(2) == 0;
        let mut kept = Vec::new();
        for (offset, number, priority) in std::mem::take(&mut self.out[at]) {
            if !settle_all && self.chance.of(3) == 0 {
                kept.push((offset, number, priority));
                continue;
            }
            let settled = self.readers[at].settle(offset);
            if !settled && self.options.on_full == OnFull::RejectNew {
                return Err(format!("{}: {number} could not be settled", ENDPOINTS[at]));
            }
            let model = self.model.get_mut(&(at, priority)).unwrap();
            model.iter_mut().find(|appended| appended.number == number).unwrap().settled = true;
        }
        self.out[at] = kept;
        Ok(())
    }

    fn check_usage(&mut self) -> Result<Usage, String> {
        let usage = self.journal.usage();
        let depth: u64 = usage.queues.iter().map(|queue| queue.depth).sum();
        let Counts { appended, settled, dropped, expired, lost, retired } = usage.totals;
        if self.pending_at_open + appended != settled + dropped + expired + lost + retired + depth {
            return Err(format!("{} at first, and now {usage:?}", self.pending_at_open));
        }
        if lost > 0 || usage.corrupt_records > 0 {
            return Err(format!("a power cut damages nothing: {usage:?}"));
        }
        if usage.bytes_on_disk > usage.bytes_max + 2 * SMALL.segment_bytes {
            return Err(format!("too large: {usage:?}"));
        }
        Ok(usage)
    }

    /// One life of the process, until the plug is pulled.
    async fn live(&mut self) -> Result<(), String> {
        let after = [3, 30, 150, 600][self.chance.of(4)];
        let after = self.chance.of(after) as u64;
        let chance = Chance::new(self.chance.of(usize::MAX) as u64);
        self.disk.pull_the_plug_after(after, chance);
        while self.disk.cut_in().is_none() {
            match self.chance.of(12) {
                0..=4 => self.append().await?,
                5..=8 => self.read(0).await?,
                9 => self.read(1).await?,
                10 if self.chance.of(6) == 0 => self.read(2).await?,
                _ => self.clock.pass(Duration::from_secs(1)),
            }
            let usage = self.check_usage()?;
            self.moved = self.moved.max(usage.moved_bytes);
        }
        Ok(())
    }

    /// The machine comes up again: all that was acknowledged and not settled must be there, in order.
    async fn check_what_is_left(&mut self) -> Result<(), String> {
        self.readers.clear();
        let (journal, recovery) = open_with(&self.disk, &self.clock, self.options);
        if recovery.corrupt_records > 0 || recovery.damaged_segments > 0 {
            return Err(format!("{recovery:?}"));
        }
        journal.close().await;
        for (at, name) in ENDPOINTS.iter().enumerate() {
            let found = read_to_end(&mut journal.reader(&queue(name)).unwrap()).await;
            for priority in [None, Some(0)] {
                let found = numbers(&found, priority);
                let model = self.model.entry((at, priority)).or_default();
                compare(model, &found, self.options.on_full).map_err(|problem| format!("{name} {priority:?}: {problem}"))?;
            }
        }
        let lost = journal.usage().totals.lost;
        drop(journal);
        // Where records may be dropped, a cut between dropping them and having that on disk shows as a gap, if there was no file left to
        // say so in: of what was dropped. That nothing else is missing was looked at above.
        if lost > 0 && self.options.on_full == OnFull::RejectNew {
            return Err(format!("{lost} are counted as lost"));
        }
        let (journal, recovery) = open_with(&self.disk, &self.clock, self.options);
        (self.journal, self.pending_at_open) = (journal, recovery.pending);
        self.attach_readers();
        Ok(())
    }
}

/// Is what was found of a queue what should be? The model is then what was found.
fn compare(model: &mut Vec<Appended>, found: &[u64], on_full: OnFull) -> Result<(), String> {
    let mut position = 0;
    for (index, number) in found.iter().enumerate() {
        let passed = model[position..].iter().position(|appended| appended.number == *number);
        let passed = passed.ok_or_else(|| format!("{number} is out of order, there twice or unheard of: {found:?}"))?;
        let missing = &model[position..position + passed];
        // The oldest may have been dropped, if that is allowed; what has expired may be missing anywhere.
        let dropped = |appended: &&Appended| on_full == OnFull::DropOldest && (index == 0 || appended.mortal);
        if let Some(lost) = missing.iter().find(|appended| appended.acknowledged && !appended.settled && !dropped(appended)) {
            return Err(format!("{lost:?} is lost; {found:?}"));
        }
        position += passed + 1;
    }
    let excused = |appended: &&Appended| on_full == OnFull::DropOldest && (appended.mortal || found.is_empty());
    if let Some(lost) = model[position..].iter().find(|a| a.acknowledged && !a.settled && !excused(a)) {
        return Err(format!("{lost:?} is lost at the end; {found:?}"));
    }
    let mortal: Vec<_> = model.iter().filter(|appended| appended.mortal).map(|appended| appended.number).collect();
    let kept = found.iter().map(|number| Appended {
        number: *number,
        acknowledged: true,
        settled: false,
        mortal: mortal.binary_search(number).is_ok(),
    });
    *model = kept.collect();
    Ok(())
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// So many power cuts; how many hit which operation, or what went wrong.
async fn cut(
    cuts: u64,
    seed: u64,
    on_full: OnFull,
    prepare: impl Fn(&MemoryDisk),
) -> Result<BTreeMap<&'static str, u64>, String> {
    let mut hits = BTreeMap::new();
    let mut world = World::new(seed, on_full);
    let mut moved = 0;
    for count in 0..cuts {
        if count % CUTS_PER_DISK == 0 {
            moved += world.moved;
            world = World::new(seed + count, on_full);
            prepare(&world.disk);
        }
        let in_context =
            |problem| format!("cut {count} (seed {}, {on_full:?}): {problem}", seed + count / CUTS_PER_DISK * CUTS_PER_DISK);
        world.live().await.map_err(in_context)?;
        *hits.entry(world.disk.cut_in().unwrap_or("nothing")).or_default() += 1;
        world.check_what_is_left().await.map_err(in_context)?;
    }
    assert!(moved + world.moved > 0, "nothing was moved in all that time");
    Ok(hits)
}

#[tokio::test]
async fn power_cuts_at_any_step_lose_nothing_acknowledged_and_reorder_nothing() {
    let hits = cut(setting("EDGE_POWER_CUTS", 500), setting("EDGE_POWER_CUT_SEED", 1), OnFull::RejectNew, |_| {}).await.unwrap();
    println!("power cuts, by what they hit: {hits:?}");
    assert!(hits.len() >= 5, "{hits:?}");
}

#[tokio::test]
async fn power_cuts_while_the_oldest_are_dropped_and_expire_lose_nothing_else() {
    let hits = cut(setting("EDGE_POWER_CUTS", 500), setting("EDGE_POWER_CUT_SEED", 2), OnFull::DropOldest, |_| {}).await.unwrap();
    println!("power cuts, by what they hit: {hits:?}");
    assert!(hits.len() >= 5, "{hits:?}");
}

#[tokio::test]
async fn the_same_check_finds_losses_when_fsync_does_nothing() {
    let outcome = cut(200, 3, OnFull::RejectNew, MemoryDisk::let_syncs_lie).await;
    let problem = outcome.expect_err("nothing was lost");
    assert!(problem.contains("lost"), "{problem}");
}
