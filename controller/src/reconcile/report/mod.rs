//! Step five: say how it is. A status comes from what was seen, is written only when it differs from the one that is there, and
//! every difference that a person would want to know of is an event.

pub mod conditions;
pub mod modules;
pub mod news;
mod refused;

pub use refused::{kept, rejected};

use edge_crds::condition::{self, ConditionType, Finding, Verdict, reason};
use edge_crds::edge_deployment::{DeploymentStatus, EdgeDeploymentStatus, RouteStatus};
use edge_crds::{EdgeDeployment, labels};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::Error;
use super::apply::Failure;
use super::build::Desired;
use super::child::Owner;
use super::child::Ownership;
use super::valid::{ValidDeployment, ValidModule};
use conditions::{HubView, Judgement};
use modules::{Seen, Standing, Wanted};

/// Longest description of how the spec was judged, in bytes. The schema has the same bound.
const MAX_DESCRIPTION_BYTES: usize = 4096;
/// Longest message about a route, in bytes. The schema has the same bound.
const MAX_ROUTE_MESSAGE_BYTES: usize = 1024;

/// A status, and when it may change without anything happening.
#[derive(Clone, Debug)]
pub struct Report {
    /// The status.
    pub status: EdgeDeploymentStatus,
    /// When to look again at the latest.
    pub wake_at: Option<Timestamp>,
}

/// What the status of an applied deployment is made from.
#[derive(Clone, Copy, Debug)]
pub struct Findings<'f> {
    /// What was valid.
    pub valid: &'f ValidDeployment,
    /// What should be.
    pub desired: &'f Desired,
    /// Pods as they were before the plan was applied.
    pub pods: &'f [Pod],
    /// The hub.
    pub hub: HubView<'f>,
    /// What is still to happen, in a sentence; absent: nothing.
    pub progress: Option<&'f str>,
    /// What was not done.
    pub failed: &'f [Failure],
}

/// The status of a deployment that is valid.
pub fn applied(edge: &EdgeDeployment, findings: Findings<'_>, now: Timestamp) -> Report {
    let before = edge.status.clone().unwrap_or_default();
    let seen = seen(&findings, now);
    let Findings { valid, hub, progress, failed, .. } = findings;
    let hub_judged = conditions::hub(hub, &before.conditions, now);
    let modules_judged = conditions::modules(&seen);
    let routes_judged = conditions::routes(hub, generation(edge), &before.conditions);
    let (upstream_judged, upstream) = conditions::upstream(hub);
    let refused: Vec<_> = failed.iter().filter(|failure| failure.action.module().is_none()).map(Failure::sentence).collect();
    let details = [&hub_judged, &modules_judged, &routes_judged];
    let first_bad = details.into_iter().find(|judged| !judged.holds());
    let ready = match (refused.is_empty(), first_bad, progress) {
        (false, ..) => Finding::new(ConditionType::Ready, false, reason::APPLY_FAILED, refused.join("; ")),
        (true, Some(bad), _) => Finding::new(ConditionType::Ready, false, bad.finding.reason, bad.finding.message.clone()),
        (true, None, Some(progress)) => Finding::new(ConditionType::Ready, false, reason::PROGRESSING, progress),
        (true, None, None) => Finding::new(ConditionType::Ready, true, reason::READY, modules_judged.finding.message.clone()),
    };
    let stalled_by = details.into_iter().find(|judged| judged.stalled).map(|judged| &judged.finding);
    let is_refused = failed.iter().any(|failure| failure.action.module().is_none() && failure.is_refusal());
    let stalled = if is_refused { Some(&ready) } else { stalled_by }
        .map(|finding| Finding::new(ConditionType::Stalled, true, finding.reason, finding.message.clone()));
    let is_ready = ready.verdict == Verdict::True;
    let reconciling = (!is_ready && stalled.is_none()).then(|| {
        Finding::new(
            ConditionType::Reconciling,
            true,
            reason::PROGRESSING,
            progress.map_or_else(|| ready.message.clone(), str::to_owned),
        )
    });
    let (code, description) = match (failed.is_empty(), progress) {
        (false, _) => (500, failed.iter().map(Failure::sentence).collect::<Vec<_>>().join("; ")),
        (true, Some(progress)) => (406, progress.to_owned()),
        (true, None) => (200, String::new()),
    };
    let wake_at = seen.iter().filter_map(|seen| seen.wake_at).chain(hub_judged.wake_at).min();
    let mut findings =
        vec![ready, hub_judged.finding, modules_judged.finding, routes_judged.finding.clone(), upstream_judged.finding];
    findings.extend(stalled);
    findings.extend(conditions::storage_pressure(hub, &before.conditions));
    findings.extend(reconciling);
    let routes = routes(edge, &routes_judged, &valid.route_remarks);
    let deployment = judged(edge, code, &description, Some(valid.generation));
    let status = status(edge, &before, &findings, deployment, upstream, &seen, routes, now);
    Report { status, wake_at }
}

/// The modules, as they are.
fn seen(findings: &Findings<'_>, now: Timestamp) -> Vec<Seen> {
    let Findings { valid, desired, pods, failed, .. } = findings;
    let look = |module: &ValidModule| {
        let name = module.names.name();
        let remarks = desired.remarks.iter().filter(|(module, _)| module == name).flat_map(|(_, remarks)| remarks);
        let wanted = Wanted {
            name,
            desired: module.desired,
            policy: module.restart_policy,
            image: &module.image,
            remarks: remarks.map(ToString::to_string).collect(),
            failure: failed.iter().find(|failure| failure.action.module() == Some(name)).map(Failure::sentence),
        };
        modules::look(&wanted, pod_named(pods, &valid.owner, module.names.object_name()), now)
    };
    valid.modules.iter().map(look).collect()
}

/// The very first status: it says that nothing is known yet, so that nobody takes silence for health.
pub fn first(edge: &EdgeDeployment, now: Timestamp) -> EdgeDeploymentStatus {
    let before = edge.status.clone().unwrap_or_default();
    let findings = [
        Finding::new(ConditionType::Ready, Verdict::Unknown, reason::PENDING, "not looked at yet"),
        Finding::new(ConditionType::Reconciling, true, reason::PROGRESSING, "the EdgeDeployment is new"),
    ];
    let deployment = judged(edge, 406, "not looked at yet", None);
    status(edge, &before, &findings, deployment, "Unknown", &[], Vec::new(), now)
}

fn pod_named<'p>(pods: &'p [Pod], owner: &Owner, name: &str) -> Option<&'p Pod> {
    pods.iter().find(|pod| pod.name_any() == name && owner.judge(&pod.metadata) == Ownership::Ours)
}

fn routes(edge: &EdgeDeployment, judged: &Judgement, remarks: &[(String, String)]) -> Vec<RouteStatus> {
    let accepted = judged.holds();
    edge.spec
        .routes
        .iter()
        .map(|route| {
            let said = remarks.iter().filter(|(name, _)| *name == route.name).map(|(_, remark)| remark.as_str());
            let waits = (!accepted).then_some(judged.finding.message.as_str());
            let message = waits.into_iter().chain(said).collect::<Vec<_>>().join("; ");
            let message = Some(cut(&message, MAX_ROUTE_MESSAGE_BYTES)).filter(|message| !message.is_empty());
            RouteStatus { name: route.name.clone(), accepted, message }
        })
        .collect()
}

#[expect(clippy::too_many_arguments, reason = "every part of a status is decided by someone else, and none may be forgotten")]
fn status(
    edge: &EdgeDeployment,
    before: &EdgeDeploymentStatus,
    findings: &[Finding],
    deployment: DeploymentStatus,
    upstream: &str,
    seen: &[Seen],
    routes: Vec<RouteStatus>,
    now: Timestamp,
) -> EdgeDeploymentStatus {
    let generation = generation(edge);
    let good = seen.iter().filter(|seen| seen.standing == Standing::AsDesired).count();
    let total = if seen.is_empty() { edge.spec.modules.len() } else { seen.len() };
    EdgeDeploymentStatus {
        observed_generation: Some(generation),
        device_id: Some(edge.device_id()),
        conditions: condition::update(&before.conditions, findings, generation, &Time(whole_seconds(now))),
        summary: Some(format!("{good}/{total}")),
        upstream: Some(upstream.to_owned()),
        deployment: Some(deployment),
        modules: seen.iter().map(|seen| seen.status.clone()).collect(),
        routes,
    }
}

/// How the newest spec was judged, and which generation is the last that was accepted.
fn judged(edge: &EdgeDeployment, code: i32, description: &str, accepted: Option<i64>) -> DeploymentStatus {
    DeploymentStatus {
        version: generation(edge),
        code,
        description: cut(description, MAX_DESCRIPTION_BYTES),
        accepted_version: accepted,
    }
}

fn generation(edge: &EdgeDeployment) -> i64 {
    edge.metadata.generation.unwrap_or_default()
}

/// Times in a status have no fractions; one with fractions would differ from itself once written.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

/// Writes `status` if it differs from the one that `edge` has. Was it written?
pub async fn write(client: &Client, edge: &EdgeDeployment, status: &EdgeDeploymentStatus) -> Result<bool, Error> {
    if edge.status.as_ref() == Some(status) {
        return Ok(false);
    }
    let name = edge.name_any();
    let api: Api<EdgeDeployment> = Api::namespaced(client.clone(), &edge.namespace().unwrap_or_default());
    let mut ours = status.clone();
    // Conditions of other writers stay theirs.
    ours.conditions.retain(|condition| ConditionType::ALL.iter().any(|kind| kind.as_str() == condition.type_));
    let patch = json!({
        "apiVersion": "iotedge.dev/v1alpha1",
        "kind": "EdgeDeployment",
        "metadata": { "name": name },
        "status": ours,
    });
    let parameters = PatchParams::apply(labels::STATUS_MANAGER).force();
    let written = api.patch_status(&name, &parameters, &Patch::Apply(patch)).await;
    match written {
        Ok(_) => Ok(true),
        // Deleted meanwhile: nobody will read it.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(source) => Err(Error::Status { name, source: Box::new(source) }),
    }
}
