//! What is refused, case by case: field, message and reason.

use serde_json::json;

use crate::reconcile::fixture::Example;

#[test]
fn each_bad_spec_is_refused_with_field_and_reason() {
    let route = |text: &str| Example::new().with("/routes/0/route", json!(text));
    let options = |options: serde_json::Value| Example::new().with("/modules/0/createOptions", options);
    let kubernetes = |block: serde_json::Value| Example::new().with("/modules/1/kubernetes", block);
    let upstream = json!({"mqtt": {"url": "mqtts://b", "credentialsSecretRef": {"name": "c"}, "caSecretRef": {"name": "ca"}}});
    let registry = json!([{"name": "r", "address": "a", "username": "u", "secretRef": {"name": "s", "key": "k"}}]);
    let table = [
        (
            route("FROM /* WHERE lenght(unit) > 1 INTO $upstream"),
            "InvalidRoute",
            "spec.routes[readings].route: route readings: unknown function \"lenght\" at column 15, did you mean length?",
        ),
        (
            route("SELECT * INTO $upstream"),
            "InvalidRoute",
            "spec.routes[readings].route: route readings: expected FROM, found the keyword \"INTO\" at column 10",
        ),
        (
            Example::new().with("/routes/0/priority", json!(300)),
            "InvalidRoute",
            "spec.routes[readings].priority: is 300, it has to be 0 to 9",
        ),
        (
            Example::new().with("/routes/0/timeToLiveSecs", json!(-1)),
            "InvalidRoute",
            "spec.routes[readings].timeToLiveSecs: is -1, it has to be 0 to 4294967295",
        ),
        (options(json!("[")), "InvalidCreateOptions", "spec.modules[tempSensor].createOptions: is not JSON"),
        (options(json!({"Env": 1})), "InvalidCreateOptions", "spec.modules[tempSensor].createOptions.Env: must be a list"),
        (
            options(json!({"HostConfig": {"Binds": ["x:/run/edge"]}})),
            "InvalidCreateOptions",
            "spec.modules[tempSensor].createOptions.HostConfig.Binds[0]: mounts on /run/edge, where the module finds its workload API",
        ),
        (
            Example::new().with("/modules/1/name", json!("TEMPSENSOR")),
            "NameCollision",
            "spec.modules: modules tempSensor and TEMPSENSOR would both have the DNS name tempsensor",
        ),
        (
            Example::new().with("/modules/1/name", json!("EdgeHub")),
            "InvalidSpec",
            "spec.modules: module name EdgeHub belongs to the runtime",
        ),
        (Example::new().with("/deviceId", json!("a/b")), "InvalidSpec", "spec.deviceId: "),
        (
            kubernetes(json!({"volumes": [{"name": "edge-x", "emptyDir": {}}]})),
            "InvalidSpec",
            "spec.modules[filter].kubernetes.volumes[edge-x].name: names beginning with edge-",
        ),
        (
            kubernetes(json!({"volumeMounts": [{"name": "gone", "mountPath": "/x"}]})),
            "InvalidSpec",
            "spec.modules[filter].kubernetes.volumeMounts[/x].name: \"gone\" is none of",
        ),
        (
            kubernetes(json!({"volumes": [{"name": "v", "emptyDir": {}}], "volumeMounts": [{"name": "v", "mountPath": "/in"}]})),
            "InvalidSpec",
            "spec.modules[filter].kubernetes.volumeMounts[/in].mountPath: createOptions.HostConfig.Mounts[0] mounts there already",
        ),
        (
            Example::new().with("/upstream", upstream.clone()),
            "SecretNotFound",
            "spec.upstream.mqtt.credentialsSecretRef: there is no Secret c in this namespace",
        ),
        (
            Example::new()
                .with("/upstream", upstream)
                .with_secret("c", &[("username", "u")])
                .with_secret("ca", &[("ca.crt", "nonsense")]),
            "InvalidSecret",
            "spec.upstream.mqtt.credentialsSecretRef: Secret c has no key password, or it is empty",
        ),
        (
            Example::new().with("/registryCredentials", registry),
            "SecretNotFound",
            "spec.registryCredentials[r].secretRef: there is no Secret s in this namespace",
        ),
    ];
    for (example, reason, expected) in table {
        let rejection = example.rejection();
        assert!(rejection.to_string().starts_with(expected), "{rejection}\nexpected {expected}");
        assert_eq!(rejection.reason(), reason, "{rejection}");
    }
}

#[test]
fn what_is_wrong_with_routes_together_is_said_with_what_is_wrong_with_each() {
    let long = "n".repeat(128);
    let routes = json!([
        {"name": long, "route": "FROM /* INTO $upstream"},
        {"name": "bad", "route": "FROM /* INTO nowhere", "priority": 10},
        {"name": long, "route": "SELECT * FROM /* INTO $upstream"},
    ]);
    let rejection = Example::new().with("/routes", routes).rejection();
    let problems: Vec<_> =
        rejection.problems().iter().map(|problem| (problem.field.as_str(), problem.message.as_str())).collect();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert_eq!(problems[0], ("spec.routes[bad].priority", "is 10, it has to be 0 to 9"));
    assert!(problems[1].0 == "spec.routes[bad].route" && problems[1].1.contains("nowhere"), "{problems:?}");
    assert_eq!(problems[2].0, format!("spec.routes[{long}].route"));
    assert!(problems[2].1.ends_with("an earlier route has the same name"), "{problems:?}");
}

#[test]
fn secrets_are_never_quoted() {
    let registry = json!([{"name": "r", "address": "a", "username": "u", "secretRef": {"name": "s"}}]);
    let example = Example::new().with("/registryCredentials", registry).with_secret("s", &[("password", "hunter2")]);
    assert!(!format!("{:?}", example.valid()).contains("hunter2"));
}

#[test]
fn a_route_to_a_module_that_is_not_there_is_a_remark_and_no_error() {
    let example = Example::new().with("/routes/0/route", json!("FROM /* INTO BrokeredEndpoint(\"/modules/later/inputs/i\")"));
    let remarks = example.valid().route_remarks;
    assert_eq!(remarks.len(), 1);
    assert!(remarks[0].1.contains("later"), "{remarks:?}");
}
