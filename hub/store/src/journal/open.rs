//! Opening: which segments there are, how far the queues are, and where to write on.
//!
//! Only the newest segment is read as a whole; of the others, head and seal. So opening takes little time however much waits.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{error, info, warn};

use super::commit::{Start, Tail};
use super::ledger::{Ledger, Queue};
use super::limits::Limits;
use super::quota::Quota;
use super::replay::{self, Ending};
use super::shared::Shared;
use super::slots::{self, Slots};
use super::time::JournalTime;
use crate::clock::Clock;
use crate::disk::{Disk, DiskFile, OpenedOnUse};
use crate::seal::{self, Seal};
use crate::segment::{HEAD_BYTES, Head, Header, SEAL_AT, SegmentKind};

/// The file whose lock keeps the directory to one process.
pub(crate) const LOCK_FILE: &str = "lock";

/// A segment file with a readable head.
pub(crate) struct Found {
    pub(crate) slot: u32,
    pub(crate) header: Header,
    /// What it holds, if it was ended.
    pub(crate) seal: Option<Seal>,
    /// Not kept open: there may be more of them than a process may have.
    pub(crate) file: Arc<dyn DiskFile>,
}

/// What the directory holds.
struct Listing {
    /// Oldest first.
    segments: Vec<Found>,
    /// Complete files that hold nothing, with their sizes.
    free: Vec<(u32, u64)>,
    next_slot: u32,
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records that wait in queues, each counted once per queue.
    pub pending: u64,
    /// A torn tail was cut: it was never acknowledged.
    pub cut_tail: bool,
    /// Damaged records found while opening, and skipped.
    pub corrupt_records: u64,
    /// Segment files whose header could not be read, and that were set aside as `*.damaged`.
    pub damaged_segments: u64,
}

/// Why the journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the journal in {directory} is in use by another process")]
    Locked {
        /// The journal's directory.
        directory: PathBuf,
    },
    /// Written by a version that this one does not know. Left untouched.
    #[error("{file} has format {format}, which this version cannot read")]
    UnknownFormat {
        /// The segment.
        file: PathBuf,
        /// The format it claims.
        format: u16,
    },
    /// The options make no journal.
    #[error("{problem}")]
    Options {
        /// Which option, and what is wrong with it.
        problem: String,
    },
    /// The disk failed.
    #[error("failed to {operation} {path}")]
    Disk {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
}

/// Opens the journal in `directory`.
pub(crate) fn open(
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    directory: &Path,
    limits: Limits,
    quota: Quota,
) -> Result<(Arc<Shared>, Start, Recovery), OpenError> {
    let fail = |operation: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| OpenError::Disk { operation, path, source }
    };
    disk.create_dir(directory).map_err(fail("create", directory))?;
    let lock_path = directory.join(LOCK_FILE);
    let lock = disk.lock(&lock_path).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked { directory: directory.to_owned() },
        _ => OpenError::Disk { operation: "lock", path: lock_path, source },
    })?;

    // A file that was removed is gone for good once the directory is synced. Else a power cut could bring a segment back whose appends
    // were refused, and which this opening says nothing of.
    disk.sync_dir(directory).map_err(fail("sync", directory))?;
    let mut recovery = Recovery::default();
    let Listing { mut segments, mut free, next_slot } = list(&disk, directory, limits, &mut recovery)?;
    let next_generation = segments.iter().map(|found| found.header.generation).max().map_or(1, |newest| newest + 1);
    let path_of = |slot| directory.join(slots::file_name(slot));

    // A newest segment in which nothing readable stands was begun and never synced: what it was to hold was not acknowledged.
    // The one before is not written on, for this one's head still says where it ended.
    let mut ledger = Ledger::new(limits, quota);
    let mut bound = u64::MAX;
    let mut may_write_on = true;
    let mut nothing = Vec::new();
    let replayed = loop {
        let Some(at) = newest_log(&segments) else { break None };
        let newest = &segments[at];
        let path = path_of(newest.slot);
        let replayed = replay::replay(&segments, bound, &mut ledger).map_err(fail("read", &path))?;
        if replayed.newest_holds_nothing {
            bound = bound.min(newest.header.first_offset);
            may_write_on = false;
            recovery.cut_tail |= replayed.ending != Ending::Clean;
            nothing.push(segments.remove(at).slot);
            ledger = Ledger::new(limits, quota);
            continue;
        }
        break Some(replayed);
    };
    ledger.end_offset = ledger.end_offset.max(if bound == u64::MAX { 0 } else { bound });

    let (mut tail, mut abandoned) = (None, None);
    if let (Some(replayed), Some(at)) = (replayed, newest_log(&segments)) {
        let newest = &segments[at];
        recovery.cut_tail |= replayed.ending != Ending::Clean;
        recovery.corrupt_records = replayed.corrupt_records;
        ledger.corrupt_records = replayed.corrupt_records;
        // A process that was killed before its sync left records in the page cache only. They are about to be handed out.
        let file = disk.open(&path_of(newest.slot)).map_err(fail("open", &path_of(newest.slot)))?;
        file.sync_data().map_err(fail("sync", &path_of(newest.slot)))?;
        let fits = newest.header.file_bytes == limits.segment_bytes && u64::from(newest.header.records_at) == limits.records_at;
        may_write_on &= replayed.ending != Ending::CutBeforeMore && fits && newest.seal.is_none();
        let found = Tail {
            slot: newest.slot,
            file,
            generation: newest.header.generation,
            seed: newest.header.seed(),
            first_offset: newest.header.first_offset,
            position: replayed.end_position,
            published: true,
            spans: replayed.holds.get(&newest.header.generation).cloned().unwrap_or_default(),
        };
        if may_write_on {
            tail = Some(found);
        } else if newest.seal.as_ref().is_none_or(|seal| seal.end_offset != ledger.end_offset) {
            abandoned = Some(found);
        }
        replay::take_stock(&segments, &replayed, &mut ledger).map_err(fail("read", directory))?;
    }
    if !nothing.is_empty() {
        // What stands in the one before behind its end must not come to life when nothing tells any more where it ends, nor what they
        // were to hold when the segment after them is gone.
        if let Some(found) = abandoned.take() {
            let sealed = found.write_seal(&found.spans, ledger.end_offset, found.position).and_then(|()| found.file.sync_data());
            sealed.map_err(fail("seal", &path_of(found.slot)))?;
        }
        for slot in nothing {
            disk.remove(&path_of(slot)).map_err(fail("remove", &path_of(slot)))?;
        }
        disk.sync_dir(directory).map_err(fail("sync", directory))?;
    }
    ledger.next_generation = next_generation;
    ledger.next_slot = next_slot;
    ledger.bytes_on_disk = ledger.bytes_in_use;
    recovery.pending = ledger.queues.values().map(Queue::depth).sum();
    let unneeded: Vec<_> = ledger.segments.values().filter(|segment| segment.needed_by == 0).map(|s| s.generation).collect();
    for generation in unneeded {
        if !ledger.is_newest(generation)
            && let Some(segment) = ledger.remove_segment(generation)
        {
            ledger.bytes_on_disk -= segment.file_bytes;
            free.push((segment.slot, segment.file_bytes));
        }
    }
    let time = JournalTime::after(clock, ledger.clock);
    let salt = RandomState::new().hash_one(next_generation);
    let shared = Arc::new(Shared::new(Arc::clone(&disk), directory.to_owned(), time, salt, ledger));
    let slots = Slots::new(disk, directory.to_owned(), limits.segment_bytes);
    for (slot, bytes) in free {
        // Files of another size, and those over the limit, are not needed any more.
        let odd = bytes != limits.segment_bytes || !shared.ledger().may_create(bytes);
        shared.ledger().bytes_on_disk += bytes;
        slots.give_back(&shared, slot, bytes, odd);
    }
    if recovery == (Recovery { pending: recovery.pending, ..Recovery::default() }) {
        info!(directory = %directory.display(), pending = recovery.pending, "journal opened");
    } else {
        warn!(directory = %directory.display(), ?recovery, "journal opened after trouble");
    }
    Ok((shared, Start { slots, tail, abandoned, lock }, recovery))
}

/// The log segment begun last.
pub(crate) fn newest_log(segments: &[Found]) -> Option<usize> {
    segments.iter().rposition(|found| found.header.kind == SegmentKind::Log)
}

/// Leaves out segments whose records a compacted one holds. Those that remain are in the order of their records.
pub(crate) fn in_force(found: BTreeMap<u64, Found>, free: &mut Vec<(u32, u64)>) -> Vec<Found> {
    let mut kept: Vec<Found> = Vec::new();
    // The latest first: what takes the place of others was begun after them.
    for found in found.into_values().rev() {
        let (from, through) = found.header.covers;
        let replaced = kept.iter().any(|newer| newer.header.covers.0 <= from && through <= newer.header.covers.1);
        if replaced {
            free.push((found.slot, found.header.file_bytes));
        } else {
            kept.push(found);
        }
    }
    kept.sort_by_key(|found| found.header.covers);
    kept
}

/// Looks at the head of every segment file.
fn list(disk: &Arc<dyn Disk>, directory: &Path, limits: Limits, recovery: &mut Recovery) -> Result<Listing, OpenError> {
    let names =
        disk.list(directory).map_err(|source| OpenError::Disk { operation: "list", path: directory.to_owned(), source })?;
    let mut slots: Vec<_> = names.iter().filter_map(|name| slots::slot_of(name)).collect();
    slots.sort_unstable();
    let next_slot = slots.last().map_or(0, |last| last + 1);
    let mut by_generation = BTreeMap::new();
    let mut free = Vec::new();
    for name in names.iter().filter(|name| slots::is_new_file(name)) {
        // The process ended before it was whole. What it was to take the place of is still there.
        let path = directory.join(name);
        disk.remove(&path).map_err(|source| OpenError::Disk { operation: "remove", path, source })?;
    }
    for slot in slots {
        let path = directory.join(slots::file_name(slot));
        let (head, seal, file) = read_head(disk, &path, limits)?;
        match head {
            HeadOf::Short => {
                // Cut short while it was created. It never held anything.
                disk.remove(&path).map_err(|source| OpenError::Disk { operation: "remove", path, source })?;
            }
            HeadOf::Whole(Head::Blank) => free.push((slot, limits.segment_bytes)),
            HeadOf::Whole(Head::Valid(header)) if !by_generation.contains_key(&header.generation) => {
                by_generation.insert(header.generation, Found { slot, header, seal, file });
            }
            HeadOf::Whole(Head::UnknownFormat(format)) => return Err(OpenError::UnknownFormat { file: path, format }),
            HeadOf::Whole(Head::Valid(_) | Head::Damaged) => {
                set_aside(disk.as_ref(), directory, &path, slot)?;
                recovery.damaged_segments += 1;
            }
        }
    }
    Ok(Listing { segments: in_force(by_generation, &mut free), free, next_slot })
}

enum HeadOf {
    Short,
    Whole(Head),
}

/// What is read of a segment at first: enough for the seals of most.
const FIRST_READ_BYTES: usize = 8 * 1024;

type HeadSealAndFile = (HeadOf, Option<Seal>, Arc<dyn DiskFile>);

fn read_head(disk: &Arc<dyn Disk>, path: &Path, limits: Limits) -> Result<HeadSealAndFile, OpenError> {
    let read = || {
        let (head, seal, file) = read_head_of(disk, path)?;
        let short = match head {
            Head::Blank => file.len()? != limits.segment_bytes,
            _ => false,
        };
        Ok((if short { HeadOf::Short } else { HeadOf::Whole(head) }, seal, file))
    };
    read().map_err(|source| OpenError::Disk { operation: "read", path: path.to_owned(), source })
}

/// The head of a file, its seal if it has one, and a way to the rest.
pub(crate) fn read_head_of(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<(Head, Option<Seal>, Arc<dyn DiskFile>)> {
    let file = disk.open(path)?;
    let mut bytes = vec![0; FIRST_READ_BYTES];
    let count = file.read_at(&mut bytes, 0)?;
    bytes.truncate(count);
    let head = bytes.first_chunk::<HEAD_BYTES>().map_or(Head::Blank, Head::decode);
    let seal = match head {
        Head::Valid(header) => read_seal(file.as_ref(), &header, bytes.split_off(HEAD_BYTES))?,
        _ => None,
    };
    Ok((head, seal, Arc::new(OpenedOnUse::new(Arc::clone(disk), path.to_owned()))))
}

fn read_seal(file: &dyn DiskFile, header: &Header, mut bytes: Vec<u8>) -> io::Result<Option<Seal>> {
    let room = usize::try_from(u64::from(header.records_at).saturating_sub(SEAL_AT)).unwrap_or(0);
    let len = seal::claimed_len(&bytes);
    if len > room {
        return Ok(None);
    }
    if len > bytes.len() {
        bytes.resize(len, 0);
        let count = file.read_at(&mut bytes, SEAL_AT)?;
        bytes.truncate(count);
    }
    Ok(Seal::decode(&bytes, header.seed()))
}

/// Keeps a file that cannot be read for whoever wants to look at it, out of the way.
fn set_aside(disk: &dyn Disk, directory: &Path, path: &Path, slot: u32) -> Result<(), OpenError> {
    let aside: PathBuf = directory.join(format!("{}.damaged", slots::file_name(slot)));
    let renamed = disk.rename(path, &aside).and_then(|()| disk.sync_dir(directory));
    renamed.map_err(|source| OpenError::Disk { operation: "set aside", path: path.to_owned(), source })?;
    error!(file = %path.display(), aside = %aside.display(), "a segment of the journal has no readable head: what it held is lost");
    Ok(())
}
