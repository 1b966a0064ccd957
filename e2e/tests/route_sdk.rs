//! Messages of modules that are written with the public SDK.

use edge_crds::condition::ConditionType;
use edge_e2e::{Site, scenario};
use serde_json::{Value, json};

const THRESHOLD: f64 = 25.0;

#[tokio::test]
async fn readings_pass_from_sensor_to_filter_to_the_place_above() {
    scenario("sdk", async |namespace| {
        let _site = Site::start(namespace).await;
        let nonce = namespace.name();
        let edge = namespace.edge("line", json!({
            "upstream": Site::upstream(),
            "modules": [
                {"name": "tempSensor", "image": "edge-samples/temp-sensor:1.0",
                 "env": [{"name": "INTERVAL_SECONDS", "value": "0.1"}, {"name": "NONCE", "value": nonce}]},
                {"name": "filter", "image": "edge-samples/filter:1.0", "restartPolicy": "on-failure",
                 "env": [{"name": "THRESHOLD", "value": THRESHOLD.to_string()}]},
            ],
            "routes": [
                {"name": "readings", "route": "FROM /messages/modules/tempSensor/outputs/temperatureOutput INTO BrokeredEndpoint(\"/modules/filter/inputs/input1\")"},
                {"name": "alerts", "route": "FROM /messages/modules/filter/outputs/output1 INTO $upstream"},
            ],
        })).await;
        edge.ready().await;
        edge.condition(ConditionType::UpstreamConnected, "True").await;

        // A client of the broker's own, with its own eyes.
        let listen = ["mosquitto_sub", "-h", "localhost", "-t", "edge/#", "-q", "1", "-v", "-C", "10", "-W", "120"];
        let arrived = namespace.exec("site-0", "broker", &listen).await;
        let lines: Vec<&str> = arrived.lines().collect();
        assert_eq!(lines.len(), 10, "{arrived}");
        for line in lines {
            let (topic, body) = line.split_once(' ').expect("a topic and a body");
            assert_eq!(topic, "edge/line/filter/output1");
            let reading: Value = serde_json::from_str(body).unwrap();
            assert_eq!(reading["nonce"], nonce, "{body}");
            assert!(reading["machine"]["temperature"].as_f64().is_some_and(|temperature| temperature > THRESHOLD), "{body}");
        }
        // Its connection to the hub was good from the first moment on.
        for module in ["tempSensor", "filter"] {
            let restarts = edge.module(module, "is known", |entry| Ok(entry.restart_count)).await;
            assert_eq!(restarts, 0, "{module} was started again");
        }
    })
    .await;
}
