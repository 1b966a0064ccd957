//! Modules for scenarios, as entries of `spec.modules`.

use serde_json::{Value, json};

/// An image with a shell and the usual small programs.
pub const BUSYBOX: &str = "edge-e2e/busybox:1";
/// The image of sender and recorder.
pub const LOAD: &str = "edge-e2e/load:1";
/// An image with Python and the public device SDK.
pub const PYTHON: &str = "edge-samples/filter:1.0";
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

/// A module that does nothing, and has Python: the static busybox cannot look names up.
pub fn visitor(name: &str) -> Value {
    json!({"name": name, "image": PYTHON, "createOptions": {"Cmd": ["-c", "import signal; signal.sigwait({signal.SIGTERM})"]}})
}

/// A module that sends numbered messages (`send --count 100 …`) or keeps ledgers of its inputs (`receive`). A sender ends well when
/// all are acknowledged.
pub fn load(name: &str, arguments: &str) -> Value {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    json!({"name": name, "image": LOAD, "restartPolicy": "on-failure", "createOptions": {"Cmd": arguments}})
}

/// `module` with one member more, or another one.
pub fn with(mut module: Value, member: &str, value: Value) -> Value {
    module[member] = value;
    module
}
