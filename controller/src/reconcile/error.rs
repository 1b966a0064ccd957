//! What can go wrong between the controller and the API server.

use edge_crds::condition::reason;

use super::material::MakeError;

/// Why a reconcile did not come to its end. It is tried again with back-off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading failed.
    #[error("failed to read {kind} {name}")]
    Read {
        /// Kind of the object.
        kind: &'static str,
        /// Its name, or `(list)`.
        name: String,
        /// What the API server or the connection said.
        source: Box<kube::Error>,
    },
    /// Writing failed, and may succeed later.
    #[error("failed to {what}")]
    Write {
        /// The action's sentence.
        what: String,
        /// What the API server or the connection said.
        source: Box<kube::Error>,
    },
    /// Everything in the namespace is being deleted: nothing can be created there any more, and nothing is to be done.
    #[error("the namespace is being deleted")]
    NamespaceEnding,
    /// The status could not be written.
    #[error("failed to write the status of EdgeDeployment {name}")]
    Status {
        /// Name of the EdgeDeployment.
        name: String,
        /// What the API server or the connection said.
        source: Box<kube::Error>,
    },
    /// Keys or certificates could not be made.
    #[error("failed to make keys")]
    Make(#[from] MakeError),
    /// A certificate could not be issued.
    #[error("failed to issue the hub's certificate")]
    Issue(#[from] super::certificates::CertificateError),
    /// A Secret that was just there is gone.
    #[error("a Secret with keys vanished while it was read")]
    Vanished,
    /// It took too long.
    #[error("gave up after {seconds} seconds")]
    Timeout {
        /// The bound.
        seconds: u64,
    },
}

impl Error {
    pub(super) fn read(kind: &'static str, name: &str, source: kube::Error) -> Self {
        Self::Read { kind, name: name.to_owned(), source: Box::new(source) }
    }

    pub(super) fn write(what: String, source: kube::Error) -> Self {
        if is_namespace_ending(&source) {
            return Self::NamespaceEnding;
        }
        Self::Write { what, source: Box::new(source) }
    }

    /// One word: the `reason` label of the metric.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Read { .. } => "ReadFailed",
            Self::Write { .. } => reason::APPLY_FAILED,
            Self::NamespaceEnding => "NamespaceEnding",
            Self::Status { .. } => "StatusFailed",
            Self::Make(_) | Self::Issue(_) => "KeysFailed",
            Self::Vanished => "SecretVanished",
            Self::Timeout { .. } => "Timeout",
        }
    }

    /// Every word that [`Error::reason`] can be, for metrics that start at zero.
    pub const REASONS: [&'static str; 7] =
        ["ReadFailed", reason::APPLY_FAILED, "NamespaceEnding", "StatusFailed", "KeysFailed", "SecretVanished", "Timeout"];
}

/// Was something refused because its namespace is being deleted?
pub(super) fn is_namespace_ending(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == "NamespaceTerminating")
}
