//! Conditions and routes as they are read, before anything is known of their meaning.

use edge_routing::syntax::{Expression, ExpressionKind, UnaryOperator};
use edge_routing::{Condition, RouteText, Sees, SinkKind, Source, read};
use serde_json::{Value, json};

use crate::record::{Error, Record, Records};
use crate::report::Outcome;

/// The tree in the form of the records: `[operator, operand…]`.
fn tree(expression: &Expression<'_>) -> Value {
    match &expression.kind {
        ExpressionKind::Empty => json!([]),
        ExpressionKind::Bool(value) => json!(["bool", value.to_string()]),
        ExpressionKind::Null => json!(["null", "null"]),
        ExpressionKind::Undefined => json!(["undefined", "undefined"]),
        ExpressionKind::Number(text) => json!(["number", text]),
        ExpressionKind::String(text) => json!(["string", text]),
        ExpressionKind::Property(name) => json!(["prop", name]),
        ExpressionKind::System(name) => json!(["sysprop", name]),
        ExpressionKind::EscapedSystem(name) => json!(["sysprop_escaped", name]),
        ExpressionKind::Unary(UnaryOperator::Not, operand) => json!(["not", tree(operand)]),
        ExpressionKind::Unary(UnaryOperator::Negate, operand) => json!(["-", tree(operand)]),
        ExpressionKind::Binary(operator, operands) => {
            let [left, right] = &**operands;
            json!([operator.text(), tree(left), tree(right)])
        }
        // There, each has two operands.
        ExpressionKind::Chain(operator, operands) => {
            let name = operator.text().to_ascii_lowercase();
            let mut operands = operands.iter().map(tree);
            let first = operands.next().unwrap_or_default();
            operands.fold(first, |left, right| json!([name, left, right]))
        }
        // In any case, it is the same function.
        ExpressionKind::Call(name, arguments) => {
            let mut call = vec![json!("call"), json!(name.to_ascii_lowercase())];
            call.extend(arguments.iter().map(tree));
            call.into()
        }
    }
}

/// Blanks between tokens do not count.
fn without_blanks(text: &str) -> String {
    text.split_whitespace().collect()
}

pub(super) fn condition_tree(record: &Record, _: &Records) -> Result<Outcome, Error> {
    let text = record.text("condition")?;
    let mut expected = record.object("expected")?.clone();
    let parse = expected.get("parse").and_then(Value::as_str).ok_or_else(|| record.wrong("expected", "has no parse"))?;
    match parse {
        "ok" => {
            if let Some(tail) = expected.get_mut("unparsed_tail") {
                *tail = json!(without_blanks(tail.as_str().unwrap_or_default()));
            }
            let got = match read(text) {
                Ok((expression, "")) => json!({"parse": "ok", "tree": tree(&expression)}),
                Ok((expression, rest)) => {
                    json!({"parse": "ok", "tree": tree(&expression), "unparsed_tail": without_blanks(rest)})
                }
                Err(error) => json!(error.to_string()),
            };
            // Both ways to write it are one operator here.
            let expected = serde_json::from_str(&Value::Object(expected).to_string().replace("\"<>\"", "\"!=\""))
                .map_err(|_| record.wrong("expected", "is no JSON"))?;
            Ok(Outcome { expected, got })
        }
        "empty" => {
            let compiled = Condition::compile(text, Sees::Telemetry);
            let got = compiled.map_or_else(
                |errors| format!("{errors:?}"),
                |condition| format!("{:?}", condition.evaluate(&super::message::Loose::default())).to_lowercase(),
            );
            Ok(Outcome::new(expected.get("evaluates_to").cloned().unwrap_or_default(), got))
        }
        // Two stages of refusal there, one here.
        "syntax_error" | "error_reported_by_visitor" => {
            let refused = Condition::compile(text, Sees::Telemetry).is_err();
            Ok(Outcome::new("refused", if refused { "refused" } else { "accepted" }))
        }
        _ => Err(record.wrong("expected", "has a parse that is not known")),
    }
}

/// The sink in one way to write it.
fn sink(kind: SinkKind<'_>) -> String {
    match kind {
        SinkKind::System(name) => name.to_owned(),
        SinkKind::Function { name, address } => format!("{name}(\"{address}\")"),
    }
}

pub(super) fn route_grammar(record: &Record, _: &Records) -> Result<Outcome, Error> {
    let text = record.text("route")?;
    let expected = record.object("expected")?;
    let member = |name: &str| expected.get(name).and_then(Value::as_str);
    // There, a condition may pass as a part of the route, and be refused on its own.
    if member("parse") != Some("ok") || expected.contains_key("condition_compile") {
        let refused = RouteText::read(text).is_err();
        return Ok(Outcome::new("refused", if refused { "refused" } else { "accepted" }));
    }
    let expected = json!({
        "source": member("source"),
        "sink": member("sink").map(|sink| sink.replace('\'', "\"")),
        "condition": member("condition"),
    });
    let got = match RouteText::read(text) {
        Ok(route) => json!({"source": route.source, "sink": sink(route.sink.kind), "condition": route.condition_text}),
        Err(error) => json!(error.to_string()),
    };
    Ok(Outcome { expected, got })
}

/// The parts of a route. The source is compared by what it means: the records have it after its end was trimmed.
pub(super) fn route_parts(record: &Record, _: &Records) -> Result<Outcome, Error> {
    let expected = record.object("expected")?;
    let member = |name: &str| expected.get(name).and_then(Value::as_str).ok_or_else(|| record.wrong(name, "is missing"));
    let wanted = match member("sink_kind")? {
        "system" => SinkKind::System(member("sink_name")?),
        "function" => SinkKind::Function { name: member("sink_function")?, address: member("sink_address")? },
        _ => return Err(record.wrong("sink_kind", "is not known")),
    };
    let source = member("source")?;
    let expected = json!({
        "source": format!("{:?}", Source::new(source.trim_end_matches('/'))),
        "condition": member("condition")?,
        "sink": sink(wanted),
    });
    let got = match RouteText::read(record.text("route")?) {
        Ok(route) => json!({
            "source": format!("{:?}", Source::new(route.source.trim_end_matches(['*', '/']))),
            "condition": route.condition_text,
            "sink": sink(route.sink.kind),
        }),
        Err(error) => json!(error.to_string()),
    };
    Ok(Outcome { expected, got })
}

pub(super) fn route_is_refused(record: &Record, _: &Records) -> Result<Outcome, Error> {
    let refused = RouteText::read(record.text("route")?).is_err();
    Ok(Outcome::new(record.expected()?.clone(), if refused { "route_error" } else { "accepted" }))
}
