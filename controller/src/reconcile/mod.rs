//! One reconcile, in five steps: fetch, validate, plan (build what should exist, then compare), apply, report.
//!
//! Only the first and the last two hold a client. What is between them is a function of the object, what exists, and the time.
//!
//! A spec that is refused changes nothing. The one that was accepted last is then reconciled in its place, so that a pod that a node
//! loses comes back and a certificate is renewed, while the status says what is wrong with the newest.

pub mod action;
pub mod apply;
pub mod build;
pub mod certificates;
pub mod child;
mod claim_size;
mod compare;
mod error;
pub mod fetch;
#[cfg(test)]
mod fixture;
pub mod material;
pub mod plan;
mod registry;
pub mod rejection;
pub mod report;
mod routes;
#[cfg(test)]
mod tests;
pub mod valid;
pub mod validate;

pub use error::Error;

use std::net::IpAddr;
use std::time::Duration;

use edge_crds::condition::{ConditionType, reason};
use edge_crds::{EdgeDeployment, EdgeDeploymentStatus};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};
use ring::rand::SystemRandom;
use serde_json::Value;

use crate::context::Context;
use crate::events::News;
use crate::hub_link::{HubKey, HubReport, LinkTarget};
use apply::{Applied, Taken};
use build::{Desired, Surroundings};
use child::{Kind, Owner};
use fetch::Fetched;
use material::{Material, ReadError};
use plan::Plan;
use rejection::{Problem, Rejection};
use report::conditions::HubView;
use report::{Findings, Report};
use valid::ValidDeployment;

/// Everything is looked at again this often, even if nothing seems to have changed.
const RESYNC: Duration = Duration::from_mins(5);
/// How often a refused object is looked at again: a missing Secret may appear, and Secrets of others are not watched.
const LOOK_AT_REFUSED: Duration = Duration::from_secs(15);
/// How often it is looked whether what is waited for has gone, beside the watches.
const LOOK_AT_WAITING: Duration = Duration::from_secs(5);

/// Brings the EdgeDeployment `name` closer to what it asks for. Returns when to look again at the latest; `None`: it is gone.
pub async fn reconcile(context: &Context, namespace: &str, name: &str) -> Result<Option<Duration>, Error> {
    let now = context.now();
    let key = HubKey { namespace: namespace.to_owned(), deployment: name.to_owned() };
    let Some(edge) = fetch::current(&context.client, namespace, name).await? else {
        context.links.stop(&key);
        return Ok(None);
    };
    if edge.status.as_ref().is_none_or(|status| status.conditions.is_empty()) {
        // Before anything that takes time: whoever looks meanwhile must not take silence for health.
        report::write(&context.client, &edge, &report::first(&edge, now)).await?;
    }
    let fetched = fetch::fetch(&context.client, &edge).await?;
    let valid = validate::validate(&edge, &fetched.secrets);
    let refused = match prepare(context, valid, fetched, &key, now).await? {
        Ok(prepared) => return put_in_force(context, &edge, *prepared, None, &key, now).await.map(Some),
        Err(refused) => *refused,
    };
    // Refused: the spec that was accepted last stays in force, and what fails of it is repaired.
    let Refused { rejection, mut fetched } = refused;
    if let Some(accepted) = build::last_accepted(&edge, &fetched.objects) {
        fetched.secrets = fetch::secrets(&context.client, &accepted).await?;
        let valid = validate::validate_again(&accepted, &fetched.secrets, &fetched.objects);
        match prepare(context, valid, fetched, &key, now).await? {
            Ok(prepared) => return put_in_force(context, &edge, *prepared, Some(&rejection), &key, now).await.map(Some),
            // It cannot be put in force any more. What is said is what is wrong with the newest.
            Err(refused) => fetched = refused.fetched,
        }
    }
    refuse(context, &edge, &fetched, &key, &rejection, now).await.map(Some)
}

/// A spec that is accepted, and all that follows from it; nothing is applied yet but keys that were missing.
struct Prepared {
    valid: ValidDeployment,
    material: Material,
    fetched: Fetched,
    desired: Desired,
    plan: Plan,
    hub_report: Option<HubReport>,
}

/// A spec that is not accepted, and why.
struct Refused {
    rejection: Rejection,
    fetched: Fetched,
}

/// Plans what to do about a spec, unless it was found wanting or is now.
async fn prepare(
    context: &Context,
    valid: Result<ValidDeployment, Rejection>,
    fetched: Fetched,
    key: &HubKey,
    now: Timestamp,
) -> Result<Result<Box<Prepared>, Box<Refused>>, Error> {
    let valid = match valid {
        Ok(valid) => valid,
        Err(rejection) => return Ok(Err(Box::new(Refused { rejection, fetched }))),
    };
    let (material, fetched) = match establish(context, &valid, fetched, now).await? {
        Ok(established) => established,
        Err((rejection, fetched)) => return Ok(Err(Box::new(Refused { rejection, fetched }))),
    };
    let around = Surroundings { hub_address: hub_address(&valid, &fetched) };
    let desired = build::build(&valid, &material, &context.settings, around);
    let hub_report = context.links.report(key);
    let plan = plan::plan(&valid, &desired, &fetched, hub_report.as_ref().and_then(|report| report.status.as_ref()), now);
    let taken = apply::taken_names(&context.client, &valid, &plan).await?;
    if !taken.is_empty() {
        return Ok(Err(Box::new(Refused { rejection: name_taken(&taken), fetched })));
    }
    Ok(Ok(Box::new(Prepared { valid, material, fetched, desired, plan, hub_report })))
}

/// Does what was planned, and reports it on `edge`. `refused`: why the newest spec is not the one in force.
async fn put_in_force(
    context: &Context,
    edge: &EdgeDeployment,
    prepared: Prepared,
    refused: Option<&Rejection>,
    key: &HubKey,
    now: Timestamp,
) -> Result<Duration, Error> {
    let Prepared { valid, material, fetched, desired, plan, hub_report } = prepared;
    let (wake_at, progress) = (plan.wake_at, progress(&plan));
    let applied = apply::apply(&context.client, &valid, plan).await;
    if applied.failed.iter().any(|failure| error::is_namespace_ending(&failure.source)) {
        return Err(Error::NamespaceEnding);
    }
    let hub = HubView {
        pod: plan::hub_pod(&valid, &fetched),
        set_created: set_created(&fetched, &valid.names.hub()),
        report: hub_report.as_ref(),
        configuration_version: &desired.configuration_version,
        has_upstream: valid.upstream.is_some(),
    };
    let findings = Findings {
        valid: &valid,
        desired: &desired,
        pods: &fetched.pods,
        hub,
        progress: progress.as_deref(),
        failed: &applied.failed,
    };
    let report = match refused {
        None => report::applied(edge, findings, now),
        Some(rejection) => report::kept(edge, rejection, findings, now),
    };
    let renewed = material.renewed.filter(|_| applied.has_stored(Kind::Secret, &valid.names.hub_tls()));
    tell(context, edge, &report, &desired, &applied, renewed, now).await;
    report::write(&context.client, edge, &report.status).await?;
    if let Some(rejection) = refused {
        log_refusal(edge, &report, key, rejection);
    }
    link(context, &valid, &material, key, hub);
    context.metrics.reported(key, &report.status);
    let next = next_look(&[wake_at, report.wake_at, Some(material.renewal_at)], progress.is_some(), now);
    // What was refused is tried again with the next change or resync; what failed for another reason soon.
    match applied.failed.into_iter().find(|failure| !failure.is_refusal()) {
        Some(failure) => Err(failure.into_error()),
        None => Ok(if refused.is_some() { next.min(LOOK_AT_REFUSED) } else { next }),
    }
}

/// Makes sure that the keys exist, and reads them. The inner error: they exist and cannot be used.
async fn establish(
    context: &Context,
    valid: &ValidDeployment,
    mut fetched: Fetched,
    now: Timestamp,
) -> Result<Result<(Material, Fetched), (Rejection, Fetched)>, Error> {
    for child in material::missing(valid, &fetched.objects, &SystemRandom::new(), now)? {
        let stored = apply::create_once(&context.client, valid, &child).await?;
        if valid.owner.judge(&stored.metadata) == child::Ownership::Foreign {
            let taken = Taken { kind: Kind::Secret.as_str(), name: stored.name_any() };
            return Ok(Err((name_taken(&[taken]), fetched)));
        }
        fetched.objects.insert(apply::key_of(&stored), stored);
    }
    let hosts = valid.hub_hostnames(&context.settings.dns.domain);
    match material::read(valid, &fetched.objects, &hosts, now) {
        Ok(material) => Ok(Ok((material, fetched))),
        Err(ReadError::Unusable(rejection)) => Ok(Err((rejection, fetched))),
        Err(ReadError::Certificate(error)) => Err(error.into()),
        Err(ReadError::Vanished) => Err(Error::Vanished),
    }
}

fn name_taken(taken: &[Taken]) -> Rejection {
    let problems = taken.iter().map(|Taken { kind, name }| {
        let message = "exists and does not belong to this EdgeDeployment: rename one of the two".to_owned();
        Problem::new(reason::NAME_TAKEN, format!("{kind} {name}"), message)
    });
    // Never empty: whoever calls has found at least one.
    let mut problems = problems.collect::<Vec<_>>();
    let first = problems.remove(0);
    Rejection::of_all(first, problems)
}

/// Reports a refused object of which no earlier spec is remembered, or none that can be put in force any more. Nothing is touched.
async fn refuse(
    context: &Context,
    edge: &EdgeDeployment,
    fetched: &Fetched,
    key: &HubKey,
    rejection: &Rejection,
    now: Timestamp,
) -> Result<Duration, Error> {
    let hub_report = context.links.report(key);
    let owner = edge.controller_owner_ref(&()).map(|reference| Owner { reference });
    let hub_pod = edge_crds::name::DeploymentNames::new(edge.name_any()).hub_pod();
    let hub = HubView {
        pod: fetched.pods.iter().find(|pod| pod.name_any() == hub_pod),
        set_created: set_created(fetched, &edge_crds::name::DeploymentNames::new(edge.name_any()).hub()),
        report: hub_report.as_ref(),
        configuration_version: "",
        has_upstream: edge.spec.upstream.is_some(),
    };
    let report = report::rejected(edge, rejection, &fetched.pods, hub, owner.as_ref(), now);
    let Report { status, wake_at } = &report;
    let before = edge.status.clone().unwrap_or_default();
    for news in report::news::between(&before, status) {
        context.recorder.send(&edge.object_ref(&()), news, now).await;
    }
    report::write(&context.client, edge, status).await?;
    log_refusal(edge, &report, key, rejection);
    context.metrics.reported(key, status);
    Ok(next_look(&[*wake_at], false, now).min(LOOK_AT_REFUSED))
}

/// Once per refusal, not once per look at it.
fn log_refusal(edge: &EdgeDeployment, report: &Report, key: &HubKey, rejection: &Rejection) {
    let stalled = |status: &EdgeDeploymentStatus| {
        let found = status.conditions.iter().find(|condition| condition.type_ == ConditionType::Stalled.as_str())?;
        Some((found.message.clone(), found.observed_generation))
    };
    if edge.status.as_ref().and_then(stalled) != stalled(&report.status) {
        let HubKey { namespace, deployment } = key;
        tracing::warn!(namespace, deployment, reason = rejection.reason(), "refused: {rejection}");
    }
}

/// What is still to happen, for people.
fn progress(plan: &Plan) -> Option<String> {
    let sentences: Vec<_> = plan.actions.iter().filter(|action| action.is_progress()).map(action::Action::sentence).collect();
    match sentences.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        [first, rest @ ..] => Some(format!("{first}, and {} more", rest.len())),
    }
}

/// Sends the events of one reconcile; `renewed` says why the hub's certificate was.
async fn tell(
    context: &Context,
    edge: &EdgeDeployment,
    report: &Report,
    desired: &Desired,
    applied: &Applied,
    renewed: Option<&str>,
    now: Timestamp,
) {
    let about: ObjectReference = edge.object_ref(&());
    let before = edge.status.clone().unwrap_or_default();
    let mut news: Vec<News> = Vec::new();
    news.extend(applied.done.iter().filter_map(action::Action::news));
    if let Some(why) = renewed {
        news.push(News::deed("CertificateRenewed", "RenewCertificate", format!("Renewed the hub's certificate: {why}.")));
    }
    news.extend(desired.remarks.iter().filter_map(|(module, remarks)| {
        let remarks: Vec<_> = remarks.iter().map(ToString::to_string).collect();
        report::news::of_remarks(&before, module, &remarks)
    }));
    news.extend(report::news::between(&before, &report.status));
    for news in news {
        context.recorder.send(&about, news, now).await;
    }
}

/// Keeps the link to the hub going, from when its pod first runs.
fn link(context: &Context, valid: &ValidDeployment, material: &Material, key: &HubKey, hub: HubView<'_>) {
    if hub.pod.is_none() {
        return;
    }
    let hosts = valid.hub_hostnames(&context.settings.dns.domain);
    // The longest name needs no search list.
    let host = hosts.get(3).cloned().unwrap_or_else(|| valid.names.hub());
    context.links.ensure(
        key,
        LinkTarget {
            host,
            audience_host: valid.names.hub(),
            device: valid.device.clone(),
            key: material.agent.key.clone(),
            ca: material.authority.certificate.clone(),
        },
    );
}

/// Address of the hub's Service.
fn hub_address(valid: &ValidDeployment, fetched: &Fetched) -> Option<IpAddr> {
    let service = fetched.objects.get(&(Kind::Service, valid.names.hub()))?;
    service.data.pointer("/spec/clusterIP").and_then(Value::as_str)?.parse().ok()
}

/// When the hub's StatefulSet was made.
fn set_created(fetched: &Fetched, hub: &str) -> Option<Timestamp> {
    let set = fetched.objects.get(&(Kind::StatefulSet, hub.to_owned()))?;
    set.metadata.creation_timestamp.as_ref().map(|created| created.0)
}

fn next_look(times: &[Option<Timestamp>], is_waiting: bool, now: Timestamp) -> Duration {
    let until = |at: &Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or_default();
    let soonest = times.iter().flatten().map(until).min().unwrap_or(RESYNC);
    let bound = if is_waiting { LOOK_AT_WAITING } else { RESYNC };
    // Never at once: whatever should have happened by now has its own event.
    soonest.clamp(Duration::from_secs(1), bound)
}
