//! Texts as conditions see them: in units of UTF-16, as IoT Edge counts, so that `length` and `substring` mean what they meant.
//! Almost all texts are ASCII, where a unit is a byte; those take the short way.

use std::borrow::Cow;
use std::cmp::Ordering;

/// In the order of UTF-16 units.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    // Equal is equal in any encoding, and by far the most frequent question.
    if a == b { Ordering::Equal } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

/// In units.
#[expect(clippy::cast_precision_loss, reason = "no text has 2^52 units")]
pub(crate) fn length(text: &str) -> f64 {
    units(text) as f64
}

fn units(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// Where `part` begins, in units; -1: nowhere.
#[expect(clippy::cast_precision_loss, reason = "no text has 2^52 units")]
pub(crate) fn index_of(text: &str, part: &str) -> f64 {
    text.find(part).map_or(-1.0, |offset| units(text.get(..offset).unwrap_or_default()) as f64)
}

/// From unit `start` to the end. `None`: outside, or inside a character.
pub(crate) fn substring(text: &str, start: f64) -> Option<&str> {
    if start > length(text) {
        return None;
    }
    text.get(offset_of(text, whole(start)?)?..)
}

/// `length` units from unit `start`, which is before the end. `None`: outside, or inside a character.
pub(crate) fn substring_of_length(text: &str, start: f64, length: f64) -> Option<&str> {
    let (given_start, given_length) = (start, length);
    let units = self::length(text);
    // Fractions count: of "abc", 2 units from 1.5 on are too many.
    if given_start >= units || given_length > units - given_start {
        return None;
    }
    let (start, length) = (whole(given_start)?, whole(given_length)?);
    text.get(offset_of(text, start)?..offset_of(text, start + length)?)
}

/// Without its fraction; `None` for what cannot be a place.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn whole(number: f64) -> Option<usize> {
    /// Far beyond any text, and exact.
    const MOST: f64 = 4_294_967_295.0;
    (0.0..=MOST).contains(&number).then_some(number as usize)
}

/// The byte at which unit `unit` begins; also the end.
fn offset_of(text: &str, unit: usize) -> Option<usize> {
    if text.is_ascii() {
        return (unit <= text.len()).then_some(unit);
    }
    let mut units = 0;
    for (offset, c) in text.char_indices() {
        if units >= unit {
            return (units == unit).then_some(offset);
        }
        units += c.len_utf16();
    }
    (units == unit).then_some(text.len())
}

/// Each letter on its own: one that would become several stays.
pub(crate) fn lower(text: &str) -> Cow<'_, str> {
    mapped(text, |c| single(c, c.to_lowercase()))
}

/// Each letter on its own: one that would become several stays.
pub(crate) fn upper(text: &str) -> Cow<'_, str> {
    mapped(text, upper_letter)
}

/// The letter itself, if it would become several.
pub(crate) fn upper_letter(c: char) -> char {
    single(c, c.to_uppercase())
}

fn mapped(text: &str, map: impl Fn(char) -> char) -> Cow<'_, str> {
    if text.chars().all(|c| map(c) == c) { Cow::Borrowed(text) } else { text.chars().map(map).collect() }
}

fn single(c: char, mut mapped: impl ExactSizeIterator<Item = char>) -> char {
    if mapped.len() == 1 { mapped.next().unwrap_or(c) } else { c }
}

/// What a string literal means, quotes included in `literal`.
pub(crate) fn unescape(literal: &str) -> String {
    let mut units: Vec<u16> = Vec::with_capacity(literal.len());
    let mut chars = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default().chars();
    while let Some(c) = chars.next() {
        match (c, (c == '\\').then(|| chars.next()).flatten()) {
            (_, Some('u')) => {
                let hex: String = chars.by_ref().take(4).collect();
                units.push(u16::from_str_radix(&hex, 16).unwrap_or(0xFFFD));
            }
            (_, Some(escaped)) => units.extend(escaped.encode_utf16(&mut [0; 2]).iter()),
            (c, None) => units.extend(c.encode_utf16(&mut [0; 2]).iter()),
        }
    }
    // Two escapes may make one character. Half a character matches nothing in a message.
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_units_of_utf_16() {
        let text = "a€😀z";
        assert_eq!(units(text), 5);
        assert_eq!(index_of(text, "😀").total_cmp(&2.0), Ordering::Equal);
        assert_eq!(index_of(text, "z").total_cmp(&4.0), Ordering::Equal);
        assert_eq!(index_of(text, "y").total_cmp(&-1.0), Ordering::Equal);
        assert_eq!(substring(text, 2.0), Some("😀z"));
        assert_eq!(substring(text, 3.0), None, "the middle of a character");
        assert_eq!(substring(text, 5.0), Some(""));
        assert_eq!(substring(text, 6.0), None);
        assert_eq!(substring_of_length(text, 1.0, 3.0), Some("€😀"));
        assert_eq!(substring_of_length(text, 1.0, 2.0), None, "ends in the middle of a character");
    }

    #[test]
    fn substrings_that_reach_outside_are_none() {
        for (start, length, expected) in [
            (0.0, 3.0, Some("abc")),
            (2.0, 1.0, Some("c")),
            (2.0, 0.0, Some("")),
            (3.0, 0.0, None),
            (1.0, 3.0, None),
            (-1.0, 1.0, None),
            (0.0, -1.0, None),
            (1.5, 1.0, Some("b")),
            (1.5, 2.0, None),
            (f64::INFINITY, 0.0, None),
        ] {
            assert_eq!(substring_of_length("abc", start, length), expected, "{start} {length}");
        }
        assert_eq!(substring("abc", 3.0), Some(""));
        assert_eq!(substring("abc", -0.5), None);
        assert_eq!(substring("abc", 3.5), None);
        assert_eq!(substring("abc", f64::INFINITY), None);
    }

    #[test]
    fn letters_change_case_one_by_one() {
        assert_eq!(upper("straße é"), "STRAßE É");
        assert_eq!(lower("ÀB"), "àb");
        assert!(matches!(lower("ab"), Cow::Borrowed(_)));
    }

    #[test]
    fn escapes_are_read_from_left_to_right() {
        for (literal, expected) in [
            (r#""it's""#, "it's"),
            (r"'it\'s'", "it's"),
            (r#"'\"\\'"#, "\"\\"),
            (r"'\u00e9\u20AC'", "é€"),
            (r"'\ud83d\ude00'", "😀"),
            (r"'\ud83d'", "\u{fffd}"),
            (r"'\\u0041'", "\\u0041"),
            ("''", ""),
        ] {
            assert_eq!(unescape(literal), expected, "{literal}");
        }
    }

    #[test]
    fn texts_are_ordered_by_units() {
        assert_eq!(compare("a", "b"), Ordering::Less);
        assert_eq!(compare("a", "a"), Ordering::Equal);
        // In UTF-8, and by code points, it is the other way round.
        assert_eq!(compare("😀", "\u{ffee}"), Ordering::Less);
    }
}
