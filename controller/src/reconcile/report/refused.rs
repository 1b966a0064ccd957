//! The status while the newest spec is refused. What ran before still runs, and is still described; `Ready`, `Stalled` and the routes
//! speak of the newest spec, the other conditions of what runs.

use edge_crds::EdgeDeployment;
use edge_crds::condition::{ConditionType, Finding, reason};
use edge_crds::edge_deployment::{DesiredStatus, ModuleStatus, RestartPolicy, RouteStatus};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::conditions::{self, HubView};
use super::modules::{self, Seen, Wanted};
use super::{Findings, MAX_ROUTE_MESSAGE_BYTES, Report, cut, judged, pod_named, seen, status};
use crate::reconcile::apply::Failure;
use crate::reconcile::child::Owner;
use crate::reconcile::rejection::Rejection;

/// The status of a deployment whose newest spec was refused, while the one that was accepted last is looked after: `findings` are
/// about that one.
pub fn kept(edge: &EdgeDeployment, rejection: &Rejection, findings: Findings<'_>, now: Timestamp) -> Report {
    let before = edge.status.clone().unwrap_or_default();
    let seen = seen(&findings, now);
    let Findings { valid, hub, progress, failed, .. } = findings;
    let hub_judged = conditions::hub(hub, &before.conditions, now);
    let (upstream_judged, upstream) = conditions::upstream(hub);
    let wake_at = seen.iter().filter_map(|seen| seen.wake_at).chain(hub_judged.wake_at).min();
    let mut conditions = refusal(rejection);
    conditions.extend([hub_judged.finding, conditions::modules(&seen).finding, upstream_judged.finding]);
    conditions.extend(conditions::storage_pressure(hub, &before.conditions));
    let described = std::iter::once(rejection.to_string())
        .chain(std::iter::once(format!("generation {} stays in force", valid.generation)))
        .chain(progress.map(str::to_owned))
        .chain(failed.iter().map(Failure::sentence));
    let description = described.collect::<Vec<_>>().join("; ");
    let deployment = judged(edge, 400, &description, Some(valid.generation));
    let status = status(edge, &before, &conditions, deployment, upstream, &seen, routes(edge, rejection), now);
    Report { status, wake_at }
}

/// The status of a deployment that was refused and of which no spec is known that could be looked after.
pub fn rejected(
    edge: &EdgeDeployment,
    rejection: &Rejection,
    pods: &[Pod],
    hub: HubView<'_>,
    owner: Option<&Owner>,
    now: Timestamp,
) -> Report {
    let before = edge.status.clone().unwrap_or_default();
    let seen: Vec<Seen> = before.modules.iter().map(|module| still(module, pods, owner, now)).collect();
    let (upstream_judged, upstream) = conditions::upstream(hub);
    let mut findings = refusal(rejection);
    // Only where there was something before is there something to describe.
    if hub.pod.is_some() {
        findings.push(conditions::hub(hub, &before.conditions, now).finding);
    }
    // Without a link nothing new is known of the upstream; what was said of it last stands.
    if hub.report.is_some() {
        findings.push(upstream_judged.finding);
    }
    findings.extend(conditions::storage_pressure(hub, &before.conditions));
    if !seen.is_empty() {
        findings.push(conditions::modules(&seen).finding);
    }
    let upstream = match (hub.report, &before.upstream) {
        (None, Some(before)) => before.as_str(),
        (None, None) => "Unknown",
        (Some(_), _) => upstream,
    };
    let accepted = before.deployment.as_ref().and_then(|deployment| deployment.accepted_version);
    let deployment = judged(edge, 400, &rejection.to_string(), accepted);
    let status = status(edge, &before, &findings, deployment, upstream, &seen, routes(edge, rejection), now);
    Report { status, wake_at: seen.iter().filter_map(|seen| seen.wake_at).min() }
}

/// What a refusal means for the conditions.
fn refusal(rejection: &Rejection) -> Vec<Finding> {
    let message = rejection.to_string();
    let bad = |kind, verdict| Finding::new(kind, verdict, rejection.reason(), message.clone());
    let mut findings = vec![bad(ConditionType::Ready, false), bad(ConditionType::Stalled, true)];
    let of_routes = rejection.problems().iter().filter(|problem| problem.route.is_some());
    let of_routes: Vec<_> = of_routes.map(ToString::to_string).collect();
    if !of_routes.is_empty() {
        findings.push(Finding::new(ConditionType::RoutesAccepted, false, reason::INVALID_ROUTE, of_routes.join("; ")));
    }
    findings
}

/// Every route of the refused spec: what is wrong with it, or that it waits for the others.
fn routes(edge: &EdgeDeployment, rejection: &Rejection) -> Vec<RouteStatus> {
    let routes = edge.spec.routes.iter().map(|route| {
        let problems = rejection.problems().iter().filter(|problem| problem.route.as_deref() == Some(&route.name));
        let wrong: Vec<_> = problems.map(|problem| problem.message.as_str()).collect();
        let message =
            if wrong.is_empty() { "waits for the rest of the spec to be corrected".to_owned() } else { wrong.join("; ") };
        RouteStatus { name: route.name.clone(), accepted: false, message: Some(cut(&message, MAX_ROUTE_MESSAGE_BYTES)) }
    });
    routes.collect()
}

/// A module as the last status had it, seen again.
fn still(module: &ModuleStatus, pods: &[Pod], owner: Option<&Owner>, now: Timestamp) -> Seen {
    let pod = owner.zip(module.pod.as_deref()).and_then(|(owner, name)| pod_named(pods, owner, name));
    let policy = match pod.and_then(|pod| pod.spec.as_ref()?.restart_policy.as_deref()) {
        Some("Never") => RestartPolicy::Never,
        Some("OnFailure") => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    };
    let desired = if module.pod.is_some() { DesiredStatus::Running } else { module.desired_status };
    let wanted = Wanted {
        name: &module.name,
        desired,
        policy,
        image: module.image.as_deref().unwrap_or_default(),
        remarks: Vec::new(),
        failure: None,
    };
    modules::look(&wanted, pod, now)
}
