//! What is wrong with a route, and where.

use std::fmt;

use edge_protocol::configuration::MAX_ROUTES;

use crate::lex::MAX_ROUTE_BYTES;

/// Longest piece of a route or of its name that an error quotes, in characters.
const MAX_QUOTED_CHARS: usize = 64;

/// One bad route. Displayed as `route alerts: expected INTO, found "INOT" at column 31`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError {
    /// The route's name, cut to a readable length.
    pub route: String,
    /// What is wrong.
    pub problem: Problem,
    /// Line in the route's text, from 1. The first, where the problem is not at one place.
    pub line: usize,
    /// Column in that line, in characters from 1.
    pub column: usize,
}

/// What is wrong with a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Something else stands where this was due.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What was due.
        expected: &'static str,
        /// What is there, in words or quoted.
        found: String,
    },
    /// The text has no words.
    #[error("the route is empty")]
    Empty,
    /// Past [`MAX_ROUTE_BYTES`].
    #[error("the route has {size} bytes, at most {MAX_ROUTE_BYTES} are accepted")]
    TooLong {
        /// Its length.
        size: usize,
    },
    /// The name is not one.
    #[error("the name is not 1 to 128 bytes without spaces, control characters and . $ #")]
    Name,
    /// Two routes of the same name.
    #[error("an earlier route has the same name")]
    DuplicateName,
    /// More than [`MAX_ROUTES`].
    #[error("there are {count} routes, at most {MAX_ROUTES} are accepted")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// A condition. Leaving it out would deliver what it holds back.
    #[error("conditions are not available in this version, found WHERE")]
    ConditionsNotAvailable,
    /// `"…` without its end, or with an escape that there is not.
    #[error(r#"found a string without its end (after a backslash stands one of " ' \ or uXXXX)"#)]
    UnterminatedString,
    /// `/messages/* WHERE … /* … */`: what was meant as a source's end begins a comment, and the condition is inside it.
    #[error("found a comment that contains the condition: it begins with the /* of the source")]
    CommentedCondition,
}

impl Problem {
    /// Is it at one place in the text?
    const fn has_place(&self) -> bool {
        match self {
            Self::Expected { .. } | Self::ConditionsNotAvailable | Self::UnterminatedString | Self::CommentedCondition => true,
            Self::Empty | Self::TooLong { .. } | Self::Name | Self::DuplicateName | Self::TooMany { .. } => false,
        }
    }

    /// This problem of the route `route`, at byte `offset` of its text.
    pub(crate) fn at(self, route: &str, text: &str, offset: usize) -> RouteError {
        let before = text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        RouteError {
            route: shortened(route),
            problem: self,
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        }
    }
}

/// `text` in quotes, cut to a readable length; control characters as escapes.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

/// `text`, cut to a readable length.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

impl std::error::Error for RouteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // Its text is already in ours.
        None
    }
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {}: {}", self.route.escape_debug(), self.problem)?;
        match (self.problem.has_place(), self.line) {
            (false, _) => Ok(()),
            (true, 1) => write!(f, " at column {}", self.column),
            (true, line) => write!(f, " at line {line}, column {}", self.column),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_lines_and_characters() {
        let text = "FROM /é\n  INOT x";
        let error = Problem::Expected { expected: "INTO", found: quoted("INOT") }.at("alerts", text, text.find("INOT").unwrap());
        assert_eq!((error.line, error.column), (2, 3));
        assert_eq!(error.to_string(), "route alerts: expected INTO, found \"INOT\" at line 2, column 3");
        assert_eq!(Problem::ConditionsNotAvailable.at("a", text, 9).to_string().split(" at ").last(), Some("line 2, column 1"));
        assert_eq!(Problem::Empty.at("a", "", 0).to_string(), "route a: the route is empty");
    }

    #[test]
    fn what_an_error_quotes_stays_readable() {
        let error = Problem::Expected { expected: "FROM", found: quoted(&"é\n".repeat(10_000)) }.at(&"n".repeat(10_000), "", 0);
        assert!(error.to_string().len() < 400 && !error.to_string().contains('\n'), "{error}");
    }
}
