//! The name of a queue: what a route's endpoint is called in the journal.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest queue name, in bytes: room for two names of 128 and what stands between them.
pub const MAX_QUEUE_NAME_BYTES: usize = 300;

/// Why a queue name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a queue name of {bytes} bytes: 1 to {MAX_QUEUE_NAME_BYTES} are allowed")]
pub struct QueueNameError {
    /// Length of what was given.
    pub bytes: usize,
}

/// The name of one durable queue: 1 to [`MAX_QUEUE_NAME_BYTES`] bytes of text. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(Arc<str>);

impl QueueName {
    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for QueueName {
    type Err = QueueNameError;
    fn from_str(given: &str) -> Result<Self, QueueNameError> {
        if (1..=MAX_QUEUE_NAME_BYTES).contains(&given.len()) {
            Ok(Self(given.into()))
        } else {
            Err(QueueNameError { bytes: given.len() })
        }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_one_to_three_hundred_bytes() {
        assert_eq!("".parse::<QueueName>(), Err(QueueNameError { bytes: 0 }));
        assert_eq!("x".repeat(300).parse::<QueueName>().unwrap().as_str().len(), 300);
        assert_eq!("x".repeat(301).parse::<QueueName>(), Err(QueueNameError { bytes: 301 }));
    }
}
