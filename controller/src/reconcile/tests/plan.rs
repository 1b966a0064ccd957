//! What is done about each difference: plans as sentences.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use crate::reconcile::action::Action;
use crate::reconcile::child::Kind;
use crate::reconcile::fetch::Fetched;
use crate::reconcile::fixture::{Example, now, run, with_state};

/// The plan, without the remembering of the spec that begins each change.
fn sentences(example: &Example, fetched: &Fetched, now: Timestamp) -> Vec<String> {
    let all = example.plan(fetched, now).actions;
    all.iter().map(Action::sentence).filter(|sentence| !sentence.contains(Kind::Revision.as_str())).collect()
}

#[test]
fn a_changed_spec_is_remembered_first_and_the_old_one_is_forgotten() {
    let changed = Example::new().with("/modules/0/status", json!("stopped"));
    let all = changed.plan(&Example::new().running(), now()).actions;
    let all: Vec<_> = all.iter().map(Action::sentence).collect();
    assert!(all[0].starts_with("create ControllerRevision line-7-accepted-"), "{all:?}");
    assert!(all[1].starts_with("delete ControllerRevision line-7-accepted-"), "{all:?}");
    assert_eq!(all[2..], ["stop tempSensor"]);
}

fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

#[test]
fn nothing_is_to_be_done_about_what_is_as_it_should_be() {
    let example = Example::new();
    assert_eq!(sentences(&example, &example.running(), now()), [""; 0]);
}

#[test]
fn changing_one_module_replaces_its_pod_alone() {
    let running = Example::new().running();
    let image = Example::new().with("/modules/1/image", json!("edge-samples/filter:2.0"));
    let expected = "replace filter: its image changed from edge-samples/filter:1.0 to edge-samples/filter:2.0";
    assert_eq!(sentences(&image, &running, now()), [expected]);
    let env = Example::new().with("/modules/0/env", json!([{"name": "INTERVAL", "value": "6"}]));
    assert_eq!(sentences(&env, &running, now()), ["replace tempSensor: its settings changed"]);
}

#[test]
fn a_changed_route_changes_the_hubs_configuration_and_no_pod() {
    let changed = Example::new().with("/routes/0/route", json!("FROM /* INTO $upstream"));
    assert_eq!(sentences(&changed, &Example::new().running(), now()), ["update ConfigMap line-7-edgehub-config"]);
}

#[test]
fn stopping_deletes_the_pod_and_removing_everything_but_keys_and_volumes() {
    let running = Example::new().running();
    let stopped = Example::new().with("/modules/0/status", json!("stopped"));
    assert_eq!(sentences(&stopped, &running, now()), ["stop tempSensor"]);
    let mut removed = Example::new().with("/routes", json!([]));
    removed = removed.with("/modules", json!([{"name": "filter", "image": "edge-samples/filter:1.0"}]));
    let done = sentences(&removed, &running, now());
    for expected in ["delete ServiceAccount line-7-tempsensor", "delete Service line-7-tempsensor", "remove tempSensor"] {
        assert!(done.contains(&expected.to_owned()), "{expected} in {done:?}");
    }
    assert!(!done.iter().any(|sentence| sentence.contains("line-7-volume-readings")), "{done:?}");
}

#[test]
fn a_new_sidecar_image_is_patched_into_running_pods() {
    let upgraded = Example::new().with_own_image("edge-operator:next");
    assert_eq!(
        sentences(&upgraded, &Example::new().running(), now()),
        [
            "update StatefulSet line-7-edgehub",
            "update the workload API of tempSensor to edge-operator:next",
            "update the workload API of filter to edge-operator:next"
        ]
    );
}

#[test]
fn a_pod_that_is_ending_is_waited_for() {
    let example = Example::new();
    let mut fetched = example.running();
    fetched.pods[0].metadata.deletion_timestamp = Some(Time(now()));
    assert_eq!(sentences(&example, &fetched, now()), ["wait for the old pod of tempSensor to end"]);
    assert!(example.plan(&fetched, now()).is_progress());
}

/// Pods that ended: by restart policy, phase and what the module's container did.
#[test]
fn only_pods_that_ended_for_no_fault_of_their_module_are_made_anew() {
    let ended = |code: i32| json!({"terminated": {"exitCode": code, "finishedAt": now().to_string()}});
    let vanished = json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}});
    let table = [
        ("never", "Succeeded", ended(0), false),
        ("never", "Failed", ended(3), false),
        ("never", "Failed", vanished.clone(), true),
        ("never", "Failed", json!({}), true),
        ("on-failure", "Succeeded", ended(0), false),
        ("on-failure", "Failed", ended(3), true),
        ("on-unhealthy", "Failed", vanished.clone(), true),
        ("always", "Failed", vanished, true),
        ("always", "Succeeded", ended(0), true),
        ("always", "Running", ended(3), false),
    ];
    for (policy, phase, state, expected) in table {
        let example = Example::new().with("/modules/0/restartPolicy", json!(policy));
        let mut fetched = example.running();
        fetched.pods[0] = with_state(fetched.pods[0].clone(), phase, &state, &json!({}), 0);
        let case = format!("{policy} {phase} {state}");
        let soon = example.plan(&fetched, later(5));
        assert_eq!(soon.actions, [], "{case}: it rests first");
        assert_eq!(soon.wake_at.is_some(), expected, "{case}");
        let replaced = sentences(&example, &fetched, later(61));
        assert_eq!(!replaced.is_empty(), expected, "{case}: {replaced:?}");
    }
}

#[test]
fn what_a_deleted_deployment_of_the_same_name_left_is_waited_for() {
    let mut fetched = Example::new().running();
    let service = fetched.objects.get_mut(&(Kind::Service, "line-7-edgehub".to_owned())).unwrap();
    service.metadata.owner_references.as_mut().unwrap()[0].uid = "older".to_owned();
    let done = sentences(&Example::new(), &fetched, now());
    assert_eq!(done, ["wait for Service line-7-edgehub of a deleted EdgeDeployment to go"]);
}

#[test]
fn pods_with_our_labels_that_nobody_owns_are_left_alone() {
    let example = Example::new();
    let mut fetched = example.running();
    let mut copy = run(fetched.pods[0].clone());
    copy.metadata.name = Some("somebodys-copy".to_owned());
    copy.metadata.owner_references = None;
    fetched.pods.push(copy);
    assert_eq!(sentences(&example, &fetched, now()), [""; 0]);
}

#[test]
fn a_volume_grows_and_never_shrinks() {
    let sized = |size: &str| Example::new().with("/hub", json!({"storage": {"size": size}}));
    let running = sized("2Gi").running();
    assert_eq!(sentences(&sized("1Gi"), &running, now())[..1], ["update ConfigMap line-7-edgehub-config"]);
    let grown = sentences(&sized("3Gi"), &running, now());
    assert!(grown.contains(&"update PersistentVolumeClaim line-7-edgehub".to_owned()), "{grown:?}");
}

#[test]
fn whether_keys_outlive_their_deployment_can_change_and_their_content_cannot() {
    let kept = Example::new();
    let mut fetched = kept.running();
    let mut ca = fetched.objects[&(Kind::Secret, "line-7-edgehub-tls".to_owned())].clone();
    ca.metadata.name = Some("line-7-ca".to_owned());
    fetched.objects.insert((Kind::Secret, "line-7-ca".to_owned()), ca);
    assert_eq!(sentences(&kept, &fetched, now()), ["let Secret line-7-ca outlive the EdgeDeployment"]);
}
