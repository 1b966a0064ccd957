//! Reads a body once, from beginning to end, and keeps what is asked for. What is not asked for is held to the same grammar, so that
//! what one route sees of a body never depends on what the others ask for.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::date::looks_like_date;
use super::paths::{Found, Paths, ROOT, Values};
use super::scan::{Scanner, Token};

/// Most objects and arrays inside one another. A body that nests deeper cannot be read; paths are shorter by far.
const MAX_DEPTH: usize = 512;

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
    match decoded(encoding, body) {
        Cow::Borrowed(text) => read_text(paths, text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)),
        Cow::Owned(text) => {
            let found = read_text(paths, text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text))?;
            Some(found.into_iter().map(Found::into_owned).collect())
        }
    }
}

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The body as a text. What is no character becomes U+FFFD, as in IoT Edge: one spoilt text does not spoil its neighbours.
fn decoded(encoding: Encoding, body: &[u8]) -> Cow<'_, str> {
    match encoding {
        Encoding::Utf8 => String::from_utf8_lossy(body),
        Encoding::Utf16 => Cow::Owned(from_utf16(body)),
        Encoding::Utf32 => Cow::Owned(from_utf32(body)),
    }
}

/// Little-endian, unless its first character says otherwise.
fn from_utf16(body: &[u8]) -> String {
    let big_endian = body.starts_with(&[0xFE, 0xFF]);
    let (pairs, rest) = body.as_chunks::<2>();
    let unit = |pair: &[u8; 2]| if big_endian { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) };
    let chars = char::decode_utf16(pairs.iter().map(unit)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
    chars.chain(half(rest)).collect()
}

/// Little-endian, unless its first character says otherwise.
fn from_utf32(body: &[u8]) -> String {
    let big_endian = body.starts_with(&[0, 0, 0xFE, 0xFF]);
    let (quads, rest) = body.as_chunks::<4>();
    let number = |quad: &[u8; 4]| if big_endian { u32::from_be_bytes(*quad) } else { u32::from_le_bytes(*quad) };
    let chars = quads.iter().map(|quad| char::from_u32(number(quad)).unwrap_or(char::REPLACEMENT_CHARACTER));
    chars.chain(half(rest)).collect()
}

/// What is left over of a character at the end.
fn half(rest: &[u8]) -> Option<char> {
    (!rest.is_empty()).then_some(char::REPLACEMENT_CHARACTER)
}

/// An object or array that is not closed yet.
struct Open {
    is_object: bool,
    /// The place that is asked for, or on the way to one.
    place: Option<usize>,
    /// How many of its entries have begun.
    entries: u32,
}

fn read_text<'b>(paths: &Paths, text: &'b str) -> Option<Values<'b>> {
    let mut scanner = Scanner::new(text);
    let mut reading = Reading::new(paths);
    if scanner.value()? != Token::Object {
        return None;
    }
    let mut open: SmallVec<[Open; 8]> = SmallVec::new();
    open.push(Open { is_object: true, place: Some(ROOT), entries: 0 });
    while let Some(inner) = open.last_mut() {
        if scanner.take(if inner.is_object { b'}' } else { b']' }) {
            open.pop();
            continue;
        }
        if inner.entries > 0 && !scanner.take(b',') {
            return None;
        }
        let node = inner.place.and_then(|place| paths.node(place));
        let below = if inner.is_object {
            let name = scanner.name()?;
            node.and_then(|node| node.member(&name.text()))
        } else {
            node.and_then(|node| node.element(inner.entries))
        };
        inner.entries = inner.entries.saturating_add(1);
        let value = scanner.value()?;
        if let (Some(above), Some(place)) = (inner.place, below) {
            reading.found(above, place, value);
        }
        if matches!(value, Token::Object | Token::Array) {
            if open.len() >= MAX_DEPTH {
                return None;
            }
            open.push(Open { is_object: value == Token::Object, place: below, entries: 0 });
        }
    }
    scanner.is_at_end().then(|| reading.values())
}

/// What is known of the places while a body is read.
struct Reading<'p, 'b> {
    paths: &'p Paths,
    values: Values<'b>,
    /// Of each place, when it was found last.
    found: SmallVec<[Visit; 8]>,
    visits: usize,
    /// Was a name given once more?
    repeated: bool,
}

/// When a place was found, counting from 1; 0 is never.
#[derive(Clone, Copy, Default)]
struct Visit {
    number: usize,
    /// When the place above it was found, then.
    above: usize,
}

impl<'p, 'b> Reading<'p, 'b> {
    fn new(paths: &'p Paths) -> Self {
        let mut found: SmallVec<[Visit; 8]> = SmallVec::new();
        found.resize(paths.places(), Visit::default());
        let mut reading = Self { paths, values: paths.nothing(), found, visits: 0, repeated: false };
        reading.visit(ROOT, 0);
        reading
    }

    fn visit(&mut self, place: usize, above: usize) {
        self.visits += 1;
        if let Some(visit) = self.found.get_mut(place) {
            self.repeated |= visit.number > 0;
            *visit = Visit { number: self.visits, above };
        }
    }

    fn number_of(&self, place: usize) -> usize {
        self.found.get(place).map_or(0, |visit| visit.number)
    }

    fn found(&mut self, above: usize, place: usize, value: Token<'b>) {
        self.visit(place, self.number_of(above));
        if let Some(number) = self.paths.node(place).and_then(|node| node.number)
            && let Some(found) = self.values.get_mut(number)
        {
            *found = Found::from(value);
        }
    }

    /// Of a name given twice the last value counts: what was below the first is forgotten. Done once and at the end, as a body may give
    /// a name ten thousand times.
    fn values(mut self) -> Values<'b> {
        if !self.repeated {
            return self.values;
        }
        let mut holds = vec![false; self.paths.places()];
        if let Some(root) = holds.get_mut(ROOT) {
            *root = true;
        }
        // A place comes after the one above it.
        for place in ROOT..self.paths.places() {
            let Some(node) = self.paths.node(place) else { continue };
            let (holds_here, number) = (holds.get(place) == Some(&true), self.number_of(place));
            for below in node.below() {
                if let (Some(visit), Some(holds)) = (self.found.get(below), holds.get_mut(below)) {
                    *holds = holds_here && visit.above == number;
                }
            }
            if !holds_here && let Some(value) = node.number.and_then(|number| self.values.get_mut(number)) {
                *value = Found::Nothing;
            }
        }
        self.values
    }
}

impl<'b> From<Token<'b>> for Found<'b> {
    fn from(value: Token<'b>) -> Self {
        match value {
            Token::Object | Token::Array => Self::Composite,
            Token::Null => Self::Null,
            Token::Bool(value) => Self::Bool(value),
            Token::Number(number) => Self::Number(number.value()),
            Token::Text(literal) => {
                let text = literal.text();
                if looks_like_date(&text) { Self::Date } else { Self::Text(text) }
            }
        }
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
