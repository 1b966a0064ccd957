//! Is an object as it should be?

use edge_crds::labels::SPEC_HASH;
use kube::api::DynamicObject;
use serde_json::Value;

use super::child::{Child, Kind};

/// Must `desired` be applied over `observed`? So it is when something that we set is missing or different; what others set, and
/// what the API server fills in, is theirs.
pub(super) fn differs(desired: &Child, observed: &DynamicObject) -> bool {
    let (wanted, found) = (&desired.object.metadata, &observed.metadata);
    // Claims have a plan of their own for their owner, since some outlive it.
    let owners = wanted.owner_references.iter().flatten().filter(|_| desired.kind != Kind::Claim);
    let mut missing = owners.filter(|owner| !found.owner_references.iter().flatten().any(|found| found == *owner));
    let owners_differ = missing.next().is_some();
    let has_all = |wanted: &Option<std::collections::BTreeMap<String, String>>,
                   found: &Option<std::collections::BTreeMap<_, _>>| {
        wanted.iter().flatten().all(|(key, value)| found.as_ref().and_then(|found| found.get(key)) == Some(value))
    };
    if owners_differ || !has_all(&wanted.labels, &found.labels) || !has_all(&wanted.annotations, &found.annotations) {
        return true;
    }
    // Where a hash is compared it is one of the annotations, which are equal.
    let hashed = desired.kind.is_compared_by_hash() && wanted.annotations.iter().flatten().any(|(key, _)| key == SPEC_HASH);
    !hashed && !covers(&observed.data, &desired.object.data)
}

/// Does `found` say everything that `wanted` says? Objects may say more; lists are equal in length and order.
fn covers(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| match found.get(key) {
            Some(found) => covers(found, wanted),
            // The API server leaves out what is empty.
            None => crate::docker::asks_for_nothing(wanted),
        }),
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| covers(found, wanted))
        }
        (found, wanted) => found == wanted,
    }
}

/// Members of a ConfigMap's or Secret's data that nobody wants any more must go; applying does that, but first it must be seen.
pub(super) fn has_surplus_data(desired: &Child, observed: &DynamicObject) -> bool {
    let members = |value: &Value| value.get("data").and_then(Value::as_object).map_or(0, serde_json::Map::len);
    members(&observed.data) > members(&desired.object.data)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::covers;

    #[test]
    fn defaults_of_the_api_server_are_no_difference_and_changes_are() {
        let wanted = json!({"spec": {"ports": [{"port": 1}], "type": "ClusterIP"}, "data": {}});
        assert!(covers(
            &json!({"spec": {"ports": [{"port": 1, "nodePort": 0}], "type": "ClusterIP", "clusterIP": "10.0.0.1"}}),
            &wanted
        ));
        assert!(!covers(&json!({"spec": {"ports": [{"port": 2}], "type": "ClusterIP"}}), &wanted));
        assert!(!covers(&json!({"spec": {"ports": [{"port": 1}, {"port": 2}], "type": "ClusterIP"}}), &wanted));
        assert!(!covers(&json!({"spec": {"type": "ClusterIP"}}), &wanted));
    }
}
