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
fn bodies_that_are_no_json_object_have_no_values() {
    let deep = format!("{{\"a\": {}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let elsewhere = format!("{{\"b\": {}1{}, \"a\": 1}}", "[".repeat(100_000), "]".repeat(100_000));
    for body in ["", "null", "[{\"a\": 1}]", "7", "{\"a\": 1", "{\"a\": 1} x", "{\"a\": 1e999}", "{'a': 1}", "{\"b\": }"] {
        assert_eq!(found(body.as_bytes(), Encoding::Utf8, "a"), None, "{body}");
    }
    assert_eq!(found(b"{\"a\": \"\xff\"}", Encoding::Utf8, "a"), None);
    // Depth off the paths is skipped; on them it is bounded.
    assert_eq!(found(elsewhere.as_bytes(), Encoding::Utf8, "a"), Some(Found::Number(1.0)));
    assert_eq!(found(deep.as_bytes(), Encoding::Utf8, "a"), Some(Found::Composite));
    let path = vec!["a"; MAX_PATH_STEPS].join(".");
    let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    assert_eq!(found(nested(MAX_PATH_STEPS).as_bytes(), Encoding::Utf8, &path), Some(Found::Number(1.0)));
    assert_eq!(found(nested(10_000).as_bytes(), Encoding::Utf8, &path), Some(Found::Composite));
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
}
