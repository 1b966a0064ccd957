//! Texts that look like dates, which JSON does not know and IoT Edge does.
//!
//! # Source
//! Json.NET, which IoT Edge reads bodies with: a date has to exist, a fraction has 1 to 7 digits (what follows is read as a zone), and of
//! a zone almost anything will do.

/// Most digits of a fraction.
const MAX_FRACTION_DIGITS: usize = 7;

/// Is it `2026-03-01T12:00:00`, with or without a fraction and a zone, or `/Date(1234567890123)/`?
pub(crate) fn looks_like_date(text: &str) -> bool {
    let microsoft = text.strip_prefix("/Date(").and_then(|text| text.strip_suffix(")/"));
    microsoft.map_or_else(|| is_iso(text.as_bytes()), is_milliseconds)
}

/// Since 1970, with or without a zone.
fn is_milliseconds(text: &str) -> bool {
    let (number, zone) = match text.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-')) {
        Some((at, _)) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    };
    !number.starts_with('+') && number.parse::<i64>().is_ok() && zone.is_none_or(|zone| two(zone.as_bytes()).is_some())
}

/// The number that two digits at the beginning make.
fn two(text: &[u8]) -> Option<u32> {
    match text {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..] => Some(u32::from(tens - b'0') * 10 + u32::from(ones - b'0')),
        _ => None,
    }
}

fn is_iso(text: &[u8]) -> bool {
    /// Where digits have to be, and where signs.
    const PATTERN: &[u8; 19] = b"dddd-dd-ddTdd:dd:dd";

    let Some((moment, rest)) = text.split_first_chunk::<19>() else { return false };
    let fits =
        moment.iter().zip(PATTERN).all(|(byte, wanted)| if *wanted == b'd' { byte.is_ascii_digit() } else { byte == wanted });
    let at = |place: usize| moment.get(place..).and_then(two).unwrap_or_default();
    let (year, month, day) = (at(0) * 100 + at(2), at(5), at(8));
    let (hour, minute, second) = (at(11), at(14), at(17));
    let (fraction, zone) = match rest.strip_prefix(b".") {
        Some(rest) => rest.split_at(rest.iter().take(MAX_FRACTION_DIGITS).take_while(|byte| byte.is_ascii_digit()).count()),
        None => (&b"0"[..], rest),
    };
    // The end of a day is a time, too.
    let is_time = hour < 24 || (hour == 24 && minute == 0 && second == 0 && fraction.iter().all(|digit| *digit == b'0'));
    fits && year > 0
        && (1..=days(year, month)).contains(&day)
        && is_time
        && minute < 60
        && second < 60
        && !fraction.is_empty()
        && is_zone(zone)
}

/// Of a month; 0 if there is no such month.
const fn days(year: u32, month: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 0,
    }
}

/// Nothing, `Z`, or a sign, hours, a colon and minutes, each of which may be missing.
fn is_zone(zone: &[u8]) -> bool {
    if matches!(zone, b"Z" | b"z") {
        return true;
    }
    let rest = match zone {
        [b'+' | b'-', hours @ ..] if two(hours).is_some() => hours.get(2..).unwrap_or_default(),
        _ => zone,
    };
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    rest.is_empty() || (rest.len() == 2 && two(rest).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_told_from_other_texts() {
        for text in [
            "2017-03-09T00:00:00.000Z",
            "2017-03-09T00:00:00",
            "2017-03-09T23:59:59Z",
            "2017-03-09T00:00:00.1234567+01:00",
            "2017-03-09T00:00:00-0100",
            "/Date(1489017600000)/",
            "/Date(-1+0100)/",
            "2024-02-29T24:00:00",
            "2017-03-09T00:00:00z",
            "2017-03-09T00:00:00.123456789",
            "2017-03-09T00:00:00+01:",
        ] {
            assert!(looks_like_date(text), "{text}");
        }
        for text in [
            "",
            "2017-03-09",
            "2017-03-09 00:00:00",
            "2017-13-09T00:00:00",
            "2017-03-32T00:00:00",
            "2017-03-09T24:00:01",
            "2017-03-09T24:00:00.5",
            "2017-03-09T25:00:00",
            "0000-03-09T00:00:00",
            "2017-00-09T00:00:00",
            "2017-02-29T00:00:00",
            "1900-02-29T00:00:00",
            "2017-02-31T00:00:00",
            "2017-04-31T00:00:00",
            "2017-03-00T00:00:00",
            "2017-03-09T00:00:00.123456789Z",
            "2017-03-09T00:00:00.",
            "2017-03-09T00:00:00 UTC",
            "2017-03-09T00:00:00+1",
            "2017-03-09T00:00:0é",
            "x2017-03-09T00:00:00",
            "/Date()/",
            "/Date(x)/",
            "/Date(+1)/",
            "/Date(99999999999999999999)/",
            "/Date(1+1)/",
            "100",
        ] {
            assert!(!looks_like_date(text), "{text}");
        }
    }
}
