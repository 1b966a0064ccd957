//! Reading members out of JSON objects: case-insensitive, typed, and collecting everything that is wrong.

use serde_json::{Map, Value};

use super::members::{self, Place};
use super::remark::{Problem, Remark};

/// Longest piece of a user's text that a sentence quotes, in characters.
const MAX_QUOTE: usize = 80;

/// Collects problems and remarks while a body is read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<Problem>,
    pub(super) remarks: Vec<Remark>,
}

impl Reader {
    pub(super) fn problem(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { path: path.into(), message: message.into() });
    }

    pub(super) fn remark(&mut self, remark: Remark) {
        self.remarks.push(remark);
    }

    /// The text of `value`, or a problem at `path`.
    pub(super) fn text(&mut self, path: &str, value: &Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text.clone()),
            other => {
                self.problem(path, format!("must be a string, not {}", kind(other)));
                None
            }
        }
    }

    /// The truth of `value`, or a problem at `path`.
    pub(super) fn flag(&mut self, path: &str, value: &Value) -> Option<bool> {
        match value {
            Value::Bool(flag) => Some(*flag),
            other => {
                self.problem(path, format!("must be true or false, not {}", kind(other)));
                None
            }
        }
    }

    /// The object at `path`, or a problem.
    pub(super) fn object<'v>(&mut self, path: &str, value: &'v Value) -> Option<&'v Map<String, Value>> {
        match value {
            Value::Object(members) => Some(members),
            other => {
                self.problem(path, format!("must be an object, not {}", kind(other)));
                None
            }
        }
    }

    /// The list at `path`, or a problem.
    pub(super) fn list<'v>(&mut self, path: &str, value: &'v Value) -> Option<&'v [Value]> {
        match value {
            Value::Array(entries) => Some(entries),
            other => {
                self.problem(path, format!("must be a list, not {}", kind(other)));
                None
            }
        }
    }

    /// A list of strings; each entry that is none is its own problem.
    pub(super) fn texts(&mut self, path: &str, value: &Value) -> Option<Vec<String>> {
        let entries = self.list(path, value)?;
        let texts: Vec<_> =
            entries.iter().enumerate().filter_map(|(index, entry)| self.text(&format!("{path}[{index}]"), entry)).collect();
        (texts.len() == entries.len()).then_some(texts)
    }

    /// A command: a list of strings, or one string, which Docker takes as a list of one.
    pub(super) fn command(&mut self, path: &str, value: &Value) -> Option<Vec<String>> {
        match value {
            Value::String(word) => Some(vec![word.clone()]),
            other => self.texts(path, other),
        }
    }

    /// Says of each member that `taken` did not name why it has no effect.
    pub(super) fn rest(&mut self, place: Place, prefix: &str, body: &Map<String, Value>, taken: &[&str]) {
        for (name, value) in body {
            let known = taken.iter().find(|taken| taken.eq_ignore_ascii_case(name));
            match known {
                Some(canonical) if *canonical == name || !body.contains_key(*canonical) => {}
                Some(canonical) => {
                    let how = format!("was left out: {prefix}{canonical} stands beside it");
                    self.remark(Remark::Differs { member: format!("{prefix}{}", quote(name)), how });
                }
                None if asks_for_nothing(value) => {}
                None => self.remark(members::judge(place, prefix, name)),
            }
        }
    }
}

/// The member `name`, spelt in any case; an exact spelling wins over others. `null` is the same as absent.
pub(super) fn member<'v>(body: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    body.get(name)
        .or_else(|| body.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
        .filter(|value| !value.is_null())
}

/// Does this value ask Docker for nothing that it would not do anyway?
pub(crate) fn asks_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(entries) => entries.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// What a value is, for people.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A user's text, cut to a readable length and without control characters.
pub(super) fn quote(text: &str) -> String {
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(MAX_QUOTE).collect();
    if text.chars().count() > MAX_QUOTE {
        shown.push('…');
    }
    shown
}
