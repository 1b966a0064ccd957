//! Modules reach each other and the hub under the names that their authors wrote.

use edge_e2e::{busybox, scenario, visitor};
use serde_json::json;

const SERVE: &str = "mkdir -p /tmp/www; echo 21.5 >/tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www";

#[tokio::test]
async fn a_module_is_reached_as_its_author_wrote_its_name() {
    scenario("names", async |namespace| {
        let modules = [busybox("tempSensor", SERVE), busybox("night_watch", SERVE), visitor("reader")];
        let edge = namespace.edge("line", json!({"modules": modules})).await;
        edge.ready().await;
        // Underscores are no part of host names: such a module is reached under the name of its pod's host.
        let night_watch = edge.exec("night_watch", &["hostname"]).await.trim().to_owned();
        assert!(night_watch.starts_with("night-watch-"), "{night_watch}");
        let hub = edge.names().hub();
        let answers = [
            ("http://tempSensor:8080/".to_owned(), "21.5"),
            ("http://tempsensor:8080/".to_owned(), "21.5"),
            (format!("http://{night_watch}:8080/"), "21.5"),
            ("http://edgeHub:9600/healthz".to_owned(), ""),
            ("http://edgehub:9600/healthz".to_owned(), ""),
            (format!("http://{hub}:9600/healthz"), ""),
        ];
        for (url, expected) in &answers {
            let said = edge.visit("reader", url).await;
            assert!(said.contains(*expected), "{url}: {said}");
        }
    })
    .await;
}
