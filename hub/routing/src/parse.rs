//! A route's tokens as source and sink.
//!
//! ```text
//! route  = [SELECT *] FROM source [WHERE condition] INTO sink
//! source = ("/" name)+
//! sink   = $upstream | BrokeredEndpoint ( "/modules/M/inputs/I" )
//! ```
//! # Source
//! IoT Edge 1.5. As there, keywords, numbers, `true`, `null` and `$names` are no names, blanks may stand between any two tokens,
//! and what follows the sink is ignored, which is worth a warning. Of an endpoint's four parts only the module and the input count.

use edge_protocol::identity::ModuleName;

use crate::endpoint::{Endpoint, is_input_name};
use crate::error::{Problem, quoted, shortened};
use crate::lex::{Keyword, Kind, Lexer, MAX_ROUTE_BYTES, Token};

const SINK: &str = r#"$upstream or BrokeredEndpoint("/modules/M/inputs/I")"#;

/// A problem, and its byte offset in the text.
pub(crate) type Misfit = (Problem, usize);

/// A route, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// `/` and a name, once or more.
    pub(crate) source: String,
    pub(crate) endpoint: Endpoint,
    /// What its author probably did not mean.
    pub(crate) doubts: Vec<String>,
}

/// Reads one route.
pub(crate) fn parse(text: &str) -> Result<Parsed, Misfit> {
    if text.len() > MAX_ROUTE_BYTES {
        return Err((Problem::TooLong { size: text.len() }, 0));
    }
    let mut parser = Parser { lexer: Lexer::new(text) };
    let Some(mut first) = parser.lexer.next()? else { return Err((Problem::Empty, 0)) };
    if first.kind == Kind::Keyword(Keyword::Select) {
        parser.expect("* after SELECT", |token| token.kind == Kind::Name && token.text == "*")?;
        first = parser.expect("FROM", |token| token.kind == Kind::Keyword(Keyword::From))?;
    }
    if first.kind != Kind::Keyword(Keyword::From) {
        return Err(misfit("FROM", Some(first), 0));
    }
    let (source, after_source) = parser.source()?;
    match after_source {
        Some(Token { kind: Kind::Keyword(Keyword::Into), .. }) => {}
        Some(Token { kind: Kind::Keyword(Keyword::Where), offset, .. }) => return Err(parser.condition(offset)),
        other => return Err(misfit("INTO", other, text.len())),
    }
    let mut doubts = Vec::new();
    let endpoint = parser.sink(&mut doubts)?;
    let ignored = parser.lexer.rest().trim();
    if !ignored.is_empty() {
        doubts.push(format!("everything after its sink is ignored, here {}", quoted(ignored)));
    }
    Ok(Parsed { source, endpoint, doubts })
}

struct Parser<'a> {
    lexer: Lexer<'a>,
}

impl<'a> Parser<'a> {
    /// The next token, if it is what is due.
    fn expect(&mut self, expected: &'static str, is_due: impl Fn(&Token<'a>) -> bool) -> Result<Token<'a>, Misfit> {
        match self.lexer.next()? {
            Some(token) if is_due(&token) => Ok(token),
            other => Err(misfit(expected, other, self.lexer.offset())),
        }
    }

    fn expect_symbol(&mut self, expected: &'static str, symbol: char) -> Result<Token<'a>, Misfit> {
        self.expect(expected, |token| token.kind == Kind::Symbol(symbol))
    }

    /// A path, and the token after it.
    fn source(&mut self) -> Result<(String, Option<Token<'a>>), Misfit> {
        let mut path = String::new();
        self.expect_symbol("a source such as /messages/*", '/')?;
        loop {
            let name = self.expect("a name or * in the source", |token| token.kind == Kind::Name)?;
            path.push('/');
            path.push_str(name.text);
            match self.lexer.next()? {
                Some(Token { kind: Kind::Symbol('/'), .. }) => {}
                other => return Ok((path, other)),
            }
        }
    }

    /// What is to be said of a condition, whose WHERE is at `offset`.
    fn condition(&mut self, offset: usize) -> Misfit {
        match self.lexer.next() {
            Err(misfit) => misfit,
            Ok(Some(Token { kind: Kind::Keyword(Keyword::Into), .. }) | None) => {
                (Problem::Expected { expected: "a condition", found: "none after WHERE".to_owned() }, offset)
            }
            Ok(Some(_)) => (Problem::ConditionsNotAvailable, offset),
        }
    }

    fn sink(&mut self, doubts: &mut Vec<String>) -> Result<Endpoint, Misfit> {
        let is_function = |token: &Token<'_>| token.kind == Kind::Name && token.text.eq_ignore_ascii_case("BrokeredEndpoint");
        let is_upstream = |token: &Token<'_>| token.kind == Kind::System && token.text.eq_ignore_ascii_case("$upstream");
        let sink = self.expect(SINK, |token| is_function(token) || is_upstream(token))?;
        if is_upstream(&sink) {
            return Ok(Endpoint::Upstream);
        }
        self.expect_symbol("( after BrokeredEndpoint", '(')?;
        let address = self.expect("an endpoint in quotes", |token| token.kind == Kind::String)?;
        self.expect_symbol(") after the endpoint", ')')?;
        endpoint(address, doubts)
    }
}

/// The module and the input of an address. As in IoT Edge, what stands between the quotes is taken without unescaping.
fn endpoint(address: Token<'_>, doubts: &mut Vec<String>) -> Result<Endpoint, Misfit> {
    let inner = address.text.get(1..address.text.len().saturating_sub(1)).unwrap_or_default();
    let path = inner.trim();
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let wrong = |expected, found: &str| (Problem::Expected { expected, found: quoted(found) }, address.offset);
    let mut parts = path.split('/');
    let (Some(modules), Some(module), Some(inputs), Some(input), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong("an endpoint of the form \"/modules/M/inputs/I\"", inner));
    };
    let Ok(module_name) = module.parse::<ModuleName>() else {
        return Err(wrong("an endpoint's module of 1 to 128 letters, digits, - and _", module));
    };
    if !is_input_name(input) {
        return Err(wrong("an endpoint's input of 1 to 128 bytes without + # and control characters", input));
    }
    for (word, found) in [("modules", modules), ("inputs", inputs)] {
        if word != found {
            doubts.push(format!("its endpoint has {} where {word} is usual", quoted(found)));
        }
    }
    Ok(Endpoint::Input { module: module_name, input: input.to_owned() })
}

/// Something else than `expected` is there, or nothing.
fn misfit(expected: &'static str, found: Option<Token<'_>>, end: usize) -> Misfit {
    let Some(token) = found else { return (Problem::Expected { expected, found: "the end".to_owned() }, end) };
    let kind = match token.kind {
        Kind::Keyword(_) => "the keyword ",
        Kind::Number => "the number ",
        Kind::Constant => "the constant ",
        // Already in quotes.
        Kind::String => {
            return (Problem::Expected { expected, found: format!("the string {}", shortened(token.text)) }, token.offset);
        }
        Kind::Name | Kind::System | Kind::Symbol(_) => "",
    };
    (Problem::Expected { expected, found: format!("{kind}{}", quoted(token.text)) }, token.offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IN: &str = r#"INTO BrokeredEndpoint("/modules/filter/inputs/in")"#;

    fn filter_in() -> Endpoint {
        Endpoint::Input { module: "filter".parse().unwrap(), input: "in".into() }
    }

    #[test]
    fn every_way_to_write_a_route_is_read() {
        for (text, source, endpoint) in [
            ("FROM /* INTO $upstream", "/*", Endpoint::Upstream),
            ("from /messages/* into $UpStream", "/messages/*", Endpoint::Upstream),
            ("  SELECT * FROM /messages INTO $upstream  ", "/messages", Endpoint::Upstream),
            ("FROM\n/messages/*\tINTO\r\n$upstream", "/messages/*", Endpoint::Upstream),
            ("FROM /messages /* all of them */ INTO $upstream", "/messages", Endpoint::Upstream),
            ("FROM / messages / * INTO $upstream", "/messages/*", Endpoint::Upstream),
            (
                "FROM /messages/modules/a-b_c.d/outputs/TRUE INTO $upstream",
                "/messages/modules/a-b_c.d/outputs/TRUE",
                Endpoint::Upstream,
            ),
            ("FROM /* INTO BrokeredEndpoint('/modules/filter/inputs/in')", "/*", filter_in()),
            ("FROM /* INTO brokeredendpoint ( \"modules/filter/inputs/in/\" )", "/*", filter_in()),
            ("FROM /* INTO BROKEREDENDPOINT(\" /modules/filter/inputs/in \")", "/*", filter_in()),
        ] {
            assert_eq!(parse(text), Ok(Parsed { source: source.into(), endpoint, doubts: Vec::new() }), "{text}");
        }
    }

    #[test]
    fn every_mistake_is_named_at_its_place() {
        let cases = [
            ("FORM /* INTO $upstream", "expected FROM, found \"FORM\" at column 1"),
            ("SELECT FROM /* INTO $upstream", "expected * after SELECT, found the keyword \"FROM\" at column 8"),
            ("SELECT * INTO $upstream", "expected FROM, found the keyword \"INTO\" at column 10"),
            ("FROM", "expected a source such as /messages/*, found the end at column 5"),
            ("FROM messages INTO $upstream", "expected a source such as /messages/*, found \"messages\" at column 6"),
            ("FROM / INTO $upstream", "expected a name or * in the source, found the keyword \"INTO\" at column 8"),
            ("FROM /messages//x INTO $upstream", "expected a name or * in the source, found \"/\" at column 16"),
            ("FROM /messages/*/ INTO $upstream", "expected a name or * in the source, found the keyword \"INTO\" at column 19"),
            (
                "FROM /messages/modules/1/* INTO $upstream",
                "expected a name or * in the source, found the number \"1\" at column 24",
            ),
            (
                "FROM /messages/modules/not/* INTO $upstream",
                "expected a name or * in the source, found the keyword \"not\" at column 24",
            ),
            (
                "FROM /messages/modules/null/* INTO $upstream",
                "expected a name or * in the source, found the constant \"null\" at column 24",
            ),
            (
                "FROM /messages/modules/$edgeHub/* INTO $upstream",
                "expected a name or * in the source, found \"$edgeHub\" at column 24",
            ),
            ("FROM /messages/modules/temp sensor/* INTO $upstream", "expected INTO, found \"sensor\" at column 29"),
            ("FROM /messages/modules/m:1/* INTO $upstream", "expected INTO, found \":\" at column 25"),
            ("FROM /messages/modules/filter/* INOT $upstream", "expected INTO, found \"INOT\" at column 33"),
            ("FROM /messages/*", "expected INTO, found the end at column 17"),
            ("FROM /* WHERE a = 'x' INTO $upstream", "conditions are not available in this version, found WHERE at column 9"),
            (
                "FROM /*\n  where a = 'x' INTO $upstream",
                "conditions are not available in this version, found WHERE at line 2, column 3",
            ),
            ("FROM /* WHERE INTO $upstream", "expected a condition, found none after WHERE at column 9"),
            ("FROM /* INTO", "expected $upstream or BrokeredEndpoint(\"/modules/M/inputs/I\"), found the end at column 13"),
            (
                "FROM /* INTO upstream",
                "expected $upstream or BrokeredEndpoint(\"/modules/M/inputs/I\"), found \"upstream\" at column 14",
            ),
            (
                "FROM /* INTO $edgeHub",
                "expected $upstream or BrokeredEndpoint(\"/modules/M/inputs/I\"), found \"$edgeHub\" at column 14",
            ),
            (
                "FROM /* INTO FunctionEndpoint('/x')",
                "expected $upstream or BrokeredEndpoint(\"/modules/M/inputs/I\"), found \"FunctionEndpoint\" at column 14",
            ),
            (
                "FROM /* INTO \"/modules/m/inputs/i\"",
                "expected $upstream or BrokeredEndpoint(\"/modules/M/inputs/I\"), found the string \"/modules/m/inputs/i\" at column 14",
            ),
            (
                "FROM /* INTO BrokeredEndpoint \"/modules/m/inputs/i\")",
                "expected ( after BrokeredEndpoint, found the string \"/modules/m/inputs/i\" at column 31",
            ),
            ("FROM /* INTO BrokeredEndpoint()", "expected an endpoint in quotes, found \")\" at column 31"),
            (
                "FROM /* INTO BrokeredEndpoint(\"\"/modules/m/inputs/i\"\")",
                "expected ) after the endpoint, found \"/\" at column 33",
            ),
            (
                "FROM /* INTO BrokeredEndpoint(\"/modules/m/inputs/i)",
                "found a string without its end (after a backslash stands one of \" ' \\ or uXXXX) at column 31",
            ),
            (
                "FROM /* INTO BrokeredEndpoint(\"/modules/m/inputs/i')",
                "found a string without its end (after a backslash stands one of \" ' \\ or uXXXX) at column 31",
            ),
            (
                "FROM /* INTO BrokeredEndpoint(\"/modules/m\")",
                "expected an endpoint of the form \"/modules/M/inputs/I\", found \"/modules/m\" at column 31",
            ),
            (
                "FROM /* INTO BrokeredEndpoint(\"/modules/m/inputs/a/b\")",
                "expected an endpoint of the form \"/modules/M/inputs/I\", found \"/modules/m/inputs/a/b\" at column 31",
            ),
            (
                "FROM /* INTO BrokeredEndpoint(\"/modules/a b/inputs/i\")",
                "expected an endpoint's module of 1 to 128 letters, digits, - and _, found \"a b\" at column 31",
            ),
            (
                "FROM /* INTO BrokeredEndpoint(\"/modules/m/inputs/#\")",
                "expected an endpoint's input of 1 to 128 bytes without + # and control characters, found \"#\" at column 31",
            ),
            (
                "FROM /messages/* WHERE a = 'b' /* hot */ INTO $upstream",
                "found a comment that contains the condition: it begins with the /* of the source at column 15",
            ),
            ("", "the route is empty"),
            (" /* nothing */ ", "the route is empty"),
        ];
        for (text, expected) in cases {
            let (problem, offset) = parse(text).unwrap_err();
            assert_eq!(problem.at("r", text, offset).to_string(), format!("route r: {expected}"), "{text}");
        }
    }

    #[test]
    fn what_iot_edge_takes_in_silence_is_taken_with_a_doubt() {
        let doubts = |text: &str| parse(text).unwrap().doubts;
        assert_eq!(doubts(&format!("FROM /* {IN} WHERE x = 1")), ["everything after its sink is ignored, here \"WHERE x = 1\""]);
        assert_eq!(
            doubts("FROM /* INTO BrokeredEndpoint('/a/b/c/d')"),
            ["its endpoint has \"a\" where modules is usual", "its endpoint has \"c\" where inputs is usual"]
        );
        assert_eq!(doubts(&format!("FROM /messages/* /* all */ {IN}")), [""; 0]);
    }

    #[test]
    fn a_route_past_the_limit_is_refused_unread() {
        let text = format!("FROM /* {IN}{}", " ".repeat(MAX_ROUTE_BYTES));
        assert!(matches!(parse(&text), Err((Problem::TooLong { .. }, 0))));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,200}", words in prop::collection::vec(
            prop::sample::select(vec!["FROM", "INTO", "WHERE", "SELECT", "*", "/", "/*", "*/", "$upstream", "BrokeredEndpoint", "(", ")", "\"/modules/m/inputs/i\"", "'", "\"", "\\", "messages", " ", "\n", "é"]), 0..30))
        {
            for text in [text, words.concat(), words.join(" ")] {
                if let Err((problem, offset)) = parse(&text) {
                    prop_assert!(offset <= text.len());
                    let _ = problem.at("r", &text, offset).to_string();
                }
            }
        }

        #[test]
        fn a_route_written_from_names_is_read_back(module in "[a-z][A-Za-z0-9_-]{0,20}x_", input in "[a-z]{1,10}_") {
            let text = format!("FROM /messages/modules/{module}/* INTO BrokeredEndpoint(\"/modules/{module}/inputs/{input}\")");
            let parsed = parse(&text).unwrap();
            prop_assert_eq!(parsed.source, format!("/messages/modules/{module}/*"));
            prop_assert_eq!(parsed.endpoint, Endpoint::Input { module: module.parse().unwrap(), input });
        }
    }
}
