//! The disk as the journal sees it: a few whole-file operations, and reads and writes at a position.
//!
//! [`RealDisk`] is the operating system's. Tests bring one that forgets what was not synced, tears writes and fails on demand.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One open file. Reads and writes carry their position, so any number of threads may share it.
pub trait DiskFile: Send + Sync {
    /// Reads up to `buffer.len()` bytes from `position`; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `position`.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;
    /// Returns once everything written to this file so far is on the device, its length included.
    fn sync_data(&self) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Is the file empty?
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Keeps a directory to this process until dropped.
pub trait DiskLock: Send + Sync {}

/// A disk: what the journal needs of a file system.
pub trait Disk: Send + Sync {
    /// Creates `directory` and its parents where missing, durably.
    fn create_dir(&self, directory: &Path) -> io::Result<()>;
    /// Locks the file `path`, creating it if need be. [`io::ErrorKind::WouldBlock`]: somebody else holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;
    /// The names of the files in `directory`, in any order. Names that are not UTF-8 are left out.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Creates `path` for reading and writing; fails if it exists.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens `path` for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file within its directory.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Bytes of the file system of `directory` that are free for us.
    fn free_bytes(&self, directory: &Path) -> io::Result<u64>;
    /// Returns once the entries of `directory` (files created, renamed, removed) are on the device.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;
}

/// The operating system's disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// A file that is open only while it is read or written: for those of which there are many, and that are rarely looked at.
pub(crate) struct OpenedOnUse {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl OpenedOnUse {
    pub(crate) const fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path }
    }
}

impl DiskFile for OpenedOnUse {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.disk.open(&self.path)?.read_at(buffer, position)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.disk.open(&self.path)?.write_at(bytes, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.open(&self.path)?.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.open(&self.path)?.len()
    }
}

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(self, &mut buffer[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.write_all_at(bytes, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// The lock ends with the descriptor, also when the process is killed.
struct FileLock {
    _file: File,
}
impl DiskLock for FileLock {}

impl Disk for RealDisk {
    fn create_dir(&self, directory: &Path) -> io::Result<()> {
        if directory.is_dir() {
            return Ok(());
        }
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.create_dir(parent)?;
        }
        match fs::create_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.sync_dir(parent.unwrap_or(Path::new(".")))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock().map_err(io::Error::from)?;
        Ok(Box::new(FileLock { _file: file }))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).create_new(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        let figures = rustix::fs::statvfs(directory)?;
        Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
}
