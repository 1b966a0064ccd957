//! No text of a route and no message makes the compiler or a compiled route fail otherwise than by an error.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use edge_routing::{MAX_PROBLEMS_PER_ROUTE, MAX_ROUTE_BYTES, RouteDefinition, RouteTable};
use proptest::prelude::*;

const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "INTO",
    "AND",
    "OR",
    "NOT",
    "true",
    "null",
    "undefined",
    "*",
    "/",
    "%",
    "+",
    "-",
    "||",
    "<",
    "<=",
    ">",
    "=",
    "!=",
    "??",
    "(",
    ")",
    ",",
    "{",
    "}",
    "[",
    "]",
    "?",
    "@",
    "a",
    "'x'",
    "'",
    "\"",
    "\\",
    "7",
    "-7",
    "0xFFFFFFFFFFFFFFFF",
    "1e999",
    "$body.a",
    "$body.a[0].b",
    "$body.",
    "$messageId",
    "{$body.a}",
    "length(",
    "concat(",
    "substring(",
    "as_number(",
    "is_null(",
    "power(",
    "twin_change_includes(",
    "tags.a",
    "/messages/*",
    "/*",
    "*/",
    "/twinChangeNotifications",
    "$upstream",
    "BrokeredEndpoint(\"/modules/m/inputs/i\")",
    "é",
    "\u{0}",
    "😀",
    "\n",
];

fn route(text: &str) -> RouteDefinition<'_> {
    RouteDefinition { name: "r", text, priority: None, time_to_live: None }
}

/// Compiles it, and if it is a route, tries it.
fn try_out(text: &str, body: &str) {
    match RouteTable::compile([route(text)]) {
        Ok(table) => {
            let mut message = support::message(&[("a", Some("7")), ("b", None)], body);
            assert!(table.select(&message).iter().len() <= 1);
            message.body = "😀\u{0}".repeat(10).into();
            assert!(table.select(&message).iter().len() <= 1);
        }
        Err(errors) => {
            assert!((1..=MAX_PROBLEMS_PER_ROUTE).contains(&errors.len()), "{text}: {errors:?}");
            for error in errors {
                assert!(error.to_string().len() < 1_000 && !error.to_string().contains('\n'), "{error}");
                assert!(
                    error.line <= text.matches('\n').count() + 1 && error.column <= text.chars().count() + 1,
                    "{text}: {error}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn words_in_any_order(words in prop::collection::vec(prop::sample::select(WORDS), 0..40), gap in "[ ]?", body in "\\PC{0,40}") {
        let condition = words.join(&gap);
        try_out(&condition, &body);
        try_out(&format!("FROM /* WHERE {condition} INTO $upstream"), &body);
        try_out(&format!("FROM /twinChangeNotifications WHERE {condition} INTO $upstream"), &body);
    }

    #[test]
    fn any_characters(text in any::<String>(), body in any::<String>()) {
        try_out(&text, &body);
        try_out(&format!("FROM /* WHERE {text} INTO $upstream"), &body);
    }
}

#[test]
fn long_and_deep_texts_end_in_an_answer() {
    let body = format!("{}1{}", "{\"a\": ".repeat(20_000), "}".repeat(20_000));
    for unit in [
        "(",
        "NOT ",
        "- ",
        "f(",
        "a AND ",
        "1 + ",
        "'a' || ",
        "true OR ",
        "a ?? ",
        "$body.a.a.a.a = 1 OR ",
        "f() OR ",
        "{",
        "[",
        "\\",
        "1 +",
    ] {
        let count = (MAX_ROUTE_BYTES - 60) / unit.len();
        let repeated = unit.repeat(count);
        for last in ["", "true", "1", "'a'"] {
            try_out(&format!("FROM /* WHERE {repeated}{last} INTO $upstream"), &body);
            try_out(&format!("FROM /* WHERE {repeated}{last}{} INTO $upstream", ")".repeat(20)), &body);
        }
    }
}

#[test]
fn more_places_in_bodies_than_the_limit_are_refused() {
    let texts: Vec<String> = (0..11)
        .map(|part| {
            let paths: Vec<String> = (0..100).map(|n| format!("$body.p{part}x{n} = 1")).collect();
            format!("FROM /* WHERE {} INTO $upstream", paths.join(" OR "))
        })
        .collect();
    let names: Vec<String> = (0..11).map(|n| format!("r{n}")).collect();
    let routes = |count: usize| {
        names.iter().zip(&texts).take(count).map(|(name, text)| RouteDefinition {
            name,
            text,
            priority: None,
            time_to_live: None,
        })
    };
    assert!(RouteTable::compile(routes(10)).is_ok());
    let errors = RouteTable::compile(routes(11)).unwrap_err();
    assert_eq!(errors[0].to_string(), "route r10: the routes ask for more than 1000 places in the body");
}
