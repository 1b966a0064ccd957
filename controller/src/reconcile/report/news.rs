//! What is worth an event: the differences between two statuses that a person would want to know of. Pure.

use edge_crds::condition::ConditionType;
use edge_crds::edge_deployment::{EdgeDeploymentStatus, ModuleStatus, RuntimeStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::events::News;

/// The news between `before` and `after`.
pub fn between(before: &EdgeDeploymentStatus, after: &EdgeDeploymentStatus) -> Vec<News> {
    let mut news = Vec::new();
    let stalled = (condition(before, ConditionType::Stalled), condition(after, ConditionType::Stalled));
    if let (old, Some(new)) = stalled
        && old.is_none_or(|old| old.reason != new.reason || old.message != new.message)
    {
        news.push(News::warning(word(&new.reason), "Reconcile", sentence(&new.message)));
    }
    let became_ready = is_true(after, ConditionType::Ready) && !is_true(before, ConditionType::Ready);
    if became_ready && let Some(ready) = condition(after, ConditionType::Ready) {
        news.push(News::normal("Ready", "Reconcile", sentence(&ready.message)));
    }
    if let Some(hub) = condition(after, ConditionType::HubAvailable)
        && is_true(before, ConditionType::HubAvailable)
        && hub.status == "False"
    {
        news.push(News::warning("HubNotReady", "ObserveHub", sentence(&hub.message)));
    }
    storage(before, after, &mut news);
    upstream(before, after, &mut news);
    for module in &after.modules {
        let old = before.modules.iter().find(|old| old.name == module.name);
        of_module(old, module, &mut news);
    }
    news
}

/// Once when room runs out and once when there is some again; which endpoints it is may change in between.
fn storage(before: &EdgeDeploymentStatus, after: &EdgeDeploymentStatus, news: &mut Vec<News>) {
    let kind = ConditionType::StoragePressure;
    match (condition(before, kind), condition(after, kind)) {
        (old, Some(new)) if old.is_none_or(|old| old.reason != new.reason) => {
            news.push(News::warning(word(&new.reason), "ObserveHub", sentence(&new.message)));
        }
        (Some(_), None) => {
            let message = "The hub has room again: no message is dropped, and no sender waits, for want of it.".to_owned();
            news.push(News::normal("StorageRelieved", "ObserveHub", message));
        }
        _ => {}
    }
}

fn upstream(before: &EdgeDeploymentStatus, after: &EdgeDeploymentStatus, news: &mut Vec<News>) {
    match (before.upstream.as_deref(), after.upstream.as_deref()) {
        (old, Some("Connected")) if old != Some("Connected") => {
            news.push(News::normal("UpstreamConnected", "ObserveHub", "The upstream is connected.".to_owned()));
        }
        (Some("Connected"), Some("Disconnected")) => {
            let message = condition(after, ConditionType::UpstreamConnected).map(|condition| sentence(&condition.message));
            news.push(News::warning("UpstreamDisconnected", "ObserveHub", message.unwrap_or_default()));
        }
        _ => {}
    }
}

fn of_module(old: Option<&ModuleStatus>, new: &ModuleStatus, news: &mut Vec<News>) {
    let is_down = |module: &ModuleStatus| matches!(module.runtime_status, RuntimeStatus::Backoff | RuntimeStatus::Failed);
    let said = new.status_description.as_deref().unwrap_or_default();
    if is_down(new) && !old.is_some_and(is_down) {
        news.push(News::warning("ModuleFailed", "ObserveModule", sentence(&format!("Module {}: {said}", new.name))));
    }
    if new.runtime_status == RuntimeStatus::Running && old.is_some_and(is_down) {
        news.push(News::normal("ModuleRunning", "ObserveModule", format!("Module {} runs again.", new.name)));
    }
}

/// What was left out of a module's options, once when it first is.
pub fn of_remarks(before: &EdgeDeploymentStatus, module: &str, remarks: &[String]) -> Option<News> {
    let old = before.modules.iter().find(|old| old.name == module).and_then(|old| old.status_description.as_deref());
    let new: Vec<_> = remarks.iter().filter(|remark| !old.unwrap_or_default().contains(remark.as_str())).cloned().collect();
    (!new.is_empty())
        .then(|| News::warning("OptionsLeftOut", "StartModule", sentence(&format!("module {module}: {}", new.join("; ")))))
}

fn condition(status: &EdgeDeploymentStatus, kind: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

fn is_true(status: &EdgeDeploymentStatus, kind: ConditionType) -> bool {
    condition(status, kind).is_some_and(|condition| condition.status == "True")
}

/// Reasons are constants of ours; one that is not (an older controller's) is not repeated as an event's reason.
fn word(reason: &str) -> &'static str {
    edge_crds::condition::reason::ALL.into_iter().find(|known| *known == reason).unwrap_or("Stalled")
}

/// `text` as a sentence. One that begins with a field keeps its first letter.
pub fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let stop = if text.ends_with('?') { "" } else { "." };
    let first_word = text.split_whitespace().next().unwrap_or_default();
    let mut characters = text.chars();
    match characters.next() {
        Some(first) if !first_word.contains(['.', '[']) => format!("{}{}{stop}", first.to_uppercase(), characters.as_str()),
        _ => format!("{text}{stop}"),
    }
}

#[cfg(test)]
mod tests {
    use edge_crds::condition::{Finding, reason, update};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn status(findings: &[Finding]) -> EdgeDeploymentStatus {
        let conditions = update(&[], findings, 1, &Time(jiff::Timestamp::UNIX_EPOCH));
        EdgeDeploymentStatus { conditions, ..EdgeDeploymentStatus::default() }
    }

    #[test]
    fn a_question_keeps_its_mark_and_gets_no_full_stop() {
        assert_eq!(super::sentence("is HostConfig.Privileged meant?"), "Is HostConfig.Privileged meant?");
        assert_eq!(super::sentence("started module a"), "Started module a.");
    }

    #[test]
    fn a_problem_is_told_once_and_again_when_it_changes() {
        let bad = |message| status(&[Finding::new(ConditionType::Stalled, true, reason::INVALID_ROUTE, message)]);
        let told = between(&status(&[]), &bad("route a: no sink"));
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].reason, told[0].note.as_str()), ("InvalidRoute", "Route a: no sink."));
        assert_eq!(between(&bad("route a: no sink"), &bad("route a: no sink")), []);
        assert_eq!(between(&bad("route a: no sink"), &bad("route b: no sink")).len(), 1);
    }

    #[test]
    fn room_that_ran_out_is_told_once_and_once_when_there_is_some_again() {
        let full = |message| status(&[Finding::new(ConditionType::StoragePressure, true, reason::MESSAGES_DROPPED, message)]);
        let told = between(&status(&[]), &full("no room for a"));
        assert_eq!((told.len(), told[0].reason), (1, "MessagesDropped"));
        assert_eq!(between(&full("no room for a"), &full("no room for a and b")), []);
        let told = between(&full("no room for a"), &status(&[]));
        assert_eq!((told.len(), told[0].reason), (1, "StorageRelieved"));
    }

    #[test]
    fn left_out_options_are_told_when_they_are_new() {
        let mut before = status(&[]);
        let remark = "Hostname is not supported and was left out".to_owned();
        assert!(of_remarks(&before, "m", std::slice::from_ref(&remark)).is_some());
        let description = Some(format!("its image is being pulled; {remark}"));
        before.modules.push(ModuleStatus { name: "m".into(), status_description: description, ..ModuleStatus::default() });
        assert!(of_remarks(&before, "m", &[remark]).is_none());
    }
}
