//! Messages, and trees of conditions that are written out with every parenthesis.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use edge_protocol::message::Message;
use edge_protocol::system_properties::{SystemProperties, SystemProperty};

/// From module `m` of device `edge`, with a body in JSON.
pub fn message(properties: &[(&str, Option<&str>)], body: &str) -> Message {
    let mut system = SystemProperties::new();
    system.set(SystemProperty::ContentType, "application/json");
    system.set(SystemProperty::ContentEncoding, "utf-8");
    Message {
        from: "edge/m".parse().unwrap(),
        output: Some("out".to_owned()),
        system,
        properties: properties.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect(),
        body: body.to_owned().into(),
    }
}

/// A condition, as a test makes it up.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// A literal, a property or a `$name`, as it is written.
    Leaf(String),
    /// `- x`, `NOT x`
    Prefix(&'static str, Box<Self>),
    /// Any operator with two operands.
    Infix(&'static str, Box<[Self; 2]>),
    Call(&'static str, Vec<Self>),
}

impl Tree {
    pub fn leaf(text: &str) -> Self {
        Self::Leaf(text.to_owned())
    }

    pub fn prefix(operator: &'static str, operand: Self) -> Self {
        Self::Prefix(operator, Box::new(operand))
    }

    pub fn infix(operator: &'static str, left: Self, right: Self) -> Self {
        Self::Infix(operator, Box::new([left, right]))
    }

    /// Leaves nothing to precedence.
    pub fn text(&self) -> String {
        match self {
            Self::Leaf(text) => text.clone(),
            Self::Prefix(operator, operand) => format!("({operator} {})", operand.text()),
            Self::Infix(operator, operands) => format!("({} {operator} {})", operands[0].text(), operands[1].text()),
            Self::Call(name, arguments) => {
                format!("{name}({})", arguments.iter().map(Self::text).collect::<Vec<_>>().join(", "))
            }
        }
    }
}
