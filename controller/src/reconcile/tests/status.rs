//! The conditions of a deployment, from its parts.

use edge_crds::condition::{ConditionType, Verdict};
use edge_protocol::status::{ConfigurationStatus, FullEffect, FullEndpoint, HubStatus, UpstreamState, UpstreamStatus};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use crate::hub_link::HubReport;
use crate::reconcile::fixture::now;
use crate::reconcile::report::conditions::{self, HubView};

fn hub_pod(ready: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "line-7-edgehub-0"},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }))
    .unwrap()
}

fn says(in_force: &str, offered: &str, code: u16, upstream: UpstreamState) -> HubReport {
    let status = HubStatus {
        configuration: ConfigurationStatus {
            in_force: in_force.into(),
            offered: offered.into(),
            code,
            description: "bad route".into(),
        },
        upstream: UpstreamStatus { state: upstream, error: Some("connection refused".into()) },
        storage_problem: None,
        full_endpoints: Vec::new(),
        session_epoch: "1".into(),
    };
    HubReport { status: Some(status), problem: None }
}

fn view<'v>(pod: &'v Pod, report: Option<&'v HubReport>) -> HubView<'v> {
    HubView { pod: Some(pod), set_created: None, report, configuration_version: "new", has_upstream: true }
}

#[test]
fn routes_are_accepted_when_the_hub_says_so() {
    let pod = hub_pod("True");
    let table = [
        (says("new", "new", 200, UpstreamState::None), Verdict::True, "RoutesInForce", false),
        (says("old", "new", 400, UpstreamState::None), Verdict::False, "ConfigurationRefused", true),
        (says("old", "old", 200, UpstreamState::None), Verdict::Unknown, "Progressing", false),
        (HubReport::default(), Verdict::Unknown, "HubUnreachable", false),
    ];
    for (report, verdict, reason, stalled) in table {
        let judged = conditions::routes(view(&pod, Some(&report)), 1, &[]);
        assert_eq!((judged.finding.verdict, judged.finding.reason, judged.stalled), (verdict, reason, stalled), "{report:?}");
    }
}

#[test]
fn a_hub_that_is_not_reached_for_a_while_does_not_unsettle_routes_of_the_same_generation() {
    let pod = hub_pod("True");
    let in_force = conditions::routes(view(&pod, Some(&says("new", "new", 200, UpstreamState::None))), 3, &[]);
    let before = edge_crds::condition::update(&[], &[in_force.finding], 3, &Time(now()));
    assert!(conditions::routes(view(&pod, Some(&HubReport::default())), 3, &before).holds());
    assert!(!conditions::routes(view(&pod, Some(&HubReport::default())), 4, &before).holds());
}

#[test]
fn the_upstream_is_told_in_one_word_and_one_condition() {
    let pod = hub_pod("True");
    let table = [
        (says("new", "new", 200, UpstreamState::Connected), "Connected", "Connected"),
        (says("new", "new", 200, UpstreamState::Disconnected), "Disconnected", "Disconnected"),
        (says("old", "new", 200, UpstreamState::None), "Unknown", "Progressing"),
        (HubReport::default(), "Unknown", "HubUnreachable"),
    ];
    for (report, word, reason) in table {
        let (judged, told) = conditions::upstream(view(&pod, Some(&report)));
        assert_eq!((told, judged.finding.reason), (word, reason), "{report:?}");
    }
    let (judged, told) = conditions::upstream(HubView { has_upstream: false, ..view(&pod, None) });
    assert_eq!((told, judged.finding.reason), ("None", "NoUpstream"));
}

#[test]
fn a_hub_that_cannot_store_is_not_available_and_needs_a_person() {
    let pod = hub_pod("True");
    let mut report = says("new", "new", 200, UpstreamState::Connected);
    assert!(conditions::hub(view(&pod, Some(&report)), &[], now()).holds());
    report.status.as_mut().unwrap().storage_problem = Some("the disk is full".into());
    let judged = conditions::hub(view(&pod, Some(&report)), &[], now());
    assert_eq!(
        (judged.finding.kind, judged.finding.reason, judged.stalled),
        (ConditionType::HubAvailable, "StorageProblem", true)
    );
    let not_ready = hub_pod("False");
    assert_eq!(conditions::hub(view(&not_ready, None), &[], now()).finding.reason, "HubNotReady");
}

#[test]
fn an_endpoint_without_room_is_told_with_its_name_and_time_and_a_cure() {
    let pod = hub_pod("True");
    let mut report = says("new", "new", 200, UpstreamState::Connected);
    assert_eq!(conditions::storage_pressure(view(&pod, Some(&report)), &[]), None);
    let full = |endpoint: &str, effect| FullEndpoint { endpoint: endpoint.into(), effect, since: 1_777_636_800 };
    report.status.as_mut().unwrap().full_endpoints =
        vec![full("filter/in", FullEffect::Refusing), full("$upstream", FullEffect::Dropping)];
    let finding = conditions::storage_pressure(view(&pod, Some(&report)), &[]).unwrap();
    assert_eq!((finding.verdict, finding.reason), (Verdict::True, "MessagesDropped"));
    for part in ["filter/in: its senders wait since 2026-05-01T12:00:00Z", "$upstream: its oldest", "storeAndForward.maxBytes"] {
        assert!(finding.message.contains(part), "{part} is not in {}", finding.message);
    }
    assert!(conditions::hub(view(&pod, Some(&report)), &[], now()).holds(), "it does what it was told to do");
    // A link that breaks does not make room; a hub that says so does.
    let before = edge_crds::condition::update(&[], std::slice::from_ref(&finding), 1, &Time(now()));
    assert_eq!(conditions::storage_pressure(view(&pod, Some(&HubReport::default())), &before), Some(finding));
    assert_eq!(conditions::storage_pressure(view(&pod, Some(&says("new", "new", 200, UpstreamState::None))), &before), None);
}

/// Rows: the hub's pod, with its moments relative to now in seconds; is a person called?
#[test]
fn a_hub_that_does_not_come_up_in_time_needs_a_person() {
    let at = |seconds: i64| (now() + SignedDuration::from_secs(seconds)).to_string();
    let pod = |created: i64, phase: &str, conditions: Value| {
        json!({
            "metadata": {"name": "line-7-edgehub-0", "creationTimestamp": at(created)},
            "status": {"phase": phase, "conditions": conditions},
        })
    };
    let unscheduled = json!([{"type": "PodScheduled", "status": "False", "message": "unbound claim"}]);
    let not_ready = |since: i64| json!([{"type": "Ready", "status": "False", "lastTransitionTime": at(since)}]);
    let mut ending = pod(-9000, "Running", not_ready(-1));
    ending["metadata"]["deletionTimestamp"] = json!(at(-121));
    let table = [
        (pod(-119, "Pending", unscheduled.clone()), false),
        (pod(-121, "Pending", unscheduled), true),
        (pod(-121, "Pending", not_ready(-100)), true),
        (pod(-9000, "Running", not_ready(-100)), false),
        (pod(-9000, "Running", not_ready(-121)), true),
        (ending, true),
    ];
    for (pod, stalled) in table {
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let judged = conditions::hub(view(&pod, None), &[], now());
        assert_eq!((judged.finding.reason, judged.stalled), ("HubNotReady", stalled), "{pod:?}");
        assert_eq!(judged.wake_at.is_none(), stalled, "before the deadline somebody must look again");
    }
}

/// Rows: seconds since the StatefulSet was made, and since the hub was said to be unavailable, if it was; is a person called?
#[test]
fn a_stateful_set_that_cannot_make_its_pod_needs_a_person() {
    let ago = |seconds: i64| now() - SignedDuration::from_secs(seconds);
    for (created, unavailable, stalled) in
        [(119, Some(119), false), (121, Some(121), true), (9000, None, false), (9000, Some(60), false), (60, Some(9000), false)]
    {
        let hub_pod = hub_pod("False");
        let gone = HubView { pod: None, set_created: Some(ago(created)), ..view(&hub_pod, None) };
        let before = unavailable.map_or_else(Vec::new, |since| {
            let finding = conditions::hub(HubView { pod: None, ..gone }, &[], ago(since)).finding;
            edge_crds::condition::update(&[], &[finding], 1, &Time(ago(since)))
        });
        let judged = conditions::hub(gone, &before, now());
        assert_eq!(judged.stalled, stalled, "made {created} s ago, unavailable for {unavailable:?} s");
    }
}
