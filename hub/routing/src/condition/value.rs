//! What conditions compute with.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::text;

/// The result of an expression, for one message.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'v> {
    /// Not there, or not computable: a missing property, a number that is none.
    Undefined,
    /// `null`; in a body also what is not there.
    Null,
    /// Yes or no.
    Bool(bool),
    /// Never a NaN: that is [`Value::Undefined`].
    Number(f64),
    /// A text.
    Text(Cow<'v, str>),
    /// A property without a value: there, and not comparable with anything.
    NoText,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds; the only result that takes a route.
    True,
    /// It does not.
    False,
    /// There is no saying.
    Undefined,
}

/// What is known of a value before there is a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Undefined,
    Null,
    Bool,
    Number,
    Text,
    /// Something of the body, which may be anything.
    Body,
}

impl Type {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Number => "number",
            Self::Text => "string",
            Self::Body => "body value",
        }
    }
}

impl<'v> Value<'v> {
    /// The same, of its own.
    pub fn into_owned<'o>(self) -> Value<'o> {
        match self {
            Self::Undefined => Value::Undefined,
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(number) => Value::Number(number),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::NoText => Value::NoText,
        }
    }

    pub(crate) fn number(number: f64) -> Self {
        if number.is_nan() { Self::Undefined } else { Self::Number(number) }
    }

    pub(crate) const fn borrowed(text: &'v str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    pub(crate) fn of_bool(value: Option<bool>) -> Self {
        value.map_or(Self::Undefined, Value::Bool)
    }

    pub(crate) const fn is_defined(&self) -> bool {
        !matches!(self, Self::Undefined)
    }

    pub(crate) const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) const fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Two values of the same type, known beforehand. `None`: not comparable.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, Self::Null) => Some(Ordering::Equal),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Number(a), Self::Number(b)) => a.partial_cmp(b),
            (Self::Text(a), Self::Text(b)) => Some(text::compare(a, b)),
            _ => None,
        }
    }

    /// Two values of which at least one is of the body: every kind ranks before or after every other. `None`: one is undefined.
    pub(crate) fn compare_any(&self, other: &Self) -> Option<Ordering> {
        let ranks = (self.rank()?, other.rank()?);
        if ranks.0 != ranks.1 {
            return Some(ranks.0.cmp(&ranks.1));
        }
        match (self, other) {
            (Self::NoText, Self::NoText) => Some(Ordering::Equal),
            (Self::NoText, _) => Some(Ordering::Less),
            (_, Self::NoText) => Some(Ordering::Greater),
            (a, b) => a.compare(b),
        }
    }

    /// The order of the kinds; `None` for undefined.
    const fn rank(&self) -> Option<u8> {
        match self {
            Self::Undefined => None,
            Self::Bool(_) => Some(0),
            Self::Number(_) => Some(1),
            Self::Text(_) | Self::NoText => Some(2),
            Self::Null => Some(3),
        }
    }

    /// What a condition comes to that has this result. `null` counts as no, unless it comes from the body.
    pub(crate) fn truth(&self, type_: Type) -> Truth {
        match self {
            Self::Bool(true) => Truth::True,
            Self::Bool(false) => Truth::False,
            Self::Null if type_ == Type::Null => Truth::False,
            _ => Truth::Undefined,
        }
    }
}
