//! The cleaner thread: what is done for the journal beside appending.
//!
//! When room is short it moves the records that are still wanted out of segments that hold few of them, so that the segments can be used
//! again; every so often it ends what has expired in queues that nobody reads, and has the clock noted. Nothing depends on it but room:
//! when it fails, the segments stay as they are, and it tries again after a pause.
//!
//! A move reads the segments twice: once to see whether it is worth while, once to copy. The copy is written whole, synced and named
//! before the originals are given back, and its head says which generations it takes the place of; so after a crash at any point
//! either the originals or the copy are in force.

mod copy;

use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use self::copy::Source;
use super::ledger::{Holding, Ledger, Queue, Segment};
use super::shared::Shared;
use super::slots;
use super::writer::WriterHandle;
use crate::fail_point;
use crate::record::QueueId;
use crate::seal::QueueSpan;
use crate::segment::Header;

/// Time between two looks for what has expired.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two notes of the clock while something waits that will expire: so much of its life may be forgotten when the machine
/// loses power.
const CLOCK_INTERVAL: Duration = Duration::from_mins(1);
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Tells whoever waits that nobody cleans any more, also after a panic.
struct Ending<'a>(&'a Shared);
impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.cleaner_has_ended();
    }
}

/// Starts the thread.
pub(crate) fn start(shared: &Arc<Shared>, writer: Weak<WriterHandle>) -> io::Result<()> {
    shared.cleaning().runs = true;
    let cleaned = Arc::clone(shared);
    let thread = thread::Builder::new().name("journal-cleaner".to_owned()).spawn(move || run(&cleaned, &writer));
    thread.map(|_| ()).inspect_err(|_| shared.cleaner_has_ended())
}

/// Runs until the writer has ended.
fn run(shared: &Shared, writer: &Weak<WriterHandle>) {
    let _ending = Ending(shared);
    let (mut swept, mut noted) = (Instant::now(), Instant::now());
    let mut failed: Option<Instant> = None;
    loop {
        let mut cleaning = shared.cleaning();
        if !cleaning.wanted && !cleaning.stop {
            let waited = shared.wanted.wait_timeout(cleaning, SWEEP_INTERVAL.saturating_sub(swept.elapsed()));
            cleaning = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        if cleaning.stop {
            return;
        }
        let wanted = std::mem::replace(&mut cleaning.wanted, false);
        cleaning.busy = true;
        drop(cleaning);

        if swept.elapsed() >= SWEEP_INTERVAL {
            swept = Instant::now();
            sweep(shared, writer);
            if noted.elapsed() >= CLOCK_INTERVAL {
                noted = Instant::now();
                note_clock(shared, writer);
            }
        }
        let mut moved = false;
        if wanted && failed.is_none_or(|at| at.elapsed() >= RETRY_PAUSE) {
            // Expired records are room, too.
            sweep(shared, writer);
            failed = None;
            match clean(shared) {
                Ok(something) => moved = something,
                Err(error) => {
                    warn!(%error, "records could not be moved to make room: trying again later");
                    failed = Some(Instant::now());
                }
            }
        }
        let mut cleaning = shared.cleaning();
        cleaning.busy = false;
        cleaning.looked += 1;
        cleaning.moved += u64::from(moved);
        // Perhaps there is more to move.
        cleaning.wanted |= moved;
        drop(cleaning);
        shared.cleaned.notify_all();
        if moved {
            shared.room_was_made();
        }
    }
}

fn sweep(shared: &Shared, writer: &Weak<WriterHandle>) {
    let now = shared.time.now();
    let mut ledger = shared.ledger();
    let tell_writer = ledger.sweep(now);
    drop(ledger);
    if tell_writer {
        WriterHandle::cursors_moved(writer);
    }
}

fn note_clock(shared: &Shared, writer: &Weak<WriterHandle>) {
    let mut ledger = shared.ledger();
    let due = ledger.something_expires();
    ledger.clock_is_due |= due;
    drop(ledger);
    if due {
        WriterHandle::cursors_moved(writer);
    }
}

/// Moves the records of one run of segments, if room is short and some are worth it. Returns whether it did.
fn clean(shared: &Shared) -> io::Result<bool> {
    loop {
        let Some((sources, wanted, slot, generation)) = plan(shared) else { return Ok(false) };
        let measured = copy::measure(shared, &sources, &wanted)?;
        let live: u64 = measured.values().sum();
        let bytes: u64 = sources.iter().map(|source| source.segment.file_bytes).sum();
        shared.ledger().measured(&measured);
        if !still_worth(shared, &sources) || live >= bytes {
            // Now that it is known what they hold, another run may be better, or none.
            continue;
        }
        let header = header_of(&sources, generation);
        let copied = copy::copy(shared, &sources, &wanted, slot, header)?;
        debug!(segments = sources.len(), from = bytes, to = copied.header.file_bytes, "records moved to make room");
        replace(shared, &sources, &copied, slot);
        return Ok(true);
    }
}

/// What to move, which records of it are wanted, and where to.
fn plan(shared: &Shared) -> Option<(Vec<Source>, copy::Wanted, u32, u64)> {
    let mut ledger = shared.ledger();
    // One file more than the quota allows is enough, whoever makes it.
    if ledger.closed || !ledger.room_is_short() || ledger.bytes_on_disk > ledger.quota.max_bytes {
        return None;
    }
    let run = ledger.worth_moving()?;
    let sources = run.iter().filter_map(|generation| ledger.segments.get(generation)).cloned();
    let sources =
        sources.map(|segment| Source { path: shared.directory.join(slots::file_name(segment.slot)), segment }).collect();
    // As far as the disk knows: what was settled since would be missed after a crash.
    let wanted = ledger.queues.iter().filter_map(|(id, queue)| Some((*id, span_of(*id, queue, &run)?))).collect();
    let (slot, generation) = (ledger.next_slot, ledger.next_generation);
    ledger.next_slot += 1;
    ledger.next_generation += 1;
    Some((sources, wanted, slot, generation))
}

/// What a queue wants of some segments.
fn span_of(id: QueueId, queue: &Queue, run: &[u64]) -> Option<QueueSpan> {
    let mut holdings = queue.holdings.iter().filter(|holding| run.contains(&holding.segment));
    let first = holdings.next()?;
    let last = holdings.clone().next_back().unwrap_or(first);
    let expires = holdings.map(|holding| holding.expires).fold(first.expires, u64::max);
    let from = if queue.durable.number > first.first.number { queue.durable } else { first.first };
    (from.number < last.end.number).then_some(QueueSpan { queue: id, first: from, end: last.end, expires })
}

fn still_worth(shared: &Shared, sources: &[Source]) -> bool {
    let run = shared.ledger().worth_moving().unwrap_or_default();
    run.iter().copied().eq(sources.iter().map(|source| source.segment.generation))
}

fn header_of(sources: &[Source], generation: u64) -> Header {
    let segments = sources.iter().map(|source| &source.segment);
    let covers = |pick: fn(&Segment) -> u64| segments.clone().map(pick);
    copy::header(
        generation,
        covers(|segment| segment.first_offset).min().unwrap_or_default(),
        (
            covers(|segment| segment.covers.0).min().unwrap_or_default(),
            covers(|segment| segment.covers.1).max().unwrap_or_default(),
        ),
    )
}

/// The copy is on disk under its name: it takes the place of the originals.
fn replace(shared: &Shared, sources: &[Source], copied: &copy::Copied, slot: u32) {
    let mut ledger = shared.ledger();
    let originals: Vec<_> = sources.iter().map(|source| source.segment.generation).collect();
    let header = &copied.header;
    ledger.moved_bytes += header.file_bytes;
    ledger.bytes_on_disk += header.file_bytes;
    let given_back = ledger.replace_segments(&originals, segment_of(copied, slot), &copied.seal.spans);
    drop(ledger);
    let files = slots::Slots::new(Arc::clone(&shared.disk), shared.directory.clone(), shared.limits.segment_bytes);
    for segment in given_back {
        files.give_back(shared, segment.slot, segment.file_bytes, segment.suspect);
    }
    files.trim(shared);
    fail_point!("clean-freed");
}

fn segment_of(copied: &copy::Copied, slot: u32) -> Segment {
    let copy::Copied { header, seal } = copied;
    Segment {
        slot,
        generation: header.generation,
        seed: header.seed(),
        covers: header.covers,
        compacted: true,
        file_bytes: header.file_bytes,
        records_at: u64::from(header.records_at),
        first_offset: header.first_offset,
        end_offset: seal.end_offset,
        end_position: seal.end_position,
        needed_by: 0,
        suspect: false,
        measured: None,
    }
}

impl Ledger {
    /// One segment takes the place of others, whose wanted records it holds. Returns the segments that are done with.
    fn replace_segments(&mut self, originals: &[u64], copy: Segment, spans: &[QueueSpan]) -> Vec<Segment> {
        let generation = copy.generation;
        self.add_segment(copy);
        for queue in self.queues.values_mut() {
            queue.holdings.retain(|holding| !originals.contains(&holding.segment));
        }
        for span in spans {
            let holding = Holding { segment: generation, first: span.first, end: span.end, expires: span.expires };
            let Some(queue) = self.queues.get_mut(&span.queue) else { continue };
            if holding.end.number <= queue.durable.number {
                continue;
            }
            let at = queue.holdings.partition_point(|other| other.end.number <= holding.first.number);
            queue.holdings.insert(at, holding);
            if let Some(segment) = self.segments.get_mut(&generation) {
                segment.needed_by += 1;
            }
        }
        let mut done = Vec::new();
        for original in originals {
            done.extend(self.remove_segment(*original));
        }
        if self.segments.get(&generation).is_some_and(|segment| segment.needed_by == 0) {
            // What it holds was settled while it was written.
            done.extend(self.remove_segment(generation));
        }
        done
    }
}
