//! Where a route ends, and the name of the queue that holds what goes there.

use std::fmt;

use edge_protocol::identity::ModuleName;

/// Longest name of an input.
pub const MAX_INPUT_BYTES: usize = 128;

/// The queue of [`Endpoint::Upstream`]. No module's queue has this name: each of those contains a slash.
const UPSTREAM: &str = "$upstream";

/// Where a route ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// The place above.
    Upstream,
    /// An input of a module on this edge device.
    Input {
        /// The module.
        module: ModuleName,
        /// The input: 1 to [`MAX_INPUT_BYTES`], and fit to stand in a topic.
        input: String,
    },
}

/// The text names no queue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not the name of a queue")]
pub struct QueueNameError {
    /// What was given, cut to a readable length.
    pub name: String,
}

impl Endpoint {
    /// The endpoint's name in the store: `$upstream`, or `{module}/{input}`. Equal endpoints, and only they, have equal names.
    pub fn queue_name(&self) -> String {
        self.to_string()
    }

    /// The endpoint whose queue has this name.
    pub fn from_queue_name(name: &str) -> Result<Self, QueueNameError> {
        if name == UPSTREAM {
            return Ok(Self::Upstream);
        }
        name.split_once('/')
            .filter(|(_, input)| is_input_name(input))
            .and_then(|(module, input)| Some(Self::Input { module: module.parse().ok()?, input: input.to_owned() }))
            .ok_or_else(|| QueueNameError { name: name.chars().take(2 * MAX_INPUT_BYTES).collect() })
    }
}

/// May it stand in a topic, as one level of it?
pub(crate) fn is_input_name(text: &str) -> bool {
    (1..=MAX_INPUT_BYTES).contains(&text.len()) && !text.contains(|c: char| c.is_control() || matches!(c, '/' | '+' | '#'))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream => f.write_str(UPSTREAM),
            Self::Input { module, input } => write!(f, "{module}/{input}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn queue_names_read_back() {
        let input = Endpoint::Input { module: "filter".parse().unwrap(), input: "in 1".into() };
        assert_eq!(input.queue_name(), "filter/in 1");
        for endpoint in [Endpoint::Upstream, input] {
            assert_eq!(Endpoint::from_queue_name(&endpoint.queue_name()), Ok(endpoint));
        }
    }

    #[test]
    fn other_texts_name_no_queue() {
        for name in [
            "",
            "$Upstream",
            "filter",
            "filter/",
            "/in",
            "a b/in",
            "filter/in/1",
            "filter/+",
            "filter/a\nb",
            &format!("m/{}", "i".repeat(129)),
        ] {
            assert!(Endpoint::from_queue_name(name).is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn what_reads_as_a_queue_name_is_written_the_same(name in "([a-z$_-]{0,4}/)?\\PC{0,8}") {
            if let Ok(endpoint) = Endpoint::from_queue_name(&name) {
                prop_assert_eq!(endpoint.queue_name(), name);
            }
        }
    }
}
