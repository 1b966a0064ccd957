//! The areas that can be checked, one file per group.

mod checkpoint;
mod condition;
mod message;
mod path;
mod routing;
mod syntax;

use crate::record::{Error, Record, Records};
use crate::report::Outcome;

/// Brings one record through the library.
type Check = fn(&Record, &Records) -> Result<Outcome, Error>;

/// One area.
pub(crate) struct Area {
    pub(crate) name: &'static str,
    pub(crate) check: Check,
}

const AREAS: &[Area] = &[
    Area { name: "condition_eval", check: condition::evaluates },
    Area { name: "condition_compile_error", check: condition::is_refused },
    Area { name: "condition_no_runtime_error", check: condition::has_a_result },
    Area { name: "condition_body_compile_error", check: condition::is_refused },
    Area { name: "condition_body_eval", check: condition::evaluates },
    Area { name: "condition_error_message", check: condition::is_refused_at_its_place },
    Area { name: "twin_change_includes", check: condition::twin_change },
    Area { name: "literal", check: condition::has_value },
    Area { name: "arithmetic", check: condition::has_value },
    Area { name: "condition_parse", check: syntax::condition_tree },
    Area { name: "route_grammar", check: syntax::route_grammar },
    Area { name: "route_parse", check: syntax::route_parts },
    Area { name: "route_invalid", check: syntax::route_is_refused },
    Area { name: "json_path", check: path::body },
    Area { name: "twin_change_json_path", check: path::twin },
    Area { name: "source_match", check: routing::source_selects },
    Area { name: "message_source", check: routing::message_source },
    Area { name: "queue_id_parse", check: routing::queue_id_is_read },
    Area { name: "endpoint_create", check: routing::endpoint },
    Area { name: "evaluate_routes", check: routing::routes },
    Area { name: "routing_scenario", check: routing::scenario },
    Area { name: "checkpoint_admit", check: checkpoint::admits },
    Area { name: "checkpoint_commit", check: checkpoint::commits },
    Area { name: "checkpoint_commit_remaining", check: checkpoint::remain },
];

/// The areas whose names begin with one of the prefixes; without prefixes, all. A prefix that fits none is the error.
pub(crate) fn select(prefixes: &[String]) -> Result<Vec<&'static Area>, String> {
    if let Some(unknown) = prefixes.iter().find(|prefix| !AREAS.iter().any(|area| area.name.starts_with(prefix.as_str()))) {
        return Err(unknown.clone());
    }
    let is_selected = |area: &&Area| prefixes.is_empty() || prefixes.iter().any(|prefix| area.name.starts_with(prefix.as_str()));
    Ok(AREAS.iter().filter(is_selected).collect())
}

/// All of them, for a message.
pub(crate) fn names() -> String {
    AREAS.iter().map(|area| area.name).collect::<Vec<_>>().join(", ")
}
