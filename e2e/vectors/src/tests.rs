use std::io::Write;

use super::*;

fn run_on(file: &str, areas: &[&str]) -> Result<Report, Error> {
    let mut vectors = tempfile::NamedTempFile::new().unwrap();
    vectors.write_all(file.as_bytes()).unwrap();
    run(&Arguments { file: vectors.path().to_owned(), areas: areas.iter().map(|&area| area.to_owned()).collect() })
}

const LITERALS: &str = r#"[{"area": "literal", "id": "a", "expression": "0x10", "expected": 16.0},
    {"area": "other", "id": "b", "expected": null}, {"area": "another", "id": "c", "expected": null}]"#;

#[test]
fn records_that_agree_are_counted_and_those_not_run_are_told() {
    let report = run_on(LITERALS, &["literal"]).unwrap();
    assert!(report.is_success());
    let text = report.to_string();
    assert!(text.contains("literal                                1       0          0"), "{text}");
    assert!(text.contains("not run: 2 records of 2 other areas"), "{text}");
}

#[test]
fn a_record_that_differs_fails_the_run_and_is_shown() {
    let report = run_on(&LITERALS.replace("16.0", "17.0"), &["literal"]).unwrap();
    assert!(!report.is_success());
    assert!(report.to_string().contains("a: expected 17.0, got 16.0"), "{report}");
}

const CHECKPOINTS: &str = r#"[
    {"area": "checkpoint_admit", "id": "a", "message_offset": "-9", "checkpoint": "0", "expected": false},
    {"area": "checkpoint_commit", "id": "b", "checkpoint": "-1", "committed": ["5", "1", "2"], "remaining": ["3"], "expected": "2"},
    {"area": "checkpoint_commit_remaining", "id": "c", "checkpoint": -1, "committed": [5, 1], "remaining": [3],
        "expected": "every remaining message is still admitted afterwards"}]"#;

#[test]
fn the_journal_is_asked_where_a_queue_goes_on() {
    let report = run_on(CHECKPOINTS, &["checkpoint_"]).unwrap();
    assert!(report.is_success(), "{report}");
    let wrong = CHECKPOINTS.replace("false", "true").replace(r#""expected": "2""#, r#""expected": "5""#).replace("every", "each");
    let report = run_on(&wrong, &["checkpoint_"]).unwrap().to_string();
    for difference in ["a: expected true, got false", "b: expected \"5\", got \"2\"", "c: expected \"each"] {
        assert!(report.contains(difference), "{report}");
    }
}

#[test]
fn a_deviation_that_agrees_fails_the_run() {
    let agrees = r#"[{"area": "route_invalid", "id": "queue_id_parse-002", "route": "x", "expected": "route_error"}]"#;
    let report = run_on(agrees, &["route_invalid"]).unwrap();
    assert!(!report.is_success());
    assert!(report.to_string().contains("queue_id_parse-002: is listed as a deviation, and agrees"), "{report}");
}

#[test]
fn a_deviation_that_differs_in_another_way_fails_the_run() {
    let differs = r#"[{"area": "route_invalid", "id": "queue_id_parse-002", "route": "FROM /* INTO $upstream", "expected": "route_error"}]"#;
    let report = run_on(differs, &["route_invalid"]).unwrap();
    assert!(!report.is_success());
    assert!(report.to_string().contains("queue_id_parse-002: is listed as a deviation that gives"), "{report}");
}

#[test]
fn a_deviation_that_is_not_in_the_file_fails_a_whole_run() {
    let mut report = run_on(LITERALS, &["literal"]).unwrap();
    assert!(report.is_success(), "a part of the file need not have them");
    report.miss_deviations();
    assert!(!report.is_success());
    assert!(report.to_string().contains("queue_id_parse-002: is listed as a deviation, and there is no such record"), "{report}");
}

#[test]
fn what_cannot_be_run_or_read_is_an_error() {
    for (file, areas, expected) in [
        (LITERALS, &["nonsense"][..], "no area that this program knows begins with \"nonsense\""),
        (
            r#"[{"area": "checkpoint_admit", "id": "a", "message_offset": "x", "checkpoint": 1, "expected": true}]"#,
            &["checkpoint_admit"],
            "record a: message_offset is no offset",
        ),
        (LITERALS, &["arithmetic"], "the file has no record of area arithmetic"),
        (LITERALS, &[], "the file has no record of area condition_eval"),
        ("{}", &["literal"], "is not a JSON array of objects"),
        (r#"[{"area": "literal"}]"#, &["literal"], "record number 1: id is missing or no text"),
        (r#"[{"area": "literal", "id": "a", "expected": 1}]"#, &["literal"], "record a: expression is missing"),
        (
            r#"[{"area": "condition_eval", "id": "a", "condition": "a", "message": "m", "expected": "true"}]"#,
            &["condition_eval"],
            "record a: message names no fixture",
        ),
    ] {
        let error = run_on(file, areas).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(expected), "{file} {areas:?}: {error}");
    }
}
