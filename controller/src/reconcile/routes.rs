//! The routes of an EdgeDeployment, compiled by the same code that the hub runs.

use edge_crds::EdgeDeploymentSpec;
use edge_crds::condition::reason;
use edge_crds::edge_deployment::RouteSpec;
use edge_protocol::configuration::RouteConfiguration;
use edge_protocol::identity::ModuleName;
use edge_routing::{Priority, RouteTable, warnings};

use super::rejection::Problem;

/// The routes as the hub reads them, and what to know about those that are accepted: (route, remark). Problems go to `problems`.
pub(super) fn compile(
    spec: &EdgeDeploymentSpec,
    problems: &mut Vec<Problem>,
) -> (Vec<RouteConfiguration>, Vec<(String, String)>) {
    let before = problems.len();
    let routes: Vec<_> = spec.routes.iter().map(|route| configuration(route, problems)).collect();
    match RouteTable::compile(&routes) {
        Ok(_) if problems.len() > before => (routes, Vec::new()),
        Ok(table) => {
            // Modules whose names are no names have their own problem.
            let modules: Vec<ModuleName> = spec.modules.iter().filter_map(|module| module.name.parse().ok()).collect();
            let doubts = warnings(&table, &modules, spec.upstream.is_some());
            let remarks = doubts.into_iter().map(|warning| (warning.route, warning.message)).collect();
            (routes, remarks)
        }
        Err(errors) => {
            // An error only quotes the beginning of a long name.
            let name = |index: usize| routes.get(index).map_or("", |route| route.name.as_str());
            problems.extend(errors.iter().map(|error| refused(name(error.index), "route", error.to_string())));
            (routes, Vec::new())
        }
    }
}

fn refused(route: &str, field: &str, message: String) -> Problem {
    Problem {
        reason: reason::INVALID_ROUTE,
        field: format!("spec.routes[{route}].{field}"),
        message,
        route: Some(route.to_owned()),
    }
}

/// A route as the hub reads it. The schema keeps the numbers in their ranges; one that is not, because nobody checked, is refused here
/// as it was given.
fn configuration(route: &RouteSpec, problems: &mut Vec<Problem>) -> RouteConfiguration {
    let RouteSpec { name, route: text, priority, time_to_live_secs } = route;
    let checked_priority = priority.and_then(|given| u8::try_from(given).ok()).filter(|given| *given <= Priority::LOWEST);
    if let (Some(given), None) = (priority, checked_priority) {
        problems.push(refused(name, "priority", format!("is {given}, it has to be 0 to {}", Priority::LOWEST)));
    }
    let checked_time = time_to_live_secs.and_then(|given| u32::try_from(given).ok());
    if let (Some(given), None) = (time_to_live_secs, checked_time) {
        problems.push(refused(name, "timeToLiveSecs", format!("is {given}, it has to be 0 to {}", u32::MAX)));
    }
    RouteConfiguration { priority: checked_priority, time_to_live_secs: checked_time, ..RouteConfiguration::new(name, text) }
}
