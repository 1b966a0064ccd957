//! What follows the end of a module, under each restart policy.

use edge_crds::condition::{ConditionType, reason};
use edge_crds::edge_deployment::RuntimeStatus;
use edge_e2e::{Edge, busybox, scenario, with};
use serde_json::{Value, json};

fn ending(name: &str, code: i32, policy: &str) -> Value {
    with(busybox(name, &format!("exit {code}")), "restartPolicy", json!(policy))
}

/// Waits until `module` was started again at least twice, and returns the exit code that its status tells.
async fn restarts(edge: &Edge<'_>, module: &str) -> Option<i32> {
    let again = |restarts: i32| if restarts >= 2 { Ok(()) } else { Err(format!("{restarts} restarts")) };
    edge.module(module, "was started again twice", |entry| again(entry.restart_count).map(|()| entry.exit_code)).await
}

#[tokio::test]
async fn each_restart_policy_decides_what_follows_the_end_of_a_module() {
    scenario("crash", async |namespace| {
        let modules = json!([
            ending("never-well", 0, "never"),
            ending("never-ill", 3, "never"),
            ending("on-failure-well", 0, "on-failure"),
            ending("on-failure-ill", 4, "on-failure"),
            ending("on-unhealthy-well", 0, "on-unhealthy"),
            ending("on-unhealthy-ill", 5, "on-unhealthy"),
            ending("always-well", 0, "always"),
            ending("always-ill", 6, "always"),
        ]);
        let edge = namespace.edge("line", json!({"modules": modules})).await;

        assert_eq!(restarts(&edge, "always-well").await, Some(0));
        assert_eq!(restarts(&edge, "always-ill").await, Some(6));
        assert_eq!(restarts(&edge, "on-failure-ill").await, Some(4));
        assert_eq!(restarts(&edge, "on-unhealthy-ill").await, Some(5));
        // By now the others would have been started again, too.
        for (module, status, code) in [
            ("never-well", RuntimeStatus::Stopped, 0),
            ("never-ill", RuntimeStatus::Failed, 3),
            ("on-failure-well", RuntimeStatus::Stopped, 0),
            ("on-unhealthy-well", RuntimeStatus::Stopped, 0),
        ] {
            let entry = edge.module_is(module, status).await;
            assert_eq!((entry.exit_code, entry.restart_count), (Some(code), 0), "{entry:?}");
            assert!(entry.last_exit_time.is_some(), "{entry:?}");
        }
        // Between two attempts, a module is in back-off and says when the next one comes.
        let entry = edge.module_is("always-ill", RuntimeStatus::Backoff).await;
        assert!(entry.next_restart_time.is_some(), "{entry:?}");
        let description = entry.status_description.unwrap_or_default();
        assert!(description.contains("exit code 6"), "{description}");
        let ready = edge.condition(ConditionType::Ready, "False").await;
        assert_eq!(ready.reason, reason::MODULE_FAILED, "{ready:?}");
        edge.says("Module never-ill: it ended with exit code 3").await;
    })
    .await;
}
