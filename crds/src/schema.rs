//! Schemas of fields whose Rust type does not say enough: names, quantities, and the types borrowed from Kubernetes.
//!
//! Types borrowed from Kubernetes are embedded whole, so that the API server refuses a misspelt member, but without their
//! descriptions, which would fill the definition, and with bounds that Kubernetes itself does not need.

use k8s_openapi::api::core::v1::{
    Affinity, ObjectFieldSelector, PodSecurityContext, SecurityContext, Toleration, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::edge_deployment::MAX_CREATE_OPTIONS_BYTES;

/// Longest string inside an embedded type, in bytes; names and paths are shorter.
const MAX_EMBEDDED_STRING: u64 = 1024;
/// Most entries of a list or map inside an embedded type.
const MAX_EMBEDDED_ENTRIES: u64 = 64;
/// Most entries of a list or map in the `kubernetes` block itself.
const MAX_ENTRIES: u64 = 32;
/// Longest annotation value, in bytes; all annotations of a pod together may have 256 KiB.
const MAX_ANNOTATION: u64 = 4096;

/// Volume sources left to CSI: those that in-tree drivers once served, and ephemeral ones, whose claim template would triple the schema.
const VOLUME_SOURCES_LEFT_OUT: [&str; 20] = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
    "ephemeral",
    "iscsi",
];

/// Name of an object in Kubernetes.
pub(crate) fn object_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 253,
        "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    })
}

/// Size of a volume.
pub(crate) fn volume_size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 16,
        "pattern": "^[1-9][0-9]*(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$",
    })
}

/// Size of a volume, 1Gi unless it is given.
pub(crate) fn volume_size_1gi(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = volume_size(generator);
    schema.insert("default".to_owned(), json!(crate::edge_deployment::hub::DEFAULT_STORAGE_SIZE));
    schema
}

/// An RFC 3339 time.
pub(crate) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

/// A Docker container-create body, as an object or as its JSON text. Kubernetes has no schema for "either", so the
/// controller checks the rest.
pub(crate) fn create_options(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "maxLength": MAX_CREATE_OPTIONS_BYTES, "maxProperties": MAX_EMBEDDED_ENTRIES,
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// Limits and requests of a container. Claims are left out: they would need claims on the pod.
pub(crate) fn resources(_: &mut SchemaGenerator) -> Schema {
    let quantities = |what: &str| {
        json!({
            "description": what, "type": "object", "maxProperties": MAX_ENTRIES,
            "additionalProperties": {
                "x-kubernetes-int-or-string": true, "maxLength": 32,
                "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
            },
        })
    };
    json_schema!({
        "type": "object",
        "properties": { "limits": quantities("The most it may take."), "requests": quantities("What a node must have free for it.") },
    })
}

/// A key of a Secret or ConfigMap.
pub(crate) fn key_selector(generator: &mut SchemaGenerator) -> Schema {
    let mut name = object_name(generator);
    name.insert("description".to_owned(), json!("Name of the object."));
    json_schema!({
        "type": "object", "required": ["name", "key"], "x-kubernetes-map-type": "atomic",
        "properties": {
            "name": name,
            "key": { "description": "Key in the object.", "type": "string", "minLength": 1, "maxLength": 253, "pattern": "^[-._a-zA-Z0-9]+$" },
            "optional": { "description": "May the object or the key be missing?", "type": "boolean" },
        },
    })
}

/// Labels that a node must have.
pub(crate) fn node_selector(_: &mut SchemaGenerator) -> Schema {
    text_map(63)
}

/// Labels of a pod. Those of the product are not the user's to set.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    without_our_prefixes(text_map(63), "labels")
}

/// Annotations of a pod. Those of the product are not the user's to set.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    without_our_prefixes(text_map(MAX_ANNOTATION), "annotations")
}

/// Tolerations of a pod.
pub(crate) fn tolerations(generator: &mut SchemaGenerator) -> Schema {
    let item = embedded::<Toleration>(generator);
    json_schema!({ "type": "array", "maxItems": MAX_ENTRIES, "items": item })
}

/// Affinity of a pod.
pub(crate) fn affinity(generator: &mut SchemaGenerator) -> Schema {
    embedded::<Affinity>(generator)
}

/// Security settings of a container.
pub(crate) fn security_context(generator: &mut SchemaGenerator) -> Schema {
    embedded::<SecurityContext>(generator)
}

/// Security settings of a pod.
pub(crate) fn pod_security_context(generator: &mut SchemaGenerator) -> Schema {
    embedded::<PodSecurityContext>(generator)
}

/// A field of a pod.
pub(crate) fn field_selector(generator: &mut SchemaGenerator) -> Schema {
    embedded::<ObjectFieldSelector>(generator)
}

/// Volumes of a pod.
pub(crate) fn volumes(generator: &mut SchemaGenerator) -> Schema {
    let mut item = embedded::<Volume>(generator);
    if let Some(Value::Object(members)) = item.get_mut("properties") {
        members.retain(|member, _| !VOLUME_SOURCES_LEFT_OUT.contains(&member.as_str()));
    }
    json_schema!({
        "type": "array", "maxItems": MAX_ENTRIES, "items": item,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
    })
}

/// Mounts of a container.
pub(crate) fn volume_mounts(generator: &mut SchemaGenerator) -> Schema {
    let item = embedded::<VolumeMount>(generator);
    json_schema!({
        "type": "array", "maxItems": MAX_ENTRIES, "items": item,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["mountPath"],
    })
}

/// Conditions of a status.
pub(crate) fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let mut item = embedded::<Condition>(generator);
    // The one string here that may be longer: Kubernetes' own bound for it.
    if let Some(message) = item.get_mut("properties").and_then(|properties| properties.get_mut("message")) {
        message["maxLength"] = json!(crate::condition::MAX_MESSAGE_BYTES);
    }
    json_schema!({ "type": "array", "items": item })
}

fn text_map(max_value: u64) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": MAX_ENTRIES,
        "additionalProperties": { "type": "string", "maxLength": max_value },
    })
}

fn without_our_prefixes(mut schema: Schema, what: &str) -> Schema {
    schema.insert(
        "x-kubernetes-validations".to_owned(),
        json!([{
            "rule": "self.all(key, !key.startsWith('iotedge.dev/') && !key.startsWith('app.kubernetes.io/'))",
            "message": format!("{what} under iotedge.dev/ and app.kubernetes.io/ are set by the operator"),
        }]),
    );
    schema
}

/// The schema of a type of Kubernetes, whole, without descriptions, and bounded.
fn embedded<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = T::json_schema(generator);
    if let Some(object) = schema.as_object_mut() {
        bound(object);
    }
    schema
}

fn bound(schema: &mut Map<String, Value>) {
    schema.remove("description");
    match schema.get("type").and_then(Value::as_str) {
        Some("string") if !schema.contains_key("enum") && !schema.contains_key("format") => {
            schema.entry("maxLength").or_insert_with(|| json!(MAX_EMBEDDED_STRING));
        }
        Some("array") => {
            schema.entry("maxItems").or_insert_with(|| json!(MAX_EMBEDDED_ENTRIES));
        }
        Some("object") if schema.contains_key("additionalProperties") => {
            schema.entry("maxProperties").or_insert_with(|| json!(MAX_EMBEDDED_ENTRIES));
        }
        _ => {}
    }
    for member in ["items", "additionalProperties"] {
        if let Some(Value::Object(inner)) = schema.get_mut(member) {
            bound(inner);
        }
    }
    if let Some(Value::Object(members)) = schema.get_mut("properties") {
        members.values_mut().filter_map(Value::as_object_mut).for_each(bound);
    }
}
