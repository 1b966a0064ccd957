//! What can go wrong with a measurement. Any of these ends it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the measurement.
    #[error("failed to {operation} {}", path.display())]
    File {
        /// What was attempted.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A server that could not be started.
    #[error("failed to start {program}")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// A server that does not listen.
    #[error("{server} did not let {client} in within {waited:?}; its log is {}", log.display())]
    NotReady {
        /// Which server.
        server: &'static str,
        /// Who tried.
        client: String,
        /// For how long.
        waited: Duration,
        /// What it says.
        log: PathBuf,
    },
    /// The figures of a process.
    #[error("failed to read {what} of process {pid}")]
    Figures {
        /// Which figure.
        what: &'static str,
        /// Of whom.
        pid: u32,
    },
    /// A connection broke.
    #[error("the connection of {client} broke")]
    Connection {
        /// Whose.
        client: String,
        /// How.
        source: io::Error,
    },
    /// A server sent what it should not.
    #[error("{client} was sent {what}")]
    Unexpected {
        /// To whom.
        client: String,
        /// What.
        what: String,
    },
    /// Nothing moves any more.
    #[error("{client} waited {waited:?} for {what}")]
    Stuck {
        /// Who waited.
        client: String,
        /// For what.
        what: String,
        /// For how long.
        waited: Duration,
    },
    /// Certificates for the lines with TLS.
    #[error("failed to make certificates")]
    Certificates(#[from] rcgen::Error),
    /// Trust in them.
    #[error("failed to set up TLS")]
    Tls(#[from] edge_mqtt::TlsError),
    /// A token for a client.
    #[error("failed to sign a token for {client}")]
    Token {
        /// For whom.
        client: String,
    },
    /// A thread of the client panicked, or could not be started.
    #[error("a thread of the client came to no end of its own")]
    Thread,
}

impl Error {
    /// Wraps a failed operation on a file.
    pub fn file(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { operation, path, source }
    }
}
