//! Opening: which segments there are, how far the queues are, and where to write on.
//!
//! Only the newest segment is read as a whole; of the others that are in use, head and list of queues. So opening takes the same
//! time however much waits.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{error, info, warn};

use super::commit::{Start, Tail};
use super::ledger::{Ledger, Queue, Segment};
use super::limits::Limits;
use super::replay::{self, Ending};
use super::shared::Shared;
use super::slots::{self, Slots};
use crate::disk::{Disk, DiskFile};
use crate::segment::{HEAD_BYTES, Head, Header};

/// The file whose lock keeps the directory to one process.
const LOCK_FILE: &str = "lock";

/// A segment file with a readable head.
pub(crate) struct Found {
    pub(crate) slot: u32,
    pub(crate) header: Header,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// What the directory holds.
struct Listing {
    /// Oldest first.
    segments: Vec<Found>,
    /// Complete files that hold nothing.
    free: Vec<u32>,
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
pub(crate) fn open(disk: Arc<dyn Disk>, directory: &Path, limits: Limits) -> Result<(Arc<Shared>, Start, Recovery), OpenError> {
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

    let mut recovery = Recovery::default();
    let Listing { mut segments, mut free, next_slot } = list(disk.as_ref(), directory, limits, &mut recovery)?;
    let next_generation = segments.last().map_or(1, |newest| newest.header.generation + 1);
    let path_of = |slot| directory.join(slots::file_name(slot));

    // A newest segment in which nothing readable stands was begun and never synced: what it was to hold was not acknowledged.
    // The one before is not written on, for this one's head still says where it ended.
    let mut ledger = Ledger::new(limits);
    let mut bound = u64::MAX;
    let mut may_write_on = true;
    let replayed = loop {
        let Some(newest) = segments.last() else { break None };
        let path = path_of(newest.slot);
        let replayed = replay::replay(&segments, bound, &mut ledger).map_err(fail("read", &path))?;
        if replayed.newest_holds_nothing {
            bound = bound.min(newest.header.first_offset);
            may_write_on = false;
            recovery.cut_tail |= replayed.ending != Ending::Clean;
            free.extend(segments.pop().map(|found| found.slot));
            ledger = Ledger::new(limits);
            continue;
        }
        break Some(replayed);
    };
    ledger.end_offset = ledger.end_offset.max(if bound == u64::MAX { 0 } else { bound });

    let mut tail = None;
    if let (Some(replayed), Some(newest)) = (replayed, segments.last()) {
        recovery.cut_tail |= replayed.ending != Ending::Clean;
        recovery.corrupt_records = replayed.corrupt_records;
        ledger.corrupt_records = replayed.corrupt_records;
        // A process that was killed before its sync left records in the page cache only. They are about to be handed out.
        newest.file.sync_data().map_err(fail("sync", &path_of(newest.slot)))?;
        may_write_on &= replayed.ending != Ending::CutBeforeMore && newest.header.segment_bytes == limits.segment_bytes;
        if may_write_on {
            tail = Some(Tail {
                slot: newest.slot,
                file: Arc::clone(&newest.file),
                generation: newest.header.generation,
                seed: newest.header.seed(),
                first_offset: newest.header.first_offset,
                position: replayed.end_position,
                published: true,
            });
        }
        let in_use = replay::segments_in_use(&segments, &replayed, &ledger).map_err(fail("read", directory))?;
        let unused = segments.len() - in_use.len();
        free.extend(segments.iter().take(unused).map(|found| found.slot));
        ledger.segments = in_use.into();
    }
    recovery.pending = ledger.queues.values().map(Queue::depth).sum();

    let mut slots = Slots::new(Arc::clone(&disk), directory.to_owned(), limits.segment_bytes, Vec::new(), next_slot);
    ledger.files = ledger.segments.len() as u64;
    let sizes: BTreeMap<_, _> = segments.iter().map(|found| (found.slot, found.header.segment_bytes)).collect();
    for slot in free {
        // Files of another size, and those over the limit, are not needed any more.
        let odd = sizes.get(&slot).is_some_and(|bytes| *bytes != limits.segment_bytes) || ledger.files >= limits.max_segments;
        ledger.files += u64::from(slots.give_back(slot, odd));
    }
    if recovery == (Recovery { pending: recovery.pending, ..Recovery::default() }) {
        info!(directory = %directory.display(), pending = recovery.pending, "journal opened");
    } else {
        warn!(directory = %directory.display(), ?recovery, "journal opened after trouble");
    }
    let salt = RandomState::new().hash_one(next_generation);
    let shared = Arc::new(Shared::new(disk, directory.to_owned(), ledger));
    Ok((shared, Start { slots, tail, next_generation, salt, lock }, recovery))
}

/// Looks at the head of every segment file.
fn list(disk: &dyn Disk, directory: &Path, limits: Limits, recovery: &mut Recovery) -> Result<Listing, OpenError> {
    let names =
        disk.list(directory).map_err(|source| OpenError::Disk { operation: "list", path: directory.to_owned(), source })?;
    let mut slots: Vec<_> = names.iter().filter_map(|name| slots::slot_of(name)).collect();
    slots.sort_unstable();
    let next_slot = slots.last().map_or(0, |last| last + 1);
    let mut by_generation = BTreeMap::new();
    let mut free = Vec::new();
    for slot in slots {
        let path = directory.join(slots::file_name(slot));
        let (head, file) = read_head(disk, &path, limits)?;
        match head {
            HeadOf::Short => {
                // Cut short while it was created. It never held anything.
                disk.remove(&path).map_err(|source| OpenError::Disk { operation: "remove", path, source })?;
            }
            HeadOf::Whole(Head::Blank) => free.push(slot),
            HeadOf::Whole(Head::Valid(header)) if !by_generation.contains_key(&header.generation) => {
                by_generation.insert(header.generation, Found { slot, header, file });
            }
            HeadOf::Whole(Head::UnknownFormat(format)) => return Err(OpenError::UnknownFormat { file: path, format }),
            HeadOf::Whole(Head::Valid(_) | Head::Damaged) => {
                set_aside(disk, directory, &path, slot)?;
                recovery.damaged_segments += 1;
            }
        }
    }
    Ok(Listing { segments: by_generation.into_values().collect(), free, next_slot })
}

enum HeadOf {
    Short,
    Whole(Head),
}

fn read_head(disk: &dyn Disk, path: &Path, limits: Limits) -> Result<(HeadOf, Arc<dyn DiskFile>), OpenError> {
    let read = || {
        let file = disk.open(path)?;
        let mut head = [0; HEAD_BYTES];
        let count = file.read_at(&mut head, 0)?;
        let len = file.len()?;
        let head = if count < head.len() { Head::Blank } else { Head::decode(&head) };
        let short = match head {
            Head::Blank => len != limits.segment_bytes,
            _ => false,
        };
        Ok((if short { HeadOf::Short } else { HeadOf::Whole(head) }, file))
    };
    read().map_err(|source| OpenError::Disk { operation: "read", path: path.to_owned(), source })
}

/// Keeps a file that cannot be read for whoever wants to look at it, out of the way.
fn set_aside(disk: &dyn Disk, directory: &Path, path: &Path, slot: u32) -> Result<(), OpenError> {
    let aside: PathBuf = directory.join(format!("{}.damaged", slots::file_name(slot)));
    let renamed = disk.rename(path, &aside).and_then(|()| disk.sync_dir(directory));
    renamed.map_err(|source| OpenError::Disk { operation: "set aside", path: path.to_owned(), source })?;
    error!(file = %path.display(), aside = %aside.display(), "a segment of the journal has no readable head: what it held is lost");
    Ok(())
}

/// A segment as the ledger knows it, with what it holds still unknown.
pub(crate) fn segment_of(found: &Found, end_offset: u64) -> Segment {
    Segment {
        slot: found.slot,
        generation: found.header.generation,
        seed: found.header.seed(),
        first_offset: found.header.first_offset,
        end_offset,
        end_position: found.header.segment_bytes,
        holds: None,
        suspect: false,
    }
}
