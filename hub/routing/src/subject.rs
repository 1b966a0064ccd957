//! What a condition may ask about: a message, or whatever looks like one.

use edge_protocol::message::Message;
use edge_protocol::system_properties::SystemProperty;

use crate::condition::upper_letter;

/// What has properties and a body. Names of properties are looked up in any case.
pub trait Subject {
    /// A property that the sender named.
    fn application_property(&self, name: &str) -> Property<'_>;

    /// A property that client and hub agree upon.
    fn system_property(&self, name: &SystemName) -> Property<'_>;

    /// The body.
    fn body(&self) -> &[u8];
}

/// A property of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property<'s> {
    /// It has no such property.
    Missing,
    /// It has, without a value.
    Empty,
    /// It has, with this value.
    Text(&'s str),
}

/// The name of a system property, as a condition asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemName {
    /// One that messages can have.
    Known(SystemProperty),
    /// Any other: no message has it.
    Unknown(String),
}

impl SystemName {
    /// The property of this name, in any case, without the `$`.
    pub(crate) fn new(name: &str) -> Self {
        let known = SystemProperty::ALL.iter().copied().find(|property| property.name().eq_ignore_ascii_case(name));
        known.map_or_else(|| Self::Unknown(name.to_owned()), Self::Known)
    }

    /// The name without the `$`.
    pub fn name(&self) -> &str {
        match self {
            Self::Known(property) => property.name(),
            Self::Unknown(name) => name,
        }
    }
}

impl Subject for Message {
    fn application_property(&self, name: &str) -> Property<'_> {
        // Of names that differ in case only, the last one counts, as of a name given twice.
        match self.properties.iter().rev().find(|(known, _)| same(known, name)) {
            Some((_, Some(value))) => Property::Text(value),
            Some((_, None)) => Property::Empty,
            None => Property::Missing,
        }
    }

    fn system_property(&self, name: &SystemName) -> Property<'_> {
        let value = match name {
            SystemName::Known(property) => Self::system_property(self, *property),
            SystemName::Unknown(_) => None,
        };
        value.map_or(Property::Missing, Property::Text)
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Equal but for case: letter by letter, in capitals. Names are ASCII almost always, so the slow way is rarely taken.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!a.is_ascii() && !b.is_ascii() && a.chars().map(upper_letter).eq(b.chars().map(upper_letter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_equal_letter_by_letter_in_capitals() {
        for (a, b) in [("Level", "lEVEL"), ("Größe", "GRÖßE"), ("ΣΑΣ", "σας"), ("éÀ", "Éà")] {
            assert!(same(a, b), "{a} {b}");
        }
        for (a, b) in [("level", "levels"), ("ẞ", "ß"), ("Größe", "GRÖSSE"), ("e", "é"), ("é", "è")] {
            assert!(!same(a, b), "{a} {b}");
        }
    }
}
