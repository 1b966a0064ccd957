//! Whole scenarios in a real cluster: what a person does with kubectl, and what they are promised.
//!
//! `e2e/test.sh` starts the cluster, installs the operator and runs them all. One file per subject; the names of the tests are the
//! promises. Run some of them with `cargo test -p edge-e2e --test scenarios -- PART_OF_A_NAME`.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod deploy_change;
mod deploy_ready;
