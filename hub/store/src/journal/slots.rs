//! The segment files: creating them full of zeros, and using them again.
//!
//! A file gets all its blocks when it is created, so a full disk shows then and not in the middle of a commit, and a commit
//! changes no metadata of the file system.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};

/// What is written at a time while a file is filled with zeros.
const ZEROS_BYTES: usize = 64 * 1024;

/// The name of a segment file.
pub(crate) fn file_name(slot: u32) -> String {
    format!("{slot:05}.seg")
}

/// The number in the name of a segment file.
pub(crate) fn slot_of(file_name: &str) -> Option<u32> {
    let digits = file_name.strip_suffix(".seg")?;
    let slot = digits.parse().ok()?;
    (self::file_name(slot) == file_name).then_some(slot)
}

/// Segment files that are not in use, and the way to more.
pub(crate) struct Slots {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    segment_bytes: u64,
    free: Vec<u32>,
    next: u32,
}

impl Slots {
    /// `free` are complete files that hold nothing; no file has a number of `next` or above.
    pub(crate) fn new(disk: Arc<dyn Disk>, directory: PathBuf, segment_bytes: u64, free: Vec<u32>, next: u32) -> Self {
        Self { disk, directory, segment_bytes, free, next }
    }

    pub(crate) fn path(&self, slot: u32) -> PathBuf {
        self.directory.join(file_name(slot))
    }

    /// A file to begin a segment in, if one waits.
    pub(crate) fn take_free(&mut self) -> Option<u32> {
        self.free.pop()
    }

    pub(crate) fn open(&self, slot: u32) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.path(slot))
    }

    /// Makes a new file of zeros, durably. On failure nothing is left of it, as far as the disk allows.
    pub(crate) fn create(&mut self) -> io::Result<u32> {
        let slot = self.next;
        let path = self.path(slot);
        self.next += 1;
        let filled = self.disk.create(&path).and_then(|file| fill(file.as_ref(), self.segment_bytes));
        match filled.and_then(|()| self.disk.sync_dir(&self.directory)) {
            Ok(()) => Ok(slot),
            Err(error) => {
                // What cannot be removed now is found short or blank when the journal is opened, and removed or used then.
                let _ = self.disk.remove(&path);
                Err(error)
            }
        }
    }

    /// Takes back a file whose segment is done with. Returns whether it still exists.
    pub(crate) fn give_back(&mut self, slot: u32, suspect: bool) -> bool {
        if suspect && self.disk.remove(&self.path(slot)).is_ok() {
            return false;
        }
        self.free.push(slot);
        true
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
        for other in ["17.seg", "00017.seg.damaged", "00017", "+0017.seg", "lock"] {
            assert_eq!(slot_of(other), None, "{other}");
        }
    }
}
