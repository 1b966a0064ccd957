//! MQTT topics: what a client publishes to, what it subscribes to, and where a message for an input is sent.
//!
//! ```text
//! client publishes   devices/{d}[/modules/{m}]/messages/events/{properties}[/]     [`Publish`]
//! client subscribes  devices/{d}/modules/{m}/inputs/#, $edgehub/status, …          [`Filter`]
//! hub publishes      devices/{d}/modules/{m}/inputs/{input}/{properties}           [`write_input_topic`]
//! ```
//! Ids stand in topics as they are, not percent-encoded: that is what all SDKs write and expect.
//! This module also has what MQTT 3.1.1 §4.7 says of any topic: [`matches()`], [`check_name`] and [`check_filter`].

mod filter;
mod input;
mod publish;

pub use filter::{Filter, InputFilter, Later};
pub use input::{EmptyValues, input_address, write_input_topic};
pub use publish::{Publish, Telemetry, TelemetryError, telemetry_message};

/// Longest topic name that MQTT can carry.
pub const MAX_TOPIC_BYTES: usize = 65_535;
/// Longest filter of a subscription. Filters are stored for ever; the longest that an SDK asks for has some 300 bytes.
pub const MAX_FILTER_BYTES: usize = 1_024;

/// Why a topic name or a filter is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// No characters.
    #[error("a topic is at least one character long")]
    Empty,
    /// Too many bytes.
    #[error("a topic of {size} bytes is too long; at most {most} are accepted")]
    TooLong {
        /// Its length.
        size: usize,
        /// The limit.
        most: usize,
    },
    /// U+0000.
    #[error("a topic contains no NUL character")]
    Nul,
    /// `+` or `#` where a message is sent to.
    #[error("a topic that is published to contains no + or #")]
    Wildcard,
    /// `a+`, `#/b`.
    #[error("in a filter + stands alone between slashes, and # alone at the end")]
    WildcardPlace,
}

/// Is this a topic that can be published to?
pub fn check_name(topic: &str) -> Result<(), TopicError> {
    check_text(topic, MAX_TOPIC_BYTES)?;
    if topic.contains(['+', '#']) { Err(TopicError::Wildcard) } else { Ok(()) }
}

/// Is this a filter that can be subscribed to?
pub fn check_filter(filter: &str) -> Result<(), TopicError> {
    check_text(filter, MAX_FILTER_BYTES)?;
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let legal = match level {
            "+" => true,
            "#" => levels.peek().is_none(),
            other => !other.contains(['+', '#']),
        };
        if !legal {
            return Err(TopicError::WildcardPlace);
        }
    }
    Ok(())
}

fn check_text(topic: &str, most: usize) -> Result<(), TopicError> {
    match topic {
        "" => Err(TopicError::Empty),
        long if long.len() > most => Err(TopicError::TooLong { size: long.len(), most }),
        text if text.contains('\0') => Err(TopicError::Nul),
        _ => Ok(()),
    }
}

/// Does a legal filter select a legal topic? `a/#` selects `a` too; a wildcard at the beginning selects no topic that begins with `$`.
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic_levels = topic.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true;
        }
        match topic_levels.next() {
            Some(name) if level == "+" || level == name => {}
            _ => return false,
        }
    }
    topic_levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn filters_select_as_mqtt_says() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/B", false),
            ("a/b", "a/b/", false),
            ("a/+", "a/b", true),
            ("a/+", "a/", true),
            ("a/+", "a", false),
            ("a/+", "a/b/c", false),
            ("+/b/#", "a/b", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("#", "a/b", true),
            ("#", "$edgehub/status", false),
            ("+/status", "$edgehub/status", false),
            ("$edgehub/+", "$edgehub/status", true),
            ("/+", "/a", true),
            ("+/+", "/a", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} on {topic}");
        }
    }

    #[test]
    fn names_and_filters_are_checked() {
        assert_eq!(check_name("devices/d/messages/events/%24.on=o"), Ok(()));
        assert_eq!(check_name(""), Err(TopicError::Empty));
        assert_eq!(check_name("a/\0"), Err(TopicError::Nul));
        assert_eq!(check_name("a/+"), Err(TopicError::Wildcard));
        assert_eq!(check_name("a#"), Err(TopicError::Wildcard));
        let size = MAX_TOPIC_BYTES + 1;
        assert_eq!(check_name(&"a".repeat(size)), Err(TopicError::TooLong { size, most: MAX_TOPIC_BYTES }));
        for filter in ["#", "+", "a/+/b/#", "/", "+/+/+", "$iothub/twin/res/#"] {
            assert_eq!(check_filter(filter), Ok(()), "{filter}");
        }
        for filter in ["a#", "#/a", "a/#/b", "a+/b", "a/b+", "++", "##"] {
            assert_eq!(check_filter(filter), Err(TopicError::WildcardPlace), "{filter}");
        }
        assert!(check_filter(&"a".repeat(MAX_FILTER_BYTES + 1)).is_err());
    }

    proptest! {
        #[test]
        fn a_topic_without_wildcards_selects_exactly_itself(a in "[a-c/$]{1,6}", b in "[a-c/$]{1,6}") {
            prop_assert_eq!(matches(&a, &b), a == b);
        }

        #[test]
        fn no_texts_make_matching_panic(filter in any::<String>(), topic in any::<String>()) {
            let _ = (check_filter(&filter), check_name(&topic), matches(&filter, &topic));
        }
    }
}
