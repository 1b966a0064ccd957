//! However many segments there are, the journal holds few of them open: a process may have about a thousand files.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use edge_store::disk::{Disk, DiskFile, DiskLock, RealDisk};
use edge_store::{Destination, Journal, JournalOptions};

/// The real disk, which counts the segment files that are open, and how many were at most.
#[derive(Clone, Default)]
struct Counting {
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

struct Counted {
    file: Arc<dyn DiskFile>,
    open: Arc<AtomicUsize>,
}

impl Counting {
    fn count(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        self.most.fetch_max(self.open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Arc::new(Counted { file, open: Arc::clone(&self.open) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl DiskFile for Counted {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.file.write_at(bytes, position)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

impl Disk for Counting {
    fn create_dir(&self, directory: &Path) -> io::Result<()> {
        RealDisk.create_dir(directory)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        RealDisk.lock(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(directory)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.create(path).map(|file| self.count(file))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open(path).map(|file| self.count(file))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(directory)
    }
    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        RealDisk.sync_dir(directory)
    }
}

#[tokio::test]
async fn few_files_are_open_at_a_time_with_many_segments() {
    const SEGMENTS: u64 = 100;
    let directory = tempfile::tempdir().unwrap();
    let disk = Counting::default();
    let options = JournalOptions { segment_bytes: 64 * 1024, max_bytes: 1 << 30, ..JournalOptions::DEFAULT };
    let open = || Journal::open_on(Arc::new(disk.clone()), directory.path(), options).unwrap();
    let to = [Destination::new("a".parse().unwrap())];
    let (journal, _) = open();
    let mut records = 0;
    while journal.usage().segments < SEGMENTS {
        journal.append(&to, Bytes::from(vec![7; 20_000])).await.unwrap();
        records += 1;
    }
    journal.close().await;
    drop(journal);
    let (journal, recovery) = open();
    assert_eq!(recovery.pending, records);
    let mut reader = journal.reader(&to[0].endpoint).unwrap();
    for _ in 0..records {
        let record = reader.next().await.unwrap();
        assert!(reader.settle(record.offset));
    }
    let most = disk.most.load(Ordering::SeqCst);
    assert!((2..10).contains(&most), "{most} files were open at once");
}
