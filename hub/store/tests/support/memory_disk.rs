//! A disk in memory on which the plug can be pulled, writes and syncs fail, and files be damaged.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use edge_store::disk::{Disk, DiskFile, DiskLock};

use super::DIRECTORY;
use super::gate::{Gate, Release};

/// What a disk writes as a whole or not at all.
const SECTOR: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Open,
    Write,
    Sync,
    SyncDirectory,
    Remove,
    Read,
}

#[derive(Default)]
struct Content {
    /// What a reader sees.
    seen: Vec<u8>,
    /// What is on the device.
    durable: Vec<u8>,
    /// Writes since the last sync.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Has its name been synced?
    name_is_durable: bool,
}

/// A change of the directory that has not been synced.
enum NameChange {
    Renamed { from: PathBuf, to: PathBuf, replaced: Option<Content> },
    Removed { path: PathBuf, content: Content },
}

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, Content>,
    locked: bool,
    /// Grows with each power cut: what was opened before is dead.
    era: u64,
    /// Fails the operation when its countdown has run out; then every one of its kind, until mended.
    failing: Vec<(Operation, u64, io::ErrorKind)>,
    counts: BTreeMap<&'static str, u64>,
    /// Names on the device that are gone or changed for who looks: restored by a power cut, if chance has it.
    unsynced_names: Vec<NameChange>,
    /// What the file system says is free.
    free_bytes: Option<u64>,
    /// Syncs do nothing, as if they had been forgotten in the code under test.
    syncs_lie: bool,
    /// The plug is pulled in the middle of the operation with which this runs out.
    plug: Option<(u64, Chance)>,
    /// Operations since the disk was made, by kind: what the plug was pulled in.
    cut_in: Option<&'static str>,
    /// Syncs wait at it.
    gate: Option<Arc<Gate>>,
    /// The cleaner waits at it before it opens a file.
    cleaners_gate: Option<Arc<Gate>>,
}

/// Chance that can be repeated.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of so many choices.
    pub fn of(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count
    }
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

struct MemoryFile {
    disk: MemoryDisk,
    path: PathBuf,
    era: u64,
}

struct MemoryLock {
    disk: MemoryDisk,
    era: u64,
}

impl MemoryDisk {
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// From the `after`th operation of this kind on (0: the next), all fail with `kind`.
    pub fn fail(&self, operation: Operation, after: u64, kind: io::ErrorKind) {
        self.state().failing.push((operation, after, kind));
    }

    /// Nothing fails any more.
    pub fn mend(&self) {
        self.state().failing.clear();
    }

    pub fn let_syncs_lie(&self) {
        self.state().syncs_lie = true;
    }

    /// So many bytes of the file system are free from now on.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.state().free_bytes = Some(bytes);
    }

    /// Times that the cleaner has asked how much is free.
    pub fn cleaners_looks_at_free_bytes(&self) -> u64 {
        self.state().counts.get("free bytes").copied().unwrap_or(0)
    }

    /// Syncs wait from now on until what is returned is released.
    pub fn hold_syncs(&self) -> Release {
        let gate = Gate::closed();
        self.state().gate = Some(Arc::clone(&gate));
        Release::of(gate)
    }

    /// The cleaner waits from now on, before it opens a file, until what is returned is released.
    pub fn hold_the_cleaner(&self) -> Release {
        let gate = Gate::closed();
        self.state().cleaners_gate = Some(Arc::clone(&gate));
        Release::of(gate)
    }

    /// Returns once the cleaner waits.
    pub async fn cleaner_is_held(&self) {
        let gate = self.state().cleaners_gate.clone().unwrap();
        gate.is_reached().await;
    }

    /// Returns once a sync waits.
    pub async fn sync_is_held(&self) {
        let gate = self.state().gate.clone().unwrap();
        gate.is_reached().await;
    }

    /// Successful data syncs so far.
    pub fn syncs(&self) -> u64 {
        self.state().counts.get("sync").copied().unwrap_or(0)
    }

    /// Successful writes so far.
    pub fn writes(&self) -> u64 {
        self.state().counts.get("write").copied().unwrap_or(0)
    }

    /// Pulls the plug. Of what was not synced, `keep` decides sector by sector what reached the device, and how many bytes of
    /// the sector that was being written; its argument is the number of choices.
    pub fn pull_the_plug(&self, keep: &mut dyn FnMut(usize) -> usize) {
        self.state().pull_the_plug(keep);
    }

    /// Pulls the plug in the middle of the `after`th operation from now on that changes something.
    pub fn pull_the_plug_after(&self, after: u64, chance: Chance) {
        let mut state = self.state();
        state.plug = Some((after, chance));
        state.cut_in = None;
    }

    /// What the plug was pulled in, if it was.
    pub fn cut_in(&self) -> Option<&'static str> {
        self.state().cut_in
    }

    /// Ends the process without the plug being pulled: what was written stays, synced or not.
    pub fn kill_process(&self) {
        let mut state = self.state();
        state.era += 1;
        state.locked = false;
    }

    /// The names of the files.
    pub fn names(&self) -> Vec<String> {
        let state = self.state();
        state.files.keys().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    /// The names of the segment files.
    pub fn segments(&self) -> Vec<String> {
        self.names().into_iter().filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "seg")).collect()
    }

    /// The names and sizes of the files at one moment, whoever removes some of them meanwhile.
    pub fn sizes(&self) -> Vec<(String, u64)> {
        let state = self.state();
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        state.files.iter().map(|(path, content)| (name(path), content.seen.len() as u64)).collect()
    }

    /// The bytes of a file.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.state().files[&Path::new(DIRECTORY).join(name)].seen.clone()
    }

    /// Changes the bytes of a file behind the journal's back.
    pub fn damage(&self, name: &str, damage: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let content = state.files.get_mut(&Path::new(DIRECTORY).join(name)).unwrap();
        damage(&mut content.seen);
        content.durable = content.seen.clone();
    }

    /// Removes a file behind the journal's back.
    pub fn lose(&self, name: &str) {
        self.state().files.remove(&Path::new(DIRECTORY).join(name)).unwrap();
    }

    /// Puts a file there behind the journal's back.
    pub fn plant(&self, name: &str, bytes: Vec<u8>) {
        let content = Content { seen: bytes.clone(), durable: bytes, unsynced: Vec::new(), name_is_durable: true };
        self.state().files.insert(Path::new(DIRECTORY).join(name), content);
    }
}

impl State {
    fn pull_the_plug(&mut self, keep: &mut dyn FnMut(usize) -> usize) {
        self.era += 1;
        self.plug = None;
        self.locked = false;
        let syncs_lie = self.syncs_lie;
        // Names change in order, so what survives is a part of the changes from the first on.
        let mut changes = std::mem::take(&mut self.unsynced_names);
        let survive = if changes.is_empty() { 0 } else { keep(changes.len() + 1) };
        for change in changes.drain(..).skip(survive).rev() {
            match change {
                NameChange::Renamed { from, to, replaced } => {
                    if let Some(content) = self.files.remove(&to) {
                        self.files.insert(from, content);
                    }
                    if let Some(replaced) = replaced {
                        self.files.insert(to, replaced);
                    }
                }
                NameChange::Removed { path, content } => {
                    self.files.insert(path, content);
                }
            }
        }
        self.files.retain(|_, content| content.name_is_durable || keep(2) == 0);
        for content in self.files.values_mut() {
            // Kinds of power cut: nothing of what was unsynced survives, all of it, a prefix torn at a byte, or any sectors.
            let kind = if syncs_lie { 0 } else { keep(4) };
            let unsynced = std::mem::take(&mut content.unsynced);
            let total: usize = unsynced.iter().map(|(_, bytes)| bytes.len()).sum();
            let mut budget = if kind == 2 { keep(total + 1) } else { total };
            for (position, bytes) in unsynced {
                for (at, sector) in bytes.chunks(SECTOR).enumerate() {
                    let kept = match kind {
                        0 => 0,
                        1 => sector.len(),
                        2 => sector.len().min(budget),
                        _ => sector.len() * keep(2),
                    };
                    budget -= kept.min(budget);
                    let start = position + at * SECTOR;
                    if kept > 0 {
                        if content.durable.len() < start + kept {
                            content.durable.resize(start + kept, 0);
                        }
                        content.durable[start..start + kept].copy_from_slice(&sector[..kept]);
                    }
                }
            }
            content.seen = content.durable.clone();
            content.name_is_durable = true;
        }
    }

    /// An operation that changes something has been begun, as far as it gets if the plug is pulled now.
    fn may_be_cut(&mut self, operation: &'static str) -> io::Result<()> {
        match &mut self.plug {
            None => Ok(()),
            Some((0, chance)) => {
                let mut chance = chance.clone();
                self.pull_the_plug(&mut |count| chance.of(count));
                self.cut_in = Some(operation);
                Err(io::Error::other("the plug was pulled"))
            }
            Some((after, _)) => {
                *after -= 1;
                Ok(())
            }
        }
    }

    fn attempt(&mut self, operation: Operation) -> io::Result<()> {
        for (failing, after, kind) in &mut self.failing {
            if *failing == operation {
                if *after == 0 {
                    return Err((*kind).into());
                }
                *after -= 1;
            }
        }
        Ok(())
    }

    fn check_era(&self, era: u64) -> io::Result<()> {
        if era == self.era { Ok(()) } else { Err(io::Error::other("the process that opened this is gone")) }
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.check_era(self.era)?;
        state.attempt(Operation::Read)?;
        let content = state.files.get(&self.path).ok_or(io::ErrorKind::NotFound)?;
        let rest = content.seen.get(usize::try_from(position).unwrap()..).unwrap_or(&[]);
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.check_era(self.era)?;
        let outcome = state.attempt(Operation::Write);
        // A failing write may have written a part.
        let bytes = if outcome.is_err() { &bytes[..bytes.len() / 2] } else { bytes };
        let content = state.files.get_mut(&self.path).ok_or(io::ErrorKind::NotFound)?;
        let start = usize::try_from(position).unwrap();
        let end = start + bytes.len();
        if content.seen.len() < end {
            content.seen.resize(end, 0);
        }
        content.seen[start..end].copy_from_slice(bytes);
        content.unsynced.push((start, bytes.to_vec()));
        state.may_be_cut("write")?;
        *state.counts.entry("write").or_default() += u64::from(outcome.is_ok());
        outcome
    }

    fn sync_data(&self) -> io::Result<()> {
        let gate = self.disk.state().gate.clone();
        if let Some(gate) = gate {
            gate.pass();
        }
        let mut state = self.disk.state();
        state.check_era(self.era)?;
        state.attempt(Operation::Sync)?;
        state.may_be_cut("sync")?;
        *state.counts.entry("sync").or_default() += 1;
        if state.syncs_lie {
            return Ok(());
        }
        let content = state.files.get_mut(&self.path).ok_or(io::ErrorKind::NotFound)?;
        content.unsynced.clear();
        content.durable = content.seen.clone();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.check_era(self.era)?;
        Ok(state.files.get(&self.path).ok_or(io::ErrorKind::NotFound)?.seen.len() as u64)
    }
}

impl DiskLock for MemoryLock {}
impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.era == self.era {
            state.locked = false;
        }
    }
}

/// A disk as one process sees it: dead once the plug is pulled or the process killed.
#[derive(Clone)]
pub struct Process {
    disk: MemoryDisk,
    era: u64,
}

impl Process {
    pub fn new(disk: &MemoryDisk) -> Self {
        Self { disk: disk.clone(), era: disk.state().era }
    }

    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        state.check_era(self.era)?;
        Ok(state)
    }

    fn file(&self, path: &Path) -> Arc<dyn DiskFile> {
        Arc::new(MemoryFile { disk: self.disk.clone(), path: path.to_owned(), era: self.era })
    }
}

impl Disk for Process {
    fn create_dir(&self, _directory: &Path) -> io::Result<()> {
        self.state().map(|_| ())
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut state = self.state()?;
        if std::mem::replace(&mut state.locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(MemoryLock { disk: self.disk.clone(), era: self.era }))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.state()?;
        let paths = state.files.keys().filter(|path| path.parent() == Some(directory));
        Ok(paths.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state()?;
        state.attempt(Operation::Create)?;
        if state.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.files.insert(path.to_owned(), Content::default());
        state.may_be_cut("create")?;
        drop(state);
        Ok(self.file(path))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let gate = self.state()?.cleaners_gate.clone();
        if let Some(gate) = gate.filter(|_| std::thread::current().name() == Some("journal-cleaner")) {
            gate.pass();
        }
        let mut state = self.state()?;
        state.attempt(Operation::Open)?;
        if !state.files.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        drop(state);
        Ok(self.file(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        let content = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        let replaced = state.files.insert(to.to_owned(), content);
        state.unsynced_names.push(NameChange::Renamed { from: from.to_owned(), to: to.to_owned(), replaced });
        state.may_be_cut("rename")?;
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        state.attempt(Operation::Remove)?;
        let content = state.files.remove(path).ok_or(io::ErrorKind::NotFound)?;
        if content.name_is_durable {
            state.unsynced_names.push(NameChange::Removed { path: path.to_owned(), content });
        }
        state.may_be_cut("remove")?;
        Ok(())
    }

    fn free_bytes(&self, _directory: &Path) -> io::Result<u64> {
        let mut state = self.state()?;
        if std::thread::current().name() == Some("journal-cleaner") {
            *state.counts.entry("free bytes").or_default() += 1;
        }
        Ok(state.free_bytes.unwrap_or(u64::MAX))
    }

    fn sync_dir(&self, _directory: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        state.attempt(Operation::Sync)?;
        state.attempt(Operation::SyncDirectory)?;
        state.may_be_cut("sync of the directory")?;
        if state.syncs_lie {
            return Ok(());
        }
        state.unsynced_names.clear();
        for content in state.files.values_mut() {
            content.name_is_durable = true;
        }
        Ok(())
    }
}
