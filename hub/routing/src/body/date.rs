//! Texts that look like dates, which JSON does not know and IoT Edge does.

/// Is it `2026-03-01T12:00:00`, with or without a fraction and a zone, or `/Date(1234567890123)/`?
pub(crate) fn looks_like_date(text: &str) -> bool {
    let microsoft = text.strip_prefix("/Date(").and_then(|text| text.strip_suffix(")/"));
    microsoft.map_or_else(|| is_iso(text), is_milliseconds)
}

/// Since 1970, with or without a zone.
fn is_milliseconds(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let digits = text.split(['+', '-']).next().unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_iso(text: &str) -> bool {
    /// Where digits have to be, and where signs.
    const PATTERN: &[u8; 19] = b"dddd-dd-ddTdd:dd:dd";

    let bytes = text.as_bytes();
    let Some((moment, rest)) = bytes.split_first_chunk::<19>() else { return false };
    let fits =
        moment.iter().zip(PATTERN).all(|(byte, wanted)| if *wanted == b'd' { byte.is_ascii_digit() } else { byte == wanted });
    let two =
        |at: usize| moment.get(at..at + 2).map_or(0, |pair| pair.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')));
    fits && (1..=12).contains(&two(5))
        && (1..=31).contains(&two(8))
        && two(11) < 24
        && two(14) < 60
        && two(17) < 60
        && is_rest(rest)
}

/// A fraction, a zone, both or neither.
fn is_rest(rest: &[u8]) -> bool {
    let zone = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            fraction.get(digits..).unwrap_or_default()
        }
        None => rest,
    };
    match zone {
        [] | [b'Z'] => true,
        [b'+' | b'-', offset @ ..] => {
            let digits = offset.iter().filter(|byte| byte.is_ascii_digit()).count();
            matches!((offset.len(), digits, offset.get(2)), (2, 2, _) | (4, 4, _) | (5, 4, Some(b':')))
        }
        _ => false,
    }
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
        ] {
            assert!(looks_like_date(text), "{text}");
        }
        for text in [
            "",
            "2017-03-09",
            "2017-03-09 00:00:00",
            "2017-13-09T00:00:00",
            "2017-03-32T00:00:00",
            "2017-03-09T24:00:00",
            "2017-03-09T00:00:00.",
            "2017-03-09T00:00:00 UTC",
            "2017-03-09T00:00:00+1",
            "2017-03-09T00:00:0é",
            "x2017-03-09T00:00:00",
            "/Date()/",
            "/Date(x)/",
            "100",
        ] {
            assert!(!looks_like_date(text), "{text}");
        }
    }
}
