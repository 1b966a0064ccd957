//! Dates as text, in the one form that every SDK reads: `2026-03-01T12:00:00.0000000Z`, the round-trip form of .NET.
//!
//! The clock is never read here.

/// Formats milliseconds since 1970 (UTC). Defined up to the year 9999; later times are written as its last moment.
pub fn round_trip(unix_millis: u64) -> String {
    // 9999-12-31T23:59:59.999Z: four digits of year are all that the form has.
    let millis = unix_millis.min(253_402_300_799_999);
    let (seconds, fraction) = (millis / 1000, millis % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}0000Z")
}

/// Year, month and day of a day number counted from 1970-01-01.
///
/// Counts in years that begin in March, so that the leap day is the last of its year, and in eras of 400 years.
const fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_FROM_MARCH_0000: u64 = 719_468;
    const DAYS_OF_ERA: u64 = 146_097;
    let shifted = days + DAYS_FROM_MARCH_0000;
    let (era, day_of_era) = (shifted / DAYS_OF_ERA, shifted % DAYS_OF_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Is this exactly the round-trip form: seven digits of fraction, and `Z` or an offset?
///
/// # Source
/// The C# SDK parses expiry and creation time of a delivered message strictly so, and closes its connection on any other text.
pub fn is_round_trip(text: &str) -> bool {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd.ddddddd";
    let Some((date, zone)) = text.as_bytes().split_at_checked(SHAPE.len()) else { return false };
    let shaped = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(byte, wanted)| if *wanted == b'd' { byte.is_ascii_digit() } else { byte == wanted })
    };
    if !shaped(date, SHAPE) {
        return false;
    }
    let number = |from: usize, digits: usize| {
        date.iter().skip(from).take(digits).fold(0_u32, |sum, byte| sum * 10 + u32::from(byte.wrapping_sub(b'0')))
    };
    let (year, month, day) = (number(0, 4), number(5, 2), number(8, 2));
    let real = year >= 1
        && (1..=days_in(year, month)).contains(&day)
        && number(11, 2) <= 23
        && number(14, 2) <= 59
        && number(17, 2) <= 59;
    real && match zone {
        b"Z" => true,
        [b'+' | b'-', rest @ ..] => {
            shaped(rest, b"dd:dd")
                && rest.starts_with(b"14:00") | (rest < b"14:00".as_slice() && rest.get(3).is_some_and(|ten| *ten < b'6'))
        }
        _ => false,
    }
}

const fn days_in(year: u32, month: u32) -> u32 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_written_in_the_round_trip_form() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.0000000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.0000000Z"),
            (1_798_761_599_007, "2026-12-31T23:59:59.0070000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.0000000Z"),
            (u64::MAX, "9999-12-31T23:59:59.9990000Z"),
        ] {
            assert_eq!(round_trip(millis), text);
            assert!(is_round_trip(text), "{text}");
        }
    }

    #[test]
    fn only_the_strict_form_is_recognised() {
        for text in ["2018-01-31T02:03:04.1234567Z", "2018-01-31T02:03:04.1234567+05:30", "2024-02-29T02:03:04.1234567-14:00"] {
            assert!(is_round_trip(text), "{text}");
        }
        for text in [
            "",
            "2018-01-31",
            "2018-01-31T02:03:04Z",
            "2018-01-31T02:03:04.123456Z",
            "2018-01-31T02:03:04.1234567",
            "2018-02-29T02:03:04.1234567Z",
            "2018-13-01T02:03:04.1234567Z",
            "2018-01-01T24:03:04.1234567Z",
            "2018-01-31T02:03:04.1234567+14:30",
            "2018-01-31T02:03:04.1234567+05:60",
            "2018-01-31T02:03:04.12345é7Z",
        ] {
            assert!(!is_round_trip(text), "{text}");
        }
    }
}
