//! The redb file under the state store. Blocking.

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use redb::{DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableError};

use super::{CACHE_BYTES, Change, Opening, StateError};

const OWN_TABLE: &str = "$store";
const EPOCH_KEY: &str = "epoch";

/// Why the file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What redb says.
    #[error(transparent)]
    Redb(#[from] redb::Error),
    /// It could not be opened again after an earlier failure.
    #[error("the file cannot be opened again: {0}")]
    Reopen(String),
}

/// The open file; closed after a failure until it is needed again.
pub(crate) struct Database {
    path: PathBuf,
    open: Option<redb::Database>,
}

/// Why the file cannot be used as it is.
enum Refusal {
    Damaged(String),
    Unusable(String),
}

impl Refusal {
    fn reason(self) -> String {
        match self {
            Self::Damaged(reason) | Self::Unusable(reason) => reason,
        }
    }
}

/// What to do where there is no file.
#[derive(Clone, Copy)]
enum Missing {
    Create,
    /// One that was there and is gone must not be replaced unnoticed.
    Refuse,
}

/// Opens the store, setting a damaged file aside. Also returns the epoch.
pub(crate) fn open_or_replace(path: &Path) -> Result<(Database, String, Opening), StateError> {
    let unusable = |reason: String| StateError::Open { path: path.to_owned(), reason };
    let (database, damage) = match open_checked(path, Missing::Create) {
        Ok(database) => (database, None),
        Err(Refusal::Unusable(reason)) => return Err(unusable(reason)),
        Err(Refusal::Damaged(reason)) => {
            let damaged = aside(path);
            fs::rename(path, &damaged).map_err(|error| unusable(format!("{reason}, and it cannot be set aside: {error}")))?;
            let fresh = open_checked(path, Missing::Create).map_err(|refusal| unusable(refusal.reason()))?;
            (fresh, Some(Opening::Replaced { damaged, reason }))
        }
    };
    let mut database = Database { path: path.to_owned(), open: Some(database) };
    let epoch = database.get(OWN_TABLE, EPOCH_KEY).map_err(|failure| unusable(failure.to_string()))?;
    if let Some(epoch) = epoch {
        return Ok((database, String::from_utf8_lossy(&epoch).into_owned(), Opening::Found));
    }
    let epoch = new_epoch();
    let change = Change { table: OWN_TABLE, key: EPOCH_KEY.to_owned(), value: Some(Bytes::from(epoch.clone())) };
    database.apply([&change]).map_err(|failure| unusable(failure.to_string()))?;
    // The file's name must be as durable as its content, or the next start would find no store.
    sync_directory_of(path).map_err(|error| unusable(error.to_string()))?;
    Ok((database, epoch, damage.unwrap_or(Opening::Created)))
}

/// Opens the file and checks all of it.
fn open_checked(path: &Path, missing: Missing) -> Result<redb::Database, Refusal> {
    let checked = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut builder = redb::Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let opened = match missing {
            Missing::Create => builder.create(path),
            Missing::Refuse => builder.open(path),
        };
        let mut database = opened.map_err(|error| refusal(&error))?;
        match database.check_integrity() {
            Ok(true) => Ok(database),
            // What redb could mend is an older state than the one that was acknowledged.
            Ok(false) => Err(Refusal::Damaged("pages were damaged".to_owned())),
            Err(error) => Err(refusal(&error)),
        }
    }));
    // redb trusts a file whose checksums are right; one that makes it panic all the same is damaged.
    checked.unwrap_or_else(|_| Err(Refusal::Damaged("reading it failed an assertion".to_owned())))
}

fn refusal(error: &DatabaseError) -> Refusal {
    let damaged = match error {
        DatabaseError::Storage(StorageError::Corrupted(_)) | DatabaseError::RepairAborted => true,
        DatabaseError::Storage(StorageError::Io(error)) => {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        }
        _ => false,
    };
    if damaged { Refusal::Damaged(error.to_string()) } else { Refusal::Unusable(error.to_string()) }
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(".damaged");
    path.with_file_name(name)
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// 128 bits that nobody has used before, from the operating system's randomness, which seeds the standard library's hasher.
fn new_epoch() -> String {
    let word = || RandomState::new().hash_one(0_u8);
    format!("{:016x}{:016x}", word(), word())
}

fn definition(table: &'static str) -> TableDefinition<'static, &'static str, &'static [u8]> {
    TableDefinition::new(table)
}

impl Database {
    /// Makes all changes durable, or none.
    pub(crate) fn apply<'a>(&mut self, changes: impl IntoIterator<Item = &'a Change>) -> Result<(), Failure> {
        let outcome = self.database().and_then(|database| Ok(apply(database, changes)?));
        self.forget_after_failure(outcome)
    }

    /// The value of a key.
    pub(crate) fn get(&mut self, table: &'static str, key: &str) -> Result<Option<Bytes>, Failure> {
        let outcome = self.database().and_then(|database| Ok(get(database, table, key)?));
        self.forget_after_failure(outcome)
    }

    /// All of a table, by key.
    pub(crate) fn load_all(&mut self, table: &'static str) -> Result<Vec<(String, Bytes)>, Failure> {
        let outcome = self.database().and_then(|database| Ok(load_all(database, table)?));
        self.forget_after_failure(outcome)
    }

    fn database(&mut self) -> Result<&redb::Database, Failure> {
        let database = match self.open.take() {
            Some(database) => database,
            None => open_checked(&self.path, Missing::Refuse).map_err(|refusal| Failure::Reopen(refusal.reason()))?,
        };
        Ok(self.open.insert(database))
    }

    /// After an I/O error redb refuses everything until it is opened again.
    fn forget_after_failure<T>(&mut self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        if outcome.is_err() {
            self.open = None;
        }
        outcome
    }
}

fn apply<'a>(database: &redb::Database, changes: impl IntoIterator<Item = &'a Change>) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for Change { table, key, value } in changes {
        let mut table = transaction.open_table(definition(table))?;
        match value {
            Some(value) => table.insert(key.as_str(), value.as_ref())?,
            None => table.remove(key.as_str())?,
        };
    }
    transaction.commit()?;
    Ok(())
}

fn get(database: &redb::Database, table: &'static str, key: &str) -> Result<Option<Bytes>, redb::Error> {
    match database.begin_read()?.open_table(definition(table)) {
        Ok(table) => Ok(table.get(key)?.map(|value| Bytes::copy_from_slice(value.value()))),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn load_all(database: &redb::Database, table: &'static str) -> Result<Vec<(String, Bytes)>, redb::Error> {
    let table = match database.begin_read()?.open_table(definition(table)) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut entries = Vec::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        entries.push((key.value().to_owned(), Bytes::copy_from_slice(value.value())));
    }
    Ok(entries)
}
