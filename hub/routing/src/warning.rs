//! What is legal in a route and probably not meant. A warning never stops a route: modules may come later, and manifests that
//! IoT Edge accepts are accepted.

use std::fmt;

use edge_protocol::identity::ModuleName;

use crate::endpoint::Endpoint;
use crate::table::RouteTable;

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
/// the routes; at most six each.
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
}
