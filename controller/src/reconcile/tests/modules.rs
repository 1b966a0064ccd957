//! A module's status, from what its pod shows.

use edge_crds::edge_deployment::{DesiredStatus, RestartPolicy, RuntimeStatus};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::reconcile::fixture::{Example, now, run, with_state};
use crate::reconcile::report::modules::{Seen, Standing, Wanted, look};

fn wanted(policy: RestartPolicy) -> Wanted<'static> {
    Wanted { name: "m", desired: DesiredStatus::Running, policy, image: "i:1", remarks: Vec::new(), failure: None }
}

fn pod(phase: &str, state: &Value, last: &Value, restarts: i32) -> Pod {
    with_state(run(Example::new().build().pods.remove(0).pod), phase, state, last, restarts)
}

fn at(seconds: i64) -> String {
    (now() + SignedDuration::from_secs(seconds)).to_string()
}

/// How it stands, in a word: `ok`, `starting`, `trouble` or `stalled`.
fn word(seen: &Seen) -> &'static str {
    match seen.standing {
        Standing::AsDesired => "ok",
        Standing::Starting { .. } => "starting",
        Standing::Trouble { stalled: false, .. } => "trouble",
        Standing::Trouble { stalled: true, .. } => "stalled",
    }
}

/// Rows: restart policy, phase, state, last state, restarts, seconds since the pod was made; then status, standing, description.
#[test]
#[expect(clippy::too_many_lines, reason = "one row per case")]
fn a_pods_state_becomes_a_runtime_status() {
    use RestartPolicy::{Always, Never, OnFailure};
    use RuntimeStatus::{Backoff, Failed, Running, Stopped, Unknown};
    let running = || json!({"running": {"startedAt": at(0)}});
    let ended = |code: i32| json!({"terminated": {"exitCode": code, "startedAt": at(0), "finishedAt": at(0)}});
    let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
    let none = || json!({});
    let again = |code: i32| format!("it ended with exit code {code} and will be started again");
    let table = [
        (Always, "Running", running(), none(), 0, 1, Running, "ok", String::new()),
        (
            Always,
            "Running",
            running(),
            ended(7),
            1,
            1,
            Running,
            "starting",
            "it was started again after it ended with exit code 7".into(),
        ),
        (Always, "Running", running(), ended(7), 1, 11, Running, "ok", String::new()),
        (Always, "Running", ended(0), none(), 0, 1, Backoff, "trouble", again(0)),
        (Always, "Running", waiting("CrashLoopBackOff", "back-off"), ended(7), 2, 1, Backoff, "trouble", again(7)),
        (Always, "Running", waiting("CrashLoopBackOff", "back-off"), ended(7), 5, 1, Backoff, "stalled", again(7)),
        (OnFailure, "Running", ended(3), none(), 0, 1, Backoff, "trouble", again(3)),
        (OnFailure, "Succeeded", ended(0), none(), 0, 1, Stopped, "ok", String::new()),
        (Never, "Succeeded", ended(0), none(), 0, 1, Stopped, "ok", String::new()),
        (
            Never,
            "Failed",
            ended(3),
            none(),
            0,
            1,
            Failed,
            "stalled",
            "it ended with exit code 3, and its restart policy is not to start it again".into(),
        ),
        (
            Always,
            "Pending",
            waiting("ErrImagePull", "no such host"),
            none(),
            0,
            1,
            Failed,
            "trouble",
            "cannot pull image i:1: no such host".into(),
        ),
        (
            Always,
            "Pending",
            waiting("ImagePullBackOff", "Back-off pulling image \"i:1\": ErrImagePull: no such host"),
            none(),
            0,
            1,
            Failed,
            "trouble",
            "cannot pull image i:1: no such host".into(),
        ),
        (
            Always,
            "Pending",
            waiting("ImagePullBackOff", "Back-off"),
            none(),
            0,
            120,
            Failed,
            "stalled",
            "cannot pull image i:1".into(),
        ),
        (
            Always,
            "Pending",
            waiting("ErrImageNeverPull", ""),
            none(),
            0,
            1,
            Failed,
            "stalled",
            "image i:1 is not on the node, and its pull policy is never".into(),
        ),
        (
            Always,
            "Pending",
            waiting("CreateContainerConfigError", "secret \"s\" not found"),
            none(),
            0,
            1,
            Failed,
            "trouble",
            "it cannot be started: CreateContainerConfigError: secret \"s\" not found".into(),
        ),
        (
            Always,
            "Pending",
            waiting("PodInitializing", ""),
            none(),
            0,
            1,
            Unknown,
            "starting",
            "its pod is being prepared".into(),
        ),
        (
            Always,
            "Pending",
            waiting("PodInitializing", ""),
            none(),
            0,
            121,
            Unknown,
            "stalled",
            "its pod is being prepared".into(),
        ),
    ];
    for (policy, phase, state, last, restarts, seconds, status, standing, description) in table {
        let case = format!("{policy:?} {phase} {state} after {restarts} restarts");
        let pod = pod(phase, &state, &last, restarts);
        let seen = look(&wanted(policy), Some(&pod), now() + SignedDuration::from_secs(seconds));
        assert_eq!(seen.status.runtime_status, status, "{case}");
        assert_eq!(word(&seen), standing, "{case}");
        assert_eq!(seen.status.status_description.unwrap_or_default(), description, "{case}");
    }
}

#[test]
fn the_next_restart_follows_the_kubelets_back_off() {
    for (restarts, seconds) in [(0, 0), (1, 10), (2, 20), (5, 160), (6, 300), (60, 300)] {
        let ended = json!({"terminated": {"exitCode": 1, "finishedAt": at(0)}});
        let pod = pod("Running", &json!({"waiting": {"reason": "CrashLoopBackOff"}}), &ended, restarts);
        let next = look(&wanted(RestartPolicy::Always), Some(&pod), now()).status.next_restart_time.unwrap();
        assert_eq!(next.0, now() + SignedDuration::from_secs(seconds), "{restarts}");
    }
}

#[test]
fn without_a_pod_a_module_is_what_it_should_be_or_on_its_way() {
    let stopped = Wanted { desired: DesiredStatus::Stopped, ..wanted(RestartPolicy::Always) };
    let seen = look(&stopped, None, now());
    assert_eq!((seen.status.runtime_status, word(&seen)), (RuntimeStatus::Stopped, "ok"));
    let seen = look(&wanted(RestartPolicy::Always), None, now());
    assert_eq!((seen.status.runtime_status, word(&seen)), (RuntimeStatus::Unknown, "starting"));
}

#[test]
fn what_was_left_out_stands_behind_what_is_wrong() {
    let greedy = Wanted { remarks: vec!["Hostname is not supported and was left out".into()], ..wanted(RestartPolicy::Never) };
    let pod = pod("Failed", &json!({"terminated": {"exitCode": 1}}), &json!({}), 0);
    let said = look(&greedy, Some(&pod), now()).status.status_description.unwrap();
    assert!(
        said.starts_with("it ended with exit code 1") && said.ends_with("; Hostname is not supported and was left out"),
        "{said}"
    );
}

/// Rows: is the module's container ready, the pod's condition Ready with its reason, and its condition `ContainersReady`.
#[test]
fn a_module_on_a_node_that_does_not_answer_does_not_count_as_running() {
    let table = [
        (true, "False", None, Some("True"), false),
        (true, "False", Some("NodeNotReady"), None, false),
        (true, "Unknown", None, None, false),
        (true, "True", None, Some("True"), true),
        (false, "False", Some("ContainersNotReady"), Some("False"), true),
        (true, "False", Some("ContainersNotReady"), Some("False"), true),
    ];
    for (is_ready, ready, reason, containers_ready, expected) in table {
        let mut pod = pod("Running", &json!({"running": {"startedAt": at(0)}}), &json!({}), 0);
        pod.spec.as_mut().unwrap().node_name = Some("edge-3".to_owned());
        let status = pod.status.as_mut().unwrap();
        status.container_statuses.as_mut().unwrap()[0].ready = is_ready;
        let mut conditions = vec![json!({"type": "Ready", "status": ready, "reason": reason})];
        conditions.extend(containers_ready.map(|status| json!({"type": "ContainersReady", "status": status})));
        status.conditions = Some(serde_json::from_value(json!(conditions)).unwrap());
        let seen = look(&wanted(RestartPolicy::Always), Some(&pod), now());
        let case = format!("{conditions:?}, container ready: {is_ready}");
        if expected {
            assert_eq!((seen.status.runtime_status, word(&seen)), (RuntimeStatus::Running, "ok"), "{case}");
        } else {
            assert_eq!((seen.status.runtime_status, word(&seen)), (RuntimeStatus::Unknown, "trouble"), "{case}");
            assert_eq!(seen.status.status_description.as_deref(), Some("node edge-3 does not answer"), "{case}");
        }
    }
}
