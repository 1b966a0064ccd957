//! What is built: whole objects as snapshots, and the rules that a snapshot does not explain.

use serde_json::{Value, json};

use crate::cluster_dns::ClusterDns;
use crate::docker::Remark;
use crate::reconcile::build::Desired;
use crate::reconcile::child::Kind;
use crate::reconcile::fixture::{Example, names_of};

/// The pod of module `index` as JSON.
fn pod(desired: &Desired, index: usize) -> Value {
    serde_json::to_value(&desired.pods[index].pod).unwrap()
}

fn object(desired: &Desired, kind: Kind, name: &str) -> Value {
    let child = desired.children.iter().find(|child| child.kind == kind && child.name() == name).unwrap();
    serde_json::to_value(&child.object).unwrap()
}

fn remarks(desired: &Desired) -> Vec<String> {
    desired.remarks.iter().flat_map(|(_, remarks)| remarks).map(Remark::to_string).collect()
}

fn env<'p>(pod: &'p Value, name: &str) -> &'p Value {
    let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
    let mut found = env.iter().filter(|var| var["name"] == name);
    let first = found.next().unwrap_or(&Value::Null);
    assert!(found.next().is_none(), "{name} is set twice");
    first
}

#[test]
fn the_pods_of_two_modules() {
    let desired = Example::new().build();
    insta::assert_yaml_snapshot!("pod_temp_sensor", pod(&desired, 0));
    insta::assert_yaml_snapshot!("pod_filter", pod(&desired, 1));
}

#[test]
fn the_hub_with_an_upstream() {
    let mqtt = json!({"mqtt": {"url": "mqtt://broker.site", "credentialsSecretRef": {"name": "site"}}});
    let desired = Example::new().with("/upstream", mqtt).with_secret("site", &[("username", "u"), ("password", "p")]).build();
    insta::assert_yaml_snapshot!("hub", object(&desired, Kind::StatefulSet, "line-7-edgehub"));
    let hub_json = object(&desired, Kind::ConfigMap, "line-7-edgehub-config")["data"]["hub.json"].as_str().unwrap().to_owned();
    insta::assert_snapshot!("hub_json", hub_json);
    let read: edge_protocol::configuration::HubConfiguration = serde_json::from_str(&hub_json).unwrap();
    assert_eq!(read.version, desired.configuration_version);
}

#[test]
fn everything_else_by_name() {
    let desired = Example::new().build();
    // The hash in the name of the remembered spec changes with every field that the schema gets.
    let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Revision);
    let all: Vec<_> = kinds.map(|kind| (kind.as_str(), names_of(&desired, kind))).collect();
    insta::assert_yaml_snapshot!("names", all);
    for child in &desired.children {
        let is_the_hubs_volume = child.kind == Kind::Claim && child.name() == "line-7-edgehub";
        assert_eq!(child.object.metadata.owner_references.is_none(), is_the_hubs_volume, "{}", child.name());
    }
}

#[test]
fn the_hubs_volume_goes_with_its_deployment_only_when_asked_to() {
    let desired = Example::new().with("/hub", json!({"storage": {"retain": false}})).build();
    assert_eq!(object(&desired, Kind::Claim, "line-7-edgehub")["metadata"]["ownerReferences"][0]["kind"], "EdgeDeployment");
    let existing = Example::new().with("/hub", json!({"storage": {"existingClaim": "mine"}})).build();
    assert!(!names_of(&existing, Kind::Claim).contains(&"line-7-edgehub".to_owned()));
}

#[test]
fn variables_of_docker_win_over_those_of_the_manifest_and_both_over_the_runtimes() {
    let desired = Example::new()
        .with("/modules/0/env", json!([{"name": "A", "value": "manifest"}, {"name": "B", "value": "manifest"}, {"name": "IOTEDGE_MODULEID", "value": "manifest"}]))
        .with("/modules/0/createOptions", json!({"Env": ["B=docker", "IOTEDGE_AUTHSCHEME=docker", "C=$(A) $$"]}))
        .build();
    let pod = pod(&desired, 0);
    for (name, expected) in [
        ("A", "manifest"),
        ("B", "docker"),
        ("IOTEDGE_MODULEID", "manifest"),
        ("IOTEDGE_AUTHSCHEME", "docker"),
        ("C", "$$(A) $$$$"),
    ] {
        assert_eq!(env(&pod, name)["value"], expected, "{name}");
    }
}

#[test]
fn two_modules_share_the_volume_that_both_name() {
    let desired = Example::new().build();
    let claims: Vec<_> = [0, 1]
        .map(|index| {
            let volumes = pod(&desired, index)["spec"]["volumes"].as_array().unwrap().clone();
            volumes.into_iter().find_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str().map(str::to_owned))
        })
        .to_vec();
    assert_eq!(claims, [Some("line-7-volume-readings".to_owned()), Some("line-7-volume-readings".to_owned())]);
}

/// What a stock image asks for, and what is left of it when elevated permissions are off.
#[test]
fn without_elevated_permissions_the_module_runs_with_what_is_left_and_says_so() {
    let greedy = Example::new()
        .with("/modules/0/createOptions", json!({"HostConfig": {
            "Privileged": true, "CapAdd": ["NET_ADMIN", "CHOWN"], "CapDrop": ["NET_RAW"], "Binds": ["/srv:/srv", "data:/data"]
        }}))
        .with("/modules/0/kubernetes", json!({
            "volumes": [{"name": "host", "hostPath": {"path": "/"}}], "volumeMounts": [{"name": "host", "mountPath": "/host"}],
            "securityContext": {"privileged": true, "readOnlyRootFilesystem": true}
        }));
    let granted = pod(&greedy.build(), 0);
    assert_eq!(granted["spec"]["containers"][0]["securityContext"]["privileged"], true);
    assert_eq!(
        granted["spec"]["containers"][0]["securityContext"]["capabilities"],
        json!({"add": ["NET_ADMIN", "CHOWN"], "drop": ["NET_RAW"]})
    );
    let confined = greedy.confined().build();
    let container = &pod(&confined, 0)["spec"]["containers"][0];
    assert_eq!(
        container["securityContext"],
        json!({"capabilities": {"drop": ["NET_RAW", "SETUID"]}, "readOnlyRootFilesystem": true})
    );
    let mounts: Vec<_> =
        container["volumeMounts"].as_array().unwrap().iter().map(|mount| mount["mountPath"].as_str().unwrap()).collect();
    assert_eq!(mounts, ["/run/edge/workload", "/data"]);
    assert!(!pod(&confined, 0)["spec"]["volumes"].to_string().contains("hostPath"));
    let said = remarks(&confined);
    let off = "was left out: elevated permissions are switched off";
    for member in [
        "HostConfig.Privileged",
        "HostConfig.CapAdd (NET_ADMIN, CHOWN)",
        "HostConfig.Binds[0] (/srv)",
        "kubernetes.volumes[host].hostPath",
        "kubernetes.securityContext.privileged",
    ] {
        assert!(said.contains(&format!("{member} {off}")), "{member} in {said:?}");
    }
}

#[test]
fn an_upgrade_of_the_operator_changes_no_modules_hash() {
    let (old, new) = (Example::new().build(), Example::new().with_own_image("edge-operator:next").build());
    for (old, new) in old.pods.iter().zip(&new.pods) {
        assert_ne!(old.pod, new.pod);
        assert_eq!(old.hash(), new.hash());
    }
}

#[test]
fn an_operator_on_another_node_changes_no_modules_hash_but_the_users_own_pull_secrets_do() {
    let dns = ClusterDns::read("", "edge-system", Some("169.254.20.10".parse().unwrap()), None).unwrap();
    let old = Example::new().build();
    let moved = Example::new().moved(dns, "operators").build();
    let theirs = Example::new().with("/imagePullSecrets", json!([{"name": "theirs"}])).build();
    for ((old, moved), theirs) in old.pods.iter().zip(&moved.pods).zip(&theirs.pods) {
        let (old_spec, moved_spec) = (old.pod.spec.as_ref().unwrap(), moved.pod.spec.as_ref().unwrap());
        assert_ne!(old_spec.dns_config, moved_spec.dns_config);
        assert_ne!(old_spec.image_pull_secrets, moved_spec.image_pull_secrets);
        assert_eq!(old.hash(), moved.hash());
        assert_ne!(old.hash(), theirs.hash());
    }
}

#[test]
fn registry_passwords_become_one_pull_secret_that_every_module_uses() {
    let desired = Example::new()
        .with(
            "/registryCredentials",
            json!([{"name": "r", "address": "registry.site:5000", "username": "u", "secretRef": {"name": "s"}}]),
        )
        .with("/imagePullSecrets", json!([{"name": "own"}]))
        .with_secret("s", &[("password", "secret\n")])
        .build();
    let secret = object(&desired, Kind::Secret, "line-7-registry");
    assert_eq!(secret["type"], "kubernetes.io/dockerconfigjson");
    let encoded = secret["data"][".dockerconfigjson"].as_str().unwrap();
    let decoded: Value =
        serde_json::from_slice(&base64::Engine::decode(&base64::prelude::BASE64_STANDARD, encoded).unwrap()).unwrap();
    assert_eq!(
        decoded,
        json!({"auths": {"registry.site:5000": {"username": "u", "password": "secret", "auth": "dTpzZWNyZXQ="}}})
    );
    assert_eq!(pod(&desired, 0)["spec"]["imagePullSecrets"], json!([{"name": "own"}, {"name": "line-7-registry"}]));
}

#[test]
fn a_docker_socket_is_a_socket_and_other_paths_are_whatever_they_are() {
    let desired = Example::new()
        .with(
            "/modules/0/createOptions",
            json!({"HostConfig": {"Binds": ["/var/run/docker.sock:/s", "/etc/hosts:/h:ro", "/dev/ttyUSB0:/t"]}}),
        )
        .build();
    let volumes = pod(&desired, 0)["spec"]["volumes"].to_string();
    assert!(volumes.contains(r#"{"path":"/var/run/docker.sock","type":"Socket"}"#), "{volumes}");
    assert!(volumes.contains(r#"{"path":"/etc/hosts"}"#) && volumes.contains(r#"{"path":"/dev/ttyUSB0"}"#), "{volumes}");
}

#[test]
fn every_volume_of_ours_has_the_reserved_prefix() {
    for pod in &Example::new().build().pods {
        for volume in pod.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            assert!(volume.name.starts_with("edge-"), "{}", volume.name);
        }
    }
}
