//! A route's text as tokens, one at a time.
//!
//! # Source
//! The tokens of IoT Edge 1.5. Two of its habits surprise, and manifests rely on them: whatever is not an operator or a bracket
//! belongs to a name, so `a-b` and `m*` are one; and of several readings the longest wins, so `'x'y` is a name, not a string.
//! The operators `+ - * % || !=` are made of characters of names: they need blanks around them, the others do not.
//! `/*` begins a comment only if a `*/` follows somewhere; without one it is a slash and a name, as in `/messages/*`.

use crate::error::Problem;

/// Longest route. IoT Hub keeps a route as one value of a twin, at most 4 KiB.
pub const MAX_ROUTE_BYTES: usize = 8_192;

/// A word that the language keeps for itself, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyword {
    Select,
    From,
    Where,
    Into,
    And,
    Or,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Keyword(Keyword),
    /// A name, of whatever it may be; also `*`.
    Name,
    /// `$name`
    System,
    /// `"text"` or `'text'`
    String,
    Number,
    /// `true`, `false`, `null` or `undefined`: lower case only.
    Constant,
    /// An operator or a bracket, as far as it is no name; any other character.
    Symbol,
}

/// A piece of the route's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    /// Byte offset in the route's text.
    pub(crate) offset: usize,
}

/// Reads tokens from left to right; what was not asked for is not looked at.
pub(crate) struct Lexer<'a> {
    text: &'a str,
    offset: usize,
    /// Where the last `*/` is, so that no `/*` searches the rest of the text in vain.
    last_comment_end: Option<usize>,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, offset: 0, last_comment_end: text.rfind("*/") }
    }

    /// The whole text.
    pub(crate) const fn text(&self) -> &'a str {
        self.text
    }

    /// What is not yet read.
    fn rest(&self) -> &'a str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    /// The next token, `None` at the end. An error comes with its offset.
    pub(crate) fn next(&mut self) -> Result<Option<Token<'a>>, (Problem, usize)> {
        self.skip_blanks()?;
        let (rest, offset) = (self.rest(), self.offset);
        let Some(first) = rest.chars().next() else { return Ok(None) };
        let (kind, length) = read(rest, first).ok_or((Problem::UnterminatedString, offset))?;
        self.offset += length;
        let text = rest.get(..length).unwrap_or_default();
        Ok(Some(Token { kind, text, offset }))
    }

    /// Skips spaces and comments.
    fn skip_blanks(&mut self) -> Result<(), (Problem, usize)> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(is_blank);
            self.offset += rest.len() - trimmed.len();
            let Some(inside) = trimmed.strip_prefix("/*") else { return Ok(()) };
            if self.last_comment_end.is_none_or(|end| end < self.offset + 2) {
                return Ok(());
            }
            let Some((comment, after)) = inside.split_once("*/") else { return Ok(()) };
            if let Some(keyword) = swallowed(comment) {
                return Err((Problem::CommentedOut { keyword }, self.offset));
            }
            self.offset = self.text.len() - after.len();
        }
    }
}

/// Did the comment begin with the `/*` of a source? Then it ends where a comment was to end, and has taken in what stood between:
/// the keyword that follows a source is there, whatever touches it.
fn swallowed(comment: &str) -> Option<&'static str> {
    let (before, _) = comment.split_once("/*")?;
    let mut words = before.split(|c| !is_name_char(c) || c == '\'');
    words.find_map(|word| ["WHERE", "INTO"].into_iter().find(|keyword| word.eq_ignore_ascii_case(keyword)))
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

const fn is_name_char(c: char) -> bool {
    !is_blank(c)
        && !matches!(c, '(' | ')' | '<' | '>' | '@' | ',' | ';' | ':' | '\\' | '"' | '/' | '[' | ']' | '?' | '=' | '{' | '}')
}

/// The token at the beginning of `rest`, and its length. `None`: a string without an end.
fn read(rest: &str, first: char) -> Option<(Kind, usize)> {
    let run = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
    if matches!(first, '"' | '\'') {
        let length = string_length(rest, first)?;
        if length >= run {
            return Some((Kind::String, length));
        }
    }
    if run == 0 {
        return Some((Kind::Symbol, symbol_length(rest, first)));
    }
    if first == '$' {
        let length = rest.find(|c| !is_name_char(c) && !matches!(c, '[' | ']')).unwrap_or(rest.len());
        if length > 1 {
            return Some((Kind::System, length));
        }
    }
    match rest.get(..run).unwrap_or_default() {
        "!" if rest.starts_with("!=") => Some((Kind::Symbol, 2)),
        word => Some((word_kind(word), run)),
    }
}

/// The length of the operator that begins with `first`, which belongs to no name.
fn symbol_length(rest: &str, first: char) -> usize {
    if ["<=", "<>", ">=", "??"].iter().any(|operator| rest.starts_with(operator)) { 2 } else { first.len_utf8() }
}

/// The length of the string that begins with `quote`, quotes included.
fn string_length(rest: &str, quote: char) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    while let Some((offset, c)) = chars.next() {
        if c == quote {
            return Some(offset + c.len_utf8());
        }
        if c == '\\' {
            match chars.next()?.1 {
                '"' | '\'' | '\\' => {}
                'u' => {
                    for _ in 0..4 {
                        chars.next().filter(|(_, c)| c.is_ascii_hexdigit())?;
                    }
                }
                _ => return None,
            }
        }
    }
    None
}

fn word_kind(word: &str) -> Kind {
    const KEYWORDS: [(&str, Keyword); 7] = [
        ("SELECT", Keyword::Select),
        ("FROM", Keyword::From),
        ("WHERE", Keyword::Where),
        ("INTO", Keyword::Into),
        ("AND", Keyword::And),
        ("OR", Keyword::Or),
        ("NOT", Keyword::Not),
    ];
    if let Some((_, keyword)) = KEYWORDS.iter().find(|(text, _)| word.eq_ignore_ascii_case(text)) {
        return Kind::Keyword(*keyword);
    }
    match word {
        "true" | "false" | "null" | "undefined" => Kind::Constant,
        // `*` is also a part of a source, so it stays a name.
        "+" | "-" | "%" | "||" => Kind::Symbol,
        word if is_number(word) => Kind::Number,
        _ => Kind::Name,
    }
}

/// `-7`, `0x1F`, `2.5`, `.5e-3`, `1e9`; `5.` is a name.
fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(hex) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        return !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    let unsigned = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let mantissa_is_number = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole.is_empty() || digits(whole)) && digits(fraction),
        None => digits(mantissa),
    };
    mantissa_is_number && exponent.is_none_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(text: &str) -> Vec<(Kind, &str)> {
        let mut lexer = Lexer::new(text);
        std::iter::from_fn(|| lexer.next().unwrap()).map(|token| (token.kind, token.text)).collect()
    }

    fn kind(text: &str) -> Kind {
        let tokens = tokens(text);
        assert_eq!(tokens.len(), 1, "{tokens:?}");
        tokens[0].0
    }

    #[test]
    fn words_are_told_apart() {
        for word in [
            "*", "m*", "a-b_c.d", "fromX", "TRUE", "Null", "5.", "+1", "--5", "a||b", "1-1", "'x'AND", "'it''s'", "$", "prüf",
            "0x", "5e", ".",
        ] {
            assert_eq!(kind(word), Kind::Name, "{word}");
        }
        for word in ["7", "-1", "0x1F", "0XaB", "5e3", "5E-3", "2.5", ".5", "-.5e+10"] {
            assert_eq!(kind(word), Kind::Number, "{word}");
        }
        for word in ["true", "false", "null", "undefined"] {
            assert_eq!(kind(word), Kind::Constant, "{word}");
        }
        assert_eq!(kind("fRoM"), Kind::Keyword(Keyword::From));
        assert_eq!(kind("$body.a[0]"), Kind::System);
        for word in [r#""a 'b' \" \u00e9""#, r"'a/\'b'", "''"] {
            assert_eq!(kind(word), Kind::String, "{word}");
        }
        for word in ["?", "??", "<", "<=", "<>", ">", ">=", "=", "!=", "+", "-", "%", "||", "{"] {
            assert_eq!(kind(word), Kind::Symbol, "{word}");
        }
        assert_eq!(tokens("a>=1"), [(Kind::Name, "a"), (Kind::Symbol, ">="), (Kind::Number, "1")]);
        assert_eq!(tokens("a!='x'"), [(Kind::Name, "a!"), (Kind::Symbol, "="), (Kind::String, "'x'")]);
        assert_eq!(tokens("a !='x'"), [(Kind::Name, "a"), (Kind::Symbol, "!="), (Kind::String, "'x'")]);
        assert_eq!(tokens("a = = b"), [(Kind::Name, "a"), (Kind::Symbol, "="), (Kind::Symbol, "="), (Kind::Name, "b")]);
    }

    #[test]
    fn a_slash_and_a_star_are_a_comment_only_if_it_ends() {
        assert_eq!(tokens("/*"), [(Kind::Symbol, "/"), (Kind::Name, "*")]);
        assert_eq!(tokens("a /* b */ c"), [(Kind::Name, "a"), (Kind::Name, "c")]);
        assert_eq!(tokens("/* 1 *//* 2 */"), []);
        assert_eq!(tokens("/*/"), [(Kind::Symbol, "/"), (Kind::Name, "*"), (Kind::Symbol, "/")]);
        assert_eq!(tokens("/messages/* /* all */ x"), [(Kind::Symbol, "/"), (Kind::Name, "messages"), (Kind::Name, "x")]);
    }

    #[test]
    fn a_comment_that_swallows_a_condition_or_a_sink_is_an_error() {
        for (text, keyword) in [
            ("/* WHERE a = 'b' /* hot */ INTO $upstream", "WHERE"),
            ("/* WHERE(a = 'b') /* hot */ INTO $upstream", "WHERE"),
            ("/*\nwhere\"a\" = b /* hot */ INTO $upstream", "WHERE"),
            ("/* WHERE{$x} = 'b' /* hot */ INTO $upstream", "WHERE"),
            ("/* WHERE'a' = b /* hot */ INTO $upstream", "WHERE"),
            ("/* INTO $upstream /* all */", "INTO"),
            ("/* Into $upstream /* not */ INTO BrokeredEndpoint('/modules/m/inputs/i')", "INTO"),
        ] {
            assert_eq!(Lexer::new(text).next(), Err((Problem::CommentedOut { keyword }, 0)), "{text}");
        }
        for text in
            ["/* only WHERE it is hot */ x", "/* INTO */ x", "/* nowhere, elsewhere /* x */ x", "/* all /* where hot */ x"]
        {
            assert_eq!(tokens(text), [(Kind::Name, "x")], "{text}");
        }
    }

    #[test]
    fn strings_without_an_end_are_errors() {
        for text in ["\"abc", "'a/b", "\"a\\n\"", "\"\\u12g4\"", "\"a\\", "'abc"] {
            assert_eq!(Lexer::new(text).next(), Err((Problem::UnterminatedString, 0)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn tokens_cover_the_text_from_left_to_right(text in "[a-z0-9$'\"/*\\\\() =<>.\\[\\]\\PC]{0,80}") {
            let mut lexer = Lexer::new(&text);
            let mut end = 0;
            while let Ok(Some(token)) = lexer.next() {
                prop_assert!(token.offset >= end && !token.text.is_empty());
                end = token.offset + token.text.len();
                prop_assert_eq!(&text[token.offset..end], token.text);
            }
        }
    }
}
