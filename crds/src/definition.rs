//! The `CustomResourceDefinition` as it is installed.
//!
//! [`custom_resource_definition`] takes what the derive makes of the types and finishes it for an API server: `null` means
//! "not given" instead of a third value, descriptions are sentences instead of source lines.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value};

use crate::edge_deployment::EdgeDeployment;

/// Most bytes of the definition as YAML. An object's annotations end at 256 KiB, and a client-side `kubectl apply` writes the
/// whole definition into one.
pub const MAX_DEFINITION_BYTES: usize = 256 * 1024;

/// Why the definition could not be made: the types are wrong, so only a developer sees this.
#[derive(Debug, thiserror::Error)]
#[error("failed to finish the schema of EdgeDeployment")]
pub struct Error(#[from] serde_json::Error);

/// The `CustomResourceDefinition` of [`EdgeDeployment`].
pub fn custom_resource_definition() -> Result<CustomResourceDefinition, Error> {
    let mut definition = serde_json::to_value(EdgeDeployment::crd())?;
    if let Some(versions) = definition.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        for version in versions {
            if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema").and_then(Value::as_object_mut) {
                finish(schema);
            }
        }
    }
    Ok(serde_json::from_value(definition)?)
}

/// The schema of one EdgeDeployment, as in the definition.
pub fn schema() -> Result<Value, Error> {
    let definition = serde_json::to_value(custom_resource_definition()?)?;
    Ok(definition.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned().unwrap_or_default())
}

fn finish(schema: &mut Map<String, Value>) {
    // The API server drops a null from a field that is not nullable, so `has()` in a rule means what it says.
    schema.remove("nullable");
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = unwrapped(text);
    }
    for member in ["items", "additionalProperties"] {
        if let Some(Value::Object(inner)) = schema.get_mut(member) {
            finish(inner);
        }
    }
    if let Some(Value::Object(members)) = schema.get_mut("properties") {
        members.values_mut().filter_map(Value::as_object_mut).for_each(finish);
    }
}

/// Joins the lines of a doc comment; blank lines still part paragraphs.
fn unwrapped(text: &str) -> String {
    text.split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `check` with the path and the schema of every field below `schema`.
    fn walk(path: &str, schema: &Value, check: &mut impl FnMut(&str, &Value)) {
        check(path, schema);
        if let Some(members) = schema.get("properties").and_then(Value::as_object) {
            for (name, inner) in members {
                walk(&format!("{path}.{name}"), inner, check);
            }
        }
        if let Some(inner) = schema.get("items") {
            walk(&format!("{path}[]"), inner, check);
        }
        if let Some(inner) = schema.get("additionalProperties") {
            walk(&format!("{path}{{}}"), inner, check);
        }
    }

    fn part(name: &str) -> Value {
        schema().unwrap()["properties"][name].clone()
    }

    #[test]
    fn every_string_list_and_map_is_bounded() {
        for name in ["spec", "status"] {
            walk(name, &part(name), &mut |path, schema| {
                let has = |bound: &str| schema.get(bound).is_some();
                match schema.get("type").and_then(Value::as_str) {
                    Some("string") => assert!(has("maxLength") || has("enum") || has("format"), "{path} has no maxLength"),
                    Some("array") => assert!(has("maxItems"), "{path} has no maxItems"),
                    Some("object") => assert!(
                        has("properties") || (has("additionalProperties") && has("maxProperties")),
                        "{path} takes any member, or any number of them"
                    ),
                    Some("integer" | "boolean") => {}
                    other => assert!(
                        has("x-kubernetes-int-or-string") || path.ends_with(".createOptions"),
                        "{path} has the type {other:?}"
                    ),
                }
            });
        }
    }

    #[test]
    fn nothing_is_nullable_and_integers_have_formats_that_kubernetes_knows() {
        walk("", &schema().unwrap(), &mut |path, schema| {
            assert!(schema.get("nullable").is_none(), "{path} is nullable");
            if schema.get("type").and_then(Value::as_str) == Some("integer") {
                let format = schema.get("format").and_then(Value::as_str);
                assert!(matches!(format, Some("int32" | "int64")), "{path} has the format {format:?}");
            }
            assert_ne!(schema.get("type").and_then(Value::as_str), Some("number"), "{path} is a floating point number");
        });
    }

    #[test]
    fn lists_of_named_things_merge_by_name() {
        let spec = part("spec");
        for list in ["modules", "routes", "volumes", "registryCredentials", "imagePullSecrets"] {
            assert_eq!(spec["properties"][list]["x-kubernetes-list-map-keys"], serde_json::json!(["name"]), "{list}");
        }
    }

    #[test]
    fn our_own_fields_are_all_described() {
        walk("spec", &part("spec"), &mut |path, schema| {
            let embedded = ["affinity", "tolerations", "volumes[]", "volumeMounts", "ontext.", "fieldRef."]
                .iter()
                .any(|name| path.contains(name) && !path.ends_with(name));
            let own = !embedded && !path.ends_with("[]") && !path.ends_with("{}");
            assert!(!own || schema.get("description").is_some(), "{path} has no description");
        });
    }

    #[test]
    fn the_definition_fits_into_an_annotation() {
        let yaml = serde_yaml_ng::to_string(&custom_resource_definition().unwrap()).unwrap();
        assert!(yaml.len() < MAX_DEFINITION_BYTES, "{} bytes", yaml.len());
    }
}
