//! What is said about createOptions: problems, which refuse the object, and remarks, which do not.

use std::fmt;

/// A member that cannot be read as what it claims to be. The whole EdgeDeployment is refused until it is corrected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, as a path below createOptions (`HostConfig.Binds[2]`); empty: the whole.
    pub path: String,
    /// What is wrong, as the rest of a sentence that starts with the path.
    pub message: String,
}

impl Problem {
    pub(super) fn whole(message: String) -> Self {
        Self { path: String::new(), message }
    }
}

/// A member that was left out or done in another way. The module runs; its status and an event say this sentence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remark {
    /// Known to Docker; nothing here corresponds to it.
    Unsupported {
        /// The member's path.
        member: String,
    },
    /// A member of another part of the body, which Docker ignores where it stands.
    Misplaced {
        /// Where it stands.
        member: String,
        /// Where it belongs.
        place: String,
    },
    /// Nothing that Docker knows, yet close to something it does.
    Misspelt {
        /// As written.
        member: String,
        /// What was probably meant.
        meant: String,
    },
    /// Nothing that Docker knows.
    Unknown {
        /// The member's path.
        member: String,
    },
    /// Done, but not to the letter.
    Differs {
        /// The member's path.
        member: String,
        /// What is different, as the rest of a sentence.
        how: String,
    },
    /// Left out because the controller does not grant elevated permissions.
    NotGranted {
        /// The member's path and value.
        member: String,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported { member } => write!(f, "{member} is not supported and was left out"),
            Self::Misplaced { member, place } => write!(f, "{member} has no effect there: it belongs to {place}"),
            Self::Misspelt { member, meant } => write!(f, "{member} is unknown and was left out: is {meant} meant?"),
            Self::Unknown { member } => write!(f, "{member} is unknown and was left out"),
            Self::Differs { member, how } => write!(f, "{member} {how}"),
            Self::NotGranted { member } => write!(f, "{member} was left out: elevated permissions are switched off"),
        }
    }
}
