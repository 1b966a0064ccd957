//! Where messages go, as the journal wants to be told: made once per configuration, and looked up once per message.
//!
//! # Invariants
//! - A destination that nobody could ever read from (an upstream that is not there, a module that is not deployed) is none: its
//!   queue would keep the disk from those who can.
//! - At most [`MAX_COMBINATIONS`] combinations of destinations are remembered; others are put together anew for each message.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use edge_protocol::identity::ModuleName;
use edge_protocol::message::Message;
use edge_routing::{Endpoint, RouteTable, Selection};
use edge_store::{Destination, Destinations, Priority, QueueName};
use smallvec::SmallVec;

/// Combinations of destinations that are remembered. Conditions on properties make combinations, and a sender chooses its properties.
const MAX_COMBINATIONS: usize = 1024;

/// Why a message goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nowhere {
    /// No route wants it.
    NoRoute,
    /// Its routes lead to an upstream, and there is none.
    NoUpstream,
    /// Its routes lead to modules that are not deployed.
    NoModule,
}

/// One destination of the routes.
#[derive(Debug)]
enum Target {
    /// It exists. The second is for a message that goes there alone.
    There(Destination, Destinations),
    /// It does not.
    Missing(Nowhere),
}

/// Indices into the destinations of the routes.
type Combination = SmallVec<[usize; 4]>;

/// See the module.
#[derive(Debug, Default)]
pub struct Targets {
    routes: RouteTable,
    /// Beside [`RouteTable::destinations`].
    prepared: Vec<Target>,
    combinations: Mutex<HashMap<Combination, Destinations>>,
}

impl Targets {
    /// The targets of `routes` where these modules and perhaps an upstream exist. `time_to_live` is for messages whose route says
    /// nothing, `None` for ever.
    pub fn new(
        routes: RouteTable,
        exists: impl Fn(&ModuleName) -> bool,
        has_upstream: bool,
        time_to_live: Option<Duration>,
    ) -> Self {
        let target = |wanted: &edge_routing::Destination| {
            let endpoint = match &wanted.endpoint {
                Endpoint::Upstream if !has_upstream => return Target::Missing(Nowhere::NoUpstream),
                Endpoint::Input { module, .. } if !exists(module) => return Target::Missing(Nowhere::NoModule),
                endpoint => endpoint.queue_name().parse::<QueueName>(),
            };
            // Names of modules and inputs have been checked when the routes were compiled, and make names of queues.
            let Ok(endpoint) = endpoint else { return Target::Missing(Nowhere::NoModule) };
            let priority = wanted.priority.number().and_then(Priority::new).unwrap_or_default();
            let destination = Destination { endpoint, priority, time_to_live: wanted.time_to_live.or(time_to_live) };
            Target::There(destination.clone(), destination.into())
        };
        let prepared = routes.destinations().iter().map(target).collect();
        Self { routes, prepared, combinations: Mutex::default() }
    }

    /// The destinations that the routes give the message, whether they exist or not.
    pub fn select(&self, message: &Message) -> Selection<'_> {
        self.routes.select(message)
    }

    /// Where a message with these destinations goes.
    pub fn resolve(&self, selection: &Selection<'_>) -> Result<Destinations, Nowhere> {
        let mut nowhere = Nowhere::NoRoute;
        let mut there = Combination::new();
        for selected in selection.iter() {
            match self.prepared.get(selected.index) {
                Some(Target::There(..)) => there.push(selected.index),
                Some(Target::Missing(why)) => nowhere = *why,
                None => {}
            }
        }
        match there.as_slice() {
            [] => Err(nowhere),
            [one] => self.alone(*one).ok_or(nowhere),
            _ => self.together(there).ok_or(nowhere),
        }
    }

    fn alone(&self, index: usize) -> Option<Destinations> {
        match self.prepared.get(index)? {
            Target::There(_, alone) => Some(alone.clone()),
            Target::Missing(_) => None,
        }
    }

    fn together(&self, wanted: Combination) -> Option<Destinations> {
        // Nothing that holds the lock can panic halfway: it is one look-up or one insert.
        let mut known = self.combinations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&wanted) {
            return Some(known.clone());
        }
        let destinations = wanted.iter().filter_map(|index| match self.prepared.get(*index)? {
            Target::There(destination, _) => Some(destination.clone()),
            Target::Missing(_) => None,
        });
        let made = Destinations::new(destinations.collect()).ok()?;
        if known.len() < MAX_COMBINATIONS {
            known.insert(wanted, made.clone());
        }
        Some(made)
    }

    /// The queue of each endpoint that a route leads to and that exists, once each.
    pub fn endpoints(&self) -> Vec<QueueName> {
        let there = self.prepared.iter().filter_map(|target| match target {
            Target::There(destination, _) => Some(destination.endpoint.clone()),
            Target::Missing(_) => None,
        });
        there.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use edge_protocol::configuration::RouteConfiguration;
    use edge_protocol::system_properties::SystemProperties;

    use super::*;

    const INHERITED: Duration = Duration::from_hours(2);

    fn route(name: &str, route: &str, priority: Option<u8>, time_to_live_secs: Option<u32>) -> RouteConfiguration {
        RouteConfiguration { priority, time_to_live_secs, ..RouteConfiguration::new(name, route) }
    }

    fn targets(routes: &[RouteConfiguration], has_upstream: bool) -> Targets {
        let table = RouteTable::compile_with_default(routes, Some(INHERITED)).unwrap();
        Targets::new(table, |module| module.as_str() == "filter", has_upstream, Some(INHERITED))
    }

    fn message(properties: &[(&str, &str)]) -> Message {
        let properties = properties.iter().map(|(name, value)| (name.to_string(), Some(value.to_string()))).collect();
        Message {
            from: "edge/sensor".parse().unwrap(),
            output: None,
            system: SystemProperties::new(),
            properties,
            body: Vec::new().into(),
        }
    }

    fn find(targets: &Targets, message: &Message) -> Result<Destinations, Nowhere> {
        targets.resolve(&targets.select(message))
    }

    fn to(endpoint: &str, priority: Option<u8>, time_to_live: Duration) -> Destination {
        let priority = priority.and_then(Priority::new).unwrap_or_default();
        Destination { endpoint: endpoint.parse().unwrap(), priority, time_to_live: Some(time_to_live) }
    }

    #[test]
    fn a_destination_has_the_priority_of_its_most_urgent_route_and_that_ones_time_to_live_or_the_inherited() {
        let targets = targets(
            &[
                route("all", "FROM /* INTO $upstream", None, Some(60)),
                route("alarms", "FROM /* WHERE alarm = '1' INTO $upstream", Some(0), Some(0)),
                route("local", r#"FROM /* INTO BrokeredEndpoint("/modules/filter/inputs/in")"#, Some(9), Some(5)),
            ],
            true,
        );
        let local = to("filter/in", Some(9), Duration::from_secs(5));
        for _ in 0..2 {
            // The second time the combination is remembered.
            let calm = find(&targets, &message(&[])).unwrap();
            assert_eq!(calm[..], [to("$upstream", None, Duration::from_mins(1)), local.clone()]);
            let alarm = find(&targets, &message(&[("alarm", "1")])).unwrap();
            assert_eq!(alarm[..], [to("$upstream", Some(0), INHERITED), local.clone()]);
        }
    }

    #[test]
    fn what_nobody_could_ever_read_is_no_destination_and_says_why() {
        let up = route("up", "FROM /* INTO $upstream", None, None);
        let gone = route("gone", r#"FROM /* INTO BrokeredEndpoint("/modules/gone/inputs/in")"#, None, None);
        assert_eq!(find(&targets(&[], true), &message(&[])), Err(Nowhere::NoRoute));
        assert_eq!(find(&targets(std::slice::from_ref(&up), false), &message(&[])), Err(Nowhere::NoUpstream));
        assert_eq!(find(&targets(std::slice::from_ref(&gone), true), &message(&[])), Err(Nowhere::NoModule));
        let some = find(&targets(&[gone, up], true), &message(&[])).unwrap();
        assert_eq!(some[..], [to("$upstream", None, INHERITED)]);
    }

    #[test]
    fn remembered_combinations_are_bounded_in_number() {
        let routes: Vec<_> = (0..12)
            .map(|n| {
                route(
                    &format!("r{n}"),
                    &format!("FROM /* WHERE p{n} = '1' INTO BrokeredEndpoint(\"/modules/filter/inputs/i{n}\")"),
                    None,
                    None,
                )
            })
            .collect();
        let targets = targets(&routes, true);
        for bits in 0..4096_u32 {
            let names: Vec<_> = (0..12).filter(|n| bits >> n & 1 == 1).map(|n| format!("p{n}")).collect();
            let properties: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
            assert_eq!(find(&targets, &message(&properties)).map_or(0, |there| there.len()), names.len());
        }
        assert_eq!(targets.combinations.lock().unwrap().len(), MAX_COMBINATIONS);
    }
}
