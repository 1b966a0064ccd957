//! Numbers in texts: literals of the language, and what `as_number` takes.

/// A literal that the lexer took for a number. `None`: a hexadecimal one past 63 bits.
#[expect(clippy::cast_precision_loss, reason = "numbers are doubles in this language")]
pub(crate) fn literal(text: &str) -> Option<f64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok().map(|number| number as f64),
        None => text.parse().ok(),
    }
}

/// What may stand around the digits, each at most once.
#[derive(Default)]
struct Around {
    /// Is it a minus?
    sign: Option<bool>,
    /// Is one open?
    parenthesis: bool,
    currency: bool,
}

/// The sign of no currency in particular.
const CURRENCY: char = '¤';

/// A number as `as_number` takes it: blanks around it, a sign before or after, parentheses for negative ones, commas between the
/// digits before the point, an exponent, a `¤`. Too large is infinite. `None`: no number.
///
/// # Source
/// IoT Edge, which reads it in the permissive style and the invariant culture of .NET.
pub(crate) fn permissive(text: &str) -> Option<f64> {
    // The usual form, which needs no second look. Words that stand for numbers have other letters.
    if text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'))
        && let Ok(number) = text.parse()
    {
        return Some(number);
    }
    let trimmed = text.trim_matches(is_blank);
    for (word, number) in [("Infinity", f64::INFINITY), ("+Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)] {
        if trimmed.eq_ignore_ascii_case(word) {
            return Some(number);
        }
    }
    let mut around = Around::default();
    let digits = before(text, &mut around);
    let (end, commas) = number_length(digits)?;
    let number = digits.get(..end)?;
    let parsed: f64 = if commas { number.replace(',', "").parse().ok()? } else { number.parse().ok()? };
    after(digits.get(end..)?, &mut around)?;
    Some(if around.sign == Some(true) { -parsed } else { parsed })
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

/// Skips what may stand before the digits.
fn before<'t>(text: &'t str, around: &mut Around) -> &'t str {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match c {
            // After a sign only a ¤ makes room for a blank.
            c if is_blank(c) && (around.sign.is_none() || around.currency) => {}
            '+' | '-' if around.sign.is_none() => around.sign = Some(c == '-'),
            '(' if around.sign.is_none() => {
                around.sign = Some(true);
                around.parenthesis = true;
            }
            CURRENCY if !around.currency => around.currency = true,
            _ => return rest,
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    rest
}

/// The length of digits, point and exponent, and whether there are commas. `None`: no digit.
fn number_length(text: &str) -> Option<(usize, bool)> {
    let bytes = text.as_bytes();
    let (mut end, mut digits, mut point, mut commas) = (0, 0, false, false);
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'.' if !point => point = true,
            b',' if digits > 0 && !point => commas = true,
            _ => break,
        }
        end += 1;
    }
    if digits == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let first = end + 1 + sign;
        let exponent = bytes.iter().skip(first).take_while(|byte| byte.is_ascii_digit()).count();
        if exponent > 0 {
            end = first + exponent;
        }
    }
    Some((end, commas))
}

/// Checks what stands after the digits.
fn after(text: &str, around: &mut Around) -> Option<()> {
    for c in text.chars() {
        match c {
            c if is_blank(c) => {}
            '+' | '-' if around.sign.is_none() => around.sign = Some(c == '-'),
            ')' if around.parenthesis => around.parenthesis = false,
            CURRENCY if !around.currency => around.currency = true,
            _ => return None,
        }
    }
    (!around.parenthesis).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_number_takes_what_dot_net_takes() {
        for (text, expected) in [
            ("3", Some(3.0)),
            ("-1.5", Some(-1.5)),
            ("+1.5e3", Some(1500.0)),
            (" \t2\r\n", Some(2.0)),
            ("1,234,567.5", Some(1_234_567.5)),
            ("1,2,3", Some(123.0)),
            ("5.", Some(5.0)),
            (".5", Some(0.5)),
            ("(5)", Some(-5.0)),
            ("( 5)", None),
            ("(5", None),
            ("5)", None),
            ("5-", Some(-5.0)),
            ("-5-", None),
            ("- 5", None),
            ("¤5", Some(5.0)),
            ("-¤ 5", Some(-5.0)),
            ("5 ¤", Some(5.0)),
            ("¤5¤", None),
            ("1e5", Some(100_000.0)),
            ("1e", None),
            ("1e+", None),
            ("10e1000", Some(f64::INFINITY)),
            ("-10e1000", Some(f64::NEG_INFINITY)),
            ("Infinity", Some(f64::INFINITY)),
            (" -infinity ", Some(f64::NEG_INFINITY)),
            ("NaN", None),
            ("0x1F", None),
            ("value1", None),
            ("", None),
            (" ", None),
            ("1.2.3", None),
            ("1.2,3", None),
            (",1", None),
            ("5 5", None),
        ] {
            assert_eq!(permissive(text), expected, "{text:?}");
        }
    }

    #[test]
    fn literals_are_doubles() {
        for (text, expected) in [
            ("0xDEADBEEF", Some(3_735_928_559.0)),
            ("0X1f", Some(31.0)),
            ("1.234e+1", Some(12.34)),
            ("-.5", Some(-0.5)),
            ("10e1000", Some(f64::INFINITY)),
            ("0x7FFFFFFFFFFFFFFF", Some(9.223_372_036_854_776e18)),
            ("0x8000000000000000", None),
        ] {
            assert_eq!(literal(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_plain_number_is_read_and_nothing_panics(number in any::<f64>(), text in "[0-9eE+.,()¤ \\-]{0,20}") {
            let _ = permissive(&text);
            if number.is_finite() {
                prop_assert_eq!(permissive(&number.to_string()), Some(number));
                prop_assert_eq!(permissive(&format!("{number:e}")), Some(number));
            }
        }
    }
}
