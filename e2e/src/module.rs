//! Modules for scenarios, as entries of `spec.modules`.

use serde_json::{Value, json};

/// An image with a shell and the usual small programs.
pub const BUSYBOX: &str = "edge-e2e/busybox:1";
/// The image of sender and recorder.
pub const LOAD: &str = "edge-e2e/load:1";
/// The registry of the local cluster that asks nobody for a password.
pub const MODULES_OPEN: &str = "10.250.0.1:5000";
/// A shell script that does nothing and ends at once when it is asked to. A shell that is process 1 ignores SIGTERM otherwise, and
/// every change of such a module would take ten seconds.
pub const SLEEP: &str = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done";

/// A module that runs a shell script.
pub fn busybox(name: &str, script: &str) -> Value {
    json!({"name": name, "image": BUSYBOX, "createOptions": {"Entrypoint": ["/bin/sh", "-c"], "Cmd": [script]}})
}

/// A module that does nothing.
pub fn idle(name: &str) -> Value {
    busybox(name, SLEEP)
}

/// A module that sends numbered messages to its output `load` and ends well when all are acknowledged.
pub fn sender(name: &str, count: u64, per_second: u32) -> Value {
    let arguments = ["send", "--count", &count.to_string(), "--per-second", &per_second.to_string()].map(str::to_owned);
    json!({"name": name, "image": LOAD, "restartPolicy": "on-failure", "createOptions": {"Cmd": arguments}})
}
