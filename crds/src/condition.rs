//! Conditions: which there are, what they mean, and the one function that writes them.
//!
//! # Rules
//! - `lastTransitionTime` moves only when a status flips; a new reason or message keeps it.
//! - A condition that is bad news when True ([`ConditionType::is_abnormal_true`]) is present only while it is True.
//! - The others are always present, from the first status on; what is not known yet says so.
//! - Conditions of other writers are left alone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Longest message, in bytes; Kubernetes' own bound.
pub const MAX_MESSAGE_BYTES: usize = 32 * 1024;

/// Every condition of an EdgeDeployment, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// Every module is as desired for this generation, the hub serves, every route is accepted. Upstream has no say in it.
    Ready,
    /// A change is under way. Present only while it is.
    Reconciling,
    /// Nothing moves until a person acts. Present only while that is so.
    Stalled,
    /// The hub has no more room for some endpoint: messages are dropped, or senders wait. Present only while that is so.
    StoragePressure,
    /// The hub serves local clients.
    HubAvailable,
    /// Every module that should run does.
    ModulesAvailable,
    /// Every route compiles and is in force in the hub.
    RoutesAccepted,
    /// The place above is reached. False is normal at the edge.
    UpstreamConnected,
}

impl ConditionType {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::StoragePressure,
        Self::HubAvailable,
        Self::ModulesAvailable,
        Self::RoutesAccepted,
        Self::UpstreamConnected,
    ];

    /// The value of the condition's `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::StoragePressure => "StoragePressure",
            Self::HubAvailable => "HubAvailable",
            Self::ModulesAvailable => "ModulesAvailable",
            Self::RoutesAccepted => "RoutesAccepted",
            Self::UpstreamConnected => "UpstreamConnected",
        }
    }

    /// Is it bad news when True, and therefore absent when not?
    pub const fn is_abnormal_true(self) -> bool {
        matches!(self, Self::Reconciling | Self::Stalled | Self::StoragePressure)
    }
}

/// Reasons of conditions and events. People alert on them, so they never change.
pub mod reason {
    /// All is as desired.
    pub const READY: &str = "Ready";
    /// Not looked at yet.
    pub const PENDING: &str = "Pending";
    /// Pods are being made, replaced or removed.
    pub const PROGRESSING: &str = "Progressing";
    /// The spec was refused; what ran before still runs.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// A module's createOptions were refused.
    pub const INVALID_CREATE_OPTIONS: &str = "InvalidCreateOptions";
    /// A route was refused.
    pub const INVALID_ROUTE: &str = "InvalidRoute";
    /// Two modules have the same DNS name.
    pub const NAME_COLLISION: &str = "NameCollision";
    /// An object of that name exists and belongs to someone else.
    pub const NAME_TAKEN: &str = "NameTaken";
    /// A Secret that the spec names does not exist.
    pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
    /// A Secret that the spec names lacks a key, or the key holds what cannot be used.
    pub const INVALID_SECRET: &str = "InvalidSecret";
    /// An image cannot be pulled, or is not on the node and must not be pulled.
    pub const IMAGE_UNAVAILABLE: &str = "ImageUnavailable";
    /// A module ended and is not running.
    pub const MODULE_FAILED: &str = "ModuleFailed";
    /// A module waits for a node, a volume or its image.
    pub const MODULES_STARTING: &str = "ModulesStarting";
    /// The hub's pod is not ready.
    pub const HUB_NOT_READY: &str = "HubNotReady";
    /// The hub's pod is ready.
    pub const HUB_READY: &str = "HubReady";
    /// The hub refused its configuration.
    pub const CONFIGURATION_REFUSED: &str = "ConfigurationRefused";
    /// The hub cannot store.
    pub const STORAGE_PROBLEM: &str = "StorageProblem";
    /// The hub drops the oldest messages of an endpoint for want of room.
    pub const MESSAGES_DROPPED: &str = "MessagesDropped";
    /// Senders to an endpoint wait for room.
    pub const SENDERS_WAIT: &str = "SendersWait";
    /// The API server refused an object of ours.
    pub const APPLY_FAILED: &str = "ApplyFailed";
    /// Every module that should run does.
    pub const MODULES_RUNNING: &str = "ModulesRunning";
    /// Every route is in force.
    pub const ROUTES_IN_FORCE: &str = "RoutesInForce";
    /// The place above is reached.
    pub const CONNECTED: &str = "Connected";
    /// The place above is not reached; messages wait on the hub's disk.
    pub const DISCONNECTED: &str = "Disconnected";
    /// There is no place above.
    pub const NO_UPSTREAM: &str = "NoUpstream";
    /// The hub has not said.
    pub const HUB_UNREACHABLE: &str = "HubUnreachable";

    /// All of them.
    pub const ALL: [&str; 26] = [
        READY,
        PENDING,
        PROGRESSING,
        INVALID_SPEC,
        INVALID_CREATE_OPTIONS,
        INVALID_ROUTE,
        NAME_COLLISION,
        NAME_TAKEN,
        SECRET_NOT_FOUND,
        INVALID_SECRET,
        IMAGE_UNAVAILABLE,
        MODULE_FAILED,
        MODULES_STARTING,
        HUB_NOT_READY,
        HUB_READY,
        CONFIGURATION_REFUSED,
        STORAGE_PROBLEM,
        MESSAGES_DROPPED,
        SENDERS_WAIT,
        APPLY_FAILED,
        MODULES_RUNNING,
        ROUTES_IN_FORCE,
        CONNECTED,
        DISCONNECTED,
        NO_UPSTREAM,
        HUB_UNREACHABLE,
    ];
}

/// The three values of a condition's `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Not known.
    Unknown,
}

impl Verdict {
    /// The value as Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// What one condition should say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which condition.
    pub kind: ConditionType,
    /// Its status.
    pub verdict: Verdict,
    /// One word, of [`reason`].
    pub reason: &'static str,
    /// A sentence for whoever must act. Cut at [`MAX_MESSAGE_BYTES`].
    pub message: String,
}

impl Finding {
    /// `kind` is `verdict` because of `reason`.
    pub fn new(kind: ConditionType, verdict: impl Into<Verdict>, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, verdict: verdict.into(), reason, message: message.into() }
    }
}

/// The conditions after `findings` about `generation`, given those `before`.
///
/// A condition without a finding keeps what it said (and the generation it said it of); one that was never written becomes
/// Unknown. An abnormal-true one without a True finding is removed. Later findings win over earlier ones of the same kind.
pub fn update(before: &[Condition], findings: &[Finding], generation: i64, now: &Time) -> Vec<Condition> {
    let ours = ConditionType::ALL.into_iter().filter_map(|kind| {
        let old = before.iter().find(|condition| condition.type_ == kind.as_str());
        let finding = findings.iter().rev().find(|finding| finding.kind == kind);
        match (finding, kind.is_abnormal_true()) {
            (Some(finding), true) if finding.verdict != Verdict::True => None,
            (Some(finding), _) => Some(written(finding, old, generation, now)),
            (None, true) => None,
            (None, false) => Some(old.cloned().unwrap_or_else(|| {
                let unknown = Finding::new(kind, Verdict::Unknown, reason::PENDING, "not looked at yet");
                written(&unknown, None, generation, now)
            })),
        }
    });
    let theirs = before.iter().filter(|condition| ConditionType::ALL.iter().all(|kind| kind.as_str() != condition.type_));
    ours.chain(theirs.cloned()).collect()
}

fn written(finding: &Finding, old: Option<&Condition>, generation: i64, now: &Time) -> Condition {
    let status = finding.verdict.as_str();
    let since = old.filter(|old| old.status == status).map_or_else(|| now.clone(), |old| old.last_transition_time.clone());
    Condition {
        type_: finding.kind.as_str().to_owned(),
        status: status.to_owned(),
        reason: finding.reason.to_owned(),
        message: cut(&finding.message).to_owned(),
        last_transition_time: since,
        observed_generation: Some(generation),
    }
}

/// At most [`MAX_MESSAGE_BYTES`] of `message`, ending between characters.
fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(MAX_MESSAGE_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConditionType::{Ready, Reconciling, Stalled, UpstreamConnected};

    fn at(second: i64) -> Time {
        Time(jiff::Timestamp::from_second(second).unwrap())
    }

    fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
        conditions.iter().find(|condition| condition.type_ == kind.as_str())
    }

    #[test]
    fn the_first_status_has_every_condition_but_the_abnormal_ones() {
        let conditions = update(&[], &[], 1, &at(1));
        let types: Vec<_> = conditions.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(types, ["Ready", "HubAvailable", "ModulesAvailable", "RoutesAccepted", "UpstreamConnected"]);
        assert!(conditions.iter().all(|condition| condition.status == "Unknown" && !condition.reason.is_empty()));
    }

    #[test]
    fn the_transition_time_moves_only_when_the_status_flips() {
        let first = update(&[], &[Finding::new(Ready, false, reason::PROGRESSING, "two to go")], 1, &at(10));
        let second = update(&first, &[Finding::new(Ready, false, reason::MODULE_FAILED, "filter ended")], 2, &at(20));
        assert_eq!(find(&second, Ready).unwrap().last_transition_time, at(10));
        assert_eq!(find(&second, Ready).unwrap().message, "filter ended");
        assert_eq!(find(&second, Ready).unwrap().observed_generation, Some(2));
        let third = update(&second, &[Finding::new(Ready, true, reason::READY, "")], 2, &at(30));
        assert_eq!(find(&third, Ready).unwrap().last_transition_time, at(30));
    }

    #[test]
    fn bad_news_is_removed_when_it_is_over() {
        let bad = update(&[], &[Finding::new(Stalled, true, reason::INVALID_ROUTE, "route a")], 1, &at(1));
        assert!(find(&bad, Stalled).is_some());
        assert!(find(&update(&bad, &[], 2, &at(2)), Stalled).is_none());
        let denied =
            [Finding::new(Stalled, false, reason::READY, ""), Finding::new(Reconciling, Verdict::Unknown, reason::READY, "")];
        let over = update(&bad, &denied, 2, &at(2));
        assert!(find(&over, Stalled).is_none() && find(&over, Reconciling).is_none());
    }

    #[test]
    fn what_was_not_looked_at_keeps_its_word_and_its_generation() {
        let first = update(&[], &[Finding::new(UpstreamConnected, true, reason::CONNECTED, "")], 1, &at(1));
        let second = update(&first, &[Finding::new(Ready, true, reason::READY, "")], 2, &at(2));
        assert_eq!(find(&second, UpstreamConnected), find(&first, UpstreamConnected));
    }

    #[test]
    fn the_same_findings_change_nothing() {
        let findings =
            [Finding::new(Ready, true, reason::READY, "5/5"), Finding::new(Reconciling, true, reason::PROGRESSING, "x")];
        let first = update(&[], &findings, 3, &at(1));
        assert_eq!(update(&first, &findings, 3, &at(99)), first);
    }

    #[test]
    fn conditions_of_others_are_left_alone() {
        let theirs = Condition {
            type_: "example.com/Audited".to_owned(),
            status: "True".to_owned(),
            reason: "Seen".to_owned(),
            message: String::new(),
            last_transition_time: at(5),
            observed_generation: None,
        };
        assert_eq!(update(std::slice::from_ref(&theirs), &[], 1, &at(9)).last(), Some(&theirs));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let long = "é".repeat(MAX_MESSAGE_BYTES);
        let conditions = update(&[], &[Finding::new(Ready, false, reason::MODULE_FAILED, long)], 1, &at(1));
        let message = &find(&conditions, Ready).unwrap().message;
        assert!(message.len() <= MAX_MESSAGE_BYTES && message.ends_with('é'));
    }

    #[test]
    fn reasons_are_one_camel_case_word_and_differ() {
        let mut seen = std::collections::BTreeSet::new();
        for reason in reason::ALL {
            assert!(
                reason.starts_with(|c: char| c.is_ascii_uppercase()) && reason.bytes().all(|b| b.is_ascii_alphanumeric()),
                "{reason}"
            );
            assert!(seen.insert(reason), "{reason} twice");
        }
    }
}
