//! The chart: its values agree with their schema and their README, and what Helm renders keeps the promises of both.
//!
//! Rendering needs Helm: `EDGE_HELM`, or the one that the local cluster's tools include. Without either those tests say that
//! they are skipped, or fail if `EDGE_REQUIRE_CLUSTER=1`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test ends at its first surprise")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde::Deserialize as _;
use serde_json::{Value, json};

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/edge-operator")
}

fn values() -> Value {
    serde_yaml_ng::from_str(&fs::read_to_string(chart().join("values.yaml")).unwrap()).unwrap()
}

/// Paths of all values that are not groups of others.
fn leaves(path: &str, value: &Value, found: &mut Vec<String>) {
    match value.as_object() {
        Some(members) if !members.is_empty() && path != "resources" => {
            for (name, inner) in members {
                leaves(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, inner, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

fn all_leaves() -> Vec<String> {
    let mut found = Vec::new();
    leaves("", &values(), &mut found);
    assert!(found.len() > 20, "{found:?}");
    found
}

#[test]
fn every_value_has_a_row_in_the_readme_and_every_row_a_value() {
    let readme = fs::read_to_string(chart().join("README.md")).unwrap();
    let table = readme.split("## Values").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut rows: Vec<String> =
        table.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned())).collect();
    let mut values = all_leaves();
    rows.sort();
    values.sort();
    assert_eq!(rows, values);
}

#[test]
fn every_value_is_in_the_schema_and_every_group_is_closed() {
    let schema: Value = serde_json::from_str(&fs::read_to_string(chart().join("values.schema.json")).unwrap()).unwrap();
    for leaf in all_leaves() {
        let mut at = &schema;
        for name in leaf.split('.') {
            assert_eq!(at["additionalProperties"], json!(false), "the group that holds {leaf} is open");
            at = &at["properties"][name];
        }
        assert!(at.is_object(), "{leaf} is not in the schema");
    }
}

#[test]
fn helm_lint_finds_nothing() {
    let Some(helm) = helm("helm_lint_finds_nothing") else { return };
    let output = Command::new(helm).args(["lint", "--strict"]).arg(chart()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn watching_all_namespaces_needs_one_cluster_role() {
    let Some(objects) = render("watching_all_namespaces_needs_one_cluster_role", &[]) else { return };
    let bound: Vec<_> = of_kind(&objects, "ClusterRoleBinding").map(|binding| binding["roleRef"]["name"].clone()).collect();
    assert_eq!(bound, [json!("edge-system-edge-operator")]);
    assert_eq!(environment(&objects, "WATCH_NAMESPACES"), "");
}

#[test]
fn watching_some_namespaces_opens_secrets_in_no_other() {
    let arguments = ["--set", "watchNamespaces={line-a,line-b}"];
    let Some(objects) = render("watching_some_namespaces_opens_secrets_in_no_other", &arguments) else { return };
    assert_eq!(of_kind(&objects, "ClusterRoleBinding").count(), 0);
    let with_secrets: Vec<_> = roles(&objects)
        .filter(|role| role["rules"].as_array().unwrap().iter().any(|rule| rule["resources"].to_string().contains("secrets")))
        .map(|role| role["metadata"]["namespace"].as_str().unwrap_or("everywhere").to_owned())
        .collect();
    assert_eq!(with_secrets, ["line-a", "line-b"]);
    assert_eq!(environment(&objects, "WATCH_NAMESPACES"), "line-a,line-b");
}

#[test]
fn no_rule_has_a_wildcard_or_rights_over_rights() {
    let Some(objects) = render("no_rule_has_a_wildcard_or_rights_over_rights", &[]) else { return };
    assert!(roles(&objects).count() >= 4);
    for rule in roles(&objects).flat_map(|role| role["rules"].as_array().unwrap()) {
        let text = rule.to_string();
        for forbidden in ["*", "escalate", "bind\"", "impersonate", "rbac.authorization", "pods/exec", "nodes"] {
            assert!(!text.contains(forbidden), "{text}");
        }
    }
}

#[test]
fn the_pod_meets_the_restricted_standard() {
    let Some(objects) = render("the_pod_meets_the_restricted_standard", &[]) else { return };
    let pod = &deployment(&objects)["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], json!(true));
    assert_eq!(pod["securityContext"]["runAsUser"], json!(65532));
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], json!("RuntimeDefault"));
    let container = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
    assert_eq!(pod["containers"][0]["securityContext"], container);
}

#[test]
fn a_digest_wins_over_a_tag_everywhere() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let set = format!("image.tag=v1,image.digest={digest},image.repository=r.example.com/edge");
    let Some(objects) = render("a_digest_wins_over_a_tag_everywhere", &["--set", &set]) else { return };
    let image = format!("r.example.com/edge@{digest}");
    assert_eq!(deployment(&objects)["spec"]["template"]["spec"]["containers"][0]["image"], json!(image));
    assert_eq!(environment(&objects, "EDGE_IMAGE"), image);
}

#[test]
fn the_definition_is_the_one_of_our_types_and_is_kept_on_request() {
    let name = "the_definition_is_the_one_of_our_types_and_is_kept_on_request";
    let Some(kept) = render(name, &[]) else { return };
    let rendered = of_kind(&kept, "CustomResourceDefinition").next().unwrap();
    let ours = serde_json::to_value(edge_crds::definition::custom_resource_definition().unwrap()).unwrap();
    assert_eq!(rendered["spec"], ours["spec"]);
    assert_eq!(rendered["metadata"]["annotations"]["helm.sh/resource-policy"], json!("keep"));
    let removable = render(name, &["--set", "crds.keep=false"]).unwrap();
    assert!(of_kind(&removable, "CustomResourceDefinition").next().unwrap()["metadata"].get("annotations").is_none());
    let absent = render(name, &["--set", "crds.install=false"]).unwrap();
    assert_eq!(of_kind(&absent, "CustomResourceDefinition").count(), 0);
}

#[test]
fn wrong_values_are_refused_with_their_name() {
    let Some(helm) = helm("wrong_values_are_refused_with_their_name") else { return };
    let table = [
        ("watchNamspaces={a}", "watchNamspaces"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("metrics.port=80", "port"),
        ("allowElevatedPermissions=maybe", "allowElevatedPermissions"),
        ("replicas=2,leaderElection=false", "leaderElection"),
        ("serviceAccount.create=false", "serviceAccount.name"),
    ];
    for (set, named) in table {
        let output = Command::new(&helm).args(["template", "edge-operator"]).arg(chart()).args(["--set", set]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(named), "{set}: {said}");
    }
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

fn roles(objects: &[Value]) -> impl Iterator<Item = &Value> {
    of_kind(objects, "Role").chain(of_kind(objects, "ClusterRole"))
}

fn deployment(objects: &[Value]) -> &Value {
    of_kind(objects, "Deployment").next().unwrap()
}

fn environment(objects: &[Value], name: &str) -> String {
    let container = &deployment(objects)["spec"]["template"]["spec"]["containers"][0];
    let variable = container["env"].as_array().unwrap().iter().find(|variable| variable["name"] == name);
    variable.unwrap_or_else(|| panic!("{name} is not set"))["value"].as_str().unwrap().to_owned()
}

/// What Helm makes of the chart, or `None` without Helm.
fn render(test: &str, arguments: &[&str]) -> Option<Vec<Value>> {
    let mut command = Command::new(helm(test)?);
    command.args(["template", "edge-operator"]).arg(chart()).args(["--namespace", "edge-system"]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rendered = String::from_utf8(output.stdout).unwrap();
    let objects = serde_yaml_ng::Deserializer::from_str(&rendered).map(|document| Value::deserialize(document).unwrap());
    Some(objects.filter(|object| !object.is_null()).collect())
}

/// Helm, or `None` and a line on stderr that says why the test is skipped.
fn helm(test: &str) -> Option<PathBuf> {
    let found = env::var_os("EDGE_HELM").map(PathBuf::from).or_else(built_helm);
    if found.is_none() {
        assert_ne!(env::var("EDGE_REQUIRE_CLUSTER").as_deref(), Ok("1"), "EDGE_REQUIRE_CLUSTER=1, and there is no Helm");
        // Not `eprintln`, which the test runner would swallow.
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: EDGE_HELM is not set and the cluster's tools are not built");
    }
    found
}

/// The Helm that `e2e/cluster` built into the cache.
fn built_helm() -> Option<PathBuf> {
    let cache = env::var_os("EDGE_CACHE").map(PathBuf::from).or_else(|| {
        let home = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        Some(home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))?.join("edge-operator"))
    })?;
    let built = fs::read_dir(cache.join("tools")).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    built
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("helm-")))
        .map(|path| path.join("helm"))
        .find(|path| path.is_file())
}
