//! Named volumes of createOptions.

use edge_e2e::{SLEEP, SOON, busybox, eventually, scenario};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::{Value, json};

fn with_host_config(mut module: Value, host_config: Value) -> Value {
    module["createOptions"]["HostConfig"] = host_config;
    module
}

#[tokio::test]
async fn a_file_passes_from_one_module_to_another_through_a_named_volume() {
    scenario("volumes", async |namespace| {
        let writer = busybox("writer", &format!("echo from the writer >/out/note; {SLEEP}"));
        let writer = with_host_config(writer, json!({"Binds": ["data:/out"]}));
        let mount = json!({"Mounts": [{"Type": "volume", "Source": "data", "Target": "/in", "ReadOnly": true}]});
        let reader = with_host_config(busybox("reader", SLEEP), mount);
        let volumes = json!([{"name": "data", "size": "128Mi"}]);
        let edge = namespace.edge("line", json!({"modules": [writer.clone(), reader.clone()], "volumes": volumes})).await;
        edge.ready().await;
        let note = eventually("the note", SOON, async || edge.try_exec("reader", &["cat", "/in/note"]).await).await;
        assert_eq!(note.trim(), "from the writer");
        edge.try_exec("reader", &["touch", "/in/mine"]).await.expect_err("the mount is read-only");

        let claim: PersistentVolumeClaim = namespace.api().get(&edge.names().volume_claim("data").unwrap()).await.unwrap();
        let size = claim.spec.unwrap().resources.unwrap().requests.unwrap()["storage"].0.clone();
        assert_eq!(size, "128Mi");

        // The volume stays when the module that filled it goes, as it does in Docker.
        edge.apply(json!({"modules": [reader], "volumes": volumes})).await;
        edge.ready().await;
        assert_eq!(edge.exec("reader", &["cat", "/in/note"]).await.trim(), "from the writer");
    })
    .await;
}
