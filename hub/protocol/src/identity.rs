//! Names of devices and modules, and the identity that a client proves to be.
//!
//! A name that exists as one of these types has been checked; nothing else in the hub or the controller holds an unchecked one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest device or module name, in bytes. IoT Hub's own limit.
pub const MAX_NAME_BYTES: usize = 128;

/// The hub's own module identity.
pub const EDGE_HUB: &str = "$edgeHub";
/// The module identity under which the controller connects to a hub.
pub const EDGE_AGENT: &str = "$edgeAgent";

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a device id as IoT Hub allows it.
    #[error(
        "{given:?} is not a device id: 1 to {MAX_NAME_BYTES} of letters, digits and - . _ % * ? ! ( ) , : = @ $ ' are allowed"
    )]
    Device {
        /// What was given, cut to a readable length.
        given: String,
    },
    /// Not a module name.
    #[error("{given:?} is not a module name: 1 to {MAX_NAME_BYTES} of letters, digits, - and _ are allowed")]
    Module {
        /// What was given, cut to a readable length.
        given: String,
    },
}

/// Enough of a refused name to recognise it, and no more: it may be a megabyte.
fn excerpt(given: &str) -> String {
    given.chars().take(MAX_NAME_BYTES).collect()
}

/// A device's id: 1 to 128 of the ASCII letters, digits and signs that IoT Hub allows, but for `#`: it cannot stand in the name of
/// an MQTT topic, and every topic of a device holds its id. Compared byte by byte. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceId(Arc<str>);

/// A module's name as its author wrote it: 1 to 128 of `[A-Za-z0-9_-]`, case kept, or one of the two system modules
/// [`EDGE_AGENT`] and [`EDGE_HUB`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModuleName(Arc<str>);

impl DeviceId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ModuleName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Is this the hub or the agent, rather than a module of the user's?
    pub fn is_system(&self) -> bool {
        self.0.starts_with('$')
    }

    /// The identity of the controller at each hub.
    pub fn edge_agent() -> Self {
        Self(EDGE_AGENT.into())
    }
}

impl FromStr for DeviceId {
    type Err = NameError;
    fn from_str(given: &str) -> Result<Self, NameError> {
        let legal = given.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._%*?!(),:=@$'".contains(&b));
        if legal && (1..=MAX_NAME_BYTES).contains(&given.len()) {
            Ok(Self(given.into()))
        } else {
            Err(NameError::Device { given: excerpt(given) })
        }
    }
}

impl FromStr for ModuleName {
    type Err = NameError;
    fn from_str(given: &str) -> Result<Self, NameError> {
        let legal = given.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if given == EDGE_AGENT || given == EDGE_HUB || (legal && (1..=MAX_NAME_BYTES).contains(&given.len())) {
            Ok(Self(given.into()))
        } else {
            Err(NameError::Module { given: excerpt(given) })
        }
    }
}

macro_rules! text_conversions {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(given: String) -> Result<Self, NameError> {
                given.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text_conversions!(DeviceId);
text_conversions!(ModuleName);

/// Who a client is: a device, or a module on a device. Displayed as `device` or `device/module`, which is also its MQTT client id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The device, or the device that the module runs on.
    pub device: DeviceId,
    /// The module; absent for a leaf device.
    pub module: Option<ModuleName>,
}

impl Identity {
    /// The identity of `module` on `device`.
    pub fn of_module(device: DeviceId, module: ModuleName) -> Self {
        Self { device, module: Some(module) }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.module {
            Some(module) => write!(f, "{}/{module}", self.device),
            None => write!(f, "{}", self.device),
        }
    }
}

impl FromStr for Identity {
    type Err = NameError;
    fn from_str(given: &str) -> Result<Self, NameError> {
        match given.split_once('/') {
            Some((device, module)) => Ok(Self { device: device.parse()?, module: Some(module.parse()?) }),
            None => Ok(Self { device: given.parse()?, module: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_names_keep_their_case_and_may_hold_underscores() {
        assert_eq!("tempSensor_2".parse::<ModuleName>().unwrap().as_str(), "tempSensor_2");
    }

    #[test]
    fn module_names_refuse_everything_that_could_end_a_topic_segment() {
        for given in ["", "a/b", "a b", "a+", "#", "$x", "é", &"x".repeat(129)] {
            assert!(given.parse::<ModuleName>().is_err(), "{given:?}");
        }
    }

    #[test]
    fn a_client_id_of_a_module_is_device_slash_module() {
        let identity: Identity = "line-7/tempSensor".parse().unwrap();
        assert_eq!(identity.module.as_ref().unwrap().as_str(), "tempSensor");
        assert_eq!(identity.to_string(), "line-7/tempSensor");
        assert!("line-7/a/b".parse::<Identity>().is_err());
    }

    #[test]
    fn a_refused_name_is_quoted_at_a_readable_length() {
        let error = "#".repeat(100_000).parse::<ModuleName>().unwrap_err();
        assert!(error.to_string().len() < 400);
    }
}
