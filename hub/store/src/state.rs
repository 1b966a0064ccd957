//! The small state beside the journal: tables of text keys and values, in one redb file.

use std::path::{Path, PathBuf};

use bytes::Bytes;

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;
/// Longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;

/// A table of the state store, named by a constant of its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table(&'static str);

impl Table {
    /// The table called `name`.
    pub const fn named(name: &'static str) -> Self {
        Self(name)
    }
}

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The store was there.
    Found,
    /// There was none; a new one was started.
    Created,
    /// The store was damaged and was set aside; a new one was started. What it held is lost.
    Replaced {
        /// Where the damaged file is now.
        damaged: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
}

/// Why the state store failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StateError {
    /// It could not be opened.
    #[error("failed to open the state store {path}: {reason}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A read failed.
    #[error("failed to read table {table}: {reason}")]
    Read {
        /// The table.
        table: &'static str,
        /// Why.
        reason: String,
    },
    /// A change was not made durable.
    #[error("failed to save a change of table {table}: {reason}")]
    Write {
        /// The table.
        table: &'static str,
        /// Why.
        reason: String,
    },
    /// A key or value is over its limit.
    #[error("table {table}: a {what} of {bytes} bytes, where {max_bytes} are allowed")]
    TooLarge {
        /// The table.
        table: &'static str,
        /// Key or value.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// The store was closed.
    #[error("the state store is closed")]
    Closed,
}

/// The state store. Cheap to clone.
#[derive(Clone)]
pub struct StateStore {}

impl StateStore {
    /// Opens the store in the file `path`, creating it if missing and replacing it if damaged.
    pub fn open(path: &Path) -> Result<(Self, Opening), StateError> {
        Err(StateError::Open { path: path.to_owned(), reason: "not built yet".to_owned() })
    }

    /// A random text, new whenever the store had to be started anew: who remembers another one knows that the state was lost.
    pub fn epoch(&self) -> &str {
        ""
    }

    /// Sets `key` to `value`. Returns once that is on disk; changes take effect in the order of the calls.
    pub async fn put(&self, _table: Table, _key: &str, _value: Bytes) -> Result<(), StateError> {
        Err(StateError::Closed)
    }

    /// Removes `key`, if present. Returns once that is on disk.
    pub async fn delete(&self, _table: Table, _key: &str) -> Result<(), StateError> {
        Err(StateError::Closed)
    }

    /// The value of `key`.
    pub async fn get(&self, _table: Table, _key: &str) -> Result<Option<Bytes>, StateError> {
        Err(StateError::Closed)
    }

    /// The whole table, by key.
    pub async fn load_all(&self, _table: Table) -> Result<Vec<(String, Bytes)>, StateError> {
        Err(StateError::Closed)
    }

    /// Finishes the changes under way and lets go of the file.
    pub async fn close(&self) {}
}
