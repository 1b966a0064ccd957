//! Why an EdgeDeployment was refused: every problem at once, each with its field.

use std::fmt;

/// Most problems that one message lists. Enough to correct a manifest in one go, short enough to be read.
const MAX_LISTED: usize = 20;
/// Longest sentence about one problem, in bytes.
const MAX_PROBLEM_BYTES: usize = 1024;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, as a path in the object: `spec.modules[filter].createOptions.Env[1]`.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// One word of [`edge_crds::condition::reason`].
    pub reason: &'static str,
    /// The route that is at fault, where it is a route.
    pub route: Option<String>,
}

/// A refused EdgeDeployment. Nothing of it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    problems: Vec<Problem>,
}

impl Rejection {
    /// The verdict on `problems`: none if there are none.
    pub fn verdict(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }

    /// The verdict on one problem.
    pub fn of(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }

    /// The verdict on several.
    pub fn of_all(first: Problem, rest: Vec<Problem>) -> Self {
        Self { problems: std::iter::once(first).chain(rest).collect() }
    }

    /// Every problem, in the order of the spec.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The reason of the first problem.
    pub fn reason(&self) -> &'static str {
        self.problems.first().map_or(edge_crds::condition::reason::INVALID_SPEC, |problem| problem.reason)
    }
}

impl Problem {
    /// A problem of the field at `field`.
    pub fn new(reason: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), reason, route: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}: {}", self.field, self.message);
        f.write_str(&text[..text.floor_char_boundary(MAX_PROBLEM_BYTES)])
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().take(MAX_LISTED).enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "; " })?;
        }
        match self.problems.len().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_listed_up_to_a_bound() {
        let problems = (0..25).map(|index| Problem::new("InvalidSpec", format!("spec.modules[{index}]"), "is wrong")).collect();
        let text = Rejection::verdict(problems).unwrap_err().to_string();
        assert!(text.starts_with("spec.modules[0]: is wrong; spec.modules[1]: is wrong"), "{text}");
        assert!(text.ends_with("; and 5 more"), "{text}");
    }
}
