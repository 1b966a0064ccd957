//! The tools of the checkout as a person would call them: kubectl, and the scripts of the cluster and its images.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::cluster::KUBECONFIG;

/// Longest run of one tool. `kubectl wait` and the build of an image are the longest.
const LONGEST_RUN: Duration = Duration::from_mins(5);

/// Runs a script below `e2e/` and returns what it printed.
///
/// # Panics
/// When it fails; the message holds what it said.
pub async fn script(path: &str, arguments: &[&str]) -> String {
    run(path, arguments).await.unwrap_or_else(|said| panic!("{path} {arguments:?} failed: {said}"))
}

/// Runs kubectl on the cluster of the scenarios and returns what it printed.
///
/// # Panics
/// When it fails; the message holds what it said.
pub async fn kubectl(arguments: &[&str]) -> String {
    try_kubectl(arguments).await.unwrap_or_else(|said| panic!("kubectl {} failed: {said}", arguments.join(" ")))
}

/// The same, where failing is an answer: what it printed, or what it said.
pub async fn try_kubectl(arguments: &[&str]) -> Result<String, String> {
    let kubeconfig = std::env::var(KUBECONFIG).unwrap_or_default();
    let mut all = vec!["--kubeconfig", kubeconfig.as_str()];
    all.extend(arguments);
    run("cluster/kubectl.sh", &all).await
}

async fn run(path: &str, arguments: &[&str]) -> Result<String, String> {
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    let output = Command::new(&program).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(LONGEST_RUN, output).await.map_err(|_| format!("not done within {LONGEST_RUN:?}"))?;
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{}\n{said}\n{}", output.status, String::from_utf8_lossy(&output.stdout).trim()))
    }
}
