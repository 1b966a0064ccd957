//! Logs on standard error, for all binaries of this crate, and the last word of one that cannot start.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `time LEVEL target: message key=value`
    Text,
    /// One JSON object per line.
    Json,
}

impl FromStr for Format {
    type Err = String;
    fn from_str(given: &str) -> Result<Self, String> {
        match given {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("{other:?} is not a log format: text and json are known")),
        }
    }
}

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// Not a filter.
    #[error("{given:?} is not a log filter: a level (error, warn, info, debug) or target=level,… is expected")]
    Filter {
        /// What was given.
        given: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Something in this process logs already.
    #[error("logging was started twice")]
    Twice,
}

/// Starts logging. `filter` is a level or a list of `target=level`.
pub fn start(filter: &str, format: Format) -> Result<(), LoggingError> {
    let directives = EnvFilter::try_new(filter.to_ascii_lowercase());
    let directives = directives.map_err(|source| LoggingError::Filter { given: filter.chars().take(200).collect(), source })?;
    let log = tracing_subscriber::fmt().with_env_filter(directives).with_writer(std::io::stderr).with_ansi(false);
    let started = match format {
        Format::Text => log.try_init(),
        Format::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|_| LoggingError::Twice)
}

/// Prints an error with its causes, for a process that ends now.
pub fn fail(error: &dyn Error) -> ExitCode {
    // If standard error is gone there is nobody left to tell.
    let _told = writeln!(std::io::stderr(), "error: {}", crate::delivery::chain(error));
    ExitCode::FAILURE
}
