//! The samples without an API server: what it accepts, our types read; and reading adds the same defaults.

#[path = "support/samples.rs"]
mod samples;

use edge_crds::EdgeDeployment;
use edge_crds::edge_deployment::{DesiredStatus, ImagePullPolicy, LogLevel, RestartPolicy};

#[test]
fn every_bad_sample_says_what_is_wrong_with_it() {
    for (file, refusal) in samples::all().into_iter().filter_map(|sample| Some((sample.file, sample.refused?))) {
        assert!(refusal.field.starts_with("spec.") || refusal.field == "metadata.name", "{file}: {}", refusal.field);
        assert!(refusal.text.len() > 5, "{file}: {}", refusal.text);
    }
}

#[test]
fn every_good_sample_is_read() {
    for sample in samples::all().into_iter().filter(|sample| sample.refused.is_none()) {
        // The API server drops nulls before we see the object; here nobody has.
        let object = without_nulls(sample.object);
        let read: EdgeDeployment = serde_json::from_value(object).unwrap_or_else(|error| panic!("{}: {error}", sample.file));
        assert!(!read.device_id().is_empty(), "{}", sample.file);
    }
}

#[test]
fn what_is_not_given_gets_the_default_of_the_schema() {
    let read: EdgeDeployment = serde_yaml_ng::from_str(
        "{apiVersion: iotedge.dev/v1alpha1, kind: EdgeDeployment, metadata: {name: line-7}, spec: {modules: [{name: m, image: i}]}}",
    )
    .unwrap();
    assert_eq!(read.device_id(), "line-7");
    assert_eq!(read.spec.hub.max_clients, 1000);
    assert_eq!(read.spec.hub.log_level, LogLevel::Info);
    assert!(read.spec.hub.storage.retain);
    assert_eq!(read.spec.hub.storage.size().0, "1Gi");
    let module = &read.spec.modules[0];
    let expected = (DesiredStatus::Running, RestartPolicy::Always, ImagePullPolicy::OnCreate);
    assert_eq!((module.status, module.restart_policy, module.image_pull_policy), expected);
}

fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(members) => {
            members.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key, without_nulls(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}
