//! The findings that become conditions. Pure.

use edge_crds::condition::{ConditionType, Finding, Verdict, reason};
use edge_protocol::status::{FullEffect, HubStatus, UpstreamState};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use super::modules::{PROGRESS_DEADLINE, Seen, Standing};
use crate::hub_link::HubReport;

/// Most modules or endpoints that one message names.
const MAX_NAMED: usize = 10;

/// What is known of the hub.
#[derive(Clone, Copy, Debug)]
pub struct HubView<'v> {
    /// Its pod.
    pub pod: Option<&'v Pod>,
    /// When its StatefulSet was made, where there is one.
    pub set_created: Option<Timestamp>,
    /// What it says over the link.
    pub report: Option<&'v HubReport>,
    /// Version of the configuration that it should have.
    pub configuration_version: &'v str,
    /// Is an upstream configured?
    pub has_upstream: bool,
}

impl HubView<'_> {
    fn status(&self) -> Option<&HubStatus> {
        self.report.and_then(|report| report.status.as_ref())
    }
}

/// A finding, and whether nothing moves until a person acts.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What the condition says.
    pub finding: Finding,
    /// Does it stall the deployment?
    pub stalled: bool,
    /// When to look again, because of something that only time brings.
    pub wake_at: Option<Timestamp>,
}

impl Judgement {
    fn new(kind: ConditionType, verdict: impl Into<Verdict>, reason: &'static str, message: impl Into<String>) -> Self {
        Self { finding: Finding::new(kind, verdict, reason, message), stalled: false, wake_at: None }
    }

    fn stalled(self) -> Self {
        Self { stalled: true, ..self }
    }

    /// Trouble that began at `since` and may pass: a person is called once the deadline has.
    fn until_the_deadline(self, since: Timestamp, now: Timestamp) -> Self {
        match since.checked_add(PROGRESS_DEADLINE) {
            Ok(deadline) if now < deadline => Self { wake_at: Some(deadline), ..self },
            _ => self.stalled(),
        }
    }

    /// Does it hold?
    pub fn holds(&self) -> bool {
        self.finding.verdict == Verdict::True
    }
}

/// Does the hub serve? `before` are the conditions that the status has.
pub fn hub(view: HubView<'_>, before: &[Condition], now: Timestamp) -> Judgement {
    let judgement =
        |verdict: bool, reason, message: String| Judgement::new(ConditionType::HubAvailable, verdict, reason, message);
    let Some(pod) = view.pod else {
        let message = "the hub's pod is being created; if it does not come, the events of its StatefulSet say why".to_owned();
        let judged = judgement(false, reason::HUB_NOT_READY, message);
        return judged.until_the_deadline(without_a_pod_since(view.set_created, before, now), now);
    };
    if ready(pod).is_none_or(|ready| ready.status != "True") || pod.metadata.deletion_timestamp.is_some() {
        let (message, stalled) = hub_trouble(pod);
        let judged = judgement(false, reason::HUB_NOT_READY, message);
        return if stalled { judged.stalled() } else { judged.until_the_deadline(not_ready_since(pod, now), now) };
    }
    match view.status().and_then(|status| status.storage_problem.as_ref()) {
        Some(problem) => judgement(false, reason::STORAGE_PROBLEM, format!("the hub cannot store messages: {problem}")).stalled(),
        None => judgement(true, reason::HUB_READY, "the hub serves".to_owned()),
    }
}

/// Has the hub no more room for some endpoint? It does what it was told to do then, so this makes nothing else False.
pub fn storage_pressure(view: HubView<'_>, before: &[Condition]) -> Option<Finding> {
    let finding = |reason, message: String| Some(Finding::new(ConditionType::StoragePressure, true, reason, message));
    let Some(status) = view.status() else {
        // A link that is down does not make room.
        let known = before.iter().find(|condition| condition.type_ == ConditionType::StoragePressure.as_str())?;
        let reasons = [reason::MESSAGES_DROPPED, reason::SENDERS_WAIT];
        return finding(reasons.into_iter().find(|reason| *reason == known.reason)?, known.message.clone());
    };
    let worst = status.full_endpoints.iter().map(|full| full.effect).min()?;
    let said = status.full_endpoints.iter().map(|full| {
        let effect = match full.effect {
            FullEffect::Dropping => "its oldest messages are dropped",
            FullEffect::Refusing => "its senders wait",
        };
        let since = i64::try_from(full.since).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        (full.endpoint.as_str(), since.map_or_else(|| effect.to_owned(), |since| format!("{effect} since {since}")))
    });
    let said: Vec<_> = said.collect();
    let said = named(said.iter().map(|(endpoint, effect)| (*endpoint, effect.as_str())));
    let cure = "see that somebody reads there, or give hub.storeAndForward.maxBytes and the volume more room";
    let reason = match worst {
        FullEffect::Dropping => reason::MESSAGES_DROPPED,
        FullEffect::Refusing => reason::SENDERS_WAIT,
    };
    finding(reason, format!("the hub has no more room for messages to {said}: {cure}"))
}

/// Since when the hub has no pod, as far as is known. One that ran for months and is made anew is not late for that.
fn without_a_pod_since(set_created: Option<Timestamp>, before: &[Condition], now: Timestamp) -> Timestamp {
    let known = before.iter().find(|condition| condition.type_ == ConditionType::HubAvailable.as_str());
    match known.filter(|condition| condition.status == "False") {
        Some(condition) => set_created.map_or(now, |created| created.max(condition.last_transition_time.0)),
        None => now,
    }
}

/// Since when the hub's pod does not serve: since it should be gone, since it was made, or since it no longer is ready.
fn not_ready_since(pod: &Pod, now: Timestamp) -> Timestamp {
    if let Some(ending) = &pod.metadata.deletion_timestamp {
        return ending.0;
    }
    let is_running = pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"));
    let changed = ready(pod).and_then(|ready| ready.last_transition_time.as_ref()).filter(|_| is_running);
    changed.or(pod.metadata.creation_timestamp.as_ref()).map_or(now, |since| since.0)
}

fn ready(pod: &Pod) -> Option<&PodCondition> {
    pod.status.iter().flat_map(|status| status.conditions.iter().flatten()).find(|condition| condition.type_ == "Ready")
}

/// Why the hub's pod is not ready, and whether a person is needed.
fn hub_trouble(pod: &Pod) -> (String, bool) {
    let name = pod.name_any();
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    for ContainerStatus { state, last_state, restart_count, image, .. } in statuses {
        let waiting = state.as_ref().and_then(|state| state.waiting.as_ref());
        let ended = last_state.as_ref().and_then(|state| state.terminated.as_ref());
        match (waiting.and_then(|waiting| waiting.reason.as_deref()), ended) {
            (Some("ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName"), _) => {
                return (format!("cannot pull the hub's image {image}"), true);
            }
            (Some("CrashLoopBackOff"), Some(ended)) => {
                let message = format!(
                    "the hub ended with exit code {} and waits to be started again; see the log of {name}",
                    ended.exit_code
                );
                return (message, *restart_count >= 5);
            }
            (Some("CreateContainerConfigError" | "CreateContainerError"), _) => {
                let why = waiting.and_then(|waiting| waiting.message.clone()).unwrap_or_default();
                return (format!("the hub cannot be started: {why}"), true);
            }
            _ => {}
        }
    }
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let unscheduled = conditions.find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    match unscheduled.and_then(|condition| condition.message.clone()) {
        Some(why) => (format!("no node takes the hub: {why}"), false),
        None => (format!("the hub's pod {name} is not ready yet; its events say what it waits for"), false),
    }
}

/// Are the routes in force?
pub fn routes(view: HubView<'_>, generation: i64, before: &[Condition]) -> Judgement {
    let judgement = |verdict, reason, message: &str| Judgement::new(ConditionType::RoutesAccepted, verdict, reason, message);
    let Some(status) = view.status() else {
        // A link that is down says nothing about routes that were in force a moment ago.
        return match in_force_before(before, generation) {
            Some(message) => judgement(Verdict::True, reason::ROUTES_IN_FORCE, message),
            None => judgement(Verdict::Unknown, reason::HUB_UNREACHABLE, &unreachable(view.report)),
        };
    };
    let configuration = &status.configuration;
    if configuration.in_force == view.configuration_version {
        return judgement(Verdict::True, reason::ROUTES_IN_FORCE, "every route is in force");
    }
    if configuration.offered == view.configuration_version && configuration.code != 200 {
        let message = format!("the hub refused its configuration ({}): {}", configuration.code, configuration.description);
        return judgement(Verdict::False, reason::CONFIGURATION_REFUSED, &message).stalled();
    }
    // For the same spec the configuration changes when the operator does, and then the routes are still those in force.
    match in_force_before(before, generation) {
        Some(message) => judgement(Verdict::True, reason::ROUTES_IN_FORCE, message),
        None => judgement(Verdict::Unknown, reason::PROGRESSING, "the hub has not read the newest configuration yet"),
    }
}

/// What the condition said when the routes of this very generation were in force.
fn in_force_before(before: &[Condition], generation: i64) -> Option<&str> {
    let known = before.iter().find(|condition| condition.type_ == ConditionType::RoutesAccepted.as_str())?;
    (known.status == "True" && known.observed_generation == Some(generation)).then_some(known.message.as_str())
}

fn unreachable(report: Option<&HubReport>) -> String {
    match report.and_then(|report| report.problem.as_deref()) {
        Some(problem) => format!("the controller does not reach the hub: {problem}"),
        None => "the hub has not said anything yet".to_owned(),
    }
}

/// Is the place above reached? And the word for the printer column.
pub fn upstream(view: HubView<'_>) -> (Judgement, &'static str) {
    let judgement = |verdict, reason, message: String| Judgement::new(ConditionType::UpstreamConnected, verdict, reason, message);
    if !view.has_upstream {
        return (judgement(Verdict::False, reason::NO_UPSTREAM, "no upstream is configured".to_owned()), "None");
    }
    let Some(status) = view.status() else {
        return (judgement(Verdict::Unknown, reason::HUB_UNREACHABLE, unreachable(view.report)), "Unknown");
    };
    match status.upstream.state {
        UpstreamState::Connected => {
            (judgement(Verdict::True, reason::CONNECTED, "the upstream is connected".to_owned()), "Connected")
        }
        // It has not read the configuration that brings the upstream.
        UpstreamState::None => {
            (judgement(Verdict::Unknown, reason::PROGRESSING, "the hub does not know of the upstream yet".to_owned()), "Unknown")
        }
        UpstreamState::Disconnected => {
            let why = status.upstream.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
            let message = format!("the upstream is not reached, messages wait on the hub's disk{why}");
            (judgement(Verdict::False, reason::DISCONNECTED, message), "Disconnected")
        }
    }
}

/// Is every module as desired?
pub fn modules(seen: &[Seen]) -> Judgement {
    let judgement =
        |verdict: bool, reason, message: String| Judgement::new(ConditionType::ModulesAvailable, verdict, reason, message);
    let troubled: Vec<_> = seen
        .iter()
        .filter_map(|module| match &module.standing {
            Standing::Trouble { reason, message, stalled } => Some((module, *reason, message, *stalled)),
            _ => None,
        })
        .collect();
    if let Some((_, reason, _, _)) = troubled.iter().find(|(.., stalled)| *stalled).or_else(|| troubled.first()) {
        let stalled = troubled.iter().any(|(.., stalled)| *stalled);
        let said = named(troubled.iter().map(|(module, _, message, _)| (module.status.name.as_str(), message.as_str())));
        let judged = judgement(false, reason, said);
        return if stalled { judged.stalled() } else { judged };
    }
    let starting = seen.iter().filter_map(|module| match &module.standing {
        Standing::Starting { message } => Some((module.status.name.as_str(), message.as_str())),
        _ => None,
    });
    let said = named(starting);
    if said.is_empty() {
        judgement(true, reason::MODULES_RUNNING, format!("{} of {} modules are as desired", seen.len(), seen.len()))
    } else {
        judgement(false, reason::MODULES_STARTING, said)
    }
}

/// `filter: its image is being pulled; sensor: …`
fn named<'n>(things: impl Iterator<Item = (&'n str, &'n str)>) -> String {
    let all: Vec<_> = things.map(|(name, message)| format!("{name}: {message}")).collect();
    let shown = all.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join("; ");
    match all.len().saturating_sub(MAX_NAMED) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}
