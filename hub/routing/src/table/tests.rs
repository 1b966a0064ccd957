use super::*;
use edge_protocol::system_properties::{SystemProperties, SystemProperty};

fn route(name: &str, route: &str) -> RouteConfiguration {
    RouteConfiguration::new(name, route)
}

fn ranked<'d>(name: &'d str, text: &'d str, priority: Option<u8>, seconds: Option<u64>) -> RouteDefinition<'d> {
    RouteDefinition { name, text, priority, time_to_live: seconds.map(Duration::from_secs) }
}

fn message(from: &str, output: Option<&str>) -> Message {
    Message {
        from: from.parse().unwrap(),
        output: output.map(str::to_owned),
        system: SystemProperties::new(),
        properties: Vec::new(),
        body: Vec::new().into(),
    }
}

fn selected(table: &RouteTable, message: &Message) -> Vec<String> {
    table.select(message).iter().map(|selected| selected.destination.queue_id().to_string()).collect()
}

#[test]
fn a_message_goes_to_each_endpoint_once_however_many_routes_lead_there() {
    let table = RouteTable::compile(&[
        route("readings", r#"FROM /messages/modules/sensor/* INTO BrokeredEndpoint("/modules/filter/inputs/in")"#),
        route("again", "FROM /messages/modules/sensor/outputs/o INTO BrokeredEndpoint('modules/filter/inputs/in')"),
        route("other", r#"FROM /messages/modules/sensor/outputs/o INTO BrokeredEndpoint("/modules/filter/inputs/In")"#),
        route("alerts", "FROM /messages/modules/filter/* INTO $upstream"),
    ])
    .unwrap();
    assert_eq!(selected(&table, &message("edge/sensor", None)), ["filter/in"]);
    assert_eq!(selected(&table, &message("edge/Sensor", Some("O"))), ["filter/in", "filter/In"]);
    assert_eq!(selected(&table, &message("edge/filter", None)), ["$upstream"]);
    assert_eq!(selected(&table, &message("edge/other", None)), [""; 0]);
    assert_eq!(table.endpoints().len(), 3);
    assert!(RouteTable::compile::<RouteDefinition<'_>>([]).unwrap().select(&message("edge/m", None)).is_empty());
}

#[test]
fn all_bad_routes_are_reported_at_once_and_in_order() {
    let errors = RouteTable::compile(&[
        route("good", "FROM /* INTO $upstream"),
        route("alerts", "FROM /messages/* INOT $upstream"),
        route("good", "FROM /* INTO nowhere"),
        route("a.b", "FROM /* INTO $upstream"),
        route("", ""),
    ])
    .unwrap_err();
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors.iter().map(|error| error.index).collect::<Vec<_>>(), [1, 2, 2, 3, 4, 4]);
    assert_eq!(
        texts,
        [
            "route alerts: expected WHERE or INTO, found \"INOT\" at column 18, did you mean INTO?",
            "route good: an earlier route has the same name",
            "route good: expected $upstream or BrokeredEndpoint(\"/modules/M/inputs/I\"), found \"nowhere\" at column 14",
            "route a.b: the name is not 1 to 128 bytes without spaces, control characters and . $ #",
            "route : the name is not 1 to 128 bytes without spaces, control characters and . $ #",
            "route : the route is empty",
        ]
    );
}

#[test]
fn more_routes_than_the_limit_are_refused_unread() {
    let configured: Vec<_> = (0..=MAX_ROUTES).map(|n| route(&format!("r{n}"), "FROM /* INTO $upstream")).collect();
    let errors = RouteTable::compile(&configured).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].to_string(), "route r200: there are 201 routes, at most 200 are accepted");
    assert!(RouteTable::compile(&configured[..MAX_ROUTES]).is_ok());
}

#[test]
fn every_problem_of_a_condition_is_reported_at_its_place() {
    let errors = RouteTable::compile(&[
        route("r", "FROM /* WHERE temp > 5 AND\n lenght(a) = 3 AND NOT a AND is_null() AND $body.a[x = 1 INTO $upstream"),
        route("s", "FROM /* WHERE a = 1 OR - b < 0 OR 'x' + 1 = 2 OR abs(c) = 1 OR 1 OR f() OR g() INTO $upstream"),
        route("t", "FROM /messages/* WHERE twin_change_includes(tags.a) INTO $upstream"),
        route("u", "FROM /* WHERE a = 0x8000000000000000 INTO $upstream"),
    ])
    .unwrap_err();
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "route r: > takes two of the same kind, found string and number at column 20; a property is a string, and as_number(…) makes a number of it",
            "route r: unknown function \"lenght\" at line 2, column 2, did you mean length?",
            "route r: NOT takes bool, found string at line 2, column 20; NOT binds tighter than other operators: NOT (…) takes all",
            "route r: is_null takes (anything), found () at line 2, column 30",
            "route r: \"$body.a[x\" is no path into the body: after a name stands at most one index, a number in brackets at line 2, column 44",
            "route s: = takes two of the same kind, found string and number at column 17; a property is a string, and as_number(…) makes a number of it",
            "route s: - takes number, found string at column 24; a property is a string, and as_number(…) makes a number of it",
            "route s: + takes number and number, found string and number at column 39; a property is a string, and as_number(…) makes a number of it",
            "route s: abs takes (number), found (string) at column 50; a property is a string, and as_number(…) makes a number of it",
            "route s: unknown function \"f\" at column 69",
            "route t: twin_change_includes is only for routes FROM /twinChangeNotifications at column 24",
            "route u: the number \"0x8000000000000000\" is too large at column 19",
        ]
    );
}

#[test]
fn of_several_routes_to_one_endpoint_the_most_urgent_decides() {
    let urgent = "FROM /* WHERE level = 'high' INTO $upstream";
    let table = RouteTable::compile([
        ranked("all", "FROM /* INTO $upstream", None, Some(60)),
        ranked("urgent", urgent, Some(1), Some(10)),
        ranked("as urgent, longer".replace([' ', ','], "-").as_str(), urgent, Some(1), Some(20)),
        ranked("less", urgent, Some(2), None),
    ])
    .unwrap();
    let mut message = message("edge/m", None);
    let selected = |message: &Message| {
        let all: Vec<_> = table.select(message).iter().map(|selected| selected.destination.clone()).collect();
        assert_eq!(all.len(), 1);
        (all[0].queue_id().to_string(), all[0].time_to_live.map(|time| time.as_secs()))
    };
    assert_eq!(selected(&message), ("$upstream".to_owned(), Some(60)));
    message.properties.push(("Level".into(), Some("high".into())));
    assert_eq!(selected(&message), ("$upstream_Pri1".to_owned(), Some(20)));
    assert_eq!(table.endpoints().len(), 1);
    assert_eq!(table.destinations().len(), 4);
    for selected in table.select(&message).iter() {
        assert_eq!(&table.destinations()[selected.index], selected.destination);
    }
}

#[test]
fn of_equal_priorities_the_longest_time_to_live_counts() {
    let routes = [
        ranked("default", "FROM /* INTO $upstream", Some(3), None),
        ranked("hour", "FROM /* INTO $upstream", Some(3), Some(3_600)),
        ranked("zero-is-default", "FROM /messages/* INTO $upstream", Some(3), Some(0)),
    ];
    for (default, expected) in [(None, None), (Some(7_200), None), (Some(60), Some(Duration::from_hours(1)))] {
        let table = RouteTable::compile_with_default(routes, default.map(Duration::from_secs)).unwrap();
        let message = message("edge/m", None);
        let times: Vec<_> = table.select(&message).iter().map(|selected| selected.destination.time_to_live).collect();
        assert_eq!(times, [expected], "{default:?}");
    }
}

#[test]
fn priorities_past_the_last_are_refused() {
    let errors = RouteTable::compile([ranked("r", "FROM /* INTO $upstream", Some(10), None)]).unwrap_err();
    assert_eq!(errors[0].to_string(), "route r: the priority is 10, it has to be 0 to 9");
    assert!(RouteTable::compile([ranked("r", "FROM /* INTO $upstream", Some(9), None)]).is_ok());
}

#[test]
fn the_properties_that_the_hub_stamps_can_be_asked() {
    let mut message = message("edge/m", Some("o"));
    message.system.stamp("some-id", "2026-03-01T12:00:00.0000000Z");
    for condition in [
        "$connectionDeviceId = 'edge'",
        "$CONNECTIONMODULEID = 'm'",
        "$outputName = 'o'",
        "$edgeMessageId = 'some-id'",
        "$edgeHubOriginInterface = 'internal'",
        "starts_with($enqueuedTime, '2026-')",
    ] {
        let text = format!("FROM /* WHERE {condition} INTO $upstream");
        let table = RouteTable::compile(&[route("r", &text)]).unwrap();
        assert_eq!(selected(&table, &message), ["$upstream"], "{condition}");
    }
}

#[test]
fn changes_of_twins_can_be_asked_for_what_they_include() {
    let table = RouteTable::compile(&[
        route("level", "FROM /twinChangeNotifications WHERE twin_change_includes(properties.reported.level) INTO $upstream"),
        route("other", "FROM /messages/* INTO BrokeredEndpoint('/modules/m/inputs/i')"),
    ])
    .unwrap();
    let mut message = message("edge/m", None);
    message.system.set(SystemProperty::MessageType, "twinChangeNotification");
    message.system.set(SystemProperty::ContentType, "application/json");
    message.system.set(SystemProperty::ContentEncoding, "utf-8");
    for (body, expected) in [
        (r#"{"properties": {"reported": {"level": {"a": 1}}}}"#, &["$upstream"][..]),
        (r#"{"properties": {"reported": {"level": null}}}"#, &["$upstream"]),
        (r#"{"properties": {"reported": {"other": 1}}}"#, &[]),
        ("no JSON", &[]),
    ] {
        message.body = body.to_owned().into();
        assert_eq!(selected(&table, &message), expected, "{body}");
    }
}

#[test]
fn the_body_is_asked_only_where_a_condition_gets_that_far() {
    let text = "FROM /* WHERE kind = 'json' AND $body.level > 5 INTO $upstream";
    let other = "FROM /* WHERE $body.level > 5 AND $body.name = 'x' INTO BrokeredEndpoint('/modules/m/inputs/i')";
    let table = RouteTable::compile(&[route("r", text), route("s", other)]).unwrap();
    let mut message = message("edge/m", None);
    message.system.set(SystemProperty::ContentType, "application/json");
    message.system.set(SystemProperty::ContentEncoding, "utf-8");
    message.body = r#"{"level": 6, "name": "x"}"#.to_owned().into();
    assert_eq!(selected(&table, &message), ["m/i"]);
    message.properties.push(("kind".into(), Some("json".into())));
    assert_eq!(selected(&table, &message), ["$upstream", "m/i"]);
    message.body = "broken".to_owned().into();
    assert_eq!(selected(&table, &message), [""; 0]);
}
