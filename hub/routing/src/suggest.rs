//! What somebody probably meant who wrote something else.

/// The candidate that is written nearly so, in any case: at most one change in a short word, two in a longer one. A change is one
/// letter more, one less, another one, or two neighbours exchanged.
pub(crate) fn nearest(word: &str, candidates: &[&'static str]) -> Option<&'static str> {
    /// No candidate is as long; spares comparing what is no word at all.
    const MAX_WORD_BYTES: usize = 32;

    if word.len() > MAX_WORD_BYTES {
        return None;
    }
    let word: Vec<char> = word.chars().flat_map(char::to_lowercase).collect();
    let allowed = if word.len() < 5 { 1 } else { 2 };
    candidates
        .iter()
        .map(|candidate| (distance(&word, &candidate.to_ascii_lowercase()), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many changes make `b` of `a`: optimal string alignment.
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(letter != other);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *letter == b[j - 1] && a[i - 1] == *other {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let candidates = ["length", "lower", "AND", "OR", "as_number"];
        for (word, expected) in [
            ("lenght", Some("length")),
            ("LENGTH", Some("length")),
            ("legnt", Some("length")),
            ("lwoer", Some("lower")),
            ("ADN", Some("AND")),
            ("andd", Some("AND")),
            ("asnumber", Some("as_number")),
            ("xyz", None),
            ("", None),
            ("temperature", None),
            (&"length".repeat(1_000), None),
        ] {
            assert_eq!(nearest(word, &candidates), expected, "{word}");
        }
    }
}
