//! Where a route ends, and the name of the queue that holds what goes there.

use std::fmt;

use edge_protocol::identity::ModuleName;

use crate::error::{Problem, quoted};

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

/// How a route leads to a sink that is a function, in any case.
const FUNCTION: &str = "BrokeredEndpoint";

impl Endpoint {
    /// The sink `$upstream`, in any case.
    pub fn from_system(name: &str) -> Option<Self> {
        name.eq_ignore_ascii_case(UPSTREAM).then_some(Self::Upstream)
    }

    /// The sink `function("address")`.
    pub fn from_function(function: &str, address: &str) -> Result<Self, Problem> {
        if !Self::is_function(function) {
            return Err(Problem::expected(FUNCTION, quoted(function)));
        }
        Self::from_address(address, &mut Vec::new())
    }

    pub(crate) fn is_function(name: &str) -> bool {
        name.eq_ignore_ascii_case(FUNCTION)
    }

    /// The module and the input of an address.
    pub(crate) fn from_address(address: &str, doubts: &mut Vec<String>) -> Result<Self, Problem> {
        let path = address.trim();
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut parts = path.split('/');
        let (Some(modules), Some(module), Some(inputs), Some(input), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Problem::expected("an endpoint of the form \"/modules/M/inputs/I\"", quoted(address)));
        };
        let Ok(module_name) = module.parse::<ModuleName>() else {
            return Err(Problem::expected("an endpoint's module of 1 to 128 letters, digits, - and _", quoted(module)));
        };
        if !is_input_name(input) {
            return Err(Problem::expected(
                "an endpoint's input of 1 to 128 bytes without + # and control characters",
                quoted(input),
            ));
        }
        for (word, found) in [("modules", modules), ("inputs", inputs)] {
            if word != found {
                doubts.push(format!("its endpoint has {} where {word} is usual", quoted(found)));
            }
        }
        Ok(Self::Input { module: module_name, input: input.to_owned() })
    }
}

/// May it stand in a topic, as one level of it?
fn is_input_name(text: &str) -> bool {
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
