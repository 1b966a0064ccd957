//! What a module must not get at, even as root.

use edge_crds::name::ModuleNames;
use edge_e2e::{idle, scenario};
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

#[tokio::test]
async fn a_module_reads_neither_its_key_nor_a_service_account_token() {
    scenario("secrets", async |namespace| {
        let mut module = idle("a");
        module["createOptions"]["User"] = json!("0");
        let edge = namespace.edge("line", json!({"modules": [module]})).await;
        edge.ready().await;

        let found = edge.exec("a", &["ls", "-A", "/run/edge/workload"]).await;
        assert_eq!(found.trim(), "workload.sock", "the socket is all that module and sidecar share");
        edge.try_exec("a", &["touch", "/run/edge/workload/mine"]).await.expect_err("the socket cannot be replaced");
        edge.try_exec("a", &["rm", "/run/edge/workload/workload.sock"]).await.expect_err("nor removed");
        for path in ["/etc/edge", "/var/run/secrets", "/run/secrets"] {
            edge.try_exec("a", &["ls", path]).await.expect_err(path);
        }

        // Whatever the mounts are called: the key stands in no file, and in no environment, that the module can read.
        let names = ModuleNames::new("line", "a").unwrap();
        let identity: Secret = namespace.api().get(&names.identity_secret()).await.unwrap();
        let key = String::from_utf8(identity.data.unwrap()["key"].0.clone()).unwrap();
        assert!(key.trim().len() >= 40, "a 256 bit key in base64");
        let search = "grep -rlF -- \"$0\" / --exclude-dir=sys --exclude-dir=proc 2>/dev/null; \
            grep -lF -- \"$0\" /proc/[0-9]*/environ 2>/dev/null; true";
        // busybox's grep knows no --exclude-dir: the folders are named instead.
        let search =
            search.replace("/ --exclude-dir=sys --exclude-dir=proc", "/bin /data /dev/shm /etc /run /tmp /var /mnt /home /root");
        let found = edge.exec("a", &["sh", "-c", &search, key.trim()]).await;
        assert_eq!(found.trim(), "");
        let mounts = edge.exec("a", &["cat", "/proc/self/mounts"]).await;
        assert!(!mounts.contains("/etc/edge") && !mounts.contains("secrets"), "{mounts}");
    })
    .await;
}
