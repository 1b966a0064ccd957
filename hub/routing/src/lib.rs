//! Routes: `[SELECT *] FROM source [WHERE condition] INTO sink`, compiled once into a table that says where each message goes.
//!
//! ```text
//! text ─lex─▶ tokens ─parse─▶ source, condition, sink ─check─▶ RouteTable ─select(message)─▶ destinations
//! ```
//! Pure: no I/O, no clock; recursion is bounded by [`MAX_NESTING`]. A table is compiled whole or not at all, with every bad route's
//! errors at once. What is legal but probably not meant is accepted, and said in [`warnings`].
//!
//! The language is that of IoT Edge 1.5, so that existing manifests mean what they meant. What differs, and why, is listed in
//! `docs/reference/compatibility.md`.

mod body;
mod candidates;
mod condition;
mod cursor;
mod endpoint;
mod error;
mod lex;
mod parse;
mod priority;
mod selection;
mod source;
mod subject;
mod suggest;
mod table;
mod warning;

pub use body::{BodyPath, PathProblem};
pub use condition::{Condition, MAX_NESTING, Sees, Truth, Value, read, syntax};
pub use endpoint::{Endpoint, MAX_INPUT_BYTES, QueueNameError};
pub use error::{Advice, MAX_PROBLEMS_PER_ROUTE, Problem, RouteError};
pub use lex::MAX_ROUTE_BYTES;
pub use parse::{RouteText, Sink, SinkKind};
pub use priority::{Priority, QueueId, split_queue_id};
pub use selection::{Destination, Selected, Selection};
pub use source::{MessageSource, Source};
pub use subject::{Property, Subject, SystemName};
pub use table::{RouteDefinition, RouteTable};
pub use warning::{Warning, warnings};
