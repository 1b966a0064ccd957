use super::*;
use crate::body::path::{BodyPath, MAX_PATH_STEPS};
use proptest::prelude::*;

fn found(body: &[u8], encoding: Encoding, path: &str) -> Option<Found<'static>> {
    let mut paths = Paths::default();
    // Another one, so that there is something to confuse it with.
    paths.number(&BodyPath::parse("z.z").unwrap()).unwrap();
    let number = paths.number(&BodyPath::parse(path).unwrap()).unwrap();
    read(&paths, encoding, body).map(|mut values| values.swap_remove(number).into_owned())
}

#[test]
fn what_is_at_the_end_of_a_path_is_found() {
    let body = br#" {"a": {"b": [1, {"c": "x\u0041"}, [7]], "n": null}, "t": true, "s": "2017-03-09T00:00:00Z", "z": 1} "#;
    for (path, expected) in [
        ("a", Found::Composite),
        ("a.b", Found::Composite),
        ("a.b[0]", Found::Number(1.0)),
        ("a.b[1].c", Found::Text("xA".into())),
        ("a.b[1].d", Found::Nothing),
        ("a.b[3]", Found::Nothing),
        ("a.b.c", Found::Nothing),
        ("a[0]", Found::Nothing),
        ("a.n", Found::Null),
        ("a.n.x", Found::Nothing),
        ("A", Found::Nothing),
        ("t", Found::Bool(true)),
        ("s", Found::Date),
    ] {
        assert_eq!(found(body, Encoding::Utf8, path), Some(expected), "{path}");
    }
}

#[test]
fn of_a_name_given_twice_the_last_value_counts() {
    assert_eq!(found(br#"{"a": 1, "a": 2}"#, Encoding::Utf8, "a"), Some(Found::Number(2.0)));
    assert_eq!(found(br#"{"a": {"b": 1}, "a": {}}"#, Encoding::Utf8, "a.b"), Some(Found::Nothing));
    assert_eq!(found(br#"{"a": [{"b": 1}], "a": 3}"#, Encoding::Utf8, "a[0].b"), Some(Found::Nothing));
}

#[test]
fn a_name_given_over_and_over_costs_no_more_for_many_paths() {
    let mut paths = Paths::default();
    for number in 0..999 {
        paths.number(&BodyPath::parse(&format!("a.p{number}")).unwrap()).unwrap();
    }
    let kept = paths.number(&BodyPath::parse("b").unwrap()).unwrap();
    let body = format!("{{{} \"b\": 1}}", r#""a": {"p7": 1}, "a": 1,"#.repeat(10_000));
    let one = {
        let mut paths = Paths::default();
        paths.number(&BodyPath::parse("a.p7").unwrap()).unwrap();
        paths
    };
    // The fastest of a few, so that whatever else the machine does is not counted.
    let fastest = |paths: &Paths| {
        let times = (0..5).map(|_| {
            let began = std::time::Instant::now();
            assert!(read(paths, Encoding::Utf8, body.as_bytes()).is_some());
            began.elapsed()
        });
        times.min().unwrap()
    };
    let (few, many) = (fastest(&one), fastest(&paths));
    assert!(many < few * 20, "{few:?} for one path, {many:?} for a thousand");
    let values = read(&paths, Encoding::Utf8, body.as_bytes()).unwrap();
    assert_eq!((&values[7], &values[kept]), (&Found::Nothing, &Found::Number(1.0)));
}

#[test]
fn bodies_that_are_no_json_object_have_no_values() {
    for body in [
        "",
        "null",
        "[{\"a\": 1}]",
        "7",
        "{\"a\": 1",
        "{\"a\": 1} x",
        "{\"a\": 1}{}",
        "{'a': 1}",
        "{\"b\": }",
        "{\"a\": 1,}",
        "{,\"a\": 1}",
        "{\"a\": 1 \"b\": 2}",
        "{\"a\" 1}",
        "{\"a\": [1,]}",
        "{\"a\": [1}}",
        "{\"a\": \"x}",
        "{\"a\": \"\\x\"}",
        "{\"a\": \"\\u12g4\"}",
        "{\"a\": \"\\",
        "{\"a\": 01}",
        "{\"a\": 1.}",
        "{\"a\": .5}",
        "{\"a\": 1e}",
        "{\"a\": +1}",
        "{\"a\": -}",
        "{\"a\": -NaN}",
        "{\"a\": nul}",
        "{\"a\": trueish}",
        "{\"a\": 1 /* one */}",
    ] {
        // Whether anybody asks for what is wrong or not.
        for path in ["a", "c"] {
            assert_eq!(found(body.as_bytes(), Encoding::Utf8, path), None, "{body}");
        }
    }
}

#[test]
fn depth_is_bounded_wherever_it_is() {
    let path = vec!["a"; MAX_PATH_STEPS].join(".");
    let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    assert_eq!(found(nested(MAX_PATH_STEPS).as_bytes(), Encoding::Utf8, &path), Some(Found::Number(1.0)));
    assert_eq!(found(nested(MAX_DEPTH).as_bytes(), Encoding::Utf8, &path), Some(Found::Composite));
    for levels in [MAX_DEPTH + 1, 100_000] {
        assert_eq!(found(nested(levels).as_bytes(), Encoding::Utf8, &path), None);
        assert_eq!(found(format!("{{\"b\": 1, \"c\": {}}}", nested(levels)).as_bytes(), Encoding::Utf8, "b"), None);
    }
}

#[test]
fn a_value_that_is_none_spoils_no_other() {
    for (value, expected) in [
        ("1e999", Found::Number(f64::INFINITY)),
        ("-1e999", Found::Number(f64::NEG_INFINITY)),
        ("Infinity", Found::Number(f64::INFINITY)),
        ("-Infinity", Found::Number(f64::NEG_INFINITY)),
        ("123456789012345678901234567890", Found::Number(123_456_789_012_345_678_901_234_567_890.0)),
        (r#""\ud83d""#, Found::Text("\u{fffd}".into())),
        (r#""\udc00x\ud83d\ude00\/\'\b\f\n\r\t\"\\""#, Found::Text("\u{fffd}x😀/'\u{8}\u{c}\n\r\t\"\\".into())),
        ("\"tab\tline\n\"", Found::Text("tab\tline\n".into())),
    ] {
        let body = format!("{{\"a\": {value}, \"b\": 1, \"c\": [{value}]}}");
        assert_eq!(found(body.as_bytes(), Encoding::Utf8, "a"), Some(expected), "{value}");
        assert_eq!(found(body.as_bytes(), Encoding::Utf8, "b"), Some(Found::Number(1.0)), "{value}");
    }
    assert!(matches!(found(b"{\"a\": NaN}", Encoding::Utf8, "a"), Some(Found::Number(number)) if number.is_nan()));
    assert_eq!(found(b"{\"x\": NaN, \"a\": 1}", Encoding::Utf8, "a"), Some(Found::Number(1.0)));
    assert_eq!(found(b"{\"a\": \"x\xff\", \"b\": 1}", Encoding::Utf8, "a"), Some(Found::Text("x\u{fffd}".into())));
    assert_eq!(found(b"{\"a\": \"x\xff\", \"b\": 1}", Encoding::Utf8, "b"), Some(Found::Number(1.0)));
    let half: Vec<u8> =
        "{\"a\": \"?\", \"b\": 1}".encode_utf16().flat_map(|unit| if unit == 63 { 0xD83D } else { unit }.to_le_bytes()).collect();
    assert_eq!(found(&half, Encoding::Utf16, "a"), Some(Found::Text("\u{fffd}".into())));
    assert_eq!(found(&half, Encoding::Utf16, "b"), Some(Found::Number(1.0)));
}

#[test]
fn other_encodings_are_converted() {
    let text = "{\"a\": \"é😀\"}";
    let expected = Some(Found::Text("é😀".into()));
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16_big: Vec<u8> = std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect();
    let utf32: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    let utf32_big: Vec<u8> = "\u{feff}".chars().chain(text.chars()).flat_map(|c| u32::from(c).to_be_bytes()).collect();
    let utf8_marked = format!("\u{feff}{text}");
    assert_eq!(found(&utf16, Encoding::Utf16, "a"), expected);
    assert_eq!(found(&utf16_big, Encoding::Utf16, "a"), expected);
    assert_eq!(found(&utf32, Encoding::Utf32, "a"), expected);
    assert_eq!(found(&utf32_big, Encoding::Utf32, "a"), expected);
    assert_eq!(found(utf8_marked.as_bytes(), Encoding::Utf8, "a"), expected);
    assert_eq!(found(&utf16[..utf16.len() - 1], Encoding::Utf16, "a"), None);
    assert_eq!(found(&utf32[..utf32.len() - 1], Encoding::Utf32, "a"), None);
    assert_eq!(found(&utf16, Encoding::Utf8, "a"), None);
    assert_eq!(found(&utf16, Encoding::Utf32, "a"), None);
}

#[test]
fn the_encoding_has_to_be_said_and_the_type_has_to_be_json() {
    for (content_type, content_encoding, expected) in [
        (Some("application/json"), Some("utf-8"), Some(Encoding::Utf8)),
        (Some("Application/JSON"), Some("UTF-16"), Some(Encoding::Utf16)),
        (Some("application/json; charset=utf-16"), Some("utf-8"), Some(Encoding::Utf8)),
        (Some("application/json;charset=\"utf-32\""), None, Some(Encoding::Utf32)),
        (Some("application/json"), None, None),
        (Some("application/json"), Some("latin1"), None),
        (Some("application/jsonx"), Some("utf-8"), None),
        (Some("text/plain"), Some("utf-8"), None),
        (None, Some("utf-8"), None),
    ] {
        assert_eq!(encoding(content_type, content_encoding), expected, "{content_type:?} {content_encoding:?}");
    }
}

proptest! {
    #[test]
    fn no_body_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), json in "[\\[\\]{}\",:a-c0-9. \\\\u-]{0,60}") {
        for encoding in [Encoding::Utf8, Encoding::Utf16, Encoding::Utf32] {
            let _ = found(&bytes, encoding, "a.b[0]");
            let _ = found(json.as_bytes(), encoding, "a.b[0]");
        }
    }

    #[test]
    fn numbers_are_the_nearest_doubles(number in any::<f64>().prop_filter("JSON has no other", |number| number.is_finite())) {
        for text in [format!("{number}"), format!("{number:e}"), format!("{number:?}")] {
            let body = format!("{{\"a\": {text}}}");
            prop_assert_eq!(found(body.as_bytes(), Encoding::Utf8, "a"), Some(Found::Number(number)), "{}", text);
        }
    }

    #[test]
    fn what_is_found_does_not_depend_on_what_else_is_asked_for(
        parts in prop::collection::vec(prop::sample::select(PARTS), 0..14),
        others in prop::collection::vec(prop::sample::select(ASKED), 0..5),
        asked in prop::sample::select(ASKED),
    ) {
        let body = format!("{{{}}}", parts.join(","));
        let mut paths = Paths::default();
        for other in others {
            paths.number(&BodyPath::parse(other).unwrap()).unwrap();
        }
        let number = paths.number(&BodyPath::parse(asked).unwrap()).unwrap();
        let mut alone = Paths::default();
        alone.number(&BodyPath::parse(asked).unwrap()).unwrap();
        let among_others = read(&paths, Encoding::Utf8, body.as_bytes()).map(|values| values[number].clone());
        let alone = read(&alone, Encoding::Utf8, body.as_bytes()).map(|values| values[0].clone());
        prop_assert_eq!(among_others, alone, "{} of {}", asked, body);
    }
}

const ASKED: &[&str] = &["a", "a.b", "a.b[0]", "a.b[1].c", "a.c", "b", "b[1]", "c.a.b"];

const PARTS: &[&str] = &[
    r#""a": 1"#,
    r#""a": {"b": 1e999}"#,
    r#""a": {"b": [1, {"c": "\ud800"}], "b": 3, "c": 1}"#,
    r#""a": {"b": [1, {"c": true}]}"#,
    r#""a": {"c": {"b": []}}"#,
    r#""b": Infinity"#,
    r#""b": [2, "\u0041"]"#,
    r#""\u0062": [[], 7]"#,
    r#""c": {"a": {"b": 1}, "a": {}}"#,
    r#""c": {"a": {"b": 123456789.123456789}}"#,
    r#""d": 01"#,
    r#""d": "\x""#,
];
