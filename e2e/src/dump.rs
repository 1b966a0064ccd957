//! What explains a failed scenario, as files. Secrets are not among them.

use std::path::{Path, PathBuf};

use crate::cluster::{OPERATOR, OPERATOR_NAMESPACE};
use crate::namespace::Namespace;
use crate::tool::try_kubectl;

/// Folder for the files of all scenarios that fail.
const FOLDER: &str = "EDGE_TEST_DUMP";
/// Lines of each log.
const LOG_LINES: &str = "--tail=5000";

/// Writes everything about `namespace` and returns the folder. Never fails: it runs when something has.
pub(crate) async fn dump(namespace: &Namespace, why: &str) -> PathBuf {
    let parent = std::env::var_os(FOLDER).map_or_else(|| std::env::temp_dir().join("edge-e2e-failures"), PathBuf::from);
    let folder = parent.join(namespace.name());
    if std::fs::create_dir_all(&folder).is_err() {
        return folder;
    }
    write(&folder, "why.txt", Ok(why.to_owned()));
    let here = ["--namespace", namespace.name()];
    let of = |arguments: &[&'static str]| [&here[..], arguments].concat();
    for (file, arguments) in [
        ("pods.txt", of(&["get", "pods", "--output=wide"])),
        ("pods.yaml", of(&["get", "pods", "--output=yaml"])),
        ("objects.txt", of(&["get", "statefulsets,services,endpointslices,persistentvolumeclaims,configmaps,deployments"])),
        ("edgedeployments.yaml", of(&["get", "edgedeployments", "--output=yaml"])),
        ("describe-edgedeployments.txt", of(&["describe", "edgedeployments"])),
        ("describe-pods.txt", of(&["describe", "pods"])),
        ("events.txt", of(&["get", "events", "--sort-by=.lastTimestamp"])),
    ] {
        write(&folder, file, try_kubectl(&arguments).await);
    }
    for pod in namespace.pods().await {
        let name = pod.metadata.name.unwrap_or_default();
        let arguments = ["logs", &name, "--all-containers", "--prefix", LOG_LINES];
        write(&folder, &format!("log-{name}.txt"), try_kubectl(&[&here[..], &arguments].concat()).await);
        let arguments = ["logs", &name, "--all-containers", "--prefix", "--previous", LOG_LINES];
        if let Ok(text) = try_kubectl(&[&here[..], &arguments].concat()).await {
            write(&folder, &format!("log-{name}-previous.txt"), Ok(text));
        }
    }
    let controller = format!("deployment/{OPERATOR}");
    let arguments = ["--namespace", OPERATOR_NAMESPACE, "logs", &controller, "--all-pods", LOG_LINES];
    write(&folder, "log-controller.txt", try_kubectl(&arguments).await);
    folder
}

fn write(folder: &Path, file: &str, text: Result<String, String>) {
    let _ = std::fs::write(folder.join(file), text.unwrap_or_else(|said| format!("(failed) {said}")));
}
