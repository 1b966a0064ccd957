//! What the reference of the language says is so.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use edge_protocol::system_properties::SystemProperty;
use edge_routing::{Condition, RouteDefinition, RouteTable, Sees};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/routes.md");
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn its_routes_are_routes() {
    let page = page();
    let routes: Vec<_> = page.lines().filter(|line| line.starts_with("FROM ")).collect();
    assert!(routes.len() >= 3);
    for text in routes {
        let definition = RouteDefinition { name: "r", text, priority: None, time_to_live: None };
        assert!(RouteTable::compile([definition]).is_ok(), "{text}");
    }
}

#[test]
fn its_sources_are_sources() {
    let page = page();
    let sources: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| `/")?.split('`').next()).collect();
    assert_eq!(sources.len(), 7);
    for source in sources {
        let text = format!("FROM /{source} INTO $upstream");
        let table =
            RouteTable::compile([RouteDefinition { name: "r", text: &text, priority: None, time_to_live: None }]).unwrap();
        let modules = ["M".parse().unwrap()];
        assert_eq!(edge_routing::warnings(&table, &modules, true), [], "{text}");
    }
}

#[test]
fn it_names_every_system_property_and_no_other() {
    let page = page();
    let (_, list) = page.split_once("System properties: ").unwrap();
    let list = list.split_once(".\n").unwrap().0;
    let mut named: Vec<_> = list.split([',', '\n']).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let mut known: Vec<_> = SystemProperty::ALL.iter().map(|property| format!("`${}`", property.name())).collect();
    named.sort();
    known.sort();
    assert_eq!(named, known);
}

#[test]
fn it_names_functions_that_there_are_with_what_they_take() {
    let page = page();
    let (_, functions) = page.split_once("## Functions").unwrap();
    let mut names = Vec::new();
    for row in functions.lines().filter(|line| line.starts_with("| `")) {
        let calls = row.trim_start_matches("| ").split(" | ").next().unwrap();
        for call in calls.split("`, `").map(|call| call.trim_matches('`')) {
            let (name, arguments) = call.trim_end_matches(')').split_once('(').unwrap();
            let arguments: Vec<_> = arguments
                .split(", ")
                .map(|argument| match argument {
                    "number" | "start" | "length" => "1",
                    "path" => "tags.a",
                    _ => "'x'",
                })
                .collect();
            let text = format!("is_defined({name}({}))", arguments.join(", "));
            let condition = Condition::compile(&text, Sees::TwinChanges);
            assert!(condition.is_ok(), "{text}: {condition:?}");
            names.push(name.to_owned());
        }
    }
    names.dedup();
    // All that there are: 23 that compute from values, and the one with a path.
    assert_eq!(names.len(), 24, "{names:?}");
}
