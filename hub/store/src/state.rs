//! The small state beside the journal: tables of text keys and byte values, in one redb file.
//!
//! # Promises
//! - `put` and `delete` return after a durable commit. One thread makes them; everything that waits goes into one commit.
//! - What is asked later sees what was asked before, reads included.
//! - [`StateStore::epoch`] is new whenever the state was lost: the file was missing, or damaged. Who remembers another epoch knows.
//! - The page cache is bounded by [`CACHE_BYTES`], whatever the file holds.
//!
//! # Damage, and what becomes of it
//! - no file, an empty one, or one whose creation was cut short before the first commit: a new store, [`Opening::Created`].
//! - not a redb file, cut short, or a page whose checksum is wrong: the file is renamed to `*.damaged` (replacing an earlier one), a new
//!   store is started, [`Opening::Replaced`]. Every page is checked on open; the state is small. What is left is not used: half of
//!   the sessions would look like all of them.
//! - a commit cut short: redb falls back to the one before. It was never acknowledged.
//! - a file of an older redb format, in use by another process, or unreadable because the disk fails: refused and left untouched.
//! - a commit that fails: its changes are refused, and the file is opened anew before the next one.

mod database;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use self::database::{Database, Failure};

/// Longest key, in bytes: an MQTT client id of 128 with room to spare.
pub const MAX_KEY_BYTES: usize = 1024;
/// Longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;
/// Most requests that wait for the thread. Past this, callers wait.
pub const MAX_WAITING_REQUESTS: usize = 64;
/// Memory that redb may keep pages in.
pub const CACHE_BYTES: usize = 512 * 1024;

/// A table of the state store, named by a constant of its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table(&'static str);

impl Table {
    /// The table called `name`. Names that begin with `$` are the store's own.
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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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

/// A change of one key.
pub(crate) struct Change {
    pub(crate) table: &'static str,
    pub(crate) key: String,
    /// `None` removes the key.
    pub(crate) value: Option<Bytes>,
}

enum Request {
    Change(Change, oneshot::Sender<Result<(), StateError>>),
    Get(&'static str, String, oneshot::Sender<Result<Option<Bytes>, StateError>>),
    LoadAll(&'static str, oneshot::Sender<Result<Vec<(String, Bytes)>, StateError>>),
    Close(oneshot::Sender<()>),
}

/// The state store. Cheap to clone; when the last clone is gone the file is closed.
#[derive(Clone)]
pub struct StateStore {
    requests: mpsc::Sender<Request>,
    epoch: Arc<str>,
}

impl StateStore {
    /// Opens the store in the file `path`, creating it if missing and replacing it if damaged. The directory must exist.
    pub fn open(path: &Path) -> Result<(Self, Opening), StateError> {
        let (database, epoch, opening) = database::open_or_replace(path)?;
        match &opening {
            Opening::Found => info!(file = %path.display(), "state store opened"),
            Opening::Created => info!(file = %path.display(), "state store created"),
            Opening::Replaced { damaged, reason } => {
                error!(file = %path.display(), aside = %damaged.display(), reason, "the state store was damaged: what it held is lost");
            }
        }
        let (requests, receiver) = mpsc::channel(MAX_WAITING_REQUESTS);
        thread::Builder::new()
            .name("state-store".to_owned())
            .spawn(move || serve(database, receiver))
            .map_err(|error| StateError::Open { path: path.to_owned(), reason: error.to_string() })?;
        Ok((Self { requests, epoch: epoch.into() }, opening))
    }

    /// A random text, new whenever the store had to be started anew: who remembers another one knows that the state was lost.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Sets `key` to `value`. Returns once that is on disk; changes take effect in the order of the calls.
    pub async fn put(&self, table: Table, key: &str, value: Bytes) -> Result<(), StateError> {
        within(table, "value", value.len(), MAX_VALUE_BYTES)?;
        self.change(table, key, Some(value)).await
    }

    /// Removes `key`, if present. Returns once that is on disk.
    pub async fn delete(&self, table: Table, key: &str) -> Result<(), StateError> {
        self.change(table, key, None).await
    }

    /// The value of `key`.
    pub async fn get(&self, table: Table, key: &str) -> Result<Option<Bytes>, StateError> {
        within(table, "key", key.len(), MAX_KEY_BYTES)?;
        self.ask(|answer| Request::Get(table.0, key.to_owned(), answer)).await
    }

    /// The whole table, by key.
    pub async fn load_all(&self, table: Table) -> Result<Vec<(String, Bytes)>, StateError> {
        self.ask(|answer| Request::LoadAll(table.0, answer)).await
    }

    /// Finishes the changes under way and lets go of the file.
    pub async fn close(&self) {
        let (answer, closed) = oneshot::channel();
        if self.requests.send(Request::Close(answer)).await.is_ok() {
            // No answer: it was closed already.
            let _ = closed.await;
        }
    }

    async fn change(&self, table: Table, key: &str, value: Option<Bytes>) -> Result<(), StateError> {
        within(table, "key", key.len(), MAX_KEY_BYTES)?;
        self.ask(|answer| Request::Change(Change { table: table.0, key: key.to_owned(), value }, answer)).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<Result<T, StateError>>) -> Request) -> Result<T, StateError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| StateError::Closed)?;
        answered.await.unwrap_or(Err(StateError::Closed))
    }
}

fn within(table: Table, what: &'static str, bytes: usize, max_bytes: usize) -> Result<(), StateError> {
    if bytes > max_bytes { Err(StateError::TooLarge { table: table.0, what, bytes, max_bytes }) } else { Ok(()) }
}

type ChangeAndAnswer = (Change, oneshot::Sender<Result<(), StateError>>);

/// The store's thread: gathers changes until something is asked, then commits them as one.
fn serve(mut database: Database, mut requests: mpsc::Receiver<Request>) {
    let mut waiting = Vec::new();
    let mut changes = Vec::new();
    while requests.blocking_recv_many(&mut waiting, MAX_WAITING_REQUESTS) > 0 {
        for request in waiting.drain(..) {
            if let Request::Change(change, answer) = request {
                changes.push((change, answer));
                continue;
            }
            commit(&mut database, &mut changes);
            if let Request::Close(answer) = request {
                drop(database);
                // Whoever asks from now on is told that the store is closed.
                drop(requests);
                let _ = answer.send(());
                return;
            }
            read(&mut database, request);
        }
        commit(&mut database, &mut changes);
    }
}

fn read(database: &mut Database, request: Request) {
    let refusal = |table: &'static str| move |failure: Failure| StateError::Read { table, reason: failure.to_string() };
    // Who has gone away does not want the answer.
    match request {
        Request::Get(table, key, answer) => {
            let _ = answer.send(database.get(table, &key).map_err(refusal(table)));
        }
        Request::LoadAll(table, answer) => {
            let _ = answer.send(database.load_all(table).map_err(refusal(table)));
        }
        Request::Change(..) | Request::Close(_) => {}
    }
}

fn commit(database: &mut Database, changes: &mut Vec<ChangeAndAnswer>) {
    if changes.is_empty() {
        return;
    }
    let outcome = database.apply(changes.iter().map(|(change, _)| change));
    if let Err(failure) = &outcome {
        error!(%failure, changes = changes.len(), "changes of the state store could not be saved");
    }
    for (change, answer) in changes.drain(..) {
        let refusal = |failure: &Failure| StateError::Write { table: change.table, reason: failure.to_string() };
        // Who has gone away does not want the answer.
        let _ = answer.send(outcome.as_ref().copied().map_err(refusal));
    }
}
