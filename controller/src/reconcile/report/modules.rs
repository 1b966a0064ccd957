//! A module as its pod shows it. Nothing is guessed: what the pod does not say is unknown.

use edge_crds::condition::reason;
use edge_crds::edge_deployment::{DesiredStatus, ModuleStatus, RestartPolicy, RuntimeStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::reconcile::build::{MODULE_CONTAINER, WORKLOAD_CONTAINER};

/// How long a module may take to start before a person is called.
pub const PROGRESS_DEADLINE: SignedDuration = SignedDuration::from_secs(120);
/// How long a module that was started again must run before it counts as running. Shorter, and one that crashes at once would
/// look well every few seconds.
pub const SETTLED_AFTER: SignedDuration = SignedDuration::from_secs(10);
/// Restarts in a row after which a person is called; the kubelet goes on all the same.
const STALLED_AFTER_RESTARTS: i32 = 5;
/// Longest description, in bytes. The schema has the same bound.
const MAX_DESCRIPTION_BYTES: usize = 2048;

/// What is wanted of a module, as far as its status is concerned.
#[derive(Clone, Debug)]
pub struct Wanted<'w> {
    /// Its name.
    pub name: &'w str,
    /// Should it run?
    pub desired: DesiredStatus,
    /// Is it started again?
    pub policy: RestartPolicy,
    /// Its image.
    pub image: &'w str,
    /// What was left out of its options, in sentences.
    pub remarks: Vec<String>,
    /// What was to be done about it and failed, in a sentence.
    pub failure: Option<String>,
}

/// How a module is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As desired.
    AsDesired,
    /// On its way.
    Starting {
        /// What it waits for.
        message: String,
    },
    /// Not as desired.
    Trouble {
        /// One word.
        reason: &'static str,
        /// A sentence.
        message: String,
        /// Does nothing move until a person acts?
        stalled: bool,
    },
}

/// One module, seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its entry in the status.
    pub status: ModuleStatus,
    /// How it is doing.
    pub standing: Standing,
    /// When to look again, because of something that only time brings.
    pub wake_at: Option<Timestamp>,
}

/// What the pod says, before restart policy and deadline are considered.
struct Look {
    runtime: RuntimeStatus,
    standing: Standing,
    wake_at: Option<Timestamp>,
}

/// Looks at `wanted` and its pod.
pub fn look(wanted: &Wanted<'_>, pod: Option<&Pod>, now: Timestamp) -> Seen {
    let container = pod.and_then(|pod| container(pod.status.as_ref()?, MODULE_CONTAINER));
    let mut look = match (wanted.desired, pod) {
        (DesiredStatus::Stopped, None) => Look::plain(RuntimeStatus::Stopped, Standing::AsDesired),
        (DesiredStatus::Stopped, Some(_)) => Look::starting(RuntimeStatus::Running, "it is being stopped"),
        (DesiredStatus::Running, None) => Look::starting(RuntimeStatus::Unknown, "its pod is being created"),
        (DesiredStatus::Running, Some(pod)) => running(wanted, pod, container, now),
    };
    if let Some(failure) = &wanted.failure {
        if pod.is_none() {
            look.runtime = RuntimeStatus::Failed;
        }
        look.standing = Standing::Trouble { reason: reason::APPLY_FAILED, message: failure.clone(), stalled: true };
    }
    let said = match &look.standing {
        Standing::AsDesired => None,
        Standing::Starting { message } | Standing::Trouble { message, .. } => Some(message.clone()),
    };
    let description = said.into_iter().chain(wanted.remarks.iter().cloned()).collect::<Vec<_>>().join("; ");
    let cut = description.floor_char_boundary(MAX_DESCRIPTION_BYTES);
    let status = ModuleStatus {
        name: wanted.name.to_owned(),
        pod: pod.map(ResourceExt::name_any),
        desired_status: wanted.desired,
        runtime_status: look.runtime,
        status_description: Some(description[..cut].to_owned()).filter(|description| !description.is_empty()),
        image: Some(wanted.image.to_owned()),
        next_restart_time: next_restart(container, look.runtime),
        ..history(container)
    };
    Seen { status, standing: look.standing, wake_at: look.wake_at }
}

impl Look {
    const fn plain(runtime: RuntimeStatus, standing: Standing) -> Self {
        Self { runtime, standing, wake_at: None }
    }

    fn starting(runtime: RuntimeStatus, message: impl Into<String>) -> Self {
        Self::plain(runtime, Standing::Starting { message: message.into() })
    }

    fn trouble(runtime: RuntimeStatus, reason: &'static str, message: String, stalled: bool) -> Self {
        Self::plain(runtime, Standing::Trouble { reason, message, stalled })
    }

    /// Trouble that may pass: a person is called once the deadline has.
    fn until_the_deadline(runtime: RuntimeStatus, reason: &'static str, message: String, pod: &Pod, now: Timestamp) -> Self {
        let deadline = pod.metadata.creation_timestamp.as_ref().and_then(|created| created.0.checked_add(PROGRESS_DEADLINE).ok());
        let stalled = deadline.is_none_or(|deadline| now >= deadline);
        Self { wake_at: deadline.filter(|_| !stalled), ..Self::trouble(runtime, reason, message, stalled) }
    }
}

fn running(wanted: &Wanted<'_>, pod: &Pod, container: Option<&ContainerStatus>, now: Timestamp) -> Look {
    if pod.metadata.deletion_timestamp.is_some() {
        return Look::starting(RuntimeStatus::Unknown, "its old pod is ending");
    }
    let Some(status) = &pod.status else { return Look::starting(RuntimeStatus::Unknown, "its pod is being created") };
    let state = container.and_then(|container| container.state.as_ref());
    if let Some(trouble) = sidecar_trouble(wanted, status, pod, now) {
        return trouble;
    }
    match state {
        Some(ContainerState { running: Some(_), .. }) if let Some(silent) = silent_node(pod, status, container) => silent,
        Some(ContainerState { running: Some(running), .. }) => {
            let restarts = container.map_or(0, |container| container.restart_count);
            let settled = running.started_at.as_ref().and_then(|started| started.0.checked_add(SETTLED_AFTER).ok());
            match settled {
                Some(settled) if restarts > 0 && now < settled => {
                    let message = format!("it was started again after it ended{}", with_code(container));
                    let standing = Standing::Starting { message };
                    Look { wake_at: Some(settled), ..Look::plain(RuntimeStatus::Running, standing) }
                }
                _ => Look::plain(RuntimeStatus::Running, Standing::AsDesired),
            }
        }
        Some(ContainerState { terminated: Some(ended), .. }) => {
            after_the_end(wanted, status, container.map_or(0, |container| container.restart_count), ended.exit_code)
        }
        Some(ContainerState { waiting: Some(waiting), .. }) => {
            let why = waiting.reason.as_deref().unwrap_or_default();
            waiting_for(wanted, why, waiting.message.as_deref().unwrap_or_default(), container, pod, now)
        }
        _ => nothing_yet(status, pod, now),
    }
}

/// What the pod says of its container is old when its node stopped answering. The cluster then takes back the pod's readiness, and
/// leaves its containers as the kubelet last saw them: ready.
fn silent_node(pod: &Pod, status: &PodStatus, container: Option<&ContainerStatus>) -> Option<Look> {
    let condition = |type_: &str| status.conditions.iter().flatten().find(|condition| condition.type_ == type_);
    let ready = condition("Ready").filter(|ready| ready.status != "True")?;
    let is_said_by_the_kubelet = matches!(ready.reason.as_deref(), Some("ContainersNotReady" | "ReadinessGatesNotReady"))
        || condition("ContainersReady").is_some_and(|containers| containers.status != "True");
    if is_said_by_the_kubelet || !container.is_some_and(|container| container.ready) {
        return None;
    }
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
    let message = format!("node {node} does not answer");
    // The node may come back by itself, and the module with it.
    Some(Look::trouble(RuntimeStatus::Unknown, reason::MODULE_FAILED, message, false))
}

fn after_the_end(wanted: &Wanted<'_>, status: &PodStatus, restarts: i32, exit_code: i32) -> Look {
    let lost = status.phase.as_deref() == Some("Failed") && status.reason.is_some();
    let again = match wanted.policy {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure | RestartPolicy::OnUnhealthy => exit_code != 0 || lost,
        RestartPolicy::Never => false,
    };
    match (again, exit_code) {
        (true, code) => {
            let why = status.reason.as_ref().filter(|_| lost).map(|reason| format!(" ({reason})")).unwrap_or_default();
            will_be_started_again(&format!(" with exit code {code}{why}"), restarts)
        }
        (false, 0) => Look::plain(RuntimeStatus::Stopped, Standing::AsDesired),
        (false, code) => {
            let message = format!("it ended with exit code {code}, and its restart policy is not to start it again");
            Look::trouble(RuntimeStatus::Failed, reason::MODULE_FAILED, message, true)
        }
    }
}

/// The same words between the end and the back-off, and during it: one status, not two in turn.
fn will_be_started_again(how: &str, restarts: i32) -> Look {
    let message = format!("it ended{how} and will be started again");
    Look::trouble(RuntimeStatus::Backoff, reason::MODULE_FAILED, message, restarts >= STALLED_AFTER_RESTARTS)
}

fn waiting_for(
    wanted: &Wanted<'_>,
    why: &str,
    message: &str,
    container: Option<&ContainerStatus>,
    pod: &Pod,
    now: Timestamp,
) -> Look {
    match why {
        "CrashLoopBackOff" => {
            let restarts = container.map_or(0, |container| container.restart_count);
            will_be_started_again(&with_code(container), restarts)
        }
        "ErrImagePull"
        | "ImagePullBackOff"
        | "RegistryUnavailable"
        | "ErrImageNeverPull"
        | "InvalidImageName"
        | "ImageInspectError" => image_trouble(wanted.image, why, message, pod, now),
        "ContainerCreating" | "PodInitializing" | "" => {
            nothing_yet(pod.status.as_ref().unwrap_or(&PodStatus::default()), pod, now)
        }
        other => {
            let message = format!("it cannot be started: {other}{}", after_colon(message));
            Look::until_the_deadline(RuntimeStatus::Failed, reason::MODULE_FAILED, message, pod, now)
        }
    }
}

fn image_trouble(image: &str, why: &str, message: &str, pod: &Pod, now: Timestamp) -> Look {
    match why {
        "ErrImageNeverPull" => {
            let message = format!("image {image} is not on the node, and its pull policy is never");
            Look::trouble(RuntimeStatus::Failed, reason::IMAGE_UNAVAILABLE, message, true)
        }
        "InvalidImageName" => {
            let message = format!("{image} is not the name of an image");
            Look::trouble(RuntimeStatus::Failed, reason::IMAGE_UNAVAILABLE, message, true)
        }
        _ => {
            // While it backs off the kubelet wraps the cause; unwrapped it is the same text in both states, and one status.
            let cause = message.split_once("ErrImagePull: ").map_or(message, |(_, cause)| cause);
            let cause = if why == "ImagePullBackOff" && cause == message { String::new() } else { after_colon(cause) };
            let message = format!("cannot pull image {image}{cause}");
            Look::until_the_deadline(RuntimeStatus::Failed, reason::IMAGE_UNAVAILABLE, message, pod, now)
        }
    }
}

/// The sidecar comes first: without it the module is not even begun.
fn sidecar_trouble(wanted: &Wanted<'_>, status: &PodStatus, pod: &Pod, now: Timestamp) -> Option<Look> {
    let sidecar = status.init_container_statuses.iter().flatten().find(|container| container.name == WORKLOAD_CONTAINER)?;
    let waiting = sidecar.state.as_ref()?.waiting.as_ref()?;
    let why = waiting.reason.as_deref().filter(|why| !matches!(*why, "ContainerCreating" | "PodInitializing"))?;
    let look = waiting_for(
        &Wanted { image: &sidecar.image, ..wanted.clone() },
        why,
        waiting.message.as_deref().unwrap_or_default(),
        Some(sidecar),
        pod,
        now,
    );
    let standing = match look.standing {
        Standing::Trouble { reason, message, stalled } => {
            Standing::Trouble { reason, message: format!("its workload API is not available: {message}"), stalled }
        }
        standing => standing,
    };
    Some(Look { runtime: RuntimeStatus::Failed, standing, wake_at: look.wake_at })
}

/// The container has not begun: no node, no volume, no image yet, or the sidecar is not up.
fn nothing_yet(status: &PodStatus, pod: &Pod, now: Timestamp) -> Look {
    let condition = |type_: &str| status.conditions.iter().flatten().find(|condition| condition.type_ == type_);
    if status.phase.as_deref() == Some("Failed") {
        let why = status.reason.as_deref().unwrap_or("unknown reason");
        let message =
            format!("its pod ended before it began: {why}{}", after_colon(status.message.as_deref().unwrap_or_default()));
        return Look::trouble(RuntimeStatus::Backoff, reason::MODULE_FAILED, message, false);
    }
    if let Some(unscheduled) = condition("PodScheduled").filter(|condition| condition.status == "False") {
        let message = format!("no node takes it{}", after_colon(unscheduled.message.as_deref().unwrap_or_default()));
        return Look::until_the_deadline(RuntimeStatus::Unknown, reason::MODULES_STARTING, message, pod, now);
    }
    let sidecar = container_of(status.init_container_statuses.as_deref(), WORKLOAD_CONTAINER);
    if sidecar.is_some_and(|sidecar| sidecar.started == Some(true)) {
        return Look::until_the_deadline_or_starting(RuntimeStatus::Downloading, "its image is being pulled", pod, now);
    }
    Look::until_the_deadline_or_starting(RuntimeStatus::Unknown, "its pod is being prepared", pod, now)
}

impl Look {
    fn until_the_deadline_or_starting(runtime: RuntimeStatus, message: &str, pod: &Pod, now: Timestamp) -> Self {
        let slow = Self::until_the_deadline(runtime, reason::MODULES_STARTING, message.to_owned(), pod, now);
        match slow.standing {
            // A large image on a slow line is no reason to call anybody.
            Standing::Trouble { stalled: true, .. } if runtime != RuntimeStatus::Downloading => slow,
            _ => Self { wake_at: slow.wake_at, ..Self::starting(runtime, message) },
        }
    }
}

fn container<'s>(status: &'s PodStatus, name: &str) -> Option<&'s ContainerStatus> {
    container_of(status.container_statuses.as_deref(), name)
}

fn container_of<'s>(statuses: Option<&'s [ContainerStatus]>, name: &str) -> Option<&'s ContainerStatus> {
    statuses?.iter().find(|container| container.name == name)
}

/// `: text`, or nothing.
fn after_colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// ` with exit code 3`, where one is known.
fn with_code(container: Option<&ContainerStatus>) -> String {
    let ended = container.and_then(|container| container.last_state.as_ref()?.terminated.as_ref());
    ended.map(|ended| format!(" with exit code {}", ended.exit_code)).unwrap_or_default()
}

/// What the container's status says of the past.
fn history(container: Option<&ContainerStatus>) -> ModuleStatus {
    let Some(container) = container else { return ModuleStatus::default() };
    let ended = [&container.state, &container.last_state].into_iter().find_map(|state| state.as_ref()?.terminated.as_ref());
    let running = container.state.as_ref().and_then(|state| state.running.as_ref());
    ModuleStatus {
        exit_code: ended.map(|ended| ended.exit_code),
        image_id: Some(container.image_id.clone()).filter(|id| !id.is_empty()),
        last_start_time: running.and_then(|running| running.started_at.clone()).or_else(|| ended?.started_at.clone()),
        last_exit_time: ended.and_then(|ended| ended.finished_at.clone()),
        restart_count: container.restart_count,
        ..ModuleStatus::default()
    }
}

/// When the kubelet will start it again: at once, then after 10 s, 20 s and so on up to 300 s.
fn next_restart(container: Option<&ContainerStatus>, runtime: RuntimeStatus) -> Option<Time> {
    let container = container.filter(|_| runtime == RuntimeStatus::Backoff)?;
    let ended = [&container.state, &container.last_state].into_iter().find_map(|state| state.as_ref()?.terminated.as_ref())?;
    let doublings = u32::try_from(container.restart_count.saturating_sub(1).max(0)).ok()?.min(5);
    let wait = if container.restart_count == 0 { 0 } else { (10_i64 << doublings).min(300) };
    let at = ended.finished_at.as_ref()?.0.checked_add(SignedDuration::from_secs(wait)).ok()?;
    Some(Time(at))
}
