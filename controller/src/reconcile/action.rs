//! Actions: what a plan is made of. Data, each with one sentence for the log, the event and `kubectl describe`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::build::ModulePod;
use super::child::{Child, Kind, PodRef};
use crate::events::News;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Server-side apply.
    Apply {
        /// What.
        child: Box<Child>,
        /// Is there one already? If not, its name must be free.
        exists: bool,
    },
    /// Set or remove the owner of what may outlive its EdgeDeployment; nothing else of it is touched.
    Own {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// The owner; absent: it shall outlive its EdgeDeployment.
        owner: Option<OwnerReference>,
    },
    /// Remove an object that nothing asks for any more.
    Delete {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// Start a module.
    CreatePod(Box<ModulePod>),
    /// Remove a module's pod so that it can be created anew; not before the API server has found nothing wrong with the new one.
    ReplacePod {
        /// The pod to remove.
        old: PodRef,
        /// The one that will follow.
        new: Box<ModulePod>,
        /// The rest of a sentence that begins with the module's name.
        why: String,
    },
    /// Stop or remove a module.
    DeletePod {
        /// The pod to remove.
        pod: PodRef,
        /// The module's name.
        module: String,
        /// Is it still in the spec?
        stopped: bool,
    },
    /// Give a running pod another sidecar image; the module goes on.
    PatchSidecar {
        /// The pod.
        pod: PodRef,
        /// The module's name.
        module: String,
        /// The image.
        image: String,
    },
    /// Bring a pod's labels up to date.
    PatchLabels {
        /// The pod.
        pod: PodRef,
        /// The labels that must be there.
        labels: std::collections::BTreeMap<String, String>,
    },
    /// Have the kubelet refresh the files of the hub's pod now.
    RefreshHub {
        /// The hub's pod.
        pod: PodRef,
        /// The annotation's value.
        stamp: String,
    },
    /// Nothing can be done before something ends by itself.
    Wait {
        /// What for, as the rest of a sentence.
        what: String,
    },
}

impl Action {
    /// One sentence, without a full stop.
    pub fn sentence(&self) -> String {
        match self {
            Self::Apply { child, exists } => {
                format!("{} {} {}", if *exists { "update" } else { "create" }, child.kind.as_str(), child.name())
            }
            Self::Own { kind, name, owner: Some(_) } => format!("let {} {name} go with the EdgeDeployment", kind.as_str()),
            Self::Own { kind, name, owner: None } => format!("let {} {name} outlive the EdgeDeployment", kind.as_str()),
            Self::Delete { kind, name, .. } => format!("delete {} {name}", kind.as_str()),
            Self::CreatePod(pod) => format!("start {}", pod.module),
            Self::ReplacePod { new, why, .. } => format!("replace {}: {why}", new.module),
            Self::DeletePod { module, stopped: true, .. } => format!("stop {module}"),
            Self::DeletePod { module, stopped: false, .. } => format!("remove {module}"),
            Self::PatchSidecar { module, image, .. } => format!("update the workload API of {module} to {image}"),
            Self::PatchLabels { pod, .. } => format!("update the labels of pod {}", pod.name),
            Self::RefreshHub { .. } => "have the hub read its configuration".to_owned(),
            Self::Wait { what } => format!("wait for {what}"),
        }
    }

    /// What to tell people once it is done; most actions only accompany others and are not worth an event.
    pub fn news(&self) -> Option<News> {
        let (reason, action, note) = match self {
            Self::CreatePod(pod) => ("ModuleStarted", "StartModule", format!("Started module {}.", pod.module)),
            Self::ReplacePod { new, why, .. } => {
                ("ModuleReplaced", "ReplaceModule", format!("Stopped module {} to start it anew: {why}.", new.module))
            }
            Self::DeletePod { module, stopped: true, .. } => ("ModuleStopped", "StopModule", format!("Stopped module {module}.")),
            Self::DeletePod { module, stopped: false, .. } => {
                ("ModuleRemoved", "RemoveModule", format!("Removed module {module}."))
            }
            Self::Apply { child, exists } => match (child.kind, *exists) {
                (Kind::StatefulSet, false) => ("HubCreated", "CreateHub", format!("Created the hub {}.", child.name())),
                (Kind::StatefulSet, true) => ("HubUpdated", "UpdateHub", format!("Updated the hub {}.", child.name())),
                (Kind::Claim, false) => ("VolumeCreated", "CreateVolume", format!("Asked for volume {}.", child.name())),
                (Kind::Claim, true) => ("VolumeUpdated", "UpdateVolume", format!("Updated volume {}.", child.name())),
                _ => return None,
            },
            _ => return None,
        };
        Some(News::deed(reason, action, note))
    }

    /// The module that it is about, where it is about one: a failure is then its alone.
    pub fn module(&self) -> Option<&str> {
        match self {
            Self::CreatePod(pod) => Some(&pod.module),
            Self::ReplacePod { new, .. } => Some(&new.module),
            Self::DeletePod { module, .. } | Self::PatchSidecar { module, .. } => Some(module),
            _ => None,
        }
    }

    /// Is the deployment not as desired before this is done and its effect seen?
    pub const fn is_progress(&self) -> bool {
        match self {
            Self::CreatePod(_) | Self::ReplacePod { .. } | Self::DeletePod { .. } | Self::Wait { .. } => true,
            // Remembering a spec changes nothing that runs.
            Self::Apply { child, .. } if matches!(child.kind, Kind::Revision) => false,
            Self::Apply { child, exists } => !*exists || matches!(child.kind, Kind::StatefulSet),
            Self::Own { .. }
            | Self::Delete { .. }
            | Self::PatchSidecar { .. }
            | Self::PatchLabels { .. }
            | Self::RefreshHub { .. } => false,
        }
    }
}
