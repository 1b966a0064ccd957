//! Conditions: what they come to, and which are refused.

use edge_routing::{Condition, RouteError, Sees, Truth, Value as Computed};
use serde_json::{Value, json};

use super::message::Loose;
use crate::record::{Error, Record, Records};
use crate::report::Outcome;

const REFUSED: &str = "compile_error";

/// What a condition came to, in the words of the records.
fn word(truth: Truth) -> &'static str {
    match truth {
        Truth::True => "true",
        Truth::False => "false",
        Truth::Undefined => "undefined",
    }
}

fn refused(errors: &[RouteError]) -> String {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    format!("refused: {}", errors.join("; "))
}

pub(super) fn evaluates(record: &Record, records: &Records) -> Result<Outcome, Error> {
    let message = Loose::new(record, records.fixture(record)?)?;
    let got = match Condition::compile(record.text("condition")?, Sees::Telemetry) {
        Ok(condition) => word(condition.evaluate(&message)).to_owned(),
        Err(errors) => refused(&errors),
    };
    Ok(Outcome::new(record.expected()?.clone(), got))
}

pub(super) fn is_refused(record: &Record, _: &Records) -> Result<Outcome, Error> {
    let compiled = Condition::compile(record.text("condition")?, Sees::Telemetry);
    Ok(Outcome::new(record.expected()?.clone(), if compiled.is_err() { REFUSED } else { "accepted" }))
}

pub(super) fn has_a_result(record: &Record, records: &Records) -> Result<Outcome, Error> {
    let message = Loose::new(record, records.fixture(record)?)?;
    let got = match Condition::compile(record.text("condition")?, Sees::Telemetry) {
        Ok(condition) => {
            condition.evaluate(&message);
            "no_exception".to_owned()
        }
        Err(errors) => refused(&errors),
    };
    Ok(Outcome::new(record.expected()?.clone(), got))
}

/// The texts of errors are our own; what is compared is that the condition is refused, and where the first problem is.
pub(super) fn is_refused_at_its_place(record: &Record, _: &Records) -> Result<Outcome, Error> {
    let expected = record.object("expected")?.get("start").cloned();
    let got = match Condition::compile(record.text("condition")?, Sees::Telemetry) {
        Ok(_) => json!("accepted"),
        Err(errors) => {
            let first = errors.first().ok_or_else(|| record.wrong("condition", "is refused without an error"))?;
            if expected.is_some() { json!([first.line, first.column]) } else { json!("refused") }
        }
    };
    Ok(Outcome::new(expected.unwrap_or_else(|| json!("refused")), got))
}

pub(super) fn twin_change(record: &Record, records: &Records) -> Result<Outcome, Error> {
    let message = match record.maybe("message") {
        Some(_) => Loose::new(record, records.fixture(record)?)?,
        None => Loose::json(record.maybe("body_utf8").and_then(Value::as_str).unwrap_or_default()),
    };
    let got = match Condition::compile(record.text("condition")?, Sees::TwinChanges) {
        Ok(condition) => word(condition.evaluate(&message)),
        Err(_) => REFUSED,
    };
    Ok(Outcome::new(record.expected()?.clone(), got))
}

/// Doubles agree to the last digit that the records give.
const EPSILON: f64 = 1e-12;

pub(super) fn has_value(record: &Record, _: &Records) -> Result<Outcome, Error> {
    let expected = record.expected()?;
    let value = match Condition::compile(record.text("expression")?, Sees::Telemetry) {
        Ok(condition) => condition.value(&Loose::default()),
        Err(errors) => return Ok(Outcome::new(expected.clone(), refused(&errors))),
    };
    let got = match (value, expected.as_f64()) {
        (Computed::Number(number), Some(wanted)) if (number - wanted).abs() <= EPSILON * wanted.abs() => expected.clone(),
        (Computed::Number(number), _) if number == f64::INFINITY => json!("+Infinity"),
        (Computed::Number(number), _) if number == f64::NEG_INFINITY => json!("-Infinity"),
        (Computed::Number(number), _) => json!(number),
        // A number that is none counts as undefined, there and here.
        (Computed::Undefined, _) => json!("NaN"),
        (Computed::Text(text), _) => json!(text),
        (other, _) => json!(format!("{other:?}")),
    };
    Ok(Outcome::new(expected.clone(), got))
}
