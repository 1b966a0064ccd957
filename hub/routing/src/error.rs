//! What is wrong with a route, and where.

use std::fmt;

use edge_protocol::configuration::MAX_ROUTES;

use crate::body::PathProblem;
use crate::condition::{MAX_BODY_PATHS, MAX_NESTING};
use crate::lex::MAX_ROUTE_BYTES;
use crate::priority::Priority;

/// Longest piece of a route or of its name that an error quotes, in characters.
const MAX_QUOTED_CHARS: usize = 64;

/// Most problems reported of one route; whoever mends these sees the others.
pub const MAX_PROBLEMS_PER_ROUTE: usize = 5;

/// One thing that is wrong with a route. Displayed as `route alerts: expected INTO, found "INOT" at column 31`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError {
    /// Which route it is of those that were compiled, from 0.
    pub index: usize,
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
        /// What was probably meant.
        did_you_mean: Option<&'static str>,
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
    /// Above [`Priority::LOWEST`].
    #[error("the priority is {given}, it has to be 0 to {}", Priority::LOWEST)]
    Priority {
        /// What was given.
        given: u8,
    },
    /// More than [`MAX_ROUTES`].
    #[error("there are {count} routes, at most {MAX_ROUTES} are accepted")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// `"…` without its end, or with an escape that there is not.
    #[error(r#"found a string without its end (after a backslash stands one of " ' \ or uXXXX)"#)]
    UnterminatedString,
    /// `/messages/* WHERE … /* … */`: what was meant as a source's end begins a comment, and what follows the source is inside it.
    #[error("found a comment that takes in {keyword}: it begins with the /* of the source, so there is no room for another one")]
    CommentedOut {
        /// `WHERE` or `INTO`.
        keyword: &'static str,
    },
    /// `(` and no `)`.
    #[error("found ( without its )")]
    Unclosed,
    /// Parentheses, functions and operators inside one another.
    #[error("the condition nests more than {MAX_NESTING} levels deep")]
    TooDeep,
    /// `0x` and more than a 64-bit number.
    #[error("the number {found} is too large")]
    Number {
        /// The number, quoted.
        found: String,
    },
    /// An operator between things that it cannot take.
    #[error("{operator} takes {expected}, found {found}")]
    Operands {
        /// The operator.
        operator: &'static str,
        /// The kinds that it takes.
        expected: &'static str,
        /// The kinds that are there.
        found: String,
        /// What probably helps.
        advice: Option<Advice>,
    },
    /// There is no such function.
    #[error("unknown function {found}")]
    UnknownFunction {
        /// The name, quoted.
        found: String,
        /// The function that was probably meant.
        did_you_mean: Option<&'static str>,
    },
    /// A function called with what it does not take.
    #[error("{function} takes {expected}, found {found}")]
    Arguments {
        /// The function.
        function: &'static str,
        /// The kinds that it takes.
        expected: &'static str,
        /// The kinds that are there.
        found: String,
        /// What probably helps.
        advice: Option<Advice>,
    },
    /// `twin_change_includes` where no change of a twin can come by.
    #[error("twin_change_includes is only for routes FROM /twinChangeNotifications")]
    NoTwinChanges,
    /// `$body.…` or the argument of `twin_change_includes` is no path.
    #[error("{path} is no path into the body: {problem}")]
    Path {
        /// The path, quoted.
        path: String,
        /// Why not.
        problem: PathProblem,
    },
    /// More than [`MAX_BODY_PATHS`].
    #[error("the routes ask for more than {MAX_BODY_PATHS} places in the body")]
    TooManyPaths,
}

/// What probably helps against a [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// A property looks like a number, and is a string.
    AsNumber,
    /// `NOT a = 'x'` is `(NOT a) = 'x'`.
    Parentheses,
}

impl Problem {
    /// Is it at one place in the text?
    const fn has_place(&self) -> bool {
        match self {
            Self::Empty
            | Self::TooLong { .. }
            | Self::Name
            | Self::DuplicateName
            | Self::Priority { .. }
            | Self::TooMany { .. }
            | Self::TooManyPaths => false,
            Self::Expected { .. }
            | Self::UnterminatedString
            | Self::CommentedOut { .. }
            | Self::Unclosed
            | Self::TooDeep
            | Self::Number { .. }
            | Self::Operands { .. }
            | Self::UnknownFunction { .. }
            | Self::Arguments { .. }
            | Self::NoTwinChanges
            | Self::Path { .. } => true,
        }
    }

    /// What may help; it follows the place.
    fn advice(&self) -> String {
        match self {
            Self::Expected { did_you_mean: Some(word), .. } | Self::UnknownFunction { did_you_mean: Some(word), .. } => {
                format!(", did you mean {word}?")
            }
            Self::Operands { advice: Some(advice), .. } | Self::Arguments { advice: Some(advice), .. } => match advice {
                Advice::AsNumber => "; a property is a string, and as_number(…) makes a number of it".to_owned(),
                Advice::Parentheses => "; NOT binds tighter than other operators: NOT (…) takes all".to_owned(),
            },
            _ => String::new(),
        }
    }

    /// What was due, and something else that is there.
    pub(crate) fn expected(expected: &'static str, found: String) -> Self {
        Self::Expected { expected, found, did_you_mean: None }
    }

    /// This problem of the route `route`, at byte `offset` of its text.
    pub(crate) fn at(self, route: &str, text: &str, offset: usize) -> RouteError {
        let before = text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        RouteError {
            index: 0,
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

/// `text`, which has its quotes, cut to a readable length; control characters as escapes.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::new();
    for c in shortened(text).chars() {
        if c.is_control() { printable.extend(c.escape_default()) } else { printable.push(c) }
    }
    printable
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
            (false, _) => {}
            (true, 1) => write!(f, " at column {}", self.column)?,
            (true, line) => write!(f, " at line {line}, column {}", self.column)?,
        }
        f.write_str(&self.problem.advice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_lines_and_characters() {
        let text = "FROM /é\n  INOT x";
        let error = Problem::expected("INTO", quoted("INOT")).at("alerts", text, text.find("INOT").unwrap());
        assert_eq!((error.line, error.column), (2, 3));
        assert_eq!(error.to_string(), "route alerts: expected INTO, found \"INOT\" at line 2, column 3");
        assert_eq!(
            Problem::CommentedOut { keyword: "INTO" }.at("a", text, 9).to_string().split(" at ").last(),
            Some("line 2, column 1")
        );
        assert_eq!(Problem::Empty.at("a", "", 0).to_string(), "route a: the route is empty");
    }

    #[test]
    fn what_an_error_quotes_stays_readable() {
        let error = Problem::expected("FROM", quoted(&"é\n".repeat(10_000))).at(&"n".repeat(10_000), "", 0);
        assert!(error.to_string().len() < 400 && !error.to_string().contains('\n'), "{error}");
    }
}
