use super::*;
use crate::condition::MAX_NESTING;
use proptest::prelude::*;

const IN: &str = r#"INTO BrokeredEndpoint("/modules/filter/inputs/in")"#;

/// A route, its endpoint, and all that is doubtful about it.
fn whole(text: &str) -> Result<(RouteText<'_>, Endpoint, Vec<String>), Misfit> {
    let route = parse(text)?;
    let mut doubts = route.doubts.clone();
    let endpoint = route.sink.endpoint(&mut doubts)?;
    Ok((route, endpoint, doubts))
}

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
        let (parsed, found, doubts) = whole(text).unwrap();
        assert_eq!((parsed.source.as_str(), found), (source, endpoint), "{text}");
        assert_eq!((parsed.condition, doubts.len()), (None, 0), "{text}");
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
        ("FROM /messages/modules/1/* INTO $upstream", "expected a name or * in the source, found the number \"1\" at column 24"),
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
        ("FROM /messages/modules/temp sensor/* INTO $upstream", "expected WHERE or INTO, found \"sensor\" at column 29"),
        ("FROM /messages/modules/m:1/* INTO $upstream", "expected WHERE or INTO, found \":\" at column 25"),
        (
            "FROM /messages/modules/filter/* INOT $upstream",
            "expected WHERE or INTO, found \"INOT\" at column 33, did you mean INTO?",
        ),
        ("FROM /messages/*", "expected WHERE or INTO, found the end at column 17"),
        ("FROM /* WEHRE a = 'x' INTO $upstream", "expected WHERE or INTO, found \"WEHRE\" at column 9, did you mean WHERE?"),
        (
            "FROM /*\n  where a == 'x' INTO $upstream",
            "expected a property, $name, 'text', number, function or (, found \"=\" at line 2, column 12",
        ),
        (
            "FROM /* WHERE a = 'x' ADN b = 'y' INTO $upstream",
            "expected an operator or INTO, found \"ADN\" at column 23, did you mean AND?",
        ),
        (
            "FROM /* WHERE a = 'x' && b = 'y' INTO $upstream",
            "expected an operator or INTO, found \"&&\" at column 23, did you mean AND?",
        ),
        ("FROM /* WHERE (a = 'x' INTO $upstream", "found ( without its ) at column 15"),
        ("FROM /* WHERE a = 'x') INTO $upstream", "expected an operator or INTO, found \")\" at column 22"),
        ("FROM /* WHERE a = 'x'", "expected an operator or INTO, found the end at column 22"),
        ("FROM /* WHERE a[0] = 'x' INTO $upstream", "expected an operator or INTO, found \"[\" at column 16"),
        (
            "FROM /* WHERE f(1,) INTO $upstream",
            "expected a property, $name, 'text', number, function or (, found \")\" at column 19",
        ),
        ("FROM /* WHERE f(1 2) INTO $upstream", "expected an operator, a comma or ), found the number \"2\" at column 19"),
        ("FROM /* WHERE {a} = 'x' INTO $upstream", "expected $name after {, found \"a\" at column 16"),
        ("FROM /* WHERE {$a = 'x' INTO $upstream", "expected } after $name, found \"=\" at column 19"),
        ("FROM /* WHERE INTO $upstream", "expected a condition, found none after WHERE at column 9"),
        ("FROM /* WHERE", "expected a condition, found none after WHERE at column 9"),
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
        ("FROM /* INTO BrokeredEndpoint(\"\"/modules/m/inputs/i\"\")", "expected ) after the endpoint, found \"/\" at column 33"),
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
            "found a comment that takes in WHERE: it begins with the /* of the source, so there is no room for another one at column 15",
        ),
        (
            "FROM /messages/* INTO $upstream /* note */",
            "found a comment that takes in INTO: it begins with the /* of the source, so there is no room for another one at column 15",
        ),
        ("", "the route is empty"),
        (" /* nothing */ ", "the route is empty"),
    ];
    for (text, expected) in cases {
        let (problem, offset) = whole(text).unwrap_err();
        assert_eq!(problem.at("r", text, offset).to_string(), format!("route r: {expected}"), "{text}");
    }
}

#[test]
fn what_iot_edge_takes_in_silence_is_taken_with_a_doubt() {
    let doubts = |text: &str| whole(text).unwrap().2;
    assert_eq!(doubts(&format!("FROM /* {IN} WHERE x = 1")), ["everything after its sink is ignored, here \"WHERE x = 1\""]);
    assert_eq!(
        doubts("FROM /* INTO BrokeredEndpoint('/a/b/c/d')"),
        ["its endpoint has \"a\" where modules is usual", "its endpoint has \"c\" where inputs is usual"]
    );
    assert_eq!(doubts(&format!("FROM /messages/* /* all */ {IN}")), [""; 0]);
}

#[test]
fn conditions_are_read_as_written() {
    let parsed = parse("FROM /messages WHERE   a = 'x' /* hm */ AND  b > $c   INTO $upstream").unwrap();
    assert_eq!(parsed.condition_text, "a = 'x' /* hm */ AND  b > $c");
    assert_eq!(parsed.condition.unwrap().to_string(), "a = 'x' AND b > $c");
    assert_eq!(parse("FROM /* INTO $upstream").unwrap().condition_text, "true");
}

#[test]
fn nesting_is_bounded_and_lists_of_alternatives_are_not() {
    let route = |condition: &str| format!("FROM /* WHERE {condition} INTO $upstream");
    let nested = |levels: usize| route(&format!("{}a = 'x'{}", "(".repeat(levels), ")".repeat(levels)));
    assert!(parse(&nested(MAX_NESTING - 1)).is_ok());
    let refused = [
        nested(MAX_NESTING),
        nested(3_000),
        route(&format!("{}a", "NOT ".repeat(1_500))),
        route(&format!("a {} = 'x'", "|| a ".repeat(1_000))),
        route(&format!("{}a{} = 'x'", "f(".repeat(1_000), ")".repeat(1_000))),
    ];
    for text in refused {
        assert!(matches!(parse(&text), Err((Problem::TooDeep, _))), "{text}");
    }
    assert!(parse(&route(&format!("a = 'x' {}", "OR a = 'y' ".repeat(700)))).is_ok());
}

#[test]
fn a_route_past_the_limit_is_refused_unread() {
    let text = format!("FROM /* {IN}{}", " ".repeat(MAX_ROUTE_BYTES));
    assert!(matches!(parse(&text), Err((Problem::TooLong { .. }, 0))));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}", words in prop::collection::vec(
        prop::sample::select(vec!["FROM", "INTO", "WHERE", "SELECT", "AND", "NOT", "-", "a", "$body.a[0]", "f", ",", "=", "||", "7", "{", "}", "*", "/", "/*", "*/", "$upstream", "BrokeredEndpoint", "(", ")", "\"/modules/m/inputs/i\"", "'", "\"", "\\", "messages", " ", "\n", "é"]), 0..30))
    {
        for text in [text, words.concat(), words.join(" ")] {
            if let Err((problem, offset)) = whole(&text) {
                prop_assert!(offset <= text.len());
                let _ = problem.at("r", &text, offset).to_string();
            }
        }
    }

    #[test]
    fn a_route_written_from_names_is_read_back(module in "[a-z][A-Za-z0-9_-]{0,20}x_", input in "[a-z]{1,10}_") {
        let text = format!("FROM /messages/modules/{module}/* INTO BrokeredEndpoint(\"/modules/{module}/inputs/{input}\")");
        let (parsed, endpoint, _) = whole(&text).unwrap();
        prop_assert_eq!(parsed.source, format!("/messages/modules/{module}/*"));
        prop_assert_eq!(endpoint, Endpoint::Input { module: module.parse().unwrap(), input });
    }
}
