//! Wire formats of the hub as pure code: who a client is, what a message is, how both look in MQTT topics and user names,
//! SAS tokens, the workload API, and the files and documents by which controller and hub talk to each other.
//!
//! Nothing here does I/O, reads a clock or knows of Kubernetes.

pub mod configuration;
pub mod connect;
pub mod date;
pub mod identity;
pub mod message;
pub mod property_bag;
pub mod sas;
pub mod status;
pub mod system_properties;
pub mod topic;
pub mod workload;
