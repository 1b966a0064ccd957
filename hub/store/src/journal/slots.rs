//! The segment files: creating them full of zeros, and using them again.
//!
//! A file gets all its blocks when it is created, so a full disk shows then and not in the middle of a commit, and a commit
//! changes no metadata of the file system.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::shared::Shared;
use crate::disk::{Disk, DiskFile};

/// What is written at a time while a file is filled with zeros.
const ZEROS_BYTES: usize = 64 * 1024;

/// Greatest number in the name of a segment file that counts as ours: no journal comes to it, and there is room to count on from it.
const MAX_SLOT: u32 = u32::MAX / 2;

/// The name of a segment file.
pub(crate) fn file_name(slot: u32) -> String {
    format!("{slot:05}.seg")
}

/// The name of a file that is to become a segment file once it is whole.
pub(crate) fn new_file_name(slot: u32) -> String {
    format!("{slot:05}.new")
}

/// Is it the name of a file that was to become a segment file?
pub(crate) fn is_new_file(file_name: &str) -> bool {
    file_name.strip_suffix(".new").and_then(|digits| digits.parse().ok()).is_some_and(|slot| new_file_name(slot) == file_name)
}

/// The number in the name of a segment file.
pub(crate) fn slot_of(file_name: &str) -> Option<u32> {
    let digits = file_name.strip_suffix(".seg")?;
    let slot = digits.parse().ok()?;
    (slot <= MAX_SLOT && self::file_name(slot) == file_name).then_some(slot)
}

/// The way to segment files. Which of them wait to be used again is in the ledger.
pub(crate) struct Slots {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    segment_bytes: u64,
}

impl Slots {
    pub(crate) const fn new(disk: Arc<dyn Disk>, directory: PathBuf, segment_bytes: u64) -> Self {
        Self { disk, directory, segment_bytes }
    }

    pub(crate) fn path(&self, slot: u32) -> PathBuf {
        self.directory.join(file_name(slot))
    }

    pub(crate) fn open(&self, slot: u32) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.path(slot))
    }

    /// Bytes that are free on the file system.
    pub(crate) fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes(&self.directory)
    }

    /// Makes a new file of zeros, durably. On failure nothing is left of it, as far as the disk allows.
    pub(crate) fn create(&self, slot: u32) -> io::Result<()> {
        let path = self.path(slot);
        // A file that is there already is somebody's, and stays.
        let file = self.disk.create(&path)?;
        let filled = fill(file.as_ref(), self.segment_bytes);
        filled.and_then(|()| self.disk.sync_dir(&self.directory)).inspect_err(|_| {
            // What cannot be removed now is found short or blank when the journal is opened, and removed or used then.
            let _ = self.disk.remove(&path);
        })
    }

    /// Takes back a file whose segment is done with: it waits to be used again, unless it is suspect or of another size.
    pub(crate) fn give_back(&self, shared: &Shared, slot: u32, bytes: u64, suspect: bool) {
        let over_quota = {
            let ledger = shared.ledger();
            ledger.bytes_on_disk > ledger.quota.max_bytes
        };
        let removed = (suspect || over_quota || bytes != self.segment_bytes) && self.disk.remove(&self.path(slot)).is_ok();
        if removed {
            // Should a power cut bring it back all the same, it is found to hold nothing that is wanted.
            let _ = self.disk.sync_dir(&self.directory);
        }
        let mut ledger = shared.ledger();
        if removed {
            ledger.bytes_on_disk = ledger.bytes_on_disk.saturating_sub(bytes);
        } else if bytes == self.segment_bytes {
            ledger.free.push(slot);
        }
    }

    /// Removes files that wait to be used again while all together take more than they may.
    pub(crate) fn trim(&self, shared: &Shared) {
        loop {
            let mut ledger = shared.ledger();
            let slot = if ledger.bytes_on_disk > ledger.quota.max_bytes { ledger.free.pop() } else { None };
            drop(ledger);
            let Some(slot) = slot else { return };
            if self.disk.remove(&self.path(slot)).is_err() {
                // It is found when the journal is opened the next time.
                return;
            }
            let mut ledger = shared.ledger();
            ledger.bytes_on_disk = ledger.bytes_on_disk.saturating_sub(self.segment_bytes);
        }
    }
}

fn fill(file: &dyn DiskFile, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS_BYTES];
    let mut position = 0;
    while position < bytes {
        let count = usize::try_from(bytes - position).unwrap_or(ZEROS_BYTES).min(ZEROS_BYTES);
        file.write_at(&zeros[..count], position)?;
        position += count as u64;
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_we_give_are_segment_files() {
        assert_eq!(slot_of("00017.seg"), Some(17));
        assert_eq!(slot_of("123456.seg"), Some(123_456));
        assert!(is_new_file("00017.new") && !is_new_file("17.new") && !is_new_file("00017.seg"));
        for other in ["4294967295.seg", "2147483648.seg", "17.seg", "00017.seg.damaged", "00017", "+0017.seg", "lock"] {
            assert_eq!(slot_of(other), None, "{other}");
        }
    }
}
