//! Which routes can take a message, by where it comes from: all that is left to look at are outputs and conditions.

use crate::source::{MessageSource, Reach};
use crate::table::Route;

/// Routes by the sources of messages. Each list holds indexes in the table's routes, in the order in which they are tried. With
/// the 200 routes that a table holds at most, at most 201 × 200 numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates {
    twin_changes: Vec<usize>,
    devices: Vec<usize>,
    /// Of modules that no route names.
    modules: Vec<usize>,
    /// Of modules that some route names, in lower case, sorted by it.
    named: Vec<(String, Vec<usize>)>,
}

impl Candidates {
    /// Sorts the routes in, by `order`.
    pub(crate) fn new<K: Ord>(routes: &[Route], order: impl Fn(&Route) -> K) -> Self {
        let mut sorted: Vec<(usize, &Route)> = routes.iter().enumerate().collect();
        // Stable: what is equal stays in the order of the configuration.
        sorted.sort_by_key(|(_, route)| order(route));
        let chosen = |is_wanted: &dyn Fn(&Reach) -> bool| -> Vec<usize> {
            sorted.iter().filter(|(_, route)| is_wanted(route.source.reach())).map(|(index, _)| *index).collect()
        };
        let any_module = |reach: &Reach| matches!(reach, Reach::Everything | Reach::Telemetry | Reach::Modules);
        let mut mentioned: Vec<String> =
            routes.iter().filter_map(|route| route.source.module()).map(str::to_ascii_lowercase).collect();
        mentioned.sort_unstable();
        mentioned.dedup();
        let named = mentioned.into_iter().map(|name| {
            let of_module = |reach: &Reach| matches!(reach, Reach::Module(module, _) if module.eq_ignore_ascii_case(&name));
            let routes = chosen(&|reach| any_module(reach) || of_module(reach));
            (name, routes)
        });
        Self {
            twin_changes: chosen(&|reach| matches!(reach, Reach::Everything | Reach::TwinChanges)),
            devices: chosen(&|reach| matches!(reach, Reach::Everything | Reach::Telemetry)),
            modules: chosen(&any_module),
            named: named.collect(),
        }
    }

    /// The routes to try for a message from there.
    pub(crate) fn of(&self, source: &MessageSource<'_>) -> impl Iterator<Item = usize> {
        let list = match source {
            MessageSource::TwinChange => &self.twin_changes,
            MessageSource::Device => &self.devices,
            MessageSource::Module { module, .. } => {
                // Names of modules are ASCII.
                let place = self
                    .named
                    .binary_search_by(|(name, _)| name.bytes().cmp(module.bytes().map(|byte| byte.to_ascii_lowercase())));
                place.ok().and_then(|place| self.named.get(place)).map_or(&self.modules, |(_, routes)| routes)
            }
        };
        list.iter().copied()
    }
}
