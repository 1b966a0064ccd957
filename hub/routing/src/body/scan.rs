//! JSON token by token, as far as a body needs it: nothing is copied, nothing is nested, and every token is judged the same whether
//! anybody asks for it or not.
//!
//! # Source
//! The grammar of RFC 8259, and three things that IoT Edge reads beyond it and encoders write: `NaN`, `Infinity` and `-Infinity`, which
//! Python does unasked; control characters inside strings; `\'`.

use std::borrow::Cow;

/// Reads from left to right.
pub(super) struct Scanner<'t> {
    rest: &'t str,
}

/// A value, or where one begins that has others inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    Object,
    Array,
    Null,
    Bool(bool),
    Number(Number<'t>),
    Text(Literal<'t>),
}

/// A number as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number<'t>(&'t str);

/// A string as written, without its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Literal<'t> {
    text: &'t str,
    has_escapes: bool,
}

impl<'t> Scanner<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { rest: text }
    }

    fn skip_blanks(&mut self) {
        let blanks = self.rest.bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
        self.rest = self.rest.get(blanks..).unwrap_or_default();
    }

    /// Takes the next character that is not blank if it is this one.
    pub(super) fn take(&mut self, symbol: u8) -> bool {
        self.skip_blanks();
        let is_there = self.rest.as_bytes().first() == Some(&symbol);
        self.rest = self.rest.get(usize::from(is_there)..).unwrap_or_default();
        is_there
    }

    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.rest.is_empty()
    }

    /// The name of a member, with the colon after it. `None`: there is none.
    pub(super) fn name(&mut self) -> Option<Literal<'t>> {
        if !self.take(b'"') {
            return None;
        }
        let name = self.literal()?;
        self.take(b':').then_some(name)
    }

    /// The next value. `None`: there is none.
    pub(super) fn value(&mut self) -> Option<Token<'t>> {
        self.skip_blanks();
        let (word, token) = match self.rest.bytes().next()? {
            b'-' | b'0'..=b'9' => return self.number(),
            b'"' => {
                self.rest = self.rest.get(1..)?;
                return self.literal().map(Token::Text);
            }
            b'{' => ("{", Token::Object),
            b'[' => ("[", Token::Array),
            b't' => ("true", Token::Bool(true)),
            b'f' => ("false", Token::Bool(false)),
            b'n' => ("null", Token::Null),
            b'N' => ("NaN", Token::Number(Number("NaN"))),
            b'I' => ("Infinity", Token::Number(Number("Infinity"))),
            _ => return None,
        };
        self.rest = self.rest.strip_prefix(word)?;
        Some(token)
    }

    fn number(&mut self) -> Option<Token<'t>> {
        let (number, rest) = self.rest.split_at_checked(number_length(self.rest)?)?;
        self.rest = rest;
        Some(Token::Number(Number(number)))
    }

    /// What follows the first quote, to the second.
    fn literal(&mut self) -> Option<Literal<'t>> {
        let (mut end, mut has_escapes) = (0, false);
        loop {
            let rest = self.rest.as_bytes().get(end..)?;
            let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            end += stop;
            let Some(escape) = rest.get(stop..)?.strip_prefix(b"\\") else { break };
            has_escapes = true;
            end += 1 + escape_length(escape)?;
        }
        let text = self.rest.get(..end)?;
        self.rest = self.rest.get(end + 1..)?;
        Some(Literal { text, has_escapes })
    }
}

/// Of `-1`, `0.5e+3`, `-Infinity`; more digits than a double has are rounded later.
fn number_length(text: &str) -> Option<usize> {
    const INFINITY: &str = "-Infinity";
    if text.starts_with(INFINITY) {
        return Some(INFINITY.len());
    }
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut length = usize::from(text.starts_with('-'));
    let whole = digits(text.get(length..)?);
    // No digit, or one too many before the others.
    if whole == 0 || (whole > 1 && text.get(length..)?.starts_with('0')) {
        return None;
    }
    length += whole;
    if let Some(fraction) = text.get(length..)?.strip_prefix('.') {
        length += 1 + Some(digits(fraction)).filter(|count| *count > 0)?;
    }
    if let Some(exponent) = text.get(length..)?.strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        length += 1 + sign + Some(digits(exponent.get(sign..)?)).filter(|count| *count > 0)?;
    }
    Some(length)
}

/// Of what follows a backslash. `None`: there is no such escape.
fn escape_length(escape: &[u8]) -> Option<usize> {
    match escape {
        [b'"' | b'\\' | b'/' | b'\'' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Some(1),
        [b'u', a, b, c, d, ..] if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) => Some(5),
        _ => None,
    }
}

impl Number<'_> {
    /// The nearest double; what is too large is infinite.
    pub(super) fn value(self) -> f64 {
        // Everything that the scanner lets pass is a number for the standard library, too.
        self.0.parse().unwrap_or(f64::NAN)
    }
}

impl<'t> Literal<'t> {
    /// What is meant. Half a character becomes U+FFFD.
    pub(super) fn text(self) -> Cow<'t, str> {
        if !self.has_escapes {
            return Cow::Borrowed(self.text);
        }
        let mut units: Vec<u16> = Vec::with_capacity(self.text.len());
        let mut chars = self.text.chars();
        while let Some(c) = chars.next() {
            let escaped = if c == '\\' { chars.next() } else { None };
            let meant = match escaped {
                None => c,
                Some('u') => {
                    let hex = chars.as_str().get(..4).unwrap_or_default();
                    units.push(u16::from_str_radix(hex, 16).unwrap_or(0xFFFD));
                    chars = chars.as_str().get(4..).unwrap_or_default().chars();
                    continue;
                }
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(itself) => itself,
            };
            units.extend_from_slice(meant.encode_utf16(&mut [0; 2]));
        }
        // Two escapes may make one character.
        Cow::Owned(String::from_utf16_lossy(&units))
    }
}
