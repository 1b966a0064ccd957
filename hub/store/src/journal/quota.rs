//! How much room the journal may take, and who yields when there is none left. Can be changed while it is open.

use super::JournalOptions;

/// What happens to an append for which there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// The oldest records of the least urgent priority are dropped, of the endpoint that is furthest over its part of the room.
    #[default]
    DropOldest,
    /// It is refused, if its endpoint is over its part of the room: with [`AppendError::EndpointFull`](super::AppendError::EndpointFull).
    RejectNew,
}

/// The room of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Most bytes that all segment files together may take; one segment more while records are moved.
    pub max_bytes: u64,
    /// Who yields when they do.
    pub on_full: OnFull,
    /// Bytes of the file system to leave free: below, no file is created, as if `max_bytes` were reached.
    pub min_free_bytes: u64,
}

/// Why a quota was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("max_bytes is {max_bytes}: at least {min_bytes} are needed, three segments")]
pub struct QuotaError {
    /// What was asked for.
    pub max_bytes: u64,
    /// The least that is possible.
    pub min_bytes: u64,
}

impl Quota {
    pub(crate) const fn of(options: &JournalOptions) -> Self {
        let JournalOptions { segment_bytes: _, max_bytes, on_full, min_free_bytes } = *options;
        Self { max_bytes, on_full, min_free_bytes }
    }
}
