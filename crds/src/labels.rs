//! Labels and annotations on everything that an EdgeDeployment owns.
//!
//! Children are found by [`DEPLOYMENT`] and their owner reference, never by their name alone.

use std::collections::BTreeMap;

use crate::name::ModuleNames;

/// Label: name of the EdgeDeployment that owns the object.
pub const DEPLOYMENT: &str = "iotedge.dev/deployment";
/// Label: the module's DNS name.
pub const MODULE: &str = "iotedge.dev/module";
/// Annotation: the module's name as its author wrote it.
pub const MODULE_NAME: &str = "iotedge.dev/module-name";
/// Annotation: hash of what the object was made from; a different one means that it must change.
pub const SPEC_HASH: &str = "iotedge.dev/spec-hash";
/// Value of `app.kubernetes.io/name` and `app.kubernetes.io/part-of`.
pub const PRODUCT: &str = "edge-operator";
/// Value of `app.kubernetes.io/managed-by`, and the field manager of everything but a status.
pub const MANAGER: &str = "edge-controller";
/// Field manager of an EdgeDeployment's status.
pub const STATUS_MANAGER: &str = "edge-controller-status";

/// What part of a deployment an object belongs to: `app.kubernetes.io/component`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// The hub.
    Hub,
    /// A module.
    Module,
    /// CA, certificates and the trust bundle.
    Trust,
    /// A named volume.
    Volume,
    /// A pull Secret.
    Registry,
    /// The last accepted spec.
    Revision,
}

impl Component {
    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Module => "module",
            Self::Trust => "trust",
            Self::Volume => "volume",
            Self::Registry => "registry",
            Self::Revision => "revision",
        }
    }
}

/// Labels of a child of `deployment`.
pub fn child(deployment: &str, component: Component) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", PRODUCT),
        ("app.kubernetes.io/instance", deployment),
        ("app.kubernetes.io/component", component.as_str()),
        ("app.kubernetes.io/part-of", PRODUCT),
        ("app.kubernetes.io/managed-by", MANAGER),
        (DEPLOYMENT, deployment),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// Labels of an object that belongs to one module of `deployment`.
pub fn of_module(deployment: &str, module: &ModuleNames) -> BTreeMap<String, String> {
    let mut labels = child(deployment, Component::Module);
    labels.insert(MODULE.to_owned(), module.dns_name().to_owned());
    labels
}

/// Annotations of an object that belongs to one module.
pub fn module_annotations(module: &ModuleNames) -> BTreeMap<String, String> {
    BTreeMap::from([(MODULE_NAME.to_owned(), module.name().to_owned())])
}

/// Selector for the pods of all modules of `deployment`: what the headless Service of the modules selects.
pub fn module_selector(deployment: &str) -> BTreeMap<String, String> {
    selector(deployment, Component::Module)
}

/// Selector for the pods of one component of `deployment`. Never changes: a StatefulSet's selector is immutable.
pub fn selector(deployment: &str, component: Component) -> BTreeMap<String, String> {
    BTreeMap::from([
        (DEPLOYMENT.to_owned(), deployment.to_owned()),
        ("app.kubernetes.io/component".to_owned(), component.as_str().to_owned()),
    ])
}

/// Selector for the pod of one module of `deployment`.
pub fn one_module_selector(deployment: &str, module: &ModuleNames) -> BTreeMap<String, String> {
    BTreeMap::from([(DEPLOYMENT.to_owned(), deployment.to_owned()), (MODULE.to_owned(), module.dns_name().to_owned())])
}

/// Selector for every child of `deployment`, as the API takes it in a list call.
pub fn list_selector(deployment: &str) -> String {
    format!("{DEPLOYMENT}={deployment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_by_every_selector_that_is_meant_for_it() {
        let module = ModuleNames::new("line-7", "temp_Sensor").unwrap();
        let labels = of_module("line-7", &module);
        for selector in [module_selector("line-7"), one_module_selector("line-7", &module)] {
            assert!(selector.iter().all(|(key, value)| labels.get(key) == Some(value)), "{selector:?}");
        }
        assert!(selector("line-7", Component::Hub).iter().any(|(key, value)| labels.get(key) != Some(value)));
    }

    #[test]
    fn label_values_fit_into_63_bytes() {
        let module = ModuleNames::new(&"d".repeat(40), &"m".repeat(128)).unwrap();
        assert!(of_module(&"d".repeat(40), &module).values().all(|value| value.len() <= 63));
        assert_eq!(module_annotations(&module)[MODULE_NAME].len(), 128);
    }
}
