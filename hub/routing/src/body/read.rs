//! Reads a body once, keeps what is asked for.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::date::looks_like_date;
use super::paths::{Found, Node, Paths, Values};

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16,
    Utf32,
}

/// The encoding of a body by its system properties; `None`: it is not JSON, or it is not said how it is encoded.
pub(super) fn encoding(content_type: Option<&str>, content_encoding: Option<&str>) -> Option<Encoding> {
    let (media_type, parameters) = content_type?.split_once(';').unwrap_or((content_type?, ""));
    if !media_type.trim().eq_ignore_ascii_case("application/json") {
        return None;
    }
    let charset = || {
        parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
        })
    };
    let name = content_encoding.or_else(charset)?;
    [("utf-8", Encoding::Utf8), ("utf-16", Encoding::Utf16), ("utf-32", Encoding::Utf32)]
        .into_iter()
        .find_map(|(known, encoding)| name.eq_ignore_ascii_case(known).then_some(encoding))
}

/// What the body has at the ends of the paths; `None`: it cannot be read.
pub(super) fn read<'b>(paths: &Paths, encoding: Encoding, body: &'b [u8]) -> Option<Values<'b>> {
    match encoding {
        Encoding::Utf8 => read_utf8(paths, body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)),
        Encoding::Utf16 | Encoding::Utf32 => {
            let text = if encoding == Encoding::Utf16 { from_utf16(body)? } else { from_utf32(body)? };
            let found = read_utf8(paths, text.strip_prefix('\u{feff}').unwrap_or(&text).as_bytes())?;
            Some(found.into_iter().map(Found::into_owned).collect())
        }
    }
}

fn read_utf8<'b>(paths: &Paths, body: &'b [u8]) -> Option<Values<'b>> {
    let mut values = paths.nothing();
    let mut json = serde_json::Deserializer::from_slice(body);
    let place = Place { paths, node: paths.node(0)?, is_root: true, values: &mut values };
    place.deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(values)
}

/// Little-endian, unless its first character says otherwise.
fn from_utf16(body: &[u8]) -> Option<String> {
    let big_endian = body.starts_with(&[0xFE, 0xFF]);
    let (pairs, rest) = body.as_chunks::<2>();
    let unit = |pair: &[u8; 2]| if big_endian { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) };
    rest.is_empty().then(|| char::decode_utf16(pairs.iter().map(unit)).collect::<Result<String, _>>().ok())?
}

/// Little-endian, unless its first character says otherwise.
fn from_utf32(body: &[u8]) -> Option<String> {
    let big_endian = body.starts_with(&[0, 0, 0xFE, 0xFF]);
    let (quads, rest) = body.as_chunks::<4>();
    let number = |quad: &[u8; 4]| if big_endian { u32::from_be_bytes(*quad) } else { u32::from_le_bytes(*quad) };
    rest.is_empty().then(|| quads.iter().map(|quad| char::from_u32(number(quad))).collect::<Option<String>>())?
}

/// A place that is asked for, or on the way to one.
struct Place<'p, 'v, 'b> {
    paths: &'p Paths,
    node: &'p Node,
    is_root: bool,
    values: &'v mut Values<'b>,
}

impl<'p, 'b> Place<'p, '_, 'b> {
    fn below(&mut self, node: usize) -> Option<Place<'p, '_, 'b>> {
        Some(Place { paths: self.paths, node: self.paths.node(node)?, is_root: false, values: self.values })
    }

    fn set<E: serde::de::Error>(&mut self, found: Found<'b>) -> Result<(), E> {
        if self.is_root && found != Found::Composite {
            return Err(E::custom("not an object"));
        }
        if let Some(value) = self.node.number.and_then(|number| self.values.get_mut(number)) {
            *value = found;
        }
        Ok(())
    }

    /// Forgets what is below a name that is given once more.
    fn clear(&mut self, node: usize) {
        let Some(node) = self.paths.node(node) else { return };
        if let Some(value) = node.number.and_then(|number| self.values.get_mut(number)) {
            *value = Found::Nothing;
        }
        for below in node.below() {
            self.clear(below);
        }
    }
}

impl<'b> DeserializeSeed<'b> for Place<'_, '_, 'b> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers are doubles in this language")]
impl<'b> Visitor<'b> for Place<'_, '_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root { "an object" } else { "a value" })
    }

    fn visit_unit<E: serde::de::Error>(mut self) -> Result<(), E> {
        self.set(Found::Null)
    }

    fn visit_bool<E: serde::de::Error>(mut self, value: bool) -> Result<(), E> {
        self.set(Found::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(mut self, value: i64) -> Result<(), E> {
        self.set(Found::Number(value as f64))
    }

    fn visit_u64<E: serde::de::Error>(mut self, value: u64) -> Result<(), E> {
        self.set(Found::Number(value as f64))
    }

    fn visit_f64<E: serde::de::Error>(mut self, value: f64) -> Result<(), E> {
        self.set(Found::Number(value))
    }

    fn visit_borrowed_str<E: serde::de::Error>(mut self, value: &'b str) -> Result<(), E> {
        self.set(if looks_like_date(value) { Found::Date } else { Found::Text(Cow::Borrowed(value)) })
    }

    fn visit_str<E: serde::de::Error>(mut self, value: &str) -> Result<(), E> {
        self.set(if looks_like_date(value) { Found::Date } else { Found::Text(Cow::Owned(value.to_owned())) })
    }

    fn visit_map<A: MapAccess<'b>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.set(Found::Composite)?;
        while let Some(member) = map.next_key_seed(MemberName(self.node))? {
            match member {
                Some(node) => {
                    self.clear(node);
                    let below = self.below(node).ok_or_else(|| A::Error::custom("no such place"))?;
                    map.next_value_seed(below)?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'b>>(mut self, mut elements: A) -> Result<(), A::Error> {
        if self.is_root {
            return Err(A::Error::custom("not an object"));
        }
        self.set(Found::Composite)?;
        for position in 0..=u32::MAX {
            let taken = match self.node.element(position).and_then(|node| self.below(node)) {
                Some(below) => elements.next_element_seed(below)?.is_some(),
                None => elements.next_element::<IgnoredAny>()?.is_some(),
            };
            if !taken {
                break;
            }
        }
        Ok(())
    }
}

/// The name of a member: where it is asked for, if it is.
struct MemberName<'p>(&'p Node);

impl<'b> DeserializeSeed<'b> for MemberName<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberName<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.member(name))
    }
}

impl Found<'_> {
    fn into_owned<'b>(self) -> Found<'b> {
        match self {
            Self::Text(text) => Found::Text(Cow::Owned(text.into_owned())),
            Self::Nothing => Found::Nothing,
            Self::Null => Found::Null,
            Self::Bool(value) => Found::Bool(value),
            Self::Number(number) => Found::Number(number),
            Self::Date => Found::Date,
            Self::Composite => Found::Composite,
        }
    }
}

#[cfg(test)]
mod tests;
