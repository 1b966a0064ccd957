//! Events: what was done and what was seen, as sentences about the EdgeDeployment, where `kubectl describe` shows them.
//!
//! # Bounds
//! - What was seen is told at most once in [`QUIET`] in the same words about the same object: a module that crashes every ten seconds is one event.
//! - At most [`MAX_REMEMBERED`] sentences are remembered; when there are more, the oldest are forgotten.
//!
//! An event that cannot be sent is logged and forgotten: nothing depends on one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use ring::digest::{SHA256, digest};

/// For how long a sentence is not repeated.
const QUIET: SignedDuration = SignedDuration::from_mins(10);
/// Most sentences that are remembered.
const MAX_REMEMBERED: usize = 2000;
/// Longest note; Kubernetes' own bound.
const MAX_NOTE_BYTES: usize = 1024;
/// Most of the object's name that goes into an event's name.
const MAX_NAME_BYTES: usize = 200;

/// One piece of news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Is it bad?
    pub is_warning: bool,
    /// One CamelCase word.
    pub reason: &'static str,
    /// What was done or looked at, in one CamelCase word.
    pub action: &'static str,
    /// A sentence.
    pub note: String,
    /// Is it something that was done, rather than seen? Then it is told every time.
    pub is_deed: bool,
}

impl News {
    /// Good news, or neither.
    pub const fn normal(reason: &'static str, action: &'static str, note: String) -> Self {
        Self { is_warning: false, reason, action, note, is_deed: false }
    }

    /// Bad news.
    pub const fn warning(reason: &'static str, action: &'static str, note: String) -> Self {
        Self { is_warning: true, reason, action, note, is_deed: false }
    }

    /// Something that was done. Deeds are bounded by themselves: no loop of ours does one more often than once a minute.
    pub const fn deed(reason: &'static str, action: &'static str, note: String) -> Self {
        Self { is_warning: false, reason, action, note, is_deed: true }
    }
}

/// Sends events.
pub struct Recorder {
    client: Client,
    instance: String,
    /// Sets events of the same moment apart by name.
    count: AtomicU32,
    /// When each sentence was last sent, by a hash of object and sentence. One owner: this struct.
    sent: Mutex<HashMap<[u8; 16], Timestamp>>,
}

impl Recorder {
    /// A recorder that calls itself `instance`.
    pub fn new(client: Client, instance: impl Into<String>) -> Self {
        Self { client, instance: instance.into(), count: AtomicU32::new(0), sent: Mutex::default() }
    }

    /// Sends `news` about `regarding`, unless it was sent a while ago.
    pub async fn send(&self, regarding: &ObjectReference, news: News, now: Timestamp) {
        if !news.is_deed && !self.is_new(regarding, &news, now) {
            return;
        }
        let namespace = regarding.namespace.clone().unwrap_or_default();
        let name = regarding.name.clone().unwrap_or_default();
        let cut = name.floor_char_boundary(MAX_NAME_BYTES);
        let note = &news.note[..news.note.floor_char_boundary(MAX_NOTE_BYTES)];
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!(
                    "{}.{:x}{:04x}",
                    &name[..cut],
                    now.as_millisecond(),
                    self.count.fetch_add(1, Ordering::Relaxed) & 0xffff
                )),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            action: Some(news.action.to_owned()),
            reason: Some(news.reason.to_owned()),
            note: Some(note.to_owned()),
            type_: Some(if news.is_warning { "Warning" } else { "Normal" }.to_owned()),
            event_time: Some(MicroTime(now)),
            regarding: Some(regarding.clone()),
            reporting_controller: Some("iotedge.dev/edge-controller".to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        if let Err(error) = api.create(&PostParams::default(), &event).await {
            tracing::warn!(%namespace, %name, reason = news.reason, %error, "failed to send an event");
        }
    }

    fn is_new(&self, regarding: &ObjectReference, news: &News, now: Timestamp) -> bool {
        let mut key = [0; 16];
        let text = format!("{}\n{}\n{}", regarding.uid.as_deref().unwrap_or_default(), news.reason, news.note);
        key.copy_from_slice(&digest(&SHA256, text.as_bytes()).as_ref()[..16]);
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_quiet = |at: &Timestamp| now.duration_since(*at) < QUIET && now >= *at;
        if sent.get(&key).is_some_and(is_quiet) {
            return false;
        }
        if sent.len() >= MAX_REMEMBERED {
            sent.retain(|_, at| is_quiet(at));
            if sent.len() >= MAX_REMEMBERED {
                sent.clear();
            }
        }
        sent.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use kube::client::Body;

    use super::*;

    fn recorder() -> Recorder {
        let service = tower::service_fn(|_: http::Request<Body>| async {
            Ok::<_, Infallible>(http::Response::new(Body::from(b"{}".to_vec())))
        });
        Recorder::new(Client::new(service, "plant"), "test")
    }

    #[tokio::test]
    async fn the_same_is_told_again_only_after_a_while_and_deeds_always() {
        let (recorder, about) = (recorder(), ObjectReference { uid: Some("u".into()), ..ObjectReference::default() });
        let now = Timestamp::UNIX_EPOCH;
        let seen = |note: &str| News::warning("ModuleFailed", "ObserveModule", note.to_owned());
        assert!(recorder.is_new(&about, &seen("a"), now));
        assert!(!recorder.is_new(&about, &seen("a"), now + SignedDuration::from_mins(9)));
        assert!(recorder.is_new(&about, &seen("b"), now));
        assert!(recorder.is_new(&about, &seen("a"), now + SignedDuration::from_mins(10)));
        let other = ObjectReference { uid: Some("v".into()), ..ObjectReference::default() };
        assert!(recorder.is_new(&other, &seen("a"), now));
        assert!(News::deed("ModuleStarted", "StartModule", String::new()).is_deed);
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let (recorder, about) = (recorder(), ObjectReference::default());
        for index in 0..3 * MAX_REMEMBERED {
            recorder.is_new(&about, &News::normal("Ready", "Reconcile", index.to_string()), Timestamp::UNIX_EPOCH);
        }
        assert!(recorder.sent.lock().unwrap().len() <= MAX_REMEMBERED);
    }
}
