//! A route's tokens as source, condition and sink.
//!
//! ```text
//! route  = [SELECT *] FROM source [WHERE condition] INTO sink
//! source = ("/" name)+
//! sink   = $upstream | BrokeredEndpoint ( "/modules/M/inputs/I" )
//! ```
//! # Source
//! IoT Edge 1.5. As there, keywords, numbers, `true`, `null` and `$names` are no names, blanks may stand between any two tokens,
//! and what follows the sink is ignored, which is worth a warning. Of an endpoint's four parts only the module and the input count.

use crate::condition::expression;
use crate::condition::syntax::Expression;
use crate::cursor::{Cursor, Misfit};
use crate::endpoint::Endpoint;
use crate::error::{Problem, RouteError, quoted};
use crate::lex::{Keyword, Kind, MAX_ROUTE_BYTES};

const SINK: &str = r#"$upstream or BrokeredEndpoint("/modules/M/inputs/I")"#;

/// A route, read.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteText<'t> {
    /// `/` and a name, once or more.
    pub source: String,
    /// `None`: every message of the source.
    pub condition: Option<Expression<'t>>,
    /// The condition as written; `true` without one.
    pub condition_text: &'t str,
    /// Where it leads, as written.
    pub sink: Sink<'t>,
    /// What its author probably did not mean.
    pub(crate) doubts: Vec<String>,
}

/// The end of a route, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sink<'t> {
    /// What it is.
    pub kind: SinkKind<'t>,
    /// Byte offset of its first character in the route's text.
    offset: usize,
    /// That of the quote before its address.
    address_offset: usize,
}

/// What the end of a route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkKind<'t> {
    /// `$name`
    System(&'t str),
    /// `name("address")`
    Function {
        /// Its name.
        name: &'t str,
        /// What stands between the quotes; as in IoT Edge, it is taken without unescaping.
        address: &'t str,
    },
}

impl Sink<'_> {
    /// The endpoint that is meant, and what is doubtful about it.
    pub(crate) fn endpoint(&self, doubts: &mut Vec<String>) -> Result<Endpoint, Misfit> {
        match self.kind {
            SinkKind::System(name) => {
                Endpoint::from_system(name).ok_or_else(|| (Problem::expected(SINK, quoted(name)), self.offset))
            }
            SinkKind::Function { name, address } if Endpoint::is_function(name) => {
                Endpoint::from_address(address, doubts).map_err(|problem| (problem, self.address_offset))
            }
            SinkKind::Function { name, .. } => Err((Problem::expected(SINK, quoted(name)), self.offset)),
        }
    }
}

impl<'t> RouteText<'t> {
    /// Reads one route. What its condition means, and whether there is such a sink, is not looked at.
    pub fn read(text: &'t str) -> Result<Self, RouteError> {
        parse(text).map_err(|(problem, offset)| problem.at("", text, offset))
    }
}

/// Reads one route.
pub(crate) fn parse(text: &str) -> Result<RouteText<'_>, Misfit> {
    if text.len() > MAX_ROUTE_BYTES {
        return Err((Problem::TooLong { size: text.len() }, 0));
    }
    let mut cursor = Cursor::new(text);
    match cursor.peek()? {
        None => return Err((Problem::Empty, 0)),
        Some(first) if first.is_keyword(Keyword::Select) => {
            cursor.take()?;
            cursor.expect("* after SELECT", |token| token.kind == Kind::Name && token.text == "*")?;
        }
        Some(_) => {}
    }
    cursor.expect("FROM", |token| token.is_keyword(Keyword::From))?;
    let source = source(&mut cursor)?;
    let mut condition = None;
    let mut condition_text = "true";
    if cursor.peek()?.is_some_and(|token| token.is_keyword(Keyword::Where)) {
        (condition, condition_text) = self::condition(&mut cursor, text)?;
    } else if !cursor.peek()?.is_some_and(|token| token.is_keyword(Keyword::Into)) {
        return Err(cursor.misfit("WHERE or INTO", &["WHERE", "INTO"]));
    }
    cursor.take()?;
    let mut doubts = Vec::new();
    let sink = sink(&mut cursor)?;
    let ignored = cursor.rest().trim();
    if !ignored.is_empty() {
        doubts.push(format!("everything after its sink is ignored, here {}", quoted(ignored)));
    }
    Ok(RouteText { source, condition, condition_text, sink, doubts })
}

/// A path.
fn source(cursor: &mut Cursor<'_>) -> Result<String, Misfit> {
    let mut path = String::new();
    cursor.expect_symbol("a source such as /messages/*", "/")?;
    loop {
        let name = cursor.expect("a name or * in the source", |token| token.kind == Kind::Name)?;
        path.push('/');
        path.push_str(name.text);
        if cursor.take_symbol("/")?.is_none() {
            return Ok(path);
        }
    }
}

/// From WHERE to before INTO.
fn condition<'t>(cursor: &mut Cursor<'t>, text: &'t str) -> Result<(Option<Expression<'t>>, &'t str), Misfit> {
    let after = cursor.offset();
    cursor.take()?;
    match cursor.peek()? {
        Some(token) if !token.is_keyword(Keyword::Into) => {}
        _ => return Err((Problem::expected("a condition", "none after WHERE".to_owned()), after)),
    }
    let start = cursor.offset();
    let condition = expression(cursor)?;
    let end = cursor.taken_to();
    if !cursor.peek()?.is_some_and(|token| token.is_keyword(Keyword::Into)) {
        return Err(cursor.misfit("an operator or INTO", crate::condition::OPERATOR_WORDS));
    }
    Ok((Some(condition), text.get(start..end).unwrap_or_default()))
}

fn sink<'t>(cursor: &mut Cursor<'t>) -> Result<Sink<'t>, Misfit> {
    let misfit = cursor.misfit(SINK, &[]);
    let Some(name) = cursor.take()? else { return Err(misfit) };
    match name.kind {
        Kind::System => {
            return Ok(Sink { kind: SinkKind::System(name.text), offset: name.offset, address_offset: name.offset });
        }
        Kind::Name if Endpoint::is_function(name.text) => {
            cursor.expect_symbol("( after BrokeredEndpoint", "(")?;
        }
        // Another function.
        Kind::Name if cursor.take_symbol("(")?.is_some() => {}
        _ => return Err(misfit),
    }
    let address = cursor.expect("an endpoint in quotes", |token| token.kind == Kind::String)?;
    cursor.expect_symbol(") after the endpoint", ")")?;
    let inner = address.text.get(1..address.text.len().saturating_sub(1)).unwrap_or_default();
    let kind = SinkKind::Function { name: name.text, address: inner };
    Ok(Sink { kind, offset: name.offset, address_offset: address.offset })
}

#[cfg(test)]
mod tests;
