//! The built-in functions: names, what they take, what they give.

use std::borrow::Cow;
use std::fmt;

use super::value::{Type, Value};
use super::{number, text};

/// The one function that is not like the others: its argument is a path, not a value.
pub(crate) const TWIN_CHANGE_INCLUDES: &str = "twin_change_includes";

/// What an argument has to be. Values of the body are taken for any kind; what they are is seen when they are there.
#[derive(Clone, Copy)]
enum Parameter {
    Number,
    Text,
    Any,
}

/// A function that computes a value from values.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// In words.
    pub(crate) takes: &'static str,
    gives: Type,
    /// Each way to call it.
    overloads: &'static [&'static [Parameter]],
    /// May the last argument be repeated?
    variadic: bool,
    compute: Compute,
}

/// How the result is computed.
enum Compute {
    /// From one number.
    Number(fn(f64) -> f64),
    /// From one text.
    OfText(fn(&str) -> Value<'_>),
    /// From two texts.
    OfTexts(fn(&str, &str) -> Value<'static>),
    /// A question about one value, whatever it is.
    Question(fn(&Value<'_>) -> bool),
    AsNumber,
    /// By a node of its own, which `||` shares.
    Concat,
    IsNull,
    Power,
    Substring,
}

use Parameter::{Any, Number, Text};

const NUMBER: &[&[Parameter]] = &[&[Number]];
const TEXT: &[&[Parameter]] = &[&[Text]];
const TEXTS: &[&[Parameter]] = &[&[Text, Text]];
const ANY: &[&[Parameter]] = &[&[Any]];

const fn of_number(name: &'static str, compute: fn(f64) -> f64) -> Function {
    let compute = Compute::Number(compute);
    Function { name, takes: "(number)", gives: Type::Number, overloads: NUMBER, variadic: false, compute }
}

const fn of_text(name: &'static str, gives: Type, compute: fn(&str) -> Value<'_>) -> Function {
    let compute = Compute::OfText(compute);
    Function { name, takes: "(string)", gives, overloads: TEXT, variadic: false, compute }
}

const fn of_texts(name: &'static str, gives: Type, compute: fn(&str, &str) -> Value<'static>) -> Function {
    let compute = Compute::OfTexts(compute);
    Function { name, takes: "(string, string)", gives, overloads: TEXTS, variadic: false, compute }
}

const fn question(name: &'static str, compute: fn(&Value<'_>) -> bool) -> Function {
    let compute = Compute::Question(compute);
    Function { name, takes: "(anything)", gives: Type::Bool, overloads: ANY, variadic: false, compute }
}

/// All of them.
pub(crate) static FUNCTIONS: &[Function] = &[
    of_number("abs", f64::abs),
    of_number("exp", f64::exp),
    of_number("square", |number| number * number),
    of_number("ceiling", f64::ceil),
    of_number("floor", f64::floor),
    of_number("sign", |number| if number == 0.0 { 0.0 } else { number.signum() }),
    of_number("sqrt", f64::sqrt),
    Function {
        name: "power",
        takes: "(number, number)",
        gives: Type::Number,
        overloads: &[&[Number, Number]],
        variadic: false,
        compute: Compute::Power,
    },
    Function {
        name: "as_number",
        takes: "(string) or (number)",
        gives: Type::Number,
        overloads: &[&[Text], &[Number]],
        variadic: false,
        compute: Compute::AsNumber,
    },
    question("is_bool", |value| matches!(value, Value::Bool(_))),
    question("is_defined", |value| *value != Value::Undefined),
    question("is_number", |value| matches!(value, Value::Number(number) if number.is_finite())),
    question("is_string", |value| matches!(value, Value::Text(_))),
    Function {
        name: "is_null",
        takes: "(anything)",
        gives: Type::Bool,
        overloads: ANY,
        variadic: false,
        compute: Compute::IsNull,
    },
    Function {
        name: "concat",
        takes: "(string, string, …)",
        gives: Type::Text,
        overloads: TEXTS,
        variadic: true,
        compute: Compute::Concat,
    },
    of_text("length", Type::Number, |text| Value::Number(text::length(text))),
    of_text("lower", Type::Text, |text| Value::Text(text::lower(text))),
    of_text("upper", Type::Text, |text| Value::Text(text::upper(text))),
    Function {
        name: "substring",
        takes: "(string, start) or (string, start, length), start and length being numbers",
        gives: Type::Text,
        overloads: &[&[Text, Number], &[Text, Number, Number]],
        variadic: false,
        compute: Compute::Substring,
    },
    of_texts("index_of", Type::Number, |text, part| Value::Number(text::index_of(text, part))),
    of_texts("starts_with", Type::Bool, |text, part| Value::Bool(text.starts_with(part))),
    of_texts("ends_with", Type::Bool, |text, part| Value::Bool(text.ends_with(part))),
    of_texts("contains", Type::Bool, |text, part| Value::Bool(text.contains(part))),
];

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Parameter {
    const fn accepts(self, given: Type) -> bool {
        matches!((self, given), (Self::Any, _) | (_, Type::Body) | (Self::Number, Type::Number) | (Self::Text, Type::Text))
    }
}

impl Function {
    /// The function of this name, in any case.
    pub(crate) fn by_name(name: &str) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|function| function.name.eq_ignore_ascii_case(name))
    }

    pub(crate) const fn gives(&self) -> Type {
        self.gives
    }

    pub(super) const fn is_concat(&self) -> bool {
        matches!(self.compute, Compute::Concat)
    }

    /// May it be called with these?
    pub(crate) fn accepts(&self, given: &[Type]) -> bool {
        self.overloads.iter().any(|overload| {
            let (fixed, more) = given.split_at(overload.len().min(given.len()));
            fixed.len() == overload.len()
                && (more.is_empty() || self.variadic)
                && fixed.iter().zip(*overload).all(|(given, parameter)| parameter.accepts(*given))
                && more.iter().all(|given| overload.last().is_some_and(|parameter| parameter.accepts(*given)))
        })
    }

    /// The result. Arguments are as [`Self::accepts`] wants them, except that a value of the body, or a missing property, may be
    /// anything: then the result is undefined.
    pub(crate) fn call<'v>(&self, arguments: &mut [Value<'v>]) -> Value<'v> {
        let result = match (&self.compute, arguments) {
            (Compute::Number(compute), [number]) => number.as_number().map(|number| Value::number(compute(number))),
            (Compute::OfText(compute), [text]) => match std::mem::replace(text, Value::Undefined) {
                Value::Text(Cow::Borrowed(text)) => Some(compute(text)),
                Value::Text(Cow::Owned(text)) => Some(compute(&text).into_owned()),
                _ => None,
            },
            (Compute::OfTexts(compute), [text, part]) => {
                text.as_text().zip(part.as_text()).map(|(text, part)| compute(text, part))
            }
            (Compute::Question(ask), [value]) => Some(Value::Bool(ask(value))),
            (Compute::AsNumber, [Value::Number(number)]) => Some(Value::Number(*number)),
            (Compute::AsNumber, [value]) => value.as_text().and_then(number::permissive).map(Value::number),
            (Compute::IsNull, [value]) => Some(Value::Bool(matches!(value, Value::Null | Value::NoText))),
            (Compute::Power, [base, exponent]) => {
                base.as_number().zip(exponent.as_number()).map(|(base, exponent)| Value::number(base.powf(exponent)))
            }
            (Compute::Substring, [text, numbers @ ..]) => substring(text, numbers),
            _ => None,
        };
        result.unwrap_or(Value::Undefined)
    }
}

fn substring<'v>(text: &mut Value<'v>, numbers: &[Value<'v>]) -> Option<Value<'v>> {
    fn cut<'t>(text: &'t str, numbers: &[Value<'_>]) -> Option<&'t str> {
        match numbers {
            [start] => text::substring(text, start.as_number()?),
            [start, length] => text::substring_of_length(text, start.as_number()?, length.as_number()?),
            _ => None,
        }
    }
    match std::mem::replace(text, Value::Undefined) {
        Value::Text(Cow::Borrowed(text)) => cut(text, numbers).map(Value::borrowed),
        Value::Text(Cow::Owned(text)) => cut(&text, numbers).map(|cut| Value::Text(Cow::Owned(cut.to_owned()))),
        _ => None,
    }
}
