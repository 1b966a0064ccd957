//! The routes of an EdgeDeployment, compiled by the same code that the hub runs.

use edge_crds::EdgeDeploymentSpec;
use edge_crds::condition::reason;
use edge_crds::edge_deployment::RouteSpec;
use edge_protocol::configuration::RouteConfiguration;
use edge_protocol::identity::ModuleName;
use edge_routing::{RouteError, RouteTable, warnings};

use super::rejection::Problem;

/// The routes as the hub reads them, and what to know about those that are accepted: (route, remark). Problems go to `problems`.
pub(super) fn compile(
    spec: &EdgeDeploymentSpec,
    problems: &mut Vec<Problem>,
) -> (Vec<RouteConfiguration>, Vec<(String, String)>) {
    let routes: Vec<_> = spec.routes.iter().map(configuration).collect();
    match RouteTable::compile(&routes) {
        Ok(table) => {
            // Modules whose names are no names have their own problem.
            let modules: Vec<ModuleName> = spec.modules.iter().filter_map(|module| module.name.parse().ok()).collect();
            let doubts = warnings(&table, &modules, spec.upstream.is_some());
            let remarks = doubts.into_iter().map(|warning| (warning.route, warning.message)).collect();
            (routes, remarks)
        }
        Err(errors) => {
            problems.extend(by_route(&routes, &errors));
            (routes, Vec::new())
        }
    }
}

/// Each error with the whole name of its route, of which an error only quotes the beginning.
fn by_route(routes: &[RouteConfiguration], errors: &[RouteError]) -> Vec<Problem> {
    let problem = |route: &str, error: &RouteError| Problem {
        reason: reason::INVALID_ROUTE,
        field: format!("spec.routes[{route}].route"),
        message: error.to_string(),
        route: Some(route.to_owned()),
    };
    let alone = routes.iter().flat_map(|route| {
        let errors = RouteTable::compile([route]).err().unwrap_or_default();
        errors.into_iter().map(|error| problem(&route.name, &error))
    });
    let mut problems: Vec<_> = alone.collect();
    if problems.is_empty() {
        // Each is good by itself, and together they are not.
        problems.extend(errors.iter().map(|error| problem(&error.route, error)));
    }
    problems
}

/// A route as the hub reads it. The schema keeps the numbers in their ranges; one that is not, because nobody checked, is one that the
/// hub refuses by name.
fn configuration(route: &RouteSpec) -> RouteConfiguration {
    RouteConfiguration {
        priority: route.priority.map(|priority| u8::try_from(priority).unwrap_or(u8::MAX)),
        time_to_live_secs: route.time_to_live_secs.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX)),
        ..RouteConfiguration::new(&route.name, &route.route)
    }
}
