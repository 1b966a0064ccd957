//! Conditions come to what a second, simple evaluation comes to: it copies everything, knows no lazy body, no shared paths and no
//! short cuts, and works on trees that were never parsed.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::cmp::Ordering;

use edge_protocol::message::Message;
use edge_routing::{Condition, Sees, Value};
use proptest::prelude::*;
use serde_json::json;
use support::Tree;

/// A value, as the naive evaluation has it. A number that is none becomes `Nothing` at the end of each step.
#[derive(Clone, Debug, PartialEq)]
enum Naive {
    Nothing,
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    EmptyProperty,
}

use Naive::{Bool, EmptyProperty, Nothing, Null, Number, Text};

/// Is it of the body, so that nothing is known of it beforehand?
fn of_body(tree: &Tree) -> bool {
    match tree {
        Tree::Leaf(text) => text.starts_with("$body.") || text.starts_with("{$body."),
        Tree::Infix("+" | "-" | "*" | "/" | "%" | "??", operands) => operands.iter().any(of_body),
        _ => false,
    }
}

fn leaf(text: &str, message: &Message) -> Naive {
    match text {
        "true" => return Bool(true),
        "false" => return Bool(false),
        "null" => return Null,
        "undefined" => return Nothing,
        _ => {}
    }
    if let Ok(number) = text.parse() {
        return Number(number);
    }
    if let Some(literal) = text.strip_prefix('\'') {
        return Text(literal.trim_end_matches('\'').to_owned());
    }
    let property = message.properties.iter().rfind(|(name, _)| name.to_lowercase() == text.to_lowercase());
    if let Some((_, value)) = property {
        return value.clone().map_or(EmptyProperty, Text);
    }
    let text = text.trim_matches(['{', '}']);
    let Some(path) = text.strip_prefix("$body.") else {
        return if text == "$outputName" { Text("out".to_owned()) } else { Nothing };
    };
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(&message.body) else { return Nothing };
    if !body.is_object() {
        return Nothing;
    }
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    match body.pointer(&pointer) {
        None | Some(serde_json::Value::Null) => Null,
        Some(serde_json::Value::Bool(value)) => Bool(*value),
        Some(serde_json::Value::Number(number)) => Number(number.as_f64().unwrap()),
        Some(serde_json::Value::String(text)) => Text(text.clone()),
        Some(_) => Nothing,
    }
}

fn evaluate(tree: &Tree, message: &Message) -> Naive {
    let result = match tree {
        Tree::Leaf(text) => leaf(text, message),
        Tree::Prefix(operator, operand) => match (*operator, evaluate(operand, message)) {
            ("-", Number(number)) => Number(-number),
            ("NOT", Bool(value)) => Bool(!value),
            ("NOT", Null) if !of_body(operand) => Bool(true),
            _ => Nothing,
        },
        Tree::Infix(operator, operands) => {
            let any = operands.iter().any(of_body);
            infix(operator, any, evaluate(&operands[0], message), evaluate(&operands[1], message))
        }
        Tree::Call(name, arguments) => {
            call(name, &arguments.iter().map(|argument| evaluate(argument, message)).collect::<Vec<_>>())
        }
    };
    match result {
        Number(number) if number.is_nan() => Nothing,
        other => other,
    }
}

fn infix(operator: &str, any: bool, left: Naive, right: Naive) -> Naive {
    match (operator, left, right) {
        ("+", Number(a), Number(b)) => Number(a + b),
        ("-", Number(a), Number(b)) => Number(a - b),
        ("*", Number(a), Number(b)) => Number(a * b),
        ("/", Number(a), Number(b)) => Number(a / b),
        ("%", Number(a), Number(b)) => Number(a % b),
        ("||", a, b) => call("concat", &[a, b]),
        ("??", Nothing, b) => b,
        ("??", a, _) => a,
        ("AND", Bool(a), Bool(b)) => Bool(a && b),
        ("OR", Bool(a), Bool(b)) => Bool(a || b),
        ("AND" | "OR", ..) if any => Nothing,
        ("AND", Null, _) | ("AND", _, Null) => Null,
        ("AND", Bool(false), _) | ("AND", _, Bool(false)) => Bool(false),
        ("OR", Null, other) | ("OR", other, Null) => other,
        ("OR", Bool(true), _) | ("OR", _, Bool(true)) => Bool(true),
        ("+" | "-" | "*" | "/" | "%" | "AND" | "OR", ..) => Nothing,
        (_, a, b) => {
            let Some(ordering) = (if any { compare_any(&a, &b) } else { compare(&a, &b) }) else { return Nothing };
            Bool(match operator {
                "=" => ordering.is_eq(),
                "!=" => ordering.is_ne(),
                "<" => ordering.is_lt(),
                "<=" => ordering.is_le(),
                ">" => ordering.is_gt(),
                ">=" => ordering.is_ge(),
                _ => panic!("{operator}"),
            })
        }
    }
}

fn compare(a: &Naive, b: &Naive) -> Option<Ordering> {
    match (a, b) {
        (Null, Null) => Some(Ordering::Equal),
        (Bool(a), Bool(b)) => Some(a.cmp(b)),
        (Number(a), Number(b)) => a.partial_cmp(b),
        (Text(a), Text(b)) => Some(a.encode_utf16().collect::<Vec<_>>().cmp(&b.encode_utf16().collect::<Vec<_>>())),
        _ => None,
    }
}

fn compare_any(a: &Naive, b: &Naive) -> Option<Ordering> {
    let rank = |value: &Naive| match value {
        Nothing => None,
        Bool(_) => Some(0),
        Number(_) => Some(1),
        EmptyProperty => Some(2),
        Text(_) => Some(3),
        Null => Some(4),
    };
    let (left, right) = (rank(a)?, rank(b)?);
    if left == right { Some(compare(a, b).unwrap_or(Ordering::Equal)) } else { Some(left.cmp(&right)) }
}

fn call(name: &str, arguments: &[Naive]) -> Naive {
    match (name, arguments) {
        ("is_defined", [value]) => Bool(*value != Nothing),
        ("is_null", [value]) => Bool(matches!(value, Null | EmptyProperty)),
        ("is_string", [value]) => Bool(matches!(value, Text(_))),
        ("is_number", [value]) => Bool(matches!(value, Number(number) if number.is_finite())),
        ("is_bool", [value]) => Bool(matches!(value, Bool(_))),
        ("abs", [Number(number)]) => Number(number.abs()),
        ("floor", [Number(number)]) => Number(number.floor()),
        ("sqrt", [Number(number)]) => Number(number.sqrt()),
        ("power", [Number(base), Number(exponent)]) => Number(base.powf(*exponent)),
        ("as_number", [Number(number)]) => Number(*number),
        ("as_number", [Text(text)]) => text.trim().parse().map_or(Nothing, Number),
        ("length", [Text(text)]) => Number(f64::from(u32::try_from(text.encode_utf16().count()).unwrap())),
        ("upper", [Text(text)]) => Text(text.to_uppercase()),
        ("lower", [Text(text)]) => Text(text.to_lowercase()),
        ("contains", [Text(text), Text(part)]) => Bool(text.contains(part.as_str())),
        ("starts_with", [Text(text), Text(part)]) => Bool(text.starts_with(part.as_str())),
        ("ends_with", [Text(text), Text(part)]) => Bool(text.ends_with(part.as_str())),
        ("index_of", [Text(text), Text(part)]) => {
            let before = text.find(part.as_str()).map(|offset| text[..offset].encode_utf16().count());
            Number(before.map_or(-1.0, |units| f64::from(u32::try_from(units).unwrap())))
        }
        ("substring", [Text(text), Number(start)]) => cut(text, *start, None),
        ("substring", [Text(text), Number(start), Number(length)]) => cut(text, *start, Some(*length)),
        ("concat", texts) => {
            let parts = texts.iter().map(|text| match text {
                Text(text) => Some(text.as_str()),
                EmptyProperty => Some(""),
                _ => None,
            });
            parts.collect::<Option<Vec<_>>>().map_or(Nothing, |parts| Text(parts.concat()))
        }
        _ => Nothing,
    }
}

fn cut(text: &str, start: f64, length: Option<f64>) -> Naive {
    let units: Vec<u16> = text.encode_utf16().collect();
    let count = f64::from(u32::try_from(units.len()).unwrap());
    let fits = match length {
        None => (0.0..=count).contains(&start),
        Some(length) => start >= 0.0 && start < count && length >= 0.0 && length <= count - start,
    };
    if !fits {
        return Nothing;
    }
    let units = units.into_iter().skip(whole(start)).take(length.map_or(usize::MAX, whole)).collect::<Vec<_>>();
    String::from_utf16(&units).map_or(Nothing, Text)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not negative")]
fn whole(number: f64) -> usize {
    number as usize
}

/// Makes up trees of one kind each, so that they compile.
mod of_kind {
    use super::*;

    fn chosen(texts: &[&'static str]) -> impl Strategy<Value = Tree> + use<> {
        prop::sample::select(texts.to_vec()).prop_map(Tree::leaf)
    }

    fn body() -> impl Strategy<Value = Tree> {
        chosen(&[
            "$body.b",
            "$body.n",
            "$body.t",
            "$body.o",
            "$body.o.x",
            "$body.l[1]",
            "$body.none",
            "{$body.p}",
            "$body.null",
            "$body.p",
        ])
    }

    fn one(name: &'static str, of: BoxedStrategy<Tree>) -> BoxedStrategy<Tree> {
        of.prop_map(move |argument| Tree::Call(name, vec![argument])).boxed()
    }

    fn two(name: &'static str, first: BoxedStrategy<Tree>, second: BoxedStrategy<Tree>) -> BoxedStrategy<Tree> {
        (first, second).prop_map(move |(first, second)| Tree::Call(name, vec![first, second])).boxed()
    }

    fn joined(operators: &'static [&'static str], left: BoxedStrategy<Tree>, right: BoxedStrategy<Tree>) -> BoxedStrategy<Tree> {
        (prop::sample::select(operators.to_vec()), left, right)
            .prop_map(|(operator, left, right)| Tree::infix(operator, left, right))
            .boxed()
    }

    pub(super) fn text(depth: u32) -> BoxedStrategy<Tree> {
        let leaf =
            chosen(&["p", "P", "q", "empty", "none", "'a'", "'é😀z'", "''", "'12.5'", "$outputName", "$nothing", "$dollar"])
                .boxed();
        if depth == 0 {
            return leaf;
        }
        let (text, number) = (move || text(depth - 1), move || number(depth - 1));
        prop_oneof![
            2 => leaf,
            1 => joined(&["||", "??"], text(), text()),
            1 => joined(&["||"], text(), body().boxed()),
            1 => two("concat", text(), text()),
            1 => one("upper", chosen(&["p", "q", "'aé'"]).boxed()),
            1 => one("lower", prop_oneof![text(), body()].boxed()),
            1 => two("substring", text(), number()),
            1 => (text(), number(), number()).prop_map(|(text, start, length)| Tree::Call("substring", vec![text, start, length])),
        ]
        .boxed()
    }

    pub(super) fn number(depth: u32) -> BoxedStrategy<Tree> {
        let leaf = chosen(&["0", "1", "-2", "2.5", "1e300"]).boxed();
        if depth == 0 {
            return leaf;
        }
        let (text, number) = (move || text(depth - 1), move || number(depth - 1));
        prop_oneof![
            2 => leaf,
            2 => joined(&["+", "-", "*", "/", "%", "??"], number(), number()),
            1 => joined(&["+", "-", "*", "/", "%"], number(), body().boxed()),
            1 => number().prop_map(|operand| Tree::prefix("-", operand)),
            1 => body().prop_map(|operand| Tree::prefix("-", operand)),
            1 => one("abs", prop_oneof![number(), body()].boxed()),
            1 => one("floor", number()),
            1 => one("sqrt", number()),
            1 => two("power", number(), number()),
            1 => one("as_number", prop_oneof![chosen(&["p", "q", "'12.5'", "none", "empty"]), body(), number()].boxed()),
            1 => one("length", text()),
            1 => two("index_of", text(), text()),
        ]
        .boxed()
    }

    pub(super) fn bool(depth: u32) -> BoxedStrategy<Tree> {
        let leaf = chosen(&["true", "false"]).boxed();
        if depth == 0 {
            return leaf;
        }
        let (bool, text, number) = (move || bool(depth - 1), move || text(depth - 1), move || number(depth - 1));
        let comparisons: &[_] = &["=", "!=", "<", "<=", ">", ">="];
        let anything = || prop_oneof![bool(), text(), number(), body(), chosen(&["null", "undefined"])].boxed();
        prop_oneof![
            3 => joined(&["AND", "OR"], bool(), bool()),
            1 => joined(&["AND", "OR", "??"], bool(), body().boxed()),
            1 => joined(&["AND", "OR"], body().boxed(), anything()),
            1 => joined(&["AND", "OR"], prop_oneof![bool(), chosen(&["null", "undefined"])].boxed(), prop_oneof![bool(), chosen(&["null", "undefined"])].boxed()),
            1 => bool().prop_map(|operand| Tree::prefix("NOT", operand)),
            1 => body().prop_map(|operand| Tree::prefix("NOT", operand)),
            1 => chosen(&["null"]).prop_map(|operand| Tree::prefix("NOT", operand)),
            2 => joined(comparisons, text(), text()),
            2 => joined(comparisons, number(), number()),
            1 => joined(comparisons, chosen(&["true", "false"]).boxed(), chosen(&["true", "false"]).boxed()),
            2 => joined(comparisons, body().boxed(), prop_oneof![text(), number(), body(), chosen(&["null", "true"])].boxed()),
            1 => joined(comparisons, prop_oneof![text(), number()].boxed(), body().boxed()),
            1 => one("is_defined", anything()),
            1 => one("is_null", anything()),
            1 => one("is_string", anything()),
            1 => one("is_number", anything()),
            1 => one("is_bool", anything()),
            1 => two("contains", text(), text()),
            1 => two("starts_with", text(), body().boxed()),
            1 => two("ends_with", text(), text()),
        ]
        .boxed()
    }
}

fn any_message() -> impl Strategy<Value = Message> {
    let value = || prop::sample::select(vec!["a", "12.5", "é😀z", "", "out", "A"]);
    let number = prop::sample::select(vec![json!(0), json!(-2), json!(2.5), json!(null), json!("2.5"), json!([1])]);
    let flag = prop::sample::select(vec![json!(true), json!(false), json!(null), json!("x"), json!({"x": 1})]);
    let spoilt = prop::sample::select(vec!["", "", "", "", "x"]);
    (value(), value(), any::<bool>(), value(), number, flag, spoilt).prop_map(|(p, q, dollar, t, n, b, spoilt)| {
        let mut properties = vec![("p", Some(p)), ("Q", Some(q)), ("empty", None)];
        if dollar {
            properties.extend([("$dollar", Some("there")), ("$body.p", Some("property"))]);
        }
        let body = json!({"b": b, "n": n, "t": t, "o": {"x": b}, "l": [null, n], "p": 7, "null": null});
        support::message(&properties, &format!("{body}{spoilt}"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn conditions_come_to_what_the_naive_evaluation_comes_to(tree in of_kind::bool(4), message in any_message()) {
        let text = tree.text();
        let condition = Condition::compile(&text, Sees::Telemetry).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        let got = match condition.value(&message) {
            Value::Undefined => Nothing,
            Value::Null => Null,
            Value::Bool(value) => Bool(value),
            Value::Number(number) => Number(number),
            Value::Text(text) => Text(text.into_owned()),
            Value::NoText => EmptyProperty,
        };
        prop_assert_eq!(got, evaluate(&tree, &message), "{}", text);
    }
}
