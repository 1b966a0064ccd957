//! Property bags: `key=value&key=value`, as they stand at the end of a topic.
//!
//! # Reading
//! Keys and values are percent-decoded (`+` is a plus). `key` and `key=` both mean a property without a value. Of a key given
//! twice the last value counts. A leading `?` and trailing `/` are dropped: some SDKs write them. An empty bag has no properties.
//! # Writing
//! Everything but `0-9A-Za-z!()*-._` is percent-encoded, which is stricter than any SDK needs but one: the one for C drops a
//! message with a plain `~`. Every pair has its `=`, because the one for Java wants it.
//!
//! # Source
//! Reading: the hub of IoT Edge 1.5, except that it deletes every `?`, wherever it stands; here only a leading one.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Most properties of one bag. A topic of 64 KiB could name 30,000, each costing the memory of two strings.
pub const MAX_PROPERTIES: usize = 1_000;

/// What is encoded: all but the unreserved characters that every SDK decodes alike.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'!').remove(b'(').remove(b')').remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// Properties in the order in which they were first named; `None`: a key without a value.
pub type Properties = Vec<(String, Option<String>)>;

/// Why a bag was refused. Numbers count the pairs from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BagError {
    /// `&&`, a leading or trailing `&`, or `=value`.
    #[error("property {position} of the topic has no name")]
    NoName {
        /// Which pair.
        position: usize,
    },
    /// `a=b=c`.
    #[error("property {position} of the topic has a second '=': one inside a value is written %3D")]
    SecondEquals {
        /// Which pair.
        position: usize,
    },
    /// `%FF`.
    #[error("property {position} of the topic does not decode to UTF-8")]
    NotUtf8 {
        /// Which pair.
        position: usize,
    },
    /// More than [`MAX_PROPERTIES`].
    #[error("the topic holds more than {MAX_PROPERTIES} properties")]
    TooMany,
}

/// Reads a bag.
pub fn parse(bag: &str) -> Result<Properties, BagError> {
    let bag = bag.trim_end_matches('/');
    let bag = bag.strip_prefix('?').unwrap_or(bag);
    let mut properties = Properties::new();
    if bag.is_empty() {
        return Ok(properties);
    }
    for (index, pair) in bag.split('&').enumerate() {
        let position = index + 1;
        if position > MAX_PROPERTIES {
            return Err(BagError::TooMany);
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if key.is_empty() {
            return Err(BagError::NoName { position });
        }
        if value.contains('=') {
            return Err(BagError::SecondEquals { position });
        }
        let decoded = |text| percent_decode_str(text).decode_utf8().map_err(|_| BagError::NotUtf8 { position });
        let value = if value.is_empty() { None } else { Some(decoded(value)?.into_owned()) };
        set(&mut properties, &decoded(key)?, value);
    }
    Ok(properties)
}

/// Sets one property, replacing the value that the key had.
pub fn set(properties: &mut Properties, key: &str, value: Option<String>) {
    match properties.iter_mut().find(|(known, _)| known == key) {
        Some((_, old)) => *old = value,
        None => properties.push((key.to_owned(), value)),
    }
}

/// Appends one pair to a bag, and before it an `&` unless the bag is at its beginning, which is at byte `start` of `out`.
pub fn write_pair(out: &mut String, start: usize, key: &str, value: &str) {
    if out.len() > start {
        out.push('&');
    }
    out.extend(utf8_percent_encode(key, ENCODED));
    out.push('=');
    out.extend(utf8_percent_encode(value, ENCODED));
}

/// Bytes that a text takes in a bag.
pub fn encoded_len(text: &str) -> usize {
    utf8_percent_encode(text, ENCODED).map(str::len).sum()
}

/// Writes a whole bag; a property without a value becomes `key=`.
pub fn write<'a>(properties: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let mut bag = String::new();
    for (key, value) in properties {
        write_pair(&mut bag, 0, key, value.unwrap_or_default());
    }
    bag
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owned(pairs: &[(&str, Option<&str>)]) -> Properties {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
    }

    #[test]
    fn bags_are_read_as_iot_edge_reads_them() {
        for (bag, expected) in [
            ("", owned(&[])),
            ("/", owned(&[])),
            ("?", owned(&[])),
            ("level=high", owned(&[("level", Some("high"))])),
            ("level=high/", owned(&[("level", Some("high"))])),
            ("?unit=C&room", owned(&[("unit", Some("C")), ("room", None)])),
            ("room=", owned(&[("room", None)])),
            ("n=1&m=2&n=3", owned(&[("n", Some("3")), ("m", Some("2"))])),
            ("sum=1+1", owned(&[("sum", Some("1+1"))])),
            ("%24.on=out&a%3Db=%26%2f", owned(&[("$.on", Some("out")), ("a=b", Some("&/"))])),
            ("$.ct=text%2Fplain", owned(&[("$.ct", Some("text/plain"))])),
            ("why=really?", owned(&[("why", Some("really?"))])),
            ("rate=5%", owned(&[("rate", Some("5%"))])),
        ] {
            assert_eq!(parse(bag).unwrap(), expected, "{bag}");
        }
    }

    #[test]
    fn malformed_bags_are_refused_with_the_place() {
        for (bag, error) in [
            ("&a=1", BagError::NoName { position: 1 }),
            ("a=1&", BagError::NoName { position: 2 }),
            ("a=1&&b=2", BagError::NoName { position: 2 }),
            ("a=1&=2", BagError::NoName { position: 2 }),
            ("a=1&b=2=3", BagError::SecondEquals { position: 2 }),
            ("a=%ff", BagError::NotUtf8 { position: 1 }),
            ("%ff=1", BagError::NotUtf8 { position: 1 }),
        ] {
            assert_eq!(parse(bag), Err(error), "{bag}");
        }
        assert_eq!(parse(&vec!["a"; MAX_PROPERTIES + 1].join("&")), Err(BagError::TooMany));
    }

    #[test]
    fn the_writer_encodes_all_but_a_few_signs_and_always_writes_the_equals_sign() {
        let bag = write([("$.cdid", Some("line 7~")), ("empty", None), ("safe", Some("aZ09!()*-._")), ("é", Some("'/"))]);
        assert_eq!(bag, "%24.cdid=line%207%7E&empty=&safe=aZ09!()*-._&%C3%A9=%27%2F");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(pairs in prop::collection::vec((".{1,12}", prop::option::of(".{1,20}")), 0..20)) {
            let mut properties = Properties::new();
            for (key, value) in pairs {
                set(&mut properties, &key, value);
            }
            let bag = write(properties.iter().map(|(key, value)| (key.as_str(), value.as_deref())));
            prop_assert!(bag.bytes().all(|b| b.is_ascii_alphanumeric() || b"!()*-._%&=".contains(&b)));
            prop_assert_eq!(parse(&bag).unwrap(), properties);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn the_length_in_a_bag_is_what_the_writer_needs(text in any::<String>()) {
            prop_assert_eq!(encoded_len(&text) + 2, write([("k", Some(text.as_str()))]).len());
        }
    }
}
