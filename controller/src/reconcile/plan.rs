//! Step three, second half: what to do about the difference. Pure: desired, observed and the time give a list of actions.

use std::collections::BTreeMap;

use edge_crds::edge_deployment::{DesiredStatus, RestartPolicy};
use edge_crds::labels;
use edge_protocol::status::HubStatus;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DynamicObject;

use super::action::Action;
use super::build::{Desired, HUB_CONFIGURATION, MODULE_CONTAINER, ModulePod, own_labels, spec_hash, workload_image};
use super::child::{Kind, Ownership, PodRef};
use super::fetch::Fetched;
use super::valid::ValidDeployment;
use super::{claim_size, compare, material};

/// How long the hub gets to notice its new configuration before its files are refreshed once more.
const REFRESH_AGAIN: SignedDuration = SignedDuration::from_secs(5);
/// How long a pod that ended for good rests before it is made anew, if it had lived long.
const SHORT_REST: SignedDuration = SignedDuration::from_secs(10);
/// How long it rests if it had not: nodes that evict or refuse a pod would otherwise get it back at once.
const LONG_REST: SignedDuration = SignedDuration::from_secs(60);
/// How long a pod must have lived to count as having lived long.
const LONG_LIFE: SignedDuration = SignedDuration::from_mins(10);

/// What to do, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The actions.
    pub actions: Vec<Action>,
    /// When to plan again at the latest, because of something that only time brings.
    pub wake_at: Option<Timestamp>,
}

impl Plan {
    /// Is the deployment on its way to what is desired, rather than there?
    pub fn is_progress(&self) -> bool {
        self.actions.iter().any(Action::is_progress)
    }

    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// Compares.
pub fn plan(valid: &ValidDeployment, desired: &Desired, fetched: &Fetched, hub: Option<&HubStatus>, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let waits = previous(valid, desired, fetched);
    if !waits.is_empty() {
        plan.actions = waits;
        return plan;
    }
    objects(valid, desired, fetched, &mut plan);
    owners(valid, fetched, &mut plan);
    orphans(valid, desired, fetched, &mut plan);
    pods(valid, desired, fetched, now, &mut plan);
    refresh(valid, desired, fetched, hub, now, &mut plan);
    plan
}

/// What an EdgeDeployment of the same name left behind and the garbage collector will fetch: nothing can take its place before.
fn previous(valid: &ValidDeployment, desired: &Desired, fetched: &Fetched) -> Vec<Action> {
    let is_previous = |metadata| valid.owner.judge(metadata) == Ownership::Previous;
    let objects = desired.children.iter().filter_map(|child| {
        let found = fetched.objects.get(&(child.kind, child.name().to_owned()))?;
        is_previous(&found.metadata)
            .then(|| format!("{} {} of a deleted EdgeDeployment to go", child.kind.as_str(), child.name()))
    });
    let pods = fetched.pods.iter().filter(|pod| is_previous(&pod.metadata));
    let pods = pods.map(|pod| format!("pod {} of a deleted EdgeDeployment to go", pod.name_any()));
    objects.chain(pods).map(|what| Action::Wait { what }).collect()
}

fn objects(valid: &ValidDeployment, desired: &Desired, fetched: &Fetched, plan: &mut Plan) {
    for child in &desired.children {
        let found = fetched.objects.get(&(child.kind, child.name().to_owned()));
        let ours = found.filter(|found| valid.owner.judge(&found.metadata) != Ownership::Foreign);
        let action = match ours {
            None => Some(Action::Apply { child: Box::new(child.clone()), exists: false }),
            Some(found) if found.metadata.deletion_timestamp.is_some() => {
                Some(Action::Wait { what: format!("{} {} to go", child.kind.as_str(), child.name()) })
            }
            Some(found) if child.kind == Kind::Claim && claim_size::would_shrink(&child.object.data, &found.data) => None,
            Some(found) if compare::differs(child, found) || compare::has_surplus_data(child, found) => {
                Some(Action::Apply { child: Box::new(child.clone()), exists: true })
            }
            Some(_) => None,
        };
        plan.actions.extend(action);
    }
}

/// The hub's volume and the keys: whether they outlive the EdgeDeployment may change, and nothing else about them.
fn owners(valid: &ValidDeployment, fetched: &Fetched, plan: &mut Plan) {
    for ((kind, name), found) in &fetched.objects {
        let may_outlive = match kind {
            Kind::Secret => material::may_outlive(valid, name),
            Kind::Claim => valid.hub.storage.existing_claim.is_none() && *name == valid.names.hub(),
            _ => false,
        };
        let owner = match (valid.owner.judge(&found.metadata), valid.hub.storage.retain) {
            (Ownership::Ours, true) => None,
            (Ownership::Unowned, false) => Some(valid.owner.reference.clone()),
            _ => continue,
        };
        if may_outlive {
            plan.actions.push(Action::Own { kind: *kind, name: name.clone(), owner });
        }
    }
}

fn orphans(valid: &ValidDeployment, desired: &Desired, fetched: &Fetched, plan: &mut Plan) {
    let wanted = |kind: Kind, name: &str| desired.children.iter().any(|child| child.kind == kind && child.name() == name);
    for ((kind, name), found) in &fetched.objects {
        let kept = match kind {
            // Docker keeps the volumes of a container that it removes; so do we, until the whole EdgeDeployment goes.
            Kind::Claim => true,
            Kind::Secret => material::may_outlive(valid, name) || *name == valid.agent_secret(),
            // Without the hub's address there is no slice to wish for, which is no reason to remove one.
            Kind::EndpointSlice => !desired.children.iter().any(|child| child.kind == Kind::EndpointSlice),
            _ => false,
        };
        let ours = valid.owner.judge(&found.metadata) == Ownership::Ours;
        if ours && !kept && found.metadata.deletion_timestamp.is_none() && !wanted(*kind, name) {
            plan.actions.push(Action::Delete { kind: *kind, name: name.clone(), uid: found.uid().unwrap_or_default() });
        }
    }
}

fn pods(valid: &ValidDeployment, desired: &Desired, fetched: &Fetched, now: Timestamp, plan: &mut Plan) {
    let observed: BTreeMap<String, &Pod> = fetched
        .pods
        .iter()
        .filter(|pod| valid.owner.judge(&pod.metadata) == Ownership::Ours)
        .map(|pod| (pod.name_any(), pod))
        .collect();
    for pod in &desired.pods {
        match observed.get(pod.name()) {
            None => plan.actions.push(Action::CreatePod(Box::new(pod.clone()))),
            Some(found) => existing(pod, found, now, plan),
        }
    }
    for (name, pod) in observed {
        if desired.pods.iter().any(|desired| desired.name() == name) {
            continue;
        }
        let module = pod.annotations().get(labels::MODULE_NAME).cloned().unwrap_or_else(|| name.clone());
        if pod.metadata.deletion_timestamp.is_some() {
            plan.actions.push(Action::Wait { what: format!("the pod of {module} to end") });
            continue;
        }
        let stopped = valid.modules.iter().any(|spec| spec.names.name() == module && spec.desired == DesiredStatus::Stopped);
        plan.actions.push(Action::DeletePod { pod: PodRef::of(pod), module, stopped });
    }
}

fn existing(desired: &ModulePod, found: &Pod, now: Timestamp, plan: &mut Plan) {
    if found.metadata.deletion_timestamp.is_some() {
        plan.actions.push(Action::Wait { what: format!("the old pod of {} to end", desired.module) });
        return;
    }
    let replace = |why: String| Action::ReplacePod { old: PodRef::of(found), new: Box::new(desired.clone()), why };
    if spec_hash(found) != desired.hash() {
        plan.actions.push(replace(what_changed(desired, found)));
        return;
    }
    if let Some((why, due)) = lost(desired.restart_policy, found) {
        if now >= due {
            plan.actions.push(replace(why));
        } else {
            plan.wake(due);
        }
        return;
    }
    let wanted = workload_image(&desired.pod);
    if let Some(image) = wanted
        && workload_image(found) != wanted
    {
        let (pod, module, image) = (PodRef::of(found), desired.module.clone(), image.to_owned());
        plan.actions.push(Action::PatchSidecar { pod, module, image });
    }
    let labels = own_labels(&desired.pod);
    if labels.iter().any(|(key, value)| found.labels().get(key) != Some(value)) {
        plan.actions.push(Action::PatchLabels { pod: PodRef::of(found), labels });
    }
}

/// For people: which part of the module changed.
fn what_changed(desired: &ModulePod, found: &Pod) -> String {
    let image = |pod: &Pod| {
        let spec = pod.spec.as_ref()?;
        spec.containers.iter().find(|container| container.name == MODULE_CONTAINER)?.image.clone()
    };
    match (image(&desired.pod), image(found)) {
        (Some(new), Some(old)) if new != old => format!("its image changed from {old} to {new}"),
        _ => "its settings changed".to_owned(),
    }
}

/// Did this pod end for a reason that is not the module's own, so that another must take its place? If so why, and from when on.
/// The kubelet restarts containers; what it cannot restart is a pod that was evicted or never admitted.
fn lost(policy: RestartPolicy, pod: &Pod) -> Option<(String, Timestamp)> {
    let status = pod.status.as_ref()?;
    let phase = status.phase.as_deref()?;
    let ended = status.container_statuses.iter().flatten().find(|container| container.name == MODULE_CONTAINER);
    let ended = ended.and_then(|container| container.state.as_ref()?.terminated.as_ref());
    let is_lost = match (phase, policy) {
        ("Failed" | "Succeeded", RestartPolicy::Always) | ("Failed", RestartPolicy::OnFailure | RestartPolicy::OnUnhealthy) => {
            true
        }
        ("Failed", RestartPolicy::Never) => ended.is_none_or(|ended| ended.reason.as_deref() == Some("ContainerStatusUnknown")),
        _ => false,
    };
    if !is_lost {
        return None;
    }
    let created = pod.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let at = ended.and_then(|ended| ended.finished_at.as_ref()).map_or(created, |time| time.0);
    let rest = if at.duration_since(created) >= LONG_LIFE { SHORT_REST } else { LONG_REST };
    let why = match status.reason.as_deref() {
        Some(reason) => format!("its pod ended: {reason}"),
        None => format!("its pod ended: {phase}"),
    };
    Some((why, at.saturating_add(rest).unwrap_or(at)))
}

/// The hub reads its files when they change; the kubelet changes them when it gets round to it, or when its pod does.
fn refresh(
    valid: &ValidDeployment,
    desired: &Desired,
    fetched: &Fetched,
    hub: Option<&HubStatus>,
    now: Timestamp,
    plan: &mut Plan,
) {
    let Some(pod) = hub_pod(valid, fetched) else { return };
    let runs = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
    if !runs || pod.metadata.deletion_timestamp.is_some() {
        return;
    }
    let told = pod.annotations().get(HUB_CONFIGURATION).and_then(|value| value.split_once(' '));
    let told = told.and_then(|(stamp, at)| Some((stamp, Timestamp::from_second(at.parse().ok()?).ok()?)));
    let again = match told {
        Some((stamp, at)) if stamp == desired.configuration_stamp => {
            let behind = hub.is_some_and(|hub| hub.configuration.offered != desired.configuration_version);
            let due = at.saturating_add(REFRESH_AGAIN).unwrap_or(at);
            if behind && now < due {
                plan.wake(due);
            }
            behind && now >= due
        }
        _ => true,
    };
    if again {
        let stamp = format!("{} {}", desired.configuration_stamp, now.as_second());
        plan.actions.push(Action::RefreshHub { pod: PodRef::of(pod), stamp });
    }
}

/// The hub's pod. It belongs to the StatefulSet, and the StatefulSet to us.
pub fn hub_pod<'f>(valid: &ValidDeployment, fetched: &'f Fetched) -> Option<&'f Pod> {
    let set: &DynamicObject = fetched.objects.get(&(Kind::StatefulSet, valid.names.hub()))?;
    let owned = |pod: &Pod| pod.owner_references().iter().any(|owner| Some(&owner.uid) == set.metadata.uid.as_ref());
    fetched.pods.iter().find(|pod| pod.name_any() == valid.names.hub_pod() && owned(pod))
}
