//! What is legal in a route and probably not meant. A warning never stops a route: modules may come later, and manifests that
//! IoT Edge accepts are accepted.

use std::fmt;

use edge_protocol::identity::ModuleName;

use crate::body::looks_like_date;
use crate::condition::syntax::{Expression, ExpressionKind};
use crate::condition::{Node, Type, Value};
use crate::endpoint::Endpoint;
use crate::error::quoted;
use crate::subject::SystemName;
use crate::table::RouteTable;

/// Most doubts about one condition.
const MAX_DOUBTS_OF_CONDITION: usize = 3;

/// A doubt about one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The route's name.
    pub route: String,
    /// A clause about it, without a full stop.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {}: {}", self.route, self.message)
    }
}

/// Everything that is doubtful about the routes, where `modules` are deployed and there is an upstream or not. In the order of
/// the routes; at most eight each.
pub fn warnings(table: &RouteTable, modules: &[ModuleName], has_upstream: bool) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (route, endpoint) in table.routes() {
        let mut warn = |message: String| warnings.push(Warning { route: route.name.clone(), message });
        for doubt in &route.doubts {
            warn(doubt.clone());
        }
        if let Some(doubt) = route.source.doubt() {
            warn(doubt.to_owned());
        } else if let Some(source) = route.source.module()
            && !modules.iter().any(|module| module.as_str().eq_ignore_ascii_case(source))
        {
            warn(format!("it takes messages from module {source}, which is not deployed"));
        }
        match endpoint {
            Endpoint::Upstream if !has_upstream => {
                warn("it leads to $upstream, and there is none: what it takes is dropped".to_owned());
            }
            Endpoint::Upstream => {}
            Endpoint::Input { module, .. } if modules.contains(module) => {}
            Endpoint::Input { module, .. } => {
                let alike = modules.iter().find(|known| known.as_str().eq_ignore_ascii_case(module.as_str()));
                warn(match alike {
                    Some(known) => {
                        format!("it leads to module {module}, which is not deployed; {known} is, and case counts here")
                    }
                    None => format!("it leads to module {module}, which is not deployed: what it takes is dropped until it is"),
                });
            }
        }
    }
    warnings
}

/// What is doubtful about a condition.
pub(crate) fn doubts_of_condition(condition: &Expression<'_>, node: &Node, type_: Type) -> Vec<String> {
    let mut doubts = Vec::new();
    let never = matches!(node, Node::Constant(Value::Bool(false))) || !matches!(type_, Type::Bool | Type::Body);
    if never {
        doubts.push("its condition never holds: the route takes no message".to_owned());
    }
    doubts_of_names(condition, &mut doubts);
    if asks_body(condition) && has_date(condition) {
        add(
            &mut doubts,
            "it compares with a date: a text in the body that looks like one is undefined, as in IoT Edge".to_owned(),
        );
    }
    doubts
}

fn asks_body(expression: &Expression<'_>) -> bool {
    match &expression.kind {
        ExpressionKind::System(name) | ExpressionKind::EscapedSystem(name) => is_body_path(name),
        _ => operands(expression).iter().any(asks_body),
    }
}

fn has_date(expression: &Expression<'_>) -> bool {
    match &expression.kind {
        ExpressionKind::String(literal) => looks_like_date(literal.trim_matches(['"', '\''])),
        _ => operands(expression).iter().any(has_date),
    }
}

fn is_body_path(name: &str) -> bool {
    name.get(..6).is_some_and(|prefix| prefix.eq_ignore_ascii_case("$body."))
}

fn operands<'e, 't>(expression: &'e Expression<'t>) -> &'e [Expression<'t>] {
    match &expression.kind {
        ExpressionKind::Unary(_, operand) => std::slice::from_ref(operand),
        ExpressionKind::Binary(_, operands) => &operands[..],
        ExpressionKind::Chain(_, operands) | ExpressionKind::Call(_, operands) => operands,
        _ => &[],
    }
}

/// Names that probably were not meant to be names. Recurses no deeper than the condition nests.
fn doubts_of_names(expression: &Expression<'_>, doubts: &mut Vec<String>) {
    match &expression.kind {
        ExpressionKind::Property(name) => doubt_name(name, doubts),
        ExpressionKind::System(name) | ExpressionKind::EscapedSystem(name) => doubt_system_name(name, doubts),
        _ => {}
    }
    for operand in operands(expression) {
        doubts_of_names(operand, doubts);
    }
}

fn doubt_name(name: &str, doubts: &mut Vec<String>) {
    let constant = ["true", "false", "null", "undefined"].into_iter().find(|constant| constant.eq_ignore_ascii_case(name));
    if let Some(constant) = constant {
        add(doubts, format!("{name} in its condition is the name of a property; the constant is written {constant}"));
    } else if name.contains(['*', '+', '%', '!', '&', '|', '\'']) || name.starts_with('-') {
        add(
            doubts,
            format!("{} in its condition is the name of a property: most operators need blanks around them", quoted(name)),
        );
    }
}

fn doubt_system_name(name: &str, doubts: &mut Vec<String>) {
    if name.eq_ignore_ascii_case("$body") {
        add(doubts, "$body in its condition is nothing by itself: $body.name asks for a part of the body".to_owned());
        return;
    }
    if !is_body_path(name) && matches!(SystemName::new(name.get(1..).unwrap_or_default()), SystemName::Unknown(_)) {
        add(doubts, format!("{} in its condition is no system property", quoted(name)));
    }
}

fn add(doubts: &mut Vec<String>, doubt: String) {
    if doubts.len() < MAX_DOUBTS_OF_CONDITION && !doubts.contains(&doubt) {
        doubts.push(doubt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use edge_protocol::configuration::RouteConfiguration;

    fn warned(route: &str, has_upstream: bool) -> Vec<String> {
        let table = RouteTable::compile(&[RouteConfiguration::new("r", route)]).unwrap();
        let modules = ["sensor", "filter"].map(|name| name.parse().unwrap());
        warnings(&table, &modules, has_upstream).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn routes_between_deployed_modules_and_an_upstream_raise_none() {
        assert_eq!(warned("FROM /messages/modules/Sensor/* INTO BrokeredEndpoint('/modules/filter/inputs/i')", false), [""; 0]);
        assert_eq!(warned("FROM /messages/* INTO $upstream", true), [""; 0]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        assert_eq!(
            warned("FROM /messages/modules/gone/* INTO $upstream", false),
            [
                "route r: it takes messages from module gone, which is not deployed",
                "route r: it leads to $upstream, and there is none: what it takes is dropped"
            ]
        );
        assert_eq!(
            warned("FROM /* INTO BrokeredEndpoint('/modules/gone/inputs/i')", true),
            ["route r: it leads to module gone, which is not deployed: what it takes is dropped until it is"]
        );
        assert_eq!(
            warned("FROM /* INTO BrokeredEndpoint('/modules/Filter/inputs/i')", true),
            ["route r: it leads to module Filter, which is not deployed; filter is, and case counts here"]
        );
    }

    #[test]
    fn sources_that_select_nothing_and_ignored_text_are_pointed_out() {
        let found = warned("FROM /messages/modules/*/outputs/* INTO $upstream extra", true);
        assert_eq!(
            found,
            [
                "route r: everything after its sink is ignored, here \"extra\"",
                "route r: its source selects no message: * means something only at the end"
            ]
        );
    }

    #[test]
    fn conditions_that_never_hold_and_names_that_are_none_are_pointed_out() {
        let of = |condition: &str| warned(&format!("FROM /* WHERE {condition} INTO $upstream"), true);
        for (condition, expected) in [
            ("temperatureAlert = 'true' AND $contentType = 'x' AND $body.a > 5", vec![]),
            ("false", vec!["route r: its condition never holds: the route takes no message"]),
            ("'a'", vec!["route r: its condition never holds: the route takes no message"]),
            ("a = TRUE", vec!["route r: TRUE in its condition is the name of a property; the constant is written true"]),
            (
                "prop!='x' AND 3*4 = 'y'",
                vec![
                    "route r: \"prop!\" in its condition is the name of a property: most operators need blanks around them",
                    "route r: \"3*4\" in its condition is the name of a property: most operators need blanks around them",
                ],
            ),
            (
                "$body.time > '2026-03-01T12:00:00Z'",
                vec!["route r: it compares with a date: a text in the body that looks like one is undefined, as in IoT Edge"],
            ),
            ("$foo = 'x'", vec!["route r: \"$foo\" in its condition is no system property"]),
            (
                "is_defined($body)",
                vec!["route r: $body in its condition is nothing by itself: $body.name asks for a part of the body"],
            ),
        ] {
            assert_eq!(of(condition), expected, "{condition}");
        }
    }
}
