//! A condition as written: a tree of what stands where, before anything is known of kinds and meanings.

use std::fmt;

/// A part of a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression<'t> {
    /// What it is.
    pub kind: ExpressionKind<'t>,
    /// Where an error about it points: byte offset in the route's text of the operator, or of the first character.
    pub offset: usize,
}

/// What a part of a condition is. Texts are as written.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpressionKind<'t> {
    /// No words at all.
    Empty,
    /// `true` or `false`
    Bool(bool),
    /// `null`
    Null,
    /// `undefined`
    Undefined,
    /// `-1.5e3`, `0x1F`
    Number(&'t str),
    /// With its quotes.
    String(&'t str),
    /// `name`
    Property(&'t str),
    /// `$name`, with the `$`.
    System(&'t str),
    /// `{$name}`: the name, with the `$`.
    EscapedSystem(&'t str),
    /// `- x` or `NOT x`
    Unary(UnaryOperator, Box<Expression<'t>>),
    /// `x + y`
    Binary(BinaryOperator, Box<[Expression<'t>; 2]>),
    /// `x AND y AND …`: at least two, from left to right.
    Chain(ChainOperator, Vec<Expression<'t>>),
    /// `name(x, …)`
    Call(&'t str, Vec<Expression<'t>>),
}

/// Binds tighter than every binary operator, as in IoT Edge: `NOT a = 'x'` is `(NOT a) = 'x'`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOperator {
    /// `-`
    Negate,
    /// `NOT`
    Not,
}

/// All bind to the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOperator {
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `||`
    Concatenate,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `=`
    Equal,
    /// `!=` or `<>`
    NotEqual,
    /// `??`
    Coalesce,
}

/// Operators whose long chains are one node, so that a list of alternatives costs no depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainOperator {
    /// `AND`
    And,
    /// `OR`
    Or,
}

/// How tightly something binds: more is tighter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Binding {
    Coalesce,
    Or,
    And,
    Equality,
    Comparison,
    Sum,
    Product,
    Unary,
    Value,
}

impl UnaryOperator {
    /// As it is written.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Negate => "-",
            Self::Not => "NOT",
        }
    }
}

impl BinaryOperator {
    /// As it is written.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Concatenate => "||",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Coalesce => "??",
        }
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Some(match text {
            "*" => Self::Multiply,
            "/" => Self::Divide,
            "%" => Self::Remainder,
            "+" => Self::Add,
            "-" => Self::Subtract,
            "||" => Self::Concatenate,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            "=" => Self::Equal,
            "!=" | "<>" => Self::NotEqual,
            "??" => Self::Coalesce,
            _ => return None,
        })
    }

    pub(crate) const fn binding(self) -> Binding {
        match self {
            Self::Multiply | Self::Divide | Self::Remainder => Binding::Product,
            Self::Add | Self::Subtract | Self::Concatenate => Binding::Sum,
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => Binding::Comparison,
            Self::Equal | Self::NotEqual => Binding::Equality,
            Self::Coalesce => Binding::Coalesce,
        }
    }
}

impl ChainOperator {
    /// As it is written.
    pub const fn text(self) -> &'static str {
        match self {
            Self::And => "AND",
            Self::Or => "OR",
        }
    }

    pub(crate) const fn binding(self) -> Binding {
        match self {
            Self::And => Binding::And,
            Self::Or => Binding::Or,
        }
    }
}

impl Expression<'_> {
    fn binding(&self) -> Binding {
        match &self.kind {
            ExpressionKind::Unary(..) => Binding::Unary,
            ExpressionKind::Binary(operator, _) => operator.binding(),
            ExpressionKind::Chain(operator, _) => operator.binding(),
            _ => Binding::Value,
        }
    }

    /// Writes it, in parentheses if it binds less tightly than `least`.
    fn write(&self, f: &mut fmt::Formatter<'_>, least: Binding) -> fmt::Result {
        if self.binding() < least { write!(f, "({self})") } else { write!(f, "{self}") }
    }
}

/// What reads back as the same tree.
impl fmt::Display for Expression<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExpressionKind::Empty => Ok(()),
            ExpressionKind::Bool(value) => write!(f, "{value}"),
            ExpressionKind::Null => f.write_str("null"),
            ExpressionKind::Undefined => f.write_str("undefined"),
            ExpressionKind::Number(text)
            | ExpressionKind::String(text)
            | ExpressionKind::Property(text)
            | ExpressionKind::System(text) => f.write_str(text),
            ExpressionKind::EscapedSystem(name) => write!(f, "{{{name}}}"),
            ExpressionKind::Unary(operator, operand) => {
                write!(f, "{} ", operator.text())?;
                operand.write(f, Binding::Unary)
            }
            ExpressionKind::Binary(operator, operands) => {
                let [left, right] = &**operands;
                left.write(f, operator.binding())?;
                write!(f, " {} ", operator.text())?;
                right.write(f, operator.binding().tighter())
            }
            ExpressionKind::Chain(operator, operands) => {
                for (index, operand) in operands.iter().enumerate() {
                    if index > 0 {
                        write!(f, " {} ", operator.text())?;
                    }
                    operand.write(f, operator.binding().tighter())?;
                }
                Ok(())
            }
            ExpressionKind::Call(name, arguments) => {
                write!(f, "{name}(")?;
                for (index, argument) in arguments.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{argument}")?;
                }
                f.write_str(")")
            }
        }
    }
}

impl Binding {
    /// The next one up.
    pub(crate) const fn tighter(self) -> Self {
        match self {
            Self::Coalesce => Self::Or,
            Self::Or => Self::And,
            Self::And => Self::Equality,
            Self::Equality => Self::Comparison,
            Self::Comparison => Self::Sum,
            Self::Sum => Self::Product,
            Self::Product => Self::Unary,
            Self::Unary | Self::Value => Self::Value,
        }
    }
}
