//! What conditions come to, rule by rule. `T` holds, `F` does not, `U` is undefined, `!` is refused.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use edge_protocol::message::Message;
use edge_routing::{Condition, Sees, Truth};

const BODY: &str = r#"{
    "temperature": 21.5, "unit": "C", "alarm": false, "armed": true, "nothing": null, "when": "2026-03-01T12:00:00Z",
    "room": {"name": "Küche", "doors": [1, {"open": true}]}
}"#;

fn example() -> Message {
    support::message(
        &[("Level", Some("high")), ("count", Some("3")), ("flag", None), ("$own", Some("mine")), ("$unit", Some("F"))],
        BODY,
    )
}

fn result(condition: &str, message: &Message) -> char {
    match Condition::compile(condition, Sees::Telemetry).map(|condition| condition.evaluate(message)) {
        Ok(Truth::True) => 'T',
        Ok(Truth::False) => 'F',
        Ok(Truth::Undefined) => 'U',
        Err(_) => '!',
    }
}

fn check(table: &[(&str, char)]) {
    let message = example();
    let wrong: Vec<_> = table
        .iter()
        .map(|(condition, expected)| (*condition, *expected, result(condition, &message)))
        .filter(|(_, expected, got)| expected != got)
        .collect();
    assert!(wrong.is_empty(), "condition, expected, got: {wrong:#?}");
}

#[test]
fn properties_are_strings_found_in_any_case() {
    check(&[
        ("level = 'high'", 'T'),
        ("LEVEL = \"high\"", 'T'),
        ("level = 'High'", 'F'),
        ("level != 'low'", 'T'),
        ("level <> 'high'", 'F'),
        ("level < 'low'", 'T'),
        ("missing = 'x'", 'U'),
        ("missing != 'x'", 'U'),
        ("count = 3", '!'),
        ("count > 2", '!'),
        ("count = true", '!'),
        ("as_number(count) = 3", 'T'),
        ("flag = ''", 'U'),
        ("flag", 'U'),
        ("level", 'U'),
    ]);
}

#[test]
fn a_dollar_asks_for_a_property_of_that_very_name_then_the_body_then_the_system() {
    check(&[
        ("$own = 'mine'", 'T'),
        ("$connectionModuleId = 'm'", 'T'),
        ("$CONNECTIONdeviceID = 'edge'", 'T'),
        ("$outputName = 'out'", 'T'),
        ("$contentType = 'application/json'", 'T'),
        ("$messageId = 'x'", 'U'),
        ("$unknown = 'x'", 'U'),
        ("{$own} = 'mine'", 'U'),
        ("{ $outputName } = 'out'", 'T'),
        ("is_defined($body)", 'F'),
        ("is_defined($a[0])", 'F'),
        ("$a[0] = 'x'", '!'),
        ("NOT is_defined($connectionModuleId)", 'F'),
    ]);
}

#[test]
fn numbers_are_doubles_and_what_is_none_is_undefined() {
    check(&[
        ("1 + 2 * 3 = 7", 'T'),
        ("(1 + 2) * 3 = 9", 'T'),
        ("7 % 4 = 3", 'T'),
        ("- 5 < 0", 'T'),
        ("5 - -3 = 8", 'T'),
        ("1 / 0 > 1e300", 'T'),
        ("is_defined(0 / 0)", 'F'),
        ("0 / 0 = 1", 'U'),
        ("10 % 0 = 1", 'U'),
        ("0x10 = 16", 'T'),
        (".5 = 0.5", 'T'),
        ("0.1 + 0.2 = 0.3", 'F'),
        ("1 + 'a' = 1", '!'),
        ("1 + null = 1", '!'),
        ("- level < 0", '!'),
        ("as_number('1,000.5') = 1000.5", 'T'),
        ("as_number('(2)') = -2", 'T'),
        ("as_number('x') = 1", 'U'),
        ("3", 'U'),
    ]);
}

#[test]
fn there_are_three_values_and_one_side_may_decide_alone() {
    check(&[
        ("true", 'T'),
        ("false", 'F'),
        ("null", 'F'),
        ("undefined", 'U'),
        ("NOT true", 'F'),
        ("NOT null", 'T'),
        ("NOT undefined", '!'),
        ("NOT (missing = 'x')", 'U'),
        ("NOT level = 'high'", '!'),
        ("false AND missing = 'x'", 'F'),
        ("missing = 'x' AND false", 'F'),
        ("true AND missing = 'x'", 'U'),
        ("true OR missing = 'x'", 'T'),
        ("missing = 'x' OR true", 'T'),
        ("false OR missing = 'x'", 'U'),
        ("undefined AND undefined", 'U'),
        ("null AND true", 'F'),
        ("(null AND true) = null", 'T'),
        ("(false AND null) = null", 'T'),
        ("null OR true", 'T'),
        ("null OR false", 'F'),
        ("(null OR null) = null", 'T'),
        ("level = 'low' OR count = '3' AND true", 'T'),
        ("level AND true", '!'),
        ("true OR 1", '!'),
    ]);
}

#[test]
fn only_the_same_kinds_compare() {
    check(&[
        ("null = null", 'T'),
        ("null <= null", 'T'),
        ("null != null", 'F'),
        ("undefined = undefined", 'U'),
        ("false < true", 'T'),
        ("1 < 2 = true", 'T'),
        ("1 < 2 < 3", '!'),
        ("level = null", '!'),
        ("level = undefined", '!'),
        ("1 = null", '!'),
        ("'a' = 1", '!'),
        ("missing ?? 'x' = 'x'", '!'),
        ("(missing ?? 'x') = 'x'", 'T'),
        ("(level ?? 'x') = 'high'", 'T'),
        ("(missing ?? missing ?? 'x') = 'x'", 'T'),
        ("(flag ?? 'x') = 'x'", 'U'),
        ("(0 / 0 ?? 1) = 1", 'T'),
        ("(level ?? 1) = 1", '!'),
    ]);
}

#[test]
fn values_of_the_body_may_be_anything() {
    check(&[
        ("$body.temperature > 21", 'T'),
        ("$BODY.temperature = 21.5", 'T'),
        ("$body.Temperature = 21.5", 'F'),
        ("$body.temperature = '21.5'", 'F'),
        ("$body.temperature != '21.5'", 'T'),
        ("$body.temperature < 'a'", 'T'),
        ("$body.temperature + 1 = 22.5", 'T'),
        ("$body.temperature % 2 = 1.5", 'T'),
        ("- $body.temperature < 0", 'T'),
        ("$body.unit = 'C'", 'T'),
        ("$body.unit = $unit", 'F'),
        ("$body.unit || 'x' = 'Cx'", 'T'),
        ("$body.room.name = 'Küche'", 'T'),
        ("$body.room.doors[1].open", 'T'),
        ("$body.room.doors[0] = 1", 'T'),
        ("$body.room.doors[2] = null", 'T'),
        ("$body.room = null", 'U'),
        ("$body.none = null", 'T'),
        ("$body.none != 'x'", 'T'),
        ("$body.nothing = null", 'T'),
        ("$body.armed", 'T'),
        ("$body.alarm", 'F'),
        ("NOT $body.alarm", 'T'),
        ("$body.unit", 'U'),
        ("$body.armed AND $body.armed", 'T'),
        ("$body.armed AND level = 'high'", 'T'),
        ("level = 'high' AND $body.armed", 'T'),
        ("$body.alarm AND missing = 'x'", 'U'),
        ("$body.armed OR $body.unit", 'U'),
        ("$body.armed AND 'a'", 'U'),
        ("$body.when > '2025'", 'U'),
        ("$body.temperature = undefined", '!'),
        ("is_defined($body.none)", 'T'),
        ("is_defined($body.room)", 'F'),
        ("is_null($body.none)", 'T'),
        ("is_null($body.nothing)", 'T'),
        ("is_null($body.unit)", 'F'),
        ("is_number($body.temperature) AND is_string($body.unit) AND is_bool($body.armed)", 'T'),
        ("abs($body.unit) = 1", 'U'),
        ("as_number($body.temperature) = 21.5", 'T'),
        ("$body.a..b = 1", '!'),
        ("$body. = 1", '!'),
        ("$body.a[] = 1", '!'),
        ("$body.a['b'] = 1", '!'),
    ]);
}

#[test]
fn the_body_counts_only_as_json_in_a_known_encoding() {
    use edge_protocol::system_properties::SystemProperty;

    let message = |content_type: &str, encoding: &str, body: &str| {
        let mut message = example();
        message.system.set(SystemProperty::ContentType, content_type);
        message.system.set(SystemProperty::ContentEncoding, encoding);
        message.body = body.to_owned().into();
        message
    };
    let condition = "$body.a = 1";
    for (content_type, encoding, body, expected) in [
        ("application/json", "utf-8", r#"{"a": 1}"#, 'T'),
        ("APPLICATION/JSON", "UTF-8", r#"{"a": 1}"#, 'T'),
        ("application/json; charset=utf-8", "utf-8", r#"{"a": 1}"#, 'T'),
        ("application/json", "latin-1", r#"{"a": 1}"#, 'U'),
        ("text/plain", "utf-8", r#"{"a": 1}"#, 'U'),
        ("application/json", "utf-8", r#"[{"a": 1}]"#, 'U'),
        ("application/json", "utf-8", r#"{"b": 1e999, "c": NaN, "d": "\ud800", "a": 1}"#, 'T'),
        ("application/json", "utf-8", r#"{"a": NaN}"#, 'U'),
        ("application/json", "utf-8", r#"{"a": Infinity}"#, 'F'),
        ("application/json", "utf-8", "a", 'U'),
        ("application/json", "utf-8", "", 'U'),
    ] {
        assert_eq!(result(condition, &message(content_type, encoding, body)), expected, "{content_type} {encoding} {body}");
    }
}

#[test]
fn functions_take_what_they_say() {
    check(&[
        ("abs(-2) = 2 AND sign(-2) = -1 AND sign(0) = 0 AND square(3) = 9", 'T'),
        ("floor(-2.1) = -3 AND ceiling(2.1) = 3 AND sqrt(9) = 3 AND power(2, 10) = 1024", 'T'),
        ("exp(0) = 1", 'T'),
        ("sqrt(-1) = 1", 'U'),
        ("is_number(1 / 0)", 'F'),
        ("LENGTH('Küche') = 5 AND length('😀') = 2", 'T'),
        ("upper(level) = 'HIGH' AND Lower('ÀB') = 'àb'", 'T'),
        ("concat('a', level, flag) = 'ahigh'", 'T'),
        ("concat('a', missing) = 'a'", 'U'),
        ("concat('a') = 'a'", '!'),
        ("'a' || flag = 'a'", 'T'),
        ("substring(level, 1) = 'igh' AND substring(level, 1, 2) = 'ig' AND substring(level, 4) = ''", 'T'),
        ("substring(level, 5) = ''", 'U'),
        ("substring(level, 4, 0) = ''", 'U'),
        ("substring(level, -1) = ''", 'U'),
        ("index_of(level, 'g') = 2 AND index_of(level, 'x') = -1", 'T'),
        ("starts_with(level, 'hi') AND ends_with(level, 'gh') AND contains(level, 'ig')", 'T'),
        ("contains(level, 'IG')", 'F'),
        ("contains(flag, '')", 'U'),
        ("is_defined(level) AND is_defined(flag) AND is_defined(null)", 'T'),
        ("is_defined(missing)", 'F'),
        ("is_null(flag) AND is_null(null)", 'T'),
        ("is_null(missing)", 'F'),
        ("is_string(level)", 'T'),
        ("is_string(flag)", 'F'),
        ("is_string(missing)", 'F'),
        ("is_bool(missing = 'x')", 'F'),
        ("abs(level) = 1", '!'),
        ("length(3) = 1", '!'),
        ("length(null) = 1", '!'),
        ("abs(1, 2) = 1", '!'),
        ("nothing_like_it(1)", '!'),
        ("twin_change_includes(tags.a)", '!'),
    ]);
}

#[test]
fn operators_without_blanks_belong_to_names() {
    check(&[
        ("count='3'", 'T'),
        ("count!='3'", 'U'),
        ("count<>'4'", 'T'),
        ("$body.temperature>=21.5", 'T'),
        ("3*4 = 12", '!'),
        ("a||b = 'x'", 'U'),
        ("count='3'AND level='high'", '!'),
        ("level = 'it''s'", 'U'),
        ("level = TRUE", 'U'),
        ("level = 'high' /* of the two */ AND count = '3'", 'T'),
    ]);
}

#[test]
fn a_text_longer_than_any_message_is_undefined() {
    let long = "x".repeat(60_000);
    let message = support::message(&[("a", Some(&long))], "{}");
    let repeated = format!("is_defined(concat({}))", vec!["a"; 4_000].join(","));
    for (condition, expected) in [
        ("length(a || a || a || a) = 240000", 'T'),
        ("length(concat(a, concat(a, a), a)) = 240000", 'T'),
        ("is_defined(a || a || a || a || a)", 'F'),
        ("is_defined(concat(a, a) || concat(a, a, a))", 'F'),
        ("is_defined(concat(upper(a || a), lower(a || a), a))", 'F'),
        (repeated.as_str(), 'F'),
    ] {
        assert_eq!(result(condition, &message), expected, "{condition:.60}");
    }
}

#[test]
fn each_operand_that_is_not_yes_or_no_is_named_at_its_place() {
    let problems = |condition: &str| -> Vec<String> {
        let errors = Condition::compile(condition, Sees::Telemetry).unwrap_err();
        errors.iter().map(|error| error.to_string().trim_start_matches("route : ").to_owned()).collect()
    };
    assert_eq!(
        problems("level AND 1 + 2 AND a = 'b' AND 'x' AND c = 'd'"),
        [
            "AND takes bool on either side, found string at column 1",
            "AND takes bool on either side, found number at column 13",
            "AND takes bool on either side, found string at column 33",
        ]
    );
    assert_eq!(
        problems("a = 'b' OR nothing(1) OR level OR abs('x') > 1"),
        [
            "unknown function \"nothing\" at column 12",
            "OR takes bool on either side, found string at column 26",
            "abs takes (number), found (string) at column 35; a property is a string, and as_number(…) makes a number of it",
        ]
    );
    // What cannot be read may be of the body, and then its neighbour may be anything.
    assert_eq!(problems("nothing(1) AND level").len(), 1);
    assert_eq!(
        problems("(a = 'b' AND c = 'd' AND e = 'f') + 1 = 2"),
        ["+ takes number and number, found bool and number at column 35"]
    );
}
