//! Settings of named volumes.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// A named volume, as `createOptions` name them in Binds and Mounts. It becomes one `PersistentVolumeClaim`, shared by the modules that mount it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0")
        .message("size cannot be made smaller")
        .field_path(".size"),
    validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)")
        .message("storageClassName is immutable: a volume does not change its class")
        .field_path(".storageClassName"),
    validation = Rule::new("self.accessModes == oldSelf.accessModes")
        .message("accessModes are immutable")
        .field_path(".accessModes"),
)]
pub struct VolumeSpec {
    /// The volume's name in createOptions.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][A-Za-z0-9_.-]*$')")
        .message("a volume name is 1 to 128 of letters, digits, _ . and -, beginning with a letter or digit"))]
    pub name: String,

    /// Size of the volume. It can grow if the storage class allows it, and never shrink.
    #[serde(default = "default_size")]
    #[schemars(schema_with = "schema::volume_size_1gi")]
    pub size: Quantity,

    /// `StorageClass` of the volume; without one, the cluster's default class. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub storage_class_name: Option<String>,

    /// How nodes may mount the volume. Cannot be changed.
    #[serde(default = "default_access_modes")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub access_modes: Vec<AccessMode>,
}

fn default_size() -> Quantity {
    Quantity(super::hub::DEFAULT_STORAGE_SIZE.to_owned())
}

fn default_access_modes() -> Vec<AccessMode> {
    vec![AccessMode::ReadWriteOnce]
}

impl VolumeSpec {
    /// The settings of a volume that createOptions name and `spec.volumes` does not list.
    pub fn with_defaults(name: impl Into<String>) -> Self {
        Self { name: name.into(), size: default_size(), storage_class_name: None, access_modes: default_access_modes() }
    }
}

/// How nodes may mount a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessMode {
    /// One node at a time.
    ReadWriteOnce,
    /// One pod at a time.
    ReadWriteOncePod,
    /// Many nodes.
    ReadWriteMany,
}

impl AccessMode {
    /// The value as a `PersistentVolumeClaim` wants it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadWriteOnce => "ReadWriteOnce",
            Self::ReadWriteOncePod => "ReadWriteOncePod",
            Self::ReadWriteMany => "ReadWriteMany",
        }
    }
}
