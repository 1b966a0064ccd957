//! Looking at a journal from outside: what its files hold, and whether all of it can be read. Reads only, and works on a copy, on a
//! read-only file system, and on the directory of a hub that has been stopped.

mod report;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::ledger::Ledger;
use super::limits::Limits;
use super::open::{self, Found, LOCK_FILE};
use super::quota::Quota;
use super::replay::{self, Ending};
use super::scan::{Scanner, Span, Step};
use super::{JournalOptions, Offset, slots};
use crate::disk::{Disk, DiskFile, DiskLock};
use crate::record::Kind;
use crate::segment::{HEAD_BYTES, Head, SegmentKind};

/// Why a journal could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// A hub has it open. What it writes would look like damage.
    #[error("the journal in {directory} is in use by a running hub: stop it first, or look at a copy")]
    InUse {
        /// The journal's directory.
        directory: PathBuf,
    },
    /// There are no segment files.
    #[error("{directory} holds no journal")]
    NoJournal {
        /// The directory.
        directory: PathBuf,
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

/// What a file of the journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// The segment that would be written on.
    Newest,
    /// Some queue still needs it.
    Needed,
    /// It waits to be used again.
    Waiting,
    /// Both copies of its header are damaged, or it is a copy of another file.
    Damaged,
    /// Of a format that this version does not know.
    UnknownFormat(u16),
    /// It was being made when the hub ended.
    Unfinished,
}

/// One file of the journal.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// What it is.
    pub state: FileState,
    /// Its size.
    pub bytes: u64,
    /// When it was written last.
    pub written: Option<SystemTime>,
    /// Of its header: generation, the generations whose records it holds, and whether the cleaner wrote it.
    pub generation: Option<(u64, (u64, u64), bool)>,
    /// First offset, and the one after the last.
    pub offsets: Option<(Offset, Offset)>,
    /// Has it been ended?
    pub sealed: bool,
    /// Queues that need it.
    pub needed_by: usize,
}

/// One queue.
#[derive(Clone, Debug)]
pub struct QueueReport {
    /// Its name.
    pub name: String,
    /// Records that wait, and their bytes.
    pub depth: u64,
    /// Bytes of those records on disk.
    pub bytes: u64,
    /// Number of the first record that waits, and of the next to come.
    pub numbers: (u64, u64),
    /// The file that holds the first record that waits.
    pub oldest_in: Option<String>,
    /// When the last of those in that file expires, on the journal's clock in milliseconds.
    pub expires: Option<u64>,
}

/// What a journal holds.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// The directory that was looked at.
    pub directory: PathBuf,
    /// The files, by name.
    pub files: Vec<FileReport>,
    /// The queues, by name.
    pub queues: Vec<QueueReport>,
    /// Offset after the last record.
    pub end_offset: Offset,
    /// The journal's clock as it was noted last, in milliseconds.
    pub clock: u64,
    /// The last commit is torn. It was never acknowledged.
    pub torn_tail: bool,
    /// Damaged records in the newest segment.
    pub corrupt_records: u64,
}

/// Something in the files that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// Where in it, in bytes from its beginning.
    pub position: u64,
    /// What is wrong there.
    pub problem: String,
}

/// What reading every record found.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// Files, and records in them, that were read.
    pub files: u64,
    /// Messages that are whole.
    pub messages: u64,
    /// Records of the journal's own that are whole.
    pub control_records: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// What is damaged.
    pub damage: Vec<Damage>,
    /// The last commit is torn, which is no damage: it was never acknowledged.
    pub torn_tail: bool,
}

/// Looks at the heads of the files, and reads the newest.
pub fn inspect(directory: &Path) -> Result<Inspection, InspectError> {
    Ok(Snapshot::take(directory)?.inspection)
}

/// Reads every record that is still in a segment in use.
pub fn verify(directory: &Path) -> Result<Verification, InspectError> {
    let snapshot = Snapshot::take(directory)?;
    let mut verification = Verification { torn_tail: snapshot.inspection.torn_tail, ..Verification::default() };
    for file in &snapshot.inspection.files {
        let problem = match file.state {
            FileState::Damaged => "no readable header, or a copy of another file".to_owned(),
            FileState::UnknownFormat(format) => format!("format {format}, which this version cannot read"),
            _ => continue,
        };
        verification.damage.push(Damage { file: file.name.clone(), position: 0, problem });
    }
    for found in &snapshot.found {
        let Some(segment) = snapshot.ledger.segments.get(&found.header.generation) else { continue };
        let name = slots::file_name(found.slot);
        let is_newest = snapshot.ledger.is_newest(segment.generation);
        if segment.needed_by == 0 && !is_newest {
            continue;
        }
        let failed = |source| InspectError::Disk { operation: "read", path: snapshot.inspection.directory.join(&name), source };
        verification.files += 1;
        verify_head(found, &name, is_newest, &mut verification).map_err(failed)?;
        let span = Span {
            file: Arc::clone(&found.file),
            seed: segment.seed,
            position: segment.records_at,
            offset: segment.first_offset,
            end_position: segment.end_position,
            end_offset: segment.end_offset,
            has_gaps: segment.compacted,
        };
        verify_records(span, &name, &mut verification).map_err(failed)?;
    }
    Ok(verification)
}

fn verify_head(found: &Found, name: &str, is_newest: bool, verification: &mut Verification) -> io::Result<()> {
    let mut head = [0; HEAD_BYTES];
    found.file.read_at(&mut head, 0)?;
    let (first, second) = head.split_at(HEAD_BYTES / 2);
    let mut note = |position, problem: &str| {
        verification.damage.push(Damage { file: name.to_owned(), position, problem: problem.to_owned() });
    };
    if first != second {
        note(0, "one of the two copies of the header is damaged; the other is used");
    }
    if found.seal.is_none() && !is_newest {
        note(HEAD_BYTES as u64, "the seal is damaged; the segment is read whole on start");
    }
    Ok(())
}

fn verify_records(span: Span, name: &str, verification: &mut Verification) -> io::Result<()> {
    let end_offset = span.end_offset;
    let mut scanner = Scanner::new(span);
    loop {
        if let Step::Record(record) = scanner.step()? {
            *(if record.kind == Kind::Message { &mut verification.messages } else { &mut verification.control_records }) += 1;
            verification.bytes += record.len() as u64;
            continue;
        }
        let (position, offset) = (scanner.span.position, scanner.span.offset);
        if offset >= end_offset {
            return Ok(());
        }
        let more = scanner.resync()?;
        let next = if more { scanner.span.offset } else { end_offset };
        let problem = format!("no whole record from offset {offset} on, until {next}");
        verification.damage.push(Damage { file: name.to_owned(), position, problem });
        if !more {
            return Ok(());
        }
    }
}

/// The files as they are, and what follows from them.
struct Snapshot {
    inspection: Inspection,
    found: Vec<Found>,
    ledger: Ledger,
    /// Held as long as the files are read.
    _lock: Option<File>,
}

impl Snapshot {
    fn take(directory: &Path) -> Result<Self, InspectError> {
        let failed = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| InspectError::Disk { operation, path, source }
        };
        let lock = lock(directory)?;
        let disk: Arc<dyn Disk> = Arc::new(ReadOnly);
        let names = ReadOnly.list(directory).map_err(failed("list", directory))?;
        let mut inspection = Inspection { directory: directory.to_owned(), ..Inspection::default() };
        let mut found = std::collections::BTreeMap::new();
        let mut names: Vec<_> =
            names.into_iter().filter(|name| slots::is_new_file(name) || slots::slot_of(name).is_some()).collect();
        names.sort();
        for name in names {
            let path = directory.join(&name);
            let about = fs::metadata(&path).map_err(failed("read", &path))?;
            let mut report = FileReport {
                name: name.clone(),
                state: FileState::Unfinished,
                bytes: about.len(),
                written: about.modified().ok(),
                generation: None,
                offsets: None,
                sealed: false,
                needed_by: 0,
            };
            if let Some(slot) = slots::slot_of(&name) {
                let (head, seal, file) = open::read_head_of(&disk, &path).map_err(failed("read", &path))?;
                report.state = match head {
                    Head::Blank => FileState::Waiting,
                    Head::UnknownFormat(format) => FileState::UnknownFormat(format),
                    Head::Valid(header) if !found.contains_key(&header.generation) => {
                        report.generation = Some((header.generation, header.covers, header.kind == SegmentKind::Compacted));
                        report.sealed = seal.is_some();
                        found.insert(header.generation, Found { slot, header, seal, file });
                        FileState::Waiting
                    }
                    Head::Valid(_) | Head::Damaged => FileState::Damaged,
                };
            }
            inspection.files.push(report);
        }
        if inspection.files.is_empty() {
            return Err(InspectError::NoJournal { directory: directory.to_owned() });
        }
        let (found, ledger) = take_stock(found, &mut inspection).map_err(failed("read", directory))?;
        inspection.describe(&found, &ledger);
        Ok(Self { inspection, found, ledger, _lock: lock })
    }
}

/// What opening the journal would make of the files.
fn take_stock(found: std::collections::BTreeMap<u64, Found>, inspection: &mut Inspection) -> io::Result<(Vec<Found>, Ledger)> {
    let mut found = open::in_force(found, &mut Vec::new());
    let mut sizes = found.iter().filter(|found| found.header.kind == SegmentKind::Log).map(|found| found.header.file_bytes);
    let options =
        JournalOptions { segment_bytes: sizes.next_back().unwrap_or(JournalOptions::SEGMENT_BYTES), ..JournalOptions::DEFAULT };
    let options = if Limits::of(&options).is_ok() { options } else { JournalOptions::DEFAULT };
    let limits = Limits::of(&options).map_err(io::Error::other)?;
    let mut bound = Offset::MAX;
    loop {
        let mut ledger = Ledger::new(limits, Quota::of(&options));
        let Some(newest) = open::newest_log(&found) else { return Ok((found, ledger)) };
        let replayed = replay::replay(&found, bound, &mut ledger)?;
        inspection.torn_tail |= replayed.ending != Ending::Clean;
        if replayed.newest_holds_nothing {
            bound = bound.min(found.remove(newest).header.first_offset);
            continue;
        }
        inspection.corrupt_records = replayed.corrupt_records;
        replay::take_stock(&found, &replayed, &mut ledger)?;
        return Ok((found, ledger));
    }
}

/// Keeps a hub out while the files are read, if there is a file to lock. A copy needs none.
fn lock(directory: &Path) -> Result<Option<File>, InspectError> {
    let path = directory.join(LOCK_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(InspectError::Disk { operation: "open", path, source }),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Err(InspectError::InUse { directory: directory.to_owned() }),
        Err(fs::TryLockError::Error(source)) => Err(InspectError::Disk { operation: "lock", path, source }),
    }
}

/// The operating system's disk, for reading only.
struct ReadOnly;

struct ReadOnlyFile(File);

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl DiskFile for ReadOnlyFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        DiskFile::read_at(&self.0, buffer, position)
    }
    fn write_at(&self, _bytes: &[u8], _position: u64) -> io::Result<()> {
        refused()
    }
    fn sync_data(&self) -> io::Result<()> {
        refused()
    }
    fn len(&self) -> io::Result<u64> {
        DiskFile::len(&self.0)
    }
}

impl Disk for ReadOnly {
    fn create_dir(&self, _directory: &Path) -> io::Result<()> {
        refused()
    }
    fn lock(&self, _path: &Path) -> io::Result<Box<dyn DiskLock>> {
        refused()
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        crate::disk::RealDisk.list(directory)
    }
    fn create(&self, _path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        refused()
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(ReadOnlyFile(File::open(path)?)))
    }
    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        refused()
    }
    fn remove(&self, _path: &Path) -> io::Result<()> {
        refused()
    }
    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        crate::disk::RealDisk.free_bytes(directory)
    }
    fn sync_dir(&self, _directory: &Path) -> io::Result<()> {
        refused()
    }
}
