//! The EdgeDeployment custom resource: its types, the rules in its schema, its conditions, and the names and labels of what
//! it owns.
//!
//! Everything here is pure: no client, no clock. What the schema cannot say (createOptions, the route language, names that
//! collide) is judged by the controller; the rules it can say are in [`edge_deployment`] and reach the API server through
//! [`definition`].

pub mod condition;
pub mod definition;
pub mod edge_deployment;
pub mod labels;
pub mod name;
pub mod reference;
mod schema;

pub use edge_deployment::{EdgeDeployment, EdgeDeploymentSpec, EdgeDeploymentStatus};
