//! Notices that the configuration directory has changed.
//!
//! Every [`POLL_INTERVAL`] the names, sizes, inodes and modification times below the directory are compared with the last ones.
//! Polling sees every kind of change (a swapped link, a file edited in place, a network file system) with one mechanism and costs
//! a few system calls; notifications miss swapped links unless each level is watched.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time between two looks: the longest that a change goes unnoticed.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Directory entries looked at; a configuration directory has a dozen.
const MAX_ENTRIES: usize = 1000;
/// Levels of directories looked into.
const MAX_DEPTH: usize = 3;

/// Stands for the state of a directory. Equal values: nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    /// Looks at the directory now. What cannot be read counts as absent: reading the configuration will say why.
    pub(crate) fn of(directory: &Path) -> Self {
        let mut seen = Vec::new();
        collect(directory, 0, &mut seen);
        // Directory order is arbitrary, so sort before hashing.
        seen.sort();
        let mut hasher = DefaultHasher::new();
        seen.hash(&mut hasher);
        Self(hasher.finish())
    }
}

type Entry = (PathBuf, u64, u64, i64, i64);

fn collect(directory: &Path, depth: usize, seen: &mut Vec<Entry>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if seen.len() >= MAX_ENTRIES {
            return;
        }
        // Follows links: what counts is the file that would be read.
        let Ok(metadata) = std::fs::metadata(entry.path()) else { continue };
        seen.push((entry.path(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()));
        if metadata.is_dir() && depth < MAX_DEPTH {
            collect(&entry.path(), depth + 1, seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_in_place_and_a_swapped_link_are_both_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::write(path.join("hub.json"), "1").unwrap();
        let first = Fingerprint::of(path);
        assert_eq!(first, Fingerprint::of(path));
        std::fs::write(path.join("hub.json"), "22").unwrap();
        let second = Fingerprint::of(path);
        assert_ne!(first, second);
        std::fs::create_dir_all(path.join("v2")).unwrap();
        std::os::unix::fs::symlink("v2", path.join("..data")).unwrap();
        assert_ne!(second, Fingerprint::of(path));
    }
}
