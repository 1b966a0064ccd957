//! Paths into a JSON body: `name.name[0].name`.
//!
//! # Source
//! IoT Edge. A name may hold anything but brackets, blanks other than spaces and `<>@,;:\"/?={}.`; one that is digits only is none.

/// Most steps of a path. JSON that nests deeper is not read.
pub(crate) const MAX_PATH_STEPS: usize = 120;

/// A path, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyPath {
    steps: Vec<Step>,
}

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into an object.
    Member(String),
    /// Into an array, from 0.
    Element(u32),
}

/// Why a text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    /// `$body.` alone, `a..b`, `a.`
    #[error("a name is missing")]
    NoName,
    /// A character that no name holds.
    #[error("a name holds a character that it cannot")]
    Character,
    /// Digits only.
    #[error("a name of digits only is an index, which stands in brackets")]
    Digits,
    /// `[…]` with something else than a number, or without its end, or twice.
    #[error("after a name stands at most one index, a number in brackets")]
    Index,
    /// More than [`MAX_PATH_STEPS`].
    #[error("it has more than {MAX_PATH_STEPS} steps")]
    TooLong,
    /// A change of a twin is asked for with another path.
    #[error("it has to begin with properties.reported., properties.desired. or tags.")]
    NotOfTwin,
    /// More than one argument, or something else than a path.
    #[error("twin_change_includes takes one path such as properties.reported.level")]
    NoPath,
}

/// What a path into a change of a twin begins with.
const TWIN_PREFIXES: [&str; 3] = ["properties.reported.", "properties.desired.", "tags."];

impl BodyPath {
    /// Reads what stands after `$body.`.
    pub fn parse(text: &str) -> Result<Self, PathProblem> {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (name, index) = part.split_at(part.find('[').unwrap_or(part.len()));
            check_name(name)?;
            steps.push(Step::Member(name.to_owned()));
            if !index.is_empty() {
                steps.push(Step::Element(parse_index(index)?));
            }
            if steps.len() > MAX_PATH_STEPS {
                return Err(PathProblem::TooLong);
            }
        }
        Ok(Self { steps })
    }

    /// Reads the argument of `twin_change_includes`.
    pub fn parse_twin(text: &str) -> Result<Self, PathProblem> {
        let path = Self::parse(text)?;
        let is_twin =
            TWIN_PREFIXES.iter().any(|prefix| text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)));
        if is_twin { Ok(path) } else { Err(PathProblem::NotOfTwin) }
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

fn check_name(name: &str) -> Result<(), PathProblem> {
    if name.is_empty() {
        return Err(PathProblem::NoName);
    }
    if name.contains(|c| "()<>@,;:\\\"/[]?={}\t\n\r".contains(c)) {
        return Err(PathProblem::Character);
    }
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PathProblem::Digits);
    }
    Ok(())
}

/// `[7]`
fn parse_index(text: &str) -> Result<u32, PathProblem> {
    let digits = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).ok_or(PathProblem::Index)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PathProblem::Index);
    }
    digits.parse().map_err(|_| PathProblem::Index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_step_by_step() {
        let member = |name: &str| Step::Member(name.to_owned());
        for (text, steps) in [
            ("ROOT", vec![member("ROOT")]),
            ("123abc.b", vec![member("123abc"), member("b")]),
            ("a[0].b[12]", vec![member("a"), Step::Element(0), member("b"), Step::Element(12)]),
            ("Welcome!.I'm%1", vec![member("Welcome!"), member("I'm%1")]),
        ] {
            assert_eq!(BodyPath::parse(text).unwrap().steps(), steps, "{text}");
        }
        for (text, problem) in [
            ("", PathProblem::NoName),
            ("a..b", PathProblem::NoName),
            ("a.", PathProblem::NoName),
            ("[0]", PathProblem::NoName),
            ("a.[1]", PathProblem::NoName),
            ("a.1", PathProblem::Digits),
            ("a[", PathProblem::Index),
            ("a[]", PathProblem::Index),
            ("a[-1]", PathProblem::Index),
            ("a[0][1]", PathProblem::Index),
            ("a[0]b", PathProblem::Index),
            ("a['b']", PathProblem::Index),
            ("a[99999999999]", PathProblem::Index),
            ("a]", PathProblem::Character),
            (&"a.".repeat(MAX_PATH_STEPS + 1), PathProblem::TooLong),
        ] {
            assert_eq!(BodyPath::parse(text), Err(problem), "{text}");
        }
    }

    #[test]
    fn paths_into_twins_begin_with_a_section() {
        for text in ["properties.reported.a", "PROPERTIES.desired.a.b", "tags.a"] {
            assert!(BodyPath::parse_twin(text).is_ok(), "{text}");
        }
        for text in ["properties.reported", "reported.a", "tag.a", "é.a.b.c.d.e.f.g.h.i.j"] {
            assert_eq!(BodyPath::parse_twin(text), Err(PathProblem::NotOfTwin), "{text}");
        }
    }
}
