//! The conditions of a deployment, from its parts.

use edge_crds::condition::{ConditionType, Verdict};
use edge_protocol::status::{ConfigurationStatus, HubStatus, UpstreamState, UpstreamStatus};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::hub_link::HubReport;
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
        session_epoch: "1".into(),
    };
    HubReport { status: Some(status), problem: None }
}

fn view<'v>(pod: &'v Pod, report: Option<&'v HubReport>) -> HubView<'v> {
    HubView { pod: Some(pod), report, configuration_version: "new", has_upstream: true }
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
    let before = edge_crds::condition::update(
        &[],
        &[in_force.finding],
        3,
        &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(crate::reconcile::fixture::now()),
    );
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
    assert!(conditions::hub(view(&pod, Some(&report))).holds());
    report.status.as_mut().unwrap().storage_problem = Some("the disk is full".into());
    let judged = conditions::hub(view(&pod, Some(&report)));
    assert_eq!(
        (judged.finding.kind, judged.finding.reason, judged.stalled),
        (ConditionType::HubAvailable, "StorageProblem", true)
    );
    let not_ready = hub_pod("False");
    assert_eq!(conditions::hub(view(&not_ready, None)).finding.reason, "HubNotReady");
}
