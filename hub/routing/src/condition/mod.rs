//! Conditions: what stands between `WHERE` and `INTO`.
//!
//! ```text
//! text ─parse─▶ Expression ─check─▶ Node ─value(message)─▶ Value ─▶ Truth
//! ```
//! # Kinds
//! Literals and functions have a kind: bool, number, string, null, undefined. A property is a string, whatever it looks like;
//! `as_number` makes a number of it. Only a value of the body may be anything, and what it is shows with each message. Operators
//! and functions take fixed kinds, so nonsense is found when a route is compiled, not when a message comes.
//!
//! # Three values
//! A condition holds, does not, or is undefined, as soon as it needs something that the message does not have. A route is taken
//! only if it holds. `AND` and `OR` know that one side may decide alone: `false AND undefined` is false.
//!
//! # Cost
//! Computing allocates nothing but the texts that `concat`, `||`, `lower`, `upper` and escapes in the body make. A body is read at
//! most once, and only if a condition gets as far as asking for it.
//!
//! # Source
//! The behaviour of IoT Edge 1.5, its tokens and precedences included: existing manifests mean what they meant. Where it was mended
//! is said in `docs/reference/compatibility.md`.

mod check;
mod function;
mod node;
mod number;
mod parse;
pub mod syntax;
mod text;
mod value;

pub(crate) use check::check;
pub(crate) use node::{Context, Node};
pub use parse::MAX_NESTING;
pub(crate) use parse::expression;
pub(crate) use text::upper_letter;
pub(crate) use value::Type;
pub use value::{Truth, Value};

pub(crate) use crate::body::MAX_BODY_PATHS;
use crate::body::Paths;
use crate::cursor::Cursor;
use crate::error::{Problem, RouteError};
use crate::lex::MAX_ROUTE_BYTES;
use crate::subject::Subject;
use syntax::{Expression, ExpressionKind};

/// One condition, compiled on its own; those of routes are part of their table.
#[derive(Clone, Debug)]
pub struct Condition {
    node: Node,
    type_: Type,
    paths: Paths,
}

/// Whose messages a condition sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sees {
    /// Telemetry, and perhaps changes of twins among it.
    Telemetry,
    /// Changes of twins alone: `twin_change_includes` makes sense.
    TwinChanges,
}

impl Condition {
    /// Compiles a condition, or says what is wrong with it. A text without words is undefined.
    pub fn compile(text: &str, sees: Sees) -> Result<Self, Vec<RouteError>> {
        let located = |problems: Vec<(Problem, usize)>| -> Vec<RouteError> {
            problems.into_iter().map(|(problem, offset)| problem.at("", text, offset)).collect()
        };
        let (expression, rest) = read(text).map_err(|error| vec![error])?;
        let offset = text.len() - rest.len();
        if !rest.is_empty() {
            let mut cursor = Cursor::new(rest);
            let (problem, _) = cursor.misfit("an operator or the end", OPERATOR_WORDS);
            return Err(located(vec![(problem, offset)]));
        }
        let mut paths = Paths::default();
        let (node, type_) = check(&expression, &mut paths, sees == Sees::TwinChanges).map_err(located)?;
        Ok(Self { node, type_, paths })
    }

    /// Does it hold?
    pub fn evaluate(&self, subject: &impl Subject) -> Truth {
        self.node.value(&Context::new(subject, &self.paths)).truth(self.type_)
    }

    /// What it comes to, which need not be yes or no.
    pub fn value(&self, subject: &impl Subject) -> Value<'static> {
        self.node.value(&Context::new(subject, &self.paths)).into_owned()
    }
}

/// Words that may follow an expression.
pub(crate) const OPERATOR_WORDS: &[&str] = &["AND", "OR", "INTO"];

/// Reads the expression at the beginning of `text`; with it what follows it, from its first token on.
pub fn read(text: &str) -> Result<(Expression<'_>, &str), RouteError> {
    if text.len() > MAX_ROUTE_BYTES {
        return Err(Problem::TooLong { size: text.len() }.at("", text, 0));
    }
    let mut cursor = Cursor::new(text);
    let read = match cursor.peek() {
        Ok(None) => Ok(Expression { kind: ExpressionKind::Empty, offset: 0 }),
        _ => expression(&mut cursor),
    };
    let expression = read.map_err(|(problem, offset)| problem.at("", text, offset))?;
    match cursor.peek() {
        Ok(None) => Ok((expression, "")),
        Ok(Some(next)) => Ok((expression, text.get(next.offset..).unwrap_or_default())),
        Err((problem, offset)) => Err(problem.at("", text, offset)),
    }
}
