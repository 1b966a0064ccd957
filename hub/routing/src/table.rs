//! Compiled routes.

use edge_protocol::configuration::{MAX_ROUTES, RouteConfiguration};
use edge_protocol::identity::MAX_NAME_BYTES;
use edge_protocol::message::Message;

use crate::endpoint::Endpoint;
use crate::error::{Problem, RouteError};
use crate::parse;
use crate::source::Source;

/// All routes of one configuration; immutable, replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTable {
    routes: Vec<Route>,
    /// Each endpoint once, in the order in which routes name them.
    endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) source: Source,
    /// Index in [`RouteTable::endpoints`].
    endpoint: usize,
    /// What its author probably did not mean.
    pub(crate) doubts: Vec<String>,
}

impl RouteTable {
    /// Compiles every route, or says of each bad one what is wrong with it: nothing is compiled by halves.
    pub fn compile(configured: &[RouteConfiguration]) -> Result<Self, Vec<RouteError>> {
        if let Some(first_over) = configured.get(MAX_ROUTES) {
            return Err(vec![Problem::TooMany { count: configured.len() }.at(&first_over.name, "", 0)]);
        }
        let mut table = Self::default();
        let mut errors = Vec::new();
        for (index, RouteConfiguration { name, route, .. }) in configured.iter().enumerate() {
            if !is_route_name(name) {
                errors.push(Problem::Name.at(name, "", 0));
            } else if configured.iter().take(index).any(|earlier| earlier.name == *name) {
                errors.push(Problem::DuplicateName.at(name, "", 0));
            }
            match parse::parse(route) {
                Ok(parsed) => table.add(name, parsed),
                Err((problem, offset)) => errors.push(problem.at(name, route, offset)),
            }
        }
        if errors.is_empty() { Ok(table) } else { Err(errors) }
    }

    fn add(&mut self, name: &str, parsed: parse::Parsed) {
        let parse::Parsed { source, endpoint, doubts } = parsed;
        let known = self.endpoints.iter().position(|known| *known == endpoint);
        let endpoint = known.unwrap_or_else(|| {
            self.endpoints.push(endpoint);
            self.endpoints.len() - 1
        });
        self.routes.push(Route { name: name.to_owned(), source: Source::new(&source), endpoint, doubts });
    }

    /// Where the message goes: each endpoint once, however many routes lead there. Empty: nowhere.
    pub fn select(&self, message: &Message) -> Vec<&Endpoint> {
        let mut selected: Vec<&Endpoint> = Vec::new();
        for route in self.routes.iter().filter(|route| route.source.selects(message)) {
            if let Some(endpoint) = self.endpoints.get(route.endpoint)
                && !selected.iter().any(|known| std::ptr::eq(*known, endpoint))
            {
                selected.push(endpoint);
            }
        }
        selected
    }

    /// Every endpoint that a route leads to, once each.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Each route with its endpoint.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (&Route, &Endpoint)> {
        self.routes.iter().filter_map(|route| Some((route, self.endpoints.get(route.endpoint)?)))
    }
}

/// What IoT Hub takes as the name of a route: it is a key in the hub's twin.
fn is_route_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && !name.contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, '.' | '$' | '#'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use edge_protocol::system_properties::SystemProperties;

    fn route(name: &str, route: &str) -> RouteConfiguration {
        RouteConfiguration::new(name, route)
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
        table.select(message).into_iter().map(Endpoint::queue_name).collect()
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
        assert!(RouteTable::compile(&[]).unwrap().select(&message("edge/m", None)).is_empty());
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
        assert_eq!(
            texts,
            [
                "route alerts: expected INTO, found \"INOT\" at column 18",
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
}
