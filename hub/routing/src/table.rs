//! Compiled routes.
//!
//! The table knows beforehand which routes can take a message of each module, so that a message is held against few of many. Those
//! of one endpoint stand together, the most urgent first: the first that takes the message decides, and the others are passed over.

use std::time::Duration;

use edge_protocol::configuration::{MAX_ROUTES, RouteConfiguration};
use edge_protocol::identity::MAX_NAME_BYTES;
use edge_protocol::message::Message;

use crate::body::Paths;
use crate::candidates::Candidates;
use crate::condition::{Context, Node, Truth, Type, check};
use crate::cursor::Misfit;
use crate::endpoint::Endpoint;
use crate::error::{Problem, RouteError};
use crate::parse::{self, RouteText};
use crate::priority::Priority;
use crate::selection::{Destination, Selected, Selection};
use crate::source::{MessageSource, Reach, Source};

/// A route as it is configured.
#[derive(Clone, Copy, Debug)]
pub struct RouteDefinition<'d> {
    /// Unique among the routes.
    pub name: &'d str,
    /// `FROM … [WHERE …] INTO …`
    pub text: &'d str,
    /// 0 to [`Priority::LOWEST`]; `None`: after all of those.
    pub priority: Option<u8>,
    /// How long its messages are kept; `None` and zero: as long as the hub keeps messages by default.
    pub time_to_live: Option<Duration>,
}

impl<'d> From<&'d RouteConfiguration> for RouteDefinition<'d> {
    fn from(configured: &'d RouteConfiguration) -> Self {
        // No `..`: a new member is not to be ignored here.
        let RouteConfiguration { name, route, priority, time_to_live_secs } = configured;
        let time_to_live = time_to_live_secs.map(|seconds| Duration::from_secs(seconds.into()));
        Self { name, text: route, priority: *priority, time_to_live }
    }
}

/// All routes of one configuration; immutable, replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    /// Each endpoint once, in the order in which routes name them.
    endpoints: Vec<Endpoint>,
    /// Each destination once, in the order in which routes name them.
    destinations: Vec<Destination>,
    candidates: Candidates,
    paths: Paths,
}

#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) source: Source,
    /// `None`: it takes whatever its source selects.
    condition: Option<(Node, Type)>,
    /// Index in [`RouteTable::endpoints`].
    endpoint: usize,
    /// Index in [`RouteTable::destinations`].
    destination: usize,
    /// What its author probably did not mean.
    pub(crate) doubts: Vec<String>,
}

impl RouteTable {
    /// Compiles every route, or says of each bad one what is wrong with it: nothing is compiled by halves.
    pub fn compile<'d, R: Into<RouteDefinition<'d>>>(routes: impl IntoIterator<Item = R>) -> Result<Self, Vec<RouteError>> {
        Self::compile_with_default(routes, None)
    }

    /// The same; `default` is how long messages are kept whose route does not say it, `None` for ever. It decides between routes
    /// that lead to one endpoint with one priority: the longest time counts.
    pub fn compile_with_default<'d, R: Into<RouteDefinition<'d>>>(
        routes: impl IntoIterator<Item = R>,
        default: Option<Duration>,
    ) -> Result<Self, Vec<RouteError>> {
        let definitions: Vec<RouteDefinition<'d>> = routes.into_iter().map(Into::into).collect();
        if let Some(first_over) = definitions.get(MAX_ROUTES) {
            let error = Problem::TooMany { count: definitions.len() }.at(first_over.name, "", 0);
            return Err(vec![RouteError { index: MAX_ROUTES, ..error }]);
        }
        let mut table = Self::default();
        let mut errors = Vec::new();
        for (index, definition) in definitions.iter().enumerate() {
            let RouteDefinition { name, text, .. } = *definition;
            let mut refuse = |(problem, offset): Misfit| errors.push(RouteError { index, ..problem.at(name, text, offset) });
            if !is_route_name(name) {
                refuse((Problem::Name, 0));
            } else if definitions.iter().take(index).any(|earlier| earlier.name == name) {
                refuse((Problem::DuplicateName, 0));
            }
            if let Err(problems) = table.add(definition) {
                problems.into_iter().for_each(refuse);
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        table.candidates = Candidates::new(&table.routes, |route| {
            let destination = table.destinations.get(route.destination);
            let time_to_live = destination.and_then(|destination| destination.time_to_live).or(default);
            // Within one endpoint, the most urgent first, then the longest-lived.
            let rank = destination.map(|destination| destination.priority);
            (route.endpoint, rank, std::cmp::Reverse(time_to_live.unwrap_or(Duration::MAX)))
        });
        Ok(table)
    }

    fn add(&mut self, definition: &RouteDefinition<'_>) -> Result<(), Vec<Misfit>> {
        let mut problems = Vec::new();
        let priority = definition.priority.map(|given| {
            let priority = Priority::new(given);
            priority.ok_or((Problem::Priority { given }, 0))
        });
        let priority = priority.transpose().unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let RouteText { source, condition, sink, mut doubts, .. } = match parse::parse(definition.text) {
            Ok(route) => route,
            Err(problem) => {
                problems.push(problem);
                return Err(problems);
            }
        };
        let source = Source::new(&source);
        let condition = match &condition {
            Some(condition) => match check(condition, &mut self.paths, *source.reach() == Reach::TwinChanges) {
                Ok((node, type_)) => {
                    doubts.extend(crate::warning::doubts_of_condition(condition, &node, type_));
                    Some((node, type_))
                }
                Err(more) => {
                    problems.extend(more);
                    None
                }
            },
            None => None,
        };
        let endpoint = match sink.endpoint(&mut doubts) {
            Ok(endpoint) if problems.is_empty() => endpoint,
            Ok(_) => return Err(problems),
            Err(problem) => {
                problems.push(problem);
                return Err(problems);
            }
        };
        let time_to_live = definition.time_to_live.filter(|time| !time.is_zero());
        let destination = Destination { endpoint, priority: priority.unwrap_or_default(), time_to_live };
        let endpoint = place(&mut self.endpoints, &destination.endpoint);
        let destination = place(&mut self.destinations, &destination);
        self.routes.push(Route { name: definition.name.to_owned(), source, condition, endpoint, destination, doubts });
        Ok(())
    }

    /// Where the message goes: each endpoint once, however many routes lead there, with the priority and the time to live of the
    /// most urgent of them. Empty: nowhere.
    pub fn select(&self, message: &Message) -> Selection<'_> {
        let source = MessageSource::of(message);
        let context = Context::new(message, &self.paths);
        let mut selection = Selection::default();
        let mut decided = None;
        for route in self.candidates.of(&source).filter_map(|index| self.routes.get(index)) {
            if decided == Some(route.endpoint) || !route.takes(&source, &context) {
                continue;
            }
            decided = Some(route.endpoint);
            if let Some(destination) = self.destinations.get(route.destination) {
                selection.push(Selected { index: route.destination, destination });
            }
        }
        selection
    }

    /// Every endpoint that a route leads to, once each.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Every endpoint with each priority and time to live that a route gives it, once each.
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// Each route with its endpoint.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (&Route, &Endpoint)> {
        self.routes.iter().filter_map(|route| Some((route, self.endpoints.get(route.endpoint)?)))
    }
}

impl Route {
    fn takes(&self, source: &MessageSource<'_>, context: &Context<'_, Message>) -> bool {
        // The module is right already, or this route would not be a candidate.
        let selected = match (self.source.reach(), source) {
            (Reach::Module(_, outputs), MessageSource::Module { output, .. }) => outputs.select(*output),
            _ => true,
        };
        selected && self.condition.as_ref().is_none_or(|(condition, type_)| condition.value(context).truth(*type_) == Truth::True)
    }
}

/// The index of `wanted`, which is appended unless it is there.
fn place<T: Clone + PartialEq>(list: &mut Vec<T>, wanted: &T) -> usize {
    list.iter().position(|known| known == wanted).unwrap_or_else(|| {
        list.push(wanted.clone());
        list.len() - 1
    })
}

/// What IoT Hub takes as the name of a route: it is a key in the hub's twin.
fn is_route_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && !name.contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, '.' | '$' | '#'))
}

#[cfg(test)]
mod tests;
