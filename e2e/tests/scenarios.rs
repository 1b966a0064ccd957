//! Whole scenarios in a real cluster: what a person does with kubectl, and what they are promised.
//!
//! `e2e/test.sh` starts the cluster, installs the operator and runs them all. One file per subject; the names of the tests are the
//! promises. Run some of them with `e2e/test.sh PART_OF_A_NAME`.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod chaos_controller;
mod chaos_hub_killed_under_load;
mod chaos_upgrade;
mod deploy_change;
mod deploy_crash;
mod deploy_create_options;
mod deploy_deletion;
mod deploy_image;
mod deploy_names;
mod deploy_ready;
mod deploy_registry;
mod deploy_secrets;
mod deploy_volumes;
mod deploy_workload_api;
mod offline_storage_full;
mod offline_upstream_away;
mod reject_spec;
mod route_change;
mod route_sdk;
