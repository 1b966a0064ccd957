//! What it costs to hold a message against the routes. Prints nanoseconds; whoever wants numbers runs
//! `cargo test --profile fast -p edge-routing --test selection_cost -- --ignored --nocapture`.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

mod support;

use std::hint::black_box;
use std::time::Instant;

use edge_protocol::message::Message;
use edge_routing::{RouteDefinition, RouteTable};

const REPEATS: usize = 7;
const MESSAGES: u32 = 100_000;

fn table(texts: &[String]) -> RouteTable {
    let names: Vec<String> = (0..texts.len()).map(|number| format!("r{number}")).collect();
    let routes = names.iter().zip(texts).map(|(name, text)| RouteDefinition { name, text, priority: None, time_to_live: None });
    RouteTable::compile(routes).unwrap()
}

/// The median of some repeats, and how many destinations there are.
fn measure(what: &str, table: &RouteTable, message: &Message) {
    let mut nanoseconds: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let began = Instant::now();
            for _ in 0..MESSAGES {
                black_box(black_box(table).select(black_box(message)));
            }
            began.elapsed().as_secs_f64() * 1e9 / f64::from(MESSAGES)
        })
        .collect();
    nanoseconds.sort_by(f64::total_cmp);
    println!(
        "{:>8.0} ns ({:.0} to {:.0})  {} destinations  {what}",
        nanoseconds[REPEATS / 2],
        nanoseconds[0],
        nanoseconds[REPEATS - 1],
        table.select(message).iter().len()
    );
}

#[test]
#[ignore = "measures"]
fn nanoseconds_per_message() {
    let text = r#"{"machine": {"temperature": 101.5, "pressure": 10.2}, "ambient": {"temperature": 21.1, "humidity": 24}, "timeCreated": "2026-03-01T12:00:00Z"}"#;
    let body = format!("{}{}", text, " ".repeat(256 - text.len()));
    let properties = [("sequence", Some("17")), ("level", Some("high")), ("unit", Some("C"))];
    let message = support::message(&properties, &body);
    let sink = |number: usize| format!("INTO BrokeredEndpoint('/modules/filter/inputs/in{number}')");

    measure("1 route without a condition", &table(&["FROM /messages/* INTO $upstream".to_owned()]), &message);
    let conditions = "level = 'high' AND as_number(sequence) > 5 AND $body.machine.temperature > 25";
    measure(
        "1 route, 2 conditions on properties",
        &table(&["FROM /messages/* WHERE level = 'high' AND as_number(sequence) > 5 INTO $upstream".to_owned()]),
        &message,
    );
    measure(
        "1 route, 2 conditions on properties and 1 on a body of 256 bytes",
        &table(&[format!("FROM /messages/* WHERE {conditions} INTO $upstream")]),
        &message,
    );
    let each = |route: &dyn Fn(usize) -> String| table(&(0..200).map(route).collect::<Vec<_>>());
    measure(
        "200 routes of 200 modules, 1 of this one",
        &each(&|n| {
            let module = if n == 100 { "m".to_owned() } else { format!("m{n}") };
            format!("FROM /messages/modules/{module}/* {}", sink(n))
        }),
        &message,
    );
    measure(
        "200 routes of 200 outputs of this module",
        &each(&|n| {
            let output = if n == 100 { "out".to_owned() } else { format!("out{n}") };
            format!("FROM /messages/modules/m/outputs/{output} {}", sink(n))
        }),
        &message,
    );
    measure(
        "200 routes that ask properties, 1 holds",
        &each(&|n| format!("FROM /messages/* WHERE sequence = '{n}' {}", sink(n))),
        &message,
    );
    measure(
        "200 routes that ask the body in one place, 1 holds",
        &each(&|n| format!("FROM /messages/* WHERE $body.ambient.humidity = {n} {}", sink(n))),
        &message,
    );
    measure(
        "200 routes that ask the body in 200 places, none holds",
        &each(&|n| format!("FROM /messages/* WHERE $body.ambient.p{n} = 1 {}", sink(n))),
        &message,
    );
    measure("200 routes without a condition to 1 endpoint", &each(&|_| "FROM /messages/* INTO $upstream".to_owned()), &message);
}
