//! A checked condition: names are resolved, kinds agree, and what is left to do is to compute.

use std::cell::OnceCell;
use std::cmp::Ordering;

use edge_protocol::message::MAX_MESSAGE_BYTES;
use smallvec::SmallVec;

use super::function::Function;
use super::syntax::{BinaryOperator, ChainOperator};
use super::value::Value;
use crate::body::{Found, FoundAll, Paths};
use crate::subject::{Property, Subject, SystemName};

/// A part of a checked condition. Numbers of paths are those of the [`Paths`] that it was checked with.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Constant(Value<'static>),
    /// `name`
    Application(String),
    /// `$name`: an application property of that very name goes first.
    Named {
        /// With the `$`.
        application: String,
        otherwise: Otherwise,
    },
    /// `{$name}`
    Escaped(Otherwise),
    Negate(Box<Node>),
    Not(Box<Node>),
    Arithmetic(BinaryOperator, Box<[Node; 2]>),
    /// Texts one after another: `||` and `concat`, however nested.
    Concat(Vec<Node>),
    Compare(Box<Comparison>),
    Chain(ChainOperator, Vec<Link>),
    Coalesce(Box<[Node; 2]>),
    Call(&'static Function, Vec<Node>),
    /// Is there something at the end of this path?
    Includes(usize),
}

/// What a `$name` means, unless there is an application property of that name.
#[derive(Clone, Debug)]
pub(crate) enum Otherwise {
    System(SystemName),
    Body(usize),
}

/// A comparison.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    pub(super) operator: BinaryOperator,
    /// Is one of the two of the body?
    pub(super) any: bool,
    pub(super) operands: [Node; 2],
}

/// One operand of `AND` or `OR`.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(super) node: Node,
    /// It or what is before it is of the body: unless both are yes or no, the result is undefined.
    pub(super) both: bool,
    /// Need it not be computed once the result is known? `false AND null` is null.
    pub(super) decided: bool,
}

/// What one message says, and its body once it was asked for.
pub(crate) struct Context<'c, S> {
    subject: &'c S,
    paths: &'c Paths,
    body: OnceCell<FoundAll<'c>>,
}

impl<'c, S: Subject> Context<'c, S> {
    pub(crate) const fn new(subject: &'c S, paths: &'c Paths) -> Self {
        Self { subject, paths, body: OnceCell::new() }
    }

    /// What is at the end of a path; `None`: the body cannot be read.
    fn found(&self, path: usize) -> Option<&Found<'c>> {
        self.body.get_or_init(|| self.paths.find(self.subject)).get(path)
    }
}

impl Otherwise {
    fn value<'v, S: Subject>(&'v self, context: &'v Context<'_, S>) -> Value<'v> {
        match self {
            Self::System(name) => of_property(context.subject.system_property(name)),
            Self::Body(path) => match context.found(*path) {
                Some(Found::Nothing | Found::Null) => Value::Null,
                Some(Found::Bool(value)) => Value::Bool(*value),
                Some(Found::Number(number)) => Value::number(*number),
                Some(Found::Text(text)) => Value::borrowed(text),
                Some(Found::Date | Found::Composite) | None => Value::Undefined,
            },
        }
    }
}

impl Node {
    /// One after another; those of which a part is made become parts themselves, so that nothing is copied twice.
    pub(super) fn concat(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Vec::new();
        for part in parts {
            match part {
                Self::Concat(inner) => all.extend(inner),
                other => all.push(other),
            }
        }
        Self::Concat(all)
    }

    /// Recurses no deeper than the condition nests.
    pub(crate) fn value<'v, S: Subject>(&'v self, context: &'v Context<'_, S>) -> Value<'v> {
        match self {
            Self::Constant(Value::Text(text)) => Value::borrowed(text),
            Self::Constant(value) => value.clone(),
            Self::Application(name) => of_property(context.subject.application_property(name)),
            Self::Named { application, otherwise } => match context.subject.application_property(application) {
                Property::Missing => otherwise.value(context),
                property => of_property(property),
            },
            Self::Escaped(otherwise) => otherwise.value(context),
            Self::Negate(operand) => operand.value(context).as_number().map_or(Value::Undefined, |number| Value::Number(-number)),
            Self::Not(operand) => Value::of_bool(operand.value(context).as_bool().map(|value| !value)),
            Self::Arithmetic(operator, operands) => arithmetic(*operator, both(operands, context)),
            Self::Concat(parts) => concat(parts, context).map_or(Value::Undefined, |text| Value::Text(text.into())),
            Self::Compare(comparison) => comparison.value(context),
            Self::Chain(operator, links) => chain(*operator, links, context),
            Self::Coalesce(operands) => {
                let [first, second] = &**operands;
                Some(first.value(context)).filter(Value::is_defined).unwrap_or_else(|| second.value(context))
            }
            Self::Call(function, arguments) => call(function, arguments, context),
            Self::Includes(path) => Value::of_bool(context.found(*path).map(|found| *found != Found::Nothing)),
        }
    }
}

fn both<'v, S: Subject>([left, right]: &'v [Node; 2], context: &'v Context<'_, S>) -> [Value<'v>; 2] {
    [left.value(context), right.value(context)]
}

/// On its own, so that the values are not on the stack of everything else.
#[inline(never)]
fn call<'v, S: Subject>(function: &Function, arguments: &'v [Node], context: &'v Context<'_, S>) -> Value<'v> {
    let mut values: SmallVec<[Value<'v>; 3]> = arguments.iter().map(|argument| argument.value(context)).collect();
    function.call(&mut values)
}

/// A property without a value is empty here. `None`: one part is no text, or the whole is longer than any message.
#[inline(never)]
fn concat<S: Subject>(parts: &[Node], context: &Context<'_, S>) -> Option<String> {
    let mut all = String::new();
    for part in parts {
        match part.value(context) {
            Value::Text(text) if text.len() <= MAX_MESSAGE_BYTES - all.len() => all.push_str(&text),
            Value::NoText => {}
            _ => return None,
        }
    }
    Some(all)
}

fn of_property(property: Property<'_>) -> Value<'_> {
    match property {
        Property::Missing => Value::Undefined,
        Property::Empty => Value::NoText,
        Property::Text(text) => Value::borrowed(text),
    }
}

fn arithmetic<'v>(operator: BinaryOperator, [left, right]: [Value<'_>; 2]) -> Value<'v> {
    let (Some(left), Some(right)) = (left.as_number(), right.as_number()) else { return Value::Undefined };
    Value::number(match operator {
        BinaryOperator::Multiply => left * right,
        BinaryOperator::Divide => left / right,
        BinaryOperator::Remainder => left % right,
        BinaryOperator::Add => left + right,
        _ => left - right,
    })
}

impl Comparison {
    fn value<'v, S: Subject>(&'v self, context: &'v Context<'_, S>) -> Value<'v> {
        let [left, right] = both(&self.operands, context);
        let ordering = if self.any { left.compare_any(&right) } else { left.compare(&right) };
        Value::of_bool(ordering.map(|ordering| match self.operator {
            BinaryOperator::Less => ordering == Ordering::Less,
            BinaryOperator::LessOrEqual => ordering != Ordering::Greater,
            BinaryOperator::Greater => ordering == Ordering::Greater,
            BinaryOperator::GreaterOrEqual => ordering != Ordering::Less,
            BinaryOperator::NotEqual => ordering != Ordering::Equal,
            _ => ordering == Ordering::Equal,
        }))
    }
}

/// From left to right; what cannot change the result is not computed.
fn chain<'v, S: Subject>(operator: ChainOperator, links: &'v [Link], context: &'v Context<'_, S>) -> Value<'v> {
    // The value that decides: no for AND, yes for OR.
    let decisive = operator == ChainOperator::Or;
    let mut result: Option<Value<'v>> = None;
    for link in links {
        if link.decided && result == Some(Value::Bool(decisive)) {
            continue;
        }
        let value = link.node.value(context);
        result = Some(match result {
            None => value,
            Some(before) => joined(decisive, link.both, before, value),
        });
    }
    result.unwrap_or(Value::Undefined)
}

/// Two operands of `AND` or `OR`, of which `decisive` is the one that decides.
fn joined<'v>(decisive: bool, both: bool, left: Value<'v>, right: Value<'v>) -> Value<'v> {
    match (left, right) {
        (Value::Bool(a), Value::Bool(b)) => Value::Bool(if decisive { a || b } else { a && b }),
        _ if both => Value::Undefined,
        // With OR, null leaves the other one as it is; with AND, there is nothing but null.
        (Value::Null, other) | (other, Value::Null) => {
            if decisive {
                other
            } else {
                Value::Null
            }
        }
        (Value::Bool(known), _) | (_, Value::Bool(known)) if known == decisive => Value::Bool(known),
        _ => Value::Undefined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_texts_are_copied_once() {
        let part = || Node::Constant(Value::Null);
        let nested =
            Node::concat([Node::concat([part(), part()]), part(), Node::concat([part(), Node::concat([part(), part()])])]);
        assert!(
            matches!(nested, Node::Concat(parts) if parts.iter().all(|part| matches!(part, Node::Constant(_))) && parts.len() == 6)
        );
    }
}
