//! createOptions, seen from inside the container, and what is said of those that were left out.

use edge_crds::edge_deployment::RuntimeStatus;
use edge_e2e::{BUSYBOX, SLEEP, idle, scenario, visitor};
use serde_json::json;

/// Bits of Linux capabilities, as `/proc` shows their sets.
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_MKNOD: u32 = 27;

/// Which capabilities a container's first process could have.
fn bounding_set(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).expect("every process has one");
    u64::from_str_radix(line.trim(), 16).unwrap()
}

#[tokio::test]
async fn create_options_reach_the_container() {
    scenario("create-options", async |namespace| {
        let serve = "echo served from $(pwd) >index.html; exec httpd -f -p 8080 -h /tmp";
        let full = json!({"name": "full", "image": BUSYBOX, "env": [{"name": "SHARED", "value": "of the manifest"}], "createOptions": {
            "Env": ["GREETING=hello $(SHARED) $HOME", "SHARED=of Docker", "EMPTY="],
            "Entrypoint": ["/bin/sh", "-c"], "Cmd": [serve], "WorkingDir": "/tmp", "User": "1234:2345",
            "Labels": {"team": "press"}, "ExposedPorts": {"8080/tcp": {}},
            "HostConfig": {
                "PortBindings": {"8080/tcp": [{"HostPort": "18080"}]},
                "CapAdd": ["NET_ADMIN"], "CapDrop": ["CAP_MKNOD"],
            },
        }});
        // The form that people paste: JSON as a string.
        let text = json!({"Cmd": ["/bin/sh", "-c", SLEEP], "User": "0", "HostConfig": {"Privileged": true}}).to_string();
        let pasted = json!({"name": "pasted", "image": BUSYBOX, "createOptions": text});
        let edge = namespace.edge("line", json!({"modules": [full, pasted, visitor("visitor")]})).await;
        edge.ready().await;

        let env = edge.exec("full", &["env"]).await;
        for expected in ["GREETING=hello $(SHARED) $HOME", "SHARED=of Docker", "EMPTY="] {
            assert!(env.lines().any(|line| line == expected), "{expected} is not in {env}");
        }
        assert_eq!(edge.exec("full", &["pwd"]).await.trim(), "/tmp");
        assert_eq!(edge.exec("full", &["id", "-u"]).await.trim(), "1234");
        assert_eq!(edge.exec("full", &["id", "-g"]).await.trim(), "2345");
        let capabilities = bounding_set(&edge.exec("full", &["cat", "/proc/1/status"]).await);
        assert_eq!((capabilities >> CAP_NET_ADMIN & 1, capabilities >> CAP_MKNOD & 1), (1, 0), "{capabilities:x}");
        let pod = edge.get_pod("full").await;
        assert_eq!(pod.metadata.annotations.unwrap().get("team").map(String::as_str), Some("press"));
        let url = format!("http://{}:18080/", edge.pod("full"));
        assert_eq!(edge.visit("visitor", &url).await.trim(), "served from /tmp");

        let capabilities = bounding_set(&edge.exec("pasted", &["cat", "/proc/1/status"]).await);
        assert_eq!(capabilities >> CAP_SYS_ADMIN & 1, 1, "{capabilities:x}");
        assert_eq!(edge.exec("pasted", &["id", "-u"]).await.trim(), "0");
    })
    .await;
}

#[tokio::test]
async fn a_member_without_an_equivalent_is_named_in_status_and_event_and_the_module_runs() {
    scenario("left-out", async |namespace| {
        let mut module = idle("a");
        module["createOptions"]["HostConfig"] = json!({"LogConfig": {"Type": "json-file"}, "Privilegd": true});
        module["createOptions"]["Memory"] = json!(1_000_000);
        let edge = namespace.edge("line", json!({"modules": [module]})).await;
        edge.ready().await;
        let entry = edge.module_is("a", RuntimeStatus::Running).await;
        let description = entry.status_description.unwrap_or_default();
        for expected in
            ["HostConfig.LogConfig is not supported", "HostConfig.Privilegd", "HostConfig.Privileged meant", "HostConfig.Memory"]
        {
            assert!(description.contains(expected), "{expected} is not in {description:?}");
        }
        let said = edge.says("HostConfig.LogConfig is not supported").await;
        assert!(said.note.contains("Module a: "), "{said:?}");
    })
    .await;
}

#[tokio::test]
async fn a_module_finds_what_a_device_sdk_looks_for_in_its_environment() {
    scenario("environment", async |namespace| {
        let edge = namespace.edge("line", json!({"deviceId": "Line.7", "modules": [idle("tempSensor")]})).await;
        edge.ready().await;
        let env = edge.exec("tempSensor", &["env"]).await;
        let hub = edge.names().hub();
        for (name, value) in [
            ("IOTEDGE_WORKLOADURI", "unix:///run/edge/workload/workload.sock"),
            ("IOTEDGE_DEVICEID", "Line.7"),
            ("IOTEDGE_MODULEID", "tempSensor"),
            ("IOTEDGE_GATEWAYHOSTNAME", &hub),
            ("IOTEDGE_IOTHUBHOSTNAME", &hub),
            ("IOTEDGE_AUTHSCHEME", "sasToken"),
            ("IOTEDGE_APIVERSION", "2020-07-07"),
        ] {
            assert!(env.lines().any(|line| line == format!("{name}={value}")), "{name}={value} is not in {env}");
        }
        let generation = env.lines().find_map(|line| line.strip_prefix("IOTEDGE_MODULEGENERATIONID="));
        assert!(generation.is_some_and(|generation| !generation.is_empty()), "{env}");
    })
    .await;
}
