//! One step of moving records: choosing segments, looking at what they hold, and putting a copy in their place.
//!
//! A step is bounded in what it reads, whatever the journal holds, so that whoever waits for the cleaner can be told something, and
//! so that the journal can be closed.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::debug;

use super::copy::{self, Source};
use crate::fail_point;
use crate::journal::ledger::{Holding, Ledger, Queue, Segment};
use crate::journal::shared::Shared;
use crate::journal::slots::{self, Slots};
use crate::record::QueueId;
use crate::seal::QueueSpan;
use crate::segment::Header;

/// What one step reads to learn what segments hold, about: a segment that was begun is read to its end.
const MEASURED_BYTES: u64 = 16 * 1024 * 1024;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is nothing to move.
    Nothing,
    /// It is not known yet whether there is.
    Undecided,
    /// Some records were moved; perhaps there are more.
    Moved,
    /// There is something to move, and not enough space on the disk to do it.
    NoSpace,
}

/// Moves records.
#[derive(Debug, Default)]
pub(super) struct Mover {
    /// A file of a move that failed, which the disk did not let be removed: nothing else is moved until it is.
    leftover: Option<PathBuf>,
}

impl Mover {
    /// Does the next thing, if room is short and there is something.
    pub(super) fn step(&mut self, shared: &Shared) -> io::Result<Step> {
        if let Some(leftover) = &self.leftover {
            remove(shared, leftover)?;
            self.leftover = None;
        }
        files(shared).trim(shared);
        let survey = {
            let mut ledger = shared.ledger();
            if ledger.closed || !ledger.is_to_be_looked_at() || !ledger.may_move() {
                return Ok(Step::Nothing);
            }
            ledger.survey()
        };
        // Not under the lock: it takes a while where there are many segments.
        let Some(run) = survey.best() else { return Ok(Step::Nothing) };
        // Whatever becomes of this step, the next one has something to look at.
        shared.ledger().look_again();
        if !has_space(shared)? {
            return Ok(Step::NoSpace);
        }
        let mut unknown = run.iter().filter(|candidate| !candidate.is_known).peekable();
        if unknown.peek().is_none() {
            let run: Vec<_> = run.iter().map(|candidate| candidate.generation).collect();
            return self.relocate(shared, &run);
        }
        let mut bytes = 0;
        let some = unknown.take_while(|candidate| {
            let more = bytes < MEASURED_BYTES;
            bytes += candidate.file_bytes;
            more
        });
        measure(shared, &some.map(|candidate| candidate.generation).collect::<Vec<_>>())
    }

    /// Moves what is wanted of a run of segments.
    fn relocate(&mut self, shared: &Shared, run: &[u64]) -> io::Result<Step> {
        let mut ledger = shared.ledger();
        let (sources, wanted) = sources(shared, &ledger, run);
        let Some(header) = header_of(&sources, ledger.next_generation) else { return Ok(Step::Undecided) };
        let slot = ledger.next_slot;
        ledger.next_slot += 1;
        ledger.next_generation += 1;
        drop(ledger);
        let copied = match copy::copy(shared, &sources, &wanted, slot, header) {
            Ok(copied) => copied,
            Err(failure) => {
                self.leftover = failure.leftover;
                return unless_outdated(shared, &sources, failure.error);
            }
        };
        let bytes: u64 = sources.iter().map(|source| source.segment.file_bytes).sum();
        debug!(segments = sources.len(), from = bytes, to = copied.header.file_bytes, "records moved to make room");
        replace(shared, &sources, &copied, slot);
        Ok(Step::Moved)
    }
}

/// Learns how much is wanted of some segments.
fn measure(shared: &Shared, run: &[u64]) -> io::Result<Step> {
    let (sources, wanted) = sources(shared, &shared.ledger(), run);
    let mut measured = HashMap::new();
    let outcome = copy::measure(shared, &sources, &wanted, &mut measured);
    shared.ledger().measured(&measured);
    match outcome {
        Ok(()) => Ok(Step::Undecided),
        Err(error) => unless_outdated(shared, &sources, error),
    }
}

/// A segment that was settled meanwhile may be gone from the disk: that is no failure, and others can be chosen at once.
fn unless_outdated(shared: &Shared, sources: &[Source], error: io::Error) -> io::Result<Step> {
    let ledger = shared.ledger();
    let outdated = sources.iter().any(|source| !ledger.segments.contains_key(&source.segment.generation));
    if outdated && error.kind() == io::ErrorKind::NotFound { Ok(Step::Undecided) } else { Err(error) }
}

/// Does the file system have room for a copy, and what is to be left free?
fn has_space(shared: &Shared) -> io::Result<bool> {
    let min_free = shared.ledger().quota.min_free_bytes;
    Ok(min_free == 0 || shared.disk.free_bytes(&shared.directory)? >= min_free.saturating_add(shared.limits.segment_bytes))
}

/// Removes a file that may be gone already.
pub(super) fn remove(shared: &Shared, path: &Path) -> io::Result<()> {
    match shared.disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn files(shared: &Shared) -> Slots {
    Slots::new(Arc::clone(&shared.disk), shared.directory.clone(), shared.limits.segment_bytes)
}

/// The segments of a run that are still there, in the order of their records, and what is wanted of them.
fn sources(shared: &Shared, ledger: &Ledger, run: &[u64]) -> (Vec<Source>, copy::Wanted) {
    let segments = run.iter().filter_map(|generation| ledger.segments.get(generation)).cloned();
    let path = |segment: &Segment| shared.directory.join(slots::file_name(segment.slot));
    let sources = segments.map(|segment| Source { path: path(&segment), segment }).collect();
    // As far as the disk knows: what was settled since would be missed after a crash.
    let wanted = ledger.queues.iter().filter_map(|(id, queue)| Some((*id, span_of(*id, queue, run)?))).collect();
    (sources, wanted)
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

fn header_of(sources: &[Source], generation: u64) -> Option<Header> {
    let segments = sources.iter().map(|source| &source.segment);
    let first_offset = segments.clone().map(|segment| segment.first_offset).min()?;
    let from = segments.clone().map(|segment| segment.covers.0).min()?;
    let through = segments.map(|segment| segment.covers.1).max()?;
    Some(copy::header(generation, first_offset, (from, through)))
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
    let files = files(shared);
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
