//! Step four: do it. The plan's actions in their order; one that the API server refuses does not keep the others from being done.
//!
//! # Invariants
//! - A name that belongs to somebody else is found out before anything is written, and nothing is written then.
//! - A pod is deleted only by name and uid, and only after the API server has found nothing wrong with its successor.

use edge_crds::labels;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::Error;
use super::action::Action;
use super::build::{HUB_CONFIGURATION, ModulePod, WORKLOAD_CONTAINER};
use super::child::{Child, Kind, Ownership, PodRef};
use super::error::is_namespace_ending;
use super::plan::Plan;
use super::valid::ValidDeployment;

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// Done.
    pub done: Vec<Action>,
    /// Refused or failed.
    pub failed: Vec<Failure>,
}

/// An action that was not done.
#[derive(Debug)]
pub struct Failure {
    /// Which.
    pub action: Action,
    /// What the API server or the connection said.
    pub source: kube::Error,
}

impl Applied {
    /// Was this object written?
    pub fn has_stored(&self, kind: Kind, name: &str) -> bool {
        self.done.iter().any(|action| matches!(action, Action::Apply { child, .. } if child.kind == kind && child.name() == name))
    }
}

impl Failure {
    /// Will it be refused again, until somebody changes something?
    pub fn is_refusal(&self) -> bool {
        matches!(&self.source, kube::Error::Api(status) if (400..500).contains(&status.code) && !matches!(status.code, 408 | 409 | 429))
    }

    /// What to tell people.
    pub fn sentence(&self) -> String {
        match &self.source {
            kube::Error::Api(status) => {
                // Before that stands the object's name, which for a trial is another every time.
                let why = status.message.split_once(" is invalid: ").map_or(status.message.as_str(), |(_, why)| why);
                format!("could not {}: {why}", self.action.sentence())
            }
            // Addresses and such are in the log; nobody can act on them here.
            _ => format!("could not {}: the API server did not answer", self.action.sentence()),
        }
    }

    /// As the error of the whole reconcile.
    pub fn into_error(self) -> Error {
        Error::write(self.action.sentence(), self.source)
    }
}

/// An object of somebody else that has a name which we need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

/// Names that the plan needs and that are not free. Nothing may be applied unless this is empty.
pub async fn taken_names(client: &Client, valid: &ValidDeployment, plan: &Plan) -> Result<Vec<Taken>, Error> {
    let mut taken = Vec::new();
    for action in &plan.actions {
        let (kind, name, found) = match action {
            Action::Apply { child, exists: false } => {
                let found = objects(client, valid, child.kind).get_metadata_opt(child.name()).await;
                (child.kind.as_str(), child.name(), found.map(|found| found.map(|found| found.metadata)))
            }
            Action::CreatePod(pod) => {
                let found = pods(client, valid).get_metadata_opt(pod.name()).await;
                ("Pod", pod.name(), found.map(|found| found.map(|found| found.metadata)))
            }
            _ => continue,
        };
        let found = found.map_err(|source| Error::read(kind, name, source))?;
        let is_taken = found.is_some_and(|metadata| match valid.owner.judge(&metadata) {
            Ownership::Foreign => true,
            // A pod that bears our labels without being owned was made by hand.
            Ownership::Unowned => kind == "Pod",
            Ownership::Ours | Ownership::Previous => false,
        });
        if is_taken {
            taken.push(Taken { kind, name: name.to_owned() });
        }
    }
    Ok(taken)
}

/// Creates a Secret that is made once; if somebody was faster, theirs is the one.
pub async fn create_once(client: &Client, valid: &ValidDeployment, child: &Child) -> Result<DynamicObject, Error> {
    let api = objects(client, valid, child.kind);
    match api.create(&post(), &child.object).await {
        Ok(created) => Ok(created),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            api.get(child.name()).await.map_err(|source| Error::read(child.kind.as_str(), child.name(), source))
        }
        Err(source) => Err(Error::write(format!("create {} {}", child.kind.as_str(), child.name()), source)),
    }
}

/// Does everything.
pub async fn apply(client: &Client, valid: &ValidDeployment, plan: Plan) -> Applied {
    let mut applied = Applied::default();
    for action in plan.actions {
        let outcome = perform(client, valid, &action).await;
        match outcome {
            Ok(()) => {
                if !matches!(action, Action::Wait { .. }) {
                    tracing::info!(deployment = valid.names.deployment(), namespace = valid.namespace, "{}", action.sentence());
                }
                applied.done.push(action);
            }
            // Nothing else would fare better, and nobody is left to be told.
            Err(source) if is_namespace_ending(&source) => {
                applied.failed.push(Failure { action, source });
                break;
            }
            Err(source) => {
                let deployment = valid.names.deployment();
                tracing::warn!(deployment, namespace = valid.namespace, error = %source, "could not {}", action.sentence());
                applied.failed.push(Failure { action, source });
            }
        }
    }
    applied
}

async fn perform(client: &Client, valid: &ValidDeployment, action: &Action) -> Result<(), kube::Error> {
    match action {
        Action::Apply { child, exists: _ } => {
            let parameters = PatchParams::apply(labels::MANAGER).force();
            objects(client, valid, child.kind).patch(child.name(), &parameters, &Patch::Apply(&child.object)).await.map(drop)
        }
        Action::Own { kind, name, owner } => {
            let owners: Vec<_> = owner.iter().collect();
            let patch = json!({ "metadata": { "ownerReferences": owners } });
            objects(client, valid, *kind).patch_metadata(name, &field_manager(), &Patch::Merge(patch)).await.map(drop)
        }
        Action::Delete { kind, name, uid } => settled(objects(client, valid, *kind).delete(name, &only(uid)).await),
        Action::CreatePod(pod) => match pods(client, valid).create(&post(), &pod.pod).await {
            // The next look will see it.
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            outcome => outcome.map(drop),
        },
        Action::ReplacePod { old, new, .. } => {
            dry_run(client, valid, new).await?;
            delete_pod(client, valid, old).await
        }
        Action::DeletePod { pod, .. } => delete_pod(client, valid, pod).await,
        Action::PatchSidecar { pod, image, .. } => {
            let containers = json!([{ "name": WORKLOAD_CONTAINER, "image": image }]);
            patch_pod(client, valid, pod, json!({ "spec": { "initContainers": containers } })).await
        }
        Action::PatchLabels { pod, labels } => patch_pod(client, valid, pod, json!({ "metadata": { "labels": labels } })).await,
        Action::RefreshHub { pod, stamp } => {
            patch_pod(client, valid, pod, json!({ "metadata": { "annotations": { HUB_CONFIGURATION: stamp } } })).await
        }
        Action::Wait { .. } => Ok(()),
    }
}

/// Would the API server take this pod? Asked under a name of its choosing, since the real one is still in use.
async fn dry_run(client: &Client, valid: &ValidDeployment, pod: &ModulePod) -> Result<(), kube::Error> {
    let mut trial = pod.pod.clone();
    trial.metadata.name = None;
    trial.metadata.generate_name = Some("edge-trial-".to_owned());
    pods(client, valid).create(&PostParams { dry_run: true, ..post() }, &trial).await.map(drop)
}

async fn delete_pod(client: &Client, valid: &ValidDeployment, pod: &PodRef) -> Result<(), kube::Error> {
    settled(pods(client, valid).delete(&pod.name, &only(&pod.uid)).await)
}

/// A strategic merge: containers are told apart by their names. The uid makes sure that it is the pod that was looked at.
async fn patch_pod(client: &Client, valid: &ValidDeployment, pod: &PodRef, mut patch: Value) -> Result<(), kube::Error> {
    patch["metadata"]["uid"] = json!(pod.uid);
    settled(pods(client, valid).patch(&pod.name, &field_manager(), &Patch::Strategic(patch)).await)
}

/// What is gone, or another by now, needs nothing done to it.
fn settled<T>(outcome: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match outcome {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        outcome => outcome.map(drop),
    }
}

fn objects(client: &Client, valid: &ValidDeployment, kind: Kind) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), &valid.namespace, &kind.resource())
}

fn pods(client: &Client, valid: &ValidDeployment) -> Api<Pod> {
    Api::namespaced(client.clone(), &valid.namespace)
}

fn post() -> PostParams {
    PostParams { field_manager: Some(labels::MANAGER.to_owned()), ..PostParams::default() }
}

fn field_manager() -> PatchParams {
    PatchParams { field_manager: Some(labels::MANAGER.to_owned()), ..PatchParams::default() }
}

fn only(uid: &str) -> DeleteParams {
    DeleteParams::background().preconditions(Preconditions { uid: Some(uid.to_owned()), resource_version: None })
}

/// The name of a Secret that was just read or created.
pub fn key_of(object: &DynamicObject) -> (Kind, String) {
    (Kind::Secret, object.name_any())
}
