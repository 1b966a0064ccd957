//! What conditions ask of a message's body.
//!
//! All paths of a configuration make one tree. The first condition that needs the body has it read, once, from beginning to end:
//! what the tree names is kept, everything else skipped. The body belongs to a stranger: what is no JSON object has no values, and that is
//! all. Nothing recurses, and depth is bounded. What a condition sees never depends on what others ask for.
//!
//! # Source
//! IoT Edge: the body counts only under the content type `application/json` and one of the content encodings `utf-8`, `utf-16` and
//! `utf-32`; of a name given twice the last value counts. A text that looks like a date is undefined. Unlike there, the content type may
//! have parameters, and its `charset` stands in for a missing content encoding.

mod date;
mod path;
mod paths;
mod read;
mod scan;

pub(crate) use date::looks_like_date;
pub use path::{BodyPath, PathProblem};
pub(crate) use paths::{Found, FoundAll, MAX_BODY_PATHS, Paths};
