//! Routes: `[SELECT *] FROM source [WHERE condition] INTO sink`, compiled once into a table that says where each message goes.
//!
//! ```text
//! text ─lex─▶ tokens ─parse─▶ source, condition, sink ─table─▶ RouteTable ─select(message)─▶ endpoints
//! ```
//! Pure: no I/O, no clock, no recursion. A table is compiled whole or not at all, with every bad route's error at once. What is
//! legal but probably not meant is accepted, and said in [`warnings`].
//!
//! The language is that of IoT Edge 1.5, so that existing manifests mean what they meant. Conditions (`WHERE`) are recognised and
//! refused: they are not available yet, and a route without its condition would send what nobody asked for.

mod endpoint;
mod error;
mod lex;
mod parse;
mod source;
mod table;
mod warning;

pub use endpoint::{Endpoint, MAX_INPUT_BYTES, QueueNameError};
pub use error::{Problem, RouteError};
pub use lex::MAX_ROUTE_BYTES;
pub use table::RouteTable;
pub use warning::{Warning, warnings};
