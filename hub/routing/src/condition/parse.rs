//! Tokens as a tree: precedence climbing. Recursion is bounded by [`MAX_NESTING`], and so is the depth of the tree.

use super::syntax::{BinaryOperator, Binding, ChainOperator, Expression, ExpressionKind, UnaryOperator};
use crate::cursor::{Cursor, Misfit};
use crate::error::Problem;
use crate::lex::{Keyword, Kind, Token};

/// Most levels of parentheses, functions and operators inside one another; `a + b + c` is two. `AND` and `OR` in a row are one, so
/// lists of alternatives are bounded by the length of the route alone. Parsing and evaluation recurse no deeper.
pub const MAX_NESTING: usize = 100;

const VALUE: &str = "a property, $name, 'text', number, function or (";

/// A part of the tree, and how many levels it has.
struct Branch<'t> {
    expression: Expression<'t>,
    depth: usize,
}

/// Reads an expression, as far as it goes: what follows stays.
pub(crate) fn expression<'t>(cursor: &mut Cursor<'t>) -> Result<Expression<'t>, Misfit> {
    Ok(binary(cursor, Binding::Coalesce, 0)?.expression)
}

#[derive(Clone, Copy)]
enum Infix {
    Binary(BinaryOperator),
    Chain(ChainOperator),
}

impl Infix {
    fn of(token: &Token<'_>) -> Option<Self> {
        match token.kind {
            Kind::Keyword(Keyword::And) => Some(Self::Chain(ChainOperator::And)),
            Kind::Keyword(Keyword::Or) => Some(Self::Chain(ChainOperator::Or)),
            Kind::Symbol => BinaryOperator::from_text(token.text).map(Self::Binary),
            Kind::Name if token.text == "*" => Some(Self::Binary(BinaryOperator::Multiply)),
            _ => None,
        }
    }

    const fn binding(self) -> Binding {
        match self {
            Self::Binary(operator) => operator.binding(),
            Self::Chain(operator) => operator.binding(),
        }
    }
}

/// Operators that bind as tightly as `least` or more, and what is between them. `level`: how deep we are in the text.
fn binary<'t>(cursor: &mut Cursor<'t>, least: Binding, level: usize) -> Result<Branch<'t>, Misfit> {
    let mut left = unary(cursor, level)?;
    while let Some(token) = cursor.peek()? {
        let Some(infix) = Infix::of(&token).filter(|infix| infix.binding() >= least) else { break };
        cursor.take()?;
        let right = binary(cursor, infix.binding().tighter(), level)?;
        left = join(infix, token.offset, left, right)?;
    }
    Ok(left)
}

fn join<'t>(infix: Infix, offset: usize, left: Branch<'t>, right: Branch<'t>) -> Result<Branch<'t>, Misfit> {
    let (kind, depth, offset) = match (infix, left.expression) {
        // The chain grows where it is, and takes its place in the depth already.
        (Infix::Chain(operator), Expression { kind: ExpressionKind::Chain(same, mut operands), offset }) if same == operator => {
            operands.push(right.expression);
            (ExpressionKind::Chain(operator, operands), left.depth.max(right.depth + 1), offset)
        }
        (Infix::Chain(operator), first) => {
            (ExpressionKind::Chain(operator, vec![first, right.expression]), left.depth.max(right.depth) + 1, offset)
        }
        (Infix::Binary(operator), first) => {
            (ExpressionKind::Binary(operator, Box::new([first, right.expression])), left.depth.max(right.depth) + 1, offset)
        }
    };
    grown(kind, offset, depth)
}

fn grown(kind: ExpressionKind<'_>, offset: usize, depth: usize) -> Result<Branch<'_>, Misfit> {
    if depth > MAX_NESTING {
        return Err((Problem::TooDeep, offset));
    }
    Ok(Branch { expression: Expression { kind, offset }, depth })
}

fn unary<'t>(cursor: &mut Cursor<'t>, level: usize) -> Result<Branch<'t>, Misfit> {
    if level >= MAX_NESTING {
        return Err((Problem::TooDeep, cursor.offset()));
    }
    let operator = match cursor.peek()? {
        Some(token) if token.is_keyword(Keyword::Not) => UnaryOperator::Not,
        Some(token) if token.is_symbol("-") => UnaryOperator::Negate,
        _ => return value(cursor, level),
    };
    let offset = cursor.offset();
    cursor.take()?;
    let operand = unary(cursor, level + 1)?;
    grown(ExpressionKind::Unary(operator, Box::new(operand.expression)), offset, operand.depth + 1)
}

fn value<'t>(cursor: &mut Cursor<'t>, level: usize) -> Result<Branch<'t>, Misfit> {
    let Some(token) = cursor.peek()? else { return Err(cursor.misfit(VALUE, &[])) };
    let kind = match token.kind {
        Kind::Name if token.text != "*" => return named(cursor, level),
        Kind::System => ExpressionKind::System(token.text),
        Kind::String => ExpressionKind::String(token.text),
        Kind::Number => ExpressionKind::Number(token.text),
        Kind::Constant => match token.text {
            "true" => ExpressionKind::Bool(true),
            "false" => ExpressionKind::Bool(false),
            "null" => ExpressionKind::Null,
            _ => ExpressionKind::Undefined,
        },
        Kind::Symbol if token.text == "(" => {
            cursor.take()?;
            let inner = binary(cursor, Binding::Coalesce, level + 1)?;
            if cursor.peek()?.is_none_or(|token| token.is_keyword(Keyword::Into)) {
                return Err((Problem::Unclosed, token.offset));
            }
            cursor.expect_symbol("an operator or )", ")")?;
            return Ok(inner);
        }
        Kind::Symbol if token.text == "{" => {
            cursor.take()?;
            let name = cursor.expect("$name after {", |token| token.kind == Kind::System)?;
            cursor.expect_symbol("} after $name", "}")?;
            return grown(ExpressionKind::EscapedSystem(name.text), token.offset, 1);
        }
        Kind::Name | Kind::Keyword(_) | Kind::Symbol => return Err(cursor.misfit(VALUE, &[])),
    };
    cursor.take()?;
    grown(kind, token.offset, 1)
}

/// A property, or a function and what it is called with.
fn named<'t>(cursor: &mut Cursor<'t>, level: usize) -> Result<Branch<'t>, Misfit> {
    let name = cursor.expect(VALUE, |token| token.kind == Kind::Name)?;
    if cursor.take_symbol("(")?.is_none() {
        return grown(ExpressionKind::Property(name.text), name.offset, 1);
    }
    let mut arguments = Vec::new();
    let mut depth = 0;
    if cursor.take_symbol(")")?.is_none() {
        loop {
            let argument = binary(cursor, Binding::Coalesce, level + 1)?;
            depth = depth.max(argument.depth);
            arguments.push(argument.expression);
            if cursor.take_symbol(",")?.is_none() {
                cursor.expect_symbol("an operator, a comma or )", ")")?;
                break;
            }
        }
    }
    grown(ExpressionKind::Call(name.text, arguments), name.offset, depth + 1)
}
