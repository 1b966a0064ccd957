//! Tokens with a look ahead, and what to say of the one that is not due.

use crate::error::{Problem, printable, quoted};
use crate::lex::{Keyword, Kind, Lexer, Token};
use crate::suggest::nearest;

/// A problem, and its byte offset in the text.
pub(crate) type Misfit = (Problem, usize);

/// Reads a text's tokens from left to right.
pub(crate) struct Cursor<'t> {
    lexer: Lexer<'t>,
    ahead: Ahead<'t>,
    /// Where the last taken token ends.
    taken_to: usize,
}

/// What was looked at and not taken.
#[derive(Clone, Copy)]
enum Ahead<'t> {
    Unknown,
    Token(Token<'t>),
    End,
}

impl<'t> Cursor<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { lexer: Lexer::new(text), ahead: Ahead::Unknown, taken_to: 0 }
    }

    /// The next token; it stays. `None`: the end.
    pub(crate) fn peek(&mut self) -> Result<Option<Token<'t>>, Misfit> {
        if let Ahead::Unknown = self.ahead {
            self.ahead = self.lexer.next()?.map_or(Ahead::End, Ahead::Token);
        }
        Ok(match self.ahead {
            Ahead::Token(token) => Some(token),
            Ahead::Unknown | Ahead::End => None,
        })
    }

    /// The next token.
    pub(crate) fn take(&mut self) -> Result<Option<Token<'t>>, Misfit> {
        let token = self.peek()?;
        self.ahead = Ahead::Unknown;
        if let Some(token) = token {
            self.taken_to = token.offset + token.text.len();
        }
        Ok(token)
    }

    /// Takes the next token if it is this operator or bracket.
    pub(crate) fn take_symbol(&mut self, symbol: &str) -> Result<Option<Token<'t>>, Misfit> {
        match self.peek()? {
            Some(token) if token.is_symbol(symbol) => self.take(),
            _ => Ok(None),
        }
    }

    /// Takes the next token, which has to be the one that is due.
    pub(crate) fn expect(&mut self, expected: &'static str, is_due: impl Fn(&Token<'t>) -> bool) -> Result<Token<'t>, Misfit> {
        match self.peek()? {
            Some(token) if is_due(&token) => {
                self.take()?;
                Ok(token)
            }
            _ => Err(self.misfit(expected, &[])),
        }
    }

    pub(crate) fn expect_symbol(&mut self, expected: &'static str, symbol: &str) -> Result<Token<'t>, Misfit> {
        self.expect(expected, |token| token.is_symbol(symbol))
    }

    /// Something else than `expected` is next, or nothing, or what is no token. `words` are those that could stand there.
    pub(crate) fn misfit(&mut self, expected: &'static str, words: &[&'static str]) -> Misfit {
        let token = match self.peek() {
            Ok(token) => token,
            Err(misfit) => return misfit,
        };
        let Some(token) = token else { return (Problem::expected(expected, "the end".to_owned()), self.end()) };
        let kind = match token.kind {
            Kind::Keyword(_) => "the keyword ",
            Kind::Number => "the number ",
            Kind::Constant => "the constant ",
            // Already in quotes.
            Kind::String => {
                return (Problem::expected(expected, format!("the string {}", printable(token.text))), token.offset);
            }
            Kind::Name | Kind::System | Kind::Symbol => "",
        };
        let did_you_mean = match token.text {
            "&&" => Some("AND"),
            "==" => Some("="),
            word if token.kind == Kind::Name => nearest(word, words),
            _ => None,
        };
        let found = format!("{kind}{}", quoted(token.text));
        (Problem::Expected { expected, found, did_you_mean }, token.offset)
    }

    /// Where the text ends, blanks after it aside.
    fn end(&self) -> usize {
        self.taken_to.max(self.lexer.text().trim_end().len())
    }

    /// Where the next token begins; at the end, where the text does.
    pub(crate) fn offset(&mut self) -> usize {
        match self.peek() {
            Ok(Some(token)) => token.offset,
            Ok(None) => self.end(),
            Err((_, offset)) => offset,
        }
    }

    /// Where the last taken token ends.
    pub(crate) const fn taken_to(&self) -> usize {
        self.taken_to
    }

    /// What was not taken yet, blanks and comments included.
    pub(crate) fn rest(&self) -> &'t str {
        self.lexer.text().get(self.taken_to..).unwrap_or_default()
    }
}

impl Token<'_> {
    pub(crate) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }

    pub(crate) fn is_keyword(&self, keyword: Keyword) -> bool {
        self.kind == Kind::Keyword(keyword)
    }
}
