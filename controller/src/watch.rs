//! Watches: what happened to whom. Each has a task, a back-off and a heartbeat of its own, so that one that fails delays no other.
//!
//! Only metadata is watched, and nothing is kept but the generation of each EdgeDeployment: a reconcile reads what it needs.
//!
//! A watch that had to list anew never tells what was deleted meanwhile. So every list but the first asks for all `EdgeDeployment`s that
//! are known.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll};
use std::time::Duration;

use edge_crds::{EdgeDeployment, labels};
use futures::{Stream, StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::hub_link::HubKey;
use crate::metrics::Metrics;
use crate::reconcile::child::Kind;

/// Objects per page of a list.
const PAGE_SIZE: u32 = 50;
/// A watch that nobody has driven for this long is stuck. The server ends each watch after five minutes, so one that lives is driven
/// at least that often.
pub const STUCK_AFTER: Duration = Duration::from_mins(10);

/// When each watch was last driven.
#[derive(Debug)]
pub struct Heartbeats {
    start: Instant,
    beats: Vec<(&'static str, AtomicU64)>,
}

impl Heartbeats {
    fn new(kinds: Vec<&'static str>) -> Self {
        Self { start: Instant::now(), beats: kinds.into_iter().map(|kind| (kind, AtomicU64::new(0))).collect() }
    }

    fn beat(&self, index: usize) {
        if let Some((_, beat)) = self.beats.get(index) {
            beat.store(self.start.elapsed().as_secs(), Ordering::Relaxed);
        }
    }

    /// The kind whose watch is stuck, if one is.
    pub fn stuck(&self) -> Option<&'static str> {
        let now = self.start.elapsed().as_secs();
        let is_stuck = |beat: &AtomicU64| now.saturating_sub(beat.load(Ordering::Relaxed)) > STUCK_AFTER.as_secs();
        self.beats.iter().find(|(_, beat)| is_stuck(beat)).map(|(kind, _)| *kind)
    }
}

/// Starts every watch, in each of `namespaces` or, if there are none, in all. Their tasks end with `changed`'s receiver.
pub fn start(client: &Client, namespaces: &[String], changed: &mpsc::Sender<HubKey>, metrics: &Arc<Metrics>) -> Arc<Heartbeats> {
    let scopes: Vec<Option<&str>> =
        if namespaces.is_empty() { vec![None] } else { namespaces.iter().map(|namespace| Some(namespace.as_str())).collect() };
    let mut kinds = vec![("EdgeDeployment", ApiResource::erase::<EdgeDeployment>(&())), ("Pod", ApiResource::erase::<Pod>(&()))];
    kinds.extend(Kind::ALL.map(|kind| (kind.as_str(), kind.resource())));
    let scopes = scopes.into_iter().map(|scope| (scope, Arc::new(Known::default())));
    let all: Vec<_> = scopes.flat_map(|(scope, known)| kinds.iter().map(move |kind| (scope, Arc::clone(&known), kind))).collect();
    let heartbeats = Arc::new(Heartbeats::new(all.iter().map(|(_, _, (kind, _))| *kind).collect()));
    for (index, (scope, known, (kind, resource))) in all.into_iter().enumerate() {
        let api: Api<PartialObjectMeta<DynamicObject>> = match scope {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
            None => Api::all_with(client.clone(), resource),
        };
        let heartbeats = Arc::clone(&heartbeats);
        let ears = Ears { is_main: *kind == "EdgeDeployment", known, has_listed: false, listed: HashSet::new() };
        let watch = Watch { index, kind, ears, changed: changed.clone(), metrics: Arc::clone(metrics), heartbeats };
        tokio::spawn(watch.run(api));
    }
    heartbeats
}

struct Watch {
    index: usize,
    kind: &'static str,
    ears: Ears,
    changed: mpsc::Sender<HubKey>,
    metrics: Arc<Metrics>,
    heartbeats: Arc<Heartbeats>,
}

impl Watch {
    async fn run(mut self, api: Api<PartialObjectMeta<DynamicObject>>) {
        let config = watcher::Config::default().page_size(PAGE_SIZE);
        let config =
            if self.ears.is_main { config } else { config.labels(&format!("app.kubernetes.io/managed-by={}", labels::MANAGER)) };
        let events = watcher::watcher(api, config).default_backoff();
        let events = Driven { inner: events.boxed(), heartbeats: Arc::clone(&self.heartbeats), index: self.index };
        pin_mut!(events);
        while let Some(event) = events.next().await {
            let keys = match event {
                Ok(event) => self.ears.hear(event),
                Err(error) => {
                    self.metrics.watch_failed(self.kind);
                    tracing::warn!(kind = self.kind, %error, "a watch broke and is begun anew");
                    Vec::new()
                }
            };
            for key in keys {
                if self.changed.send(key).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Uid and generation of the `EdgeDeployment`s of one scope: one entry for each that exists, shared by the watches of that scope.
#[derive(Debug, Default)]
struct Known(Mutex<HashMap<HubKey, (String, i64)>>);

impl Known {
    /// Nothing that holds the lock can panic halfway: every change is one insert, remove or retain.
    fn locked(&self) -> MutexGuard<'_, HashMap<HubKey, (String, i64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who has to be reconciled because of an event.
struct Ears {
    /// Is it the watch of EdgeDeployment itself?
    is_main: bool,
    known: Arc<Known>,
    /// Did it list to the end once? What is deleted between that list and another is not told.
    has_listed: bool,
    /// What the list under way has brought so far: as many as exist, and only in the main watch.
    listed: HashSet<HubKey>,
}

impl Ears {
    fn hear(&mut self, event: Event<PartialObjectMeta<DynamicObject>>) -> Vec<HubKey> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitDone => self.listed_all(),
            event if self.is_main => {
                if let Event::InitApply(object) = &event {
                    self.listed.extend(key_of(object));
                }
                changed_deployment(event, &mut self.known.locked()).into_iter().collect()
            }
            event => changed_child(event).into_iter().collect(),
        }
    }

    /// A list is complete: whatever went away before it, nobody will tell of it.
    fn listed_all(&mut self) -> Vec<HubKey> {
        let listed = std::mem::take(&mut self.listed);
        let is_first = !std::mem::replace(&mut self.has_listed, true);
        let mut known = self.known.locked();
        let all = if is_first { Vec::new() } else { known.keys().cloned().collect() };
        if self.is_main {
            known.retain(|key, _| listed.contains(key));
        }
        all
    }
}

fn key_of(object: &PartialObjectMeta<DynamicObject>) -> Option<HubKey> {
    Some(HubKey { namespace: object.namespace()?, deployment: object.name_any() })
}

/// An EdgeDeployment counts as changed when its spec did, and when it is gone. Its status is ours.
fn changed_deployment(
    event: Event<PartialObjectMeta<DynamicObject>>,
    generations: &mut HashMap<HubKey, (String, i64)>,
) -> Option<HubKey> {
    match event {
        Event::Apply(object) | Event::InitApply(object) => {
            let key = key_of(&object)?;
            let seen = (object.uid().unwrap_or_default(), object.metadata.generation.unwrap_or_default());
            let is_going = object.metadata.deletion_timestamp.is_some();
            let is_new = generations.insert(key.clone(), seen.clone()) != Some(seen);
            (is_new || is_going).then_some(key)
        }
        Event::Delete(object) => {
            let key = key_of(&object)?;
            generations.remove(&key);
            Some(key)
        }
        Event::Init | Event::InitDone => None,
    }
}

/// A child tells of its EdgeDeployment by its label.
fn changed_child(event: Event<PartialObjectMeta<DynamicObject>>) -> Option<HubKey> {
    match event {
        Event::Apply(object) | Event::Delete(object) => {
            let deployment = object.labels().get(labels::DEPLOYMENT)?.clone();
            Some(HubKey { namespace: object.namespace()?, deployment })
        }
        // What a list brings was there before; the EdgeDeployments of the same moment ask for it.
        Event::InitApply(_) | Event::Init | Event::InitDone => None,
    }
}

/// A stream that notes when it is driven.
struct Driven<S> {
    inner: S,
    heartbeats: Arc<Heartbeats>,
    index: usize,
}

impl<S: Stream + Unpin> Stream for Driven<S> {
    type Item = S::Item;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.heartbeats.beat(self.index);
        Pin::new(&mut self.inner).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn edge(uid: &str, generation: i64) -> PartialObjectMeta<DynamicObject> {
        let json =
            serde_json::json!({"metadata": {"name": "line-7", "namespace": "plant", "uid": uid, "generation": generation}});
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_deployment_counts_as_changed_when_its_spec_did_or_it_is_another_or_gone() {
        let mut generations = HashMap::new();
        let mut is_heard = |event| changed_deployment(event, &mut generations).is_some();
        assert!(is_heard(Event::InitApply(edge("a", 1))));
        assert!(!is_heard(Event::Apply(edge("a", 1))), "only its status changed");
        assert!(is_heard(Event::Apply(edge("a", 2))));
        assert!(is_heard(Event::Delete(edge("a", 2))));
        assert!(is_heard(Event::Apply(edge("b", 2))));
        assert!(is_heard(Event::Apply(edge("c", 2))), "deleted and created again while the watch was broken");
    }

    #[test]
    fn every_list_but_the_first_asks_for_all_that_are_known_and_forgets_what_is_gone() {
        let known = Arc::new(Known::default());
        let ears = |is_main| Ears { is_main, known: Arc::clone(&known), has_listed: false, listed: HashSet::new() };
        let (mut main, mut pods) = (ears(true), ears(false));
        let key = key_of(&edge("a", 1)).unwrap();
        main.hear(Event::Init);
        assert_eq!(main.hear(Event::InitApply(edge("a", 1))), vec![key.clone()]);
        assert_eq!(main.hear(Event::InitDone), []);
        pods.hear(Event::Init);
        assert_eq!(pods.hear(Event::InitDone), [], "the first list of a watch follows no gap");
        pods.hear(Event::Init);
        assert_eq!(pods.hear(Event::InitDone), vec![key.clone()], "a pod may have gone in the gap");
        main.hear(Event::Init);
        assert_eq!(main.hear(Event::InitDone), [key], "it went in the gap itself");
        assert!(known.locked().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_nobody_drives_is_noticed_and_one_that_is_idle_is_not() {
        let heartbeats = Arc::new(Heartbeats::new(vec!["Pod", "Secret"]));
        let mut idle = Driven { inner: stream::pending::<()>(), heartbeats: Arc::clone(&heartbeats), index: 0 };
        for _ in 0..5 {
            // An idle watch is driven whenever the server says that nothing happened.
            let _ = tokio::time::timeout(Duration::from_mins(4), idle.next()).await;
        }
        assert_eq!(heartbeats.stuck(), Some("Secret"));
        heartbeats.beat(1);
        assert_eq!(heartbeats.stuck(), None);
    }
}
