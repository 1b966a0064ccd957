//! The user name of an MQTT client, which says who it claims to be:
//! `{host}/{device}[/{module}]/?api-version=…&DeviceClientType=…`, and older SDKs leave the `?` out.
//!
//! The host is not checked (the SDK for C# writes the gateway there, the others the IoT Hub), nor the version's value.
//! Whoever is refused here is answered with CONNACK 5.
//!
//! # Source
//! Forms: IoT Edge 1.5, with the odd one of the C# SDK 1.5.1-preview-003 whose client type stands behind a slash.

use percent_encoding::percent_decode_str;

use crate::identity::{DeviceId, Identity, ModuleName, NameError};

/// Longest user name that is read. The longest that an SDK writes has some 600 bytes.
pub const MAX_USER_NAME_BYTES: usize = 4_096;

/// A user name, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserName {
    /// The host that the client believes to talk to.
    pub host: String,
    /// Who the client claims to be.
    pub identity: Identity,
    /// Its version of the interface; any text.
    pub api_version: String,
    /// The client's name for itself.
    pub device_client_type: Option<String>,
    /// Its `PnP` model.
    pub model_id: Option<String>,
    /// The identities that vouch for it: the client is connected by another one on its behalf.
    pub auth_chain: Option<String>,
}

/// Why a client is not who it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserNameError {
    /// Past [`MAX_USER_NAME_BYTES`].
    #[error("the user name has {size} bytes; at most {MAX_USER_NAME_BYTES} are read")]
    TooLong {
        /// Its length.
        size: usize,
    },
    /// Not of the form.
    #[error("the user name is not of the form host/device[/module]/?api-version=…")]
    Form,
    /// An id that cannot be one.
    #[error("the user name names no identity: {0}")]
    Name(#[from] NameError),
    /// The key is not there.
    #[error("the user name has no api-version")]
    NoApiVersion,
    /// `%FF`.
    #[error("{key} in the user name does not decode to UTF-8")]
    NotUtf8 {
        /// Which key.
        key: &'static str,
    },
    /// The packet's client id says otherwise.
    #[error("the client id is not {identity}, the identity of the user name")]
    ClientId {
        /// The identity of the user name.
        identity: Identity,
    },
}

impl UserName {
    /// Reads a user name.
    pub fn parse(text: &str) -> Result<Self, UserNameError> {
        if text.len() > MAX_USER_NAME_BYTES {
            return Err(UserNameError::TooLong { size: text.len() });
        }
        let (host, rest) = text.split_once('/').ok_or(UserNameError::Form)?;
        let (device, rest) = rest.split_once('/').ok_or(UserNameError::Form)?;
        let Rest { module, query, client_type } = rest_of(rest)?;
        let identity =
            Identity { device: device.parse::<DeviceId>()?, module: module.map(str::parse::<ModuleName>).transpose()? };
        Ok(Self {
            host: host.to_owned(),
            identity,
            api_version: value_of(query, "api-version")?.ok_or(UserNameError::NoApiVersion)?,
            device_client_type: client_type
                .map_or_else(|| value_of(query, "DeviceClientType"), |name| Ok(Some(name.to_owned())))?,
            model_id: value_of(query, "model-id")?,
            auth_chain: value_of(query, "auth-chain")?,
        })
    }

    /// The client id of the same packet has to be the identity, letter by letter.
    pub fn check_client_id(&self, client_id: &str) -> Result<(), UserNameError> {
        let same = match (&self.identity.module, client_id.split_once('/')) {
            (Some(module), Some((device, name))) => device == self.identity.device.as_str() && name == module.as_str(),
            (None, None) => client_id == self.identity.device.as_str(),
            _ => false,
        };
        if same { Ok(()) } else { Err(UserNameError::ClientId { identity: self.identity.clone() }) }
    }
}

/// What follows the device.
struct Rest<'a> {
    module: Option<&'a str>,
    query: &'a str,
    /// The client type, where it stands behind a slash.
    client_type: Option<&'a str>,
}

/// `[module/]?query`, `[module/]query` without a slash in it, or `module/query/DeviceClientType=name/version`.
fn rest_of(rest: &str) -> Result<Rest<'_>, UserNameError> {
    if let Some(query) = rest.strip_prefix('?') {
        return Ok(Rest { module: None, query, client_type: None });
    }
    let Some((module, tail)) = rest.split_once('/') else { return Ok(Rest { module: None, query: rest, client_type: None }) };
    if let Some(query) = tail.strip_prefix('?') {
        return Ok(Rest { module: Some(module), query, client_type: None });
    }
    match tail.split_once("/DeviceClientType=") {
        None if !tail.contains('/') => Ok(Rest { module: Some(module), query: tail, client_type: None }),
        Some((query, client_type)) if !query.contains('/') && client_type.matches('/').count() == 1 => {
            Ok(Rest { module: Some(module), query, client_type: Some(client_type) })
        }
        _ => Err(UserNameError::Form),
    }
}

/// The first value of `key`, decoded.
fn value_of(query: &str, key: &'static str) -> Result<Option<String>, UserNameError> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, raw)) = pairs.find(|(name, _)| *name == key) else { return Ok(None) };
    let value = percent_decode_str(raw).decode_utf8().map_err(|_| UserNameError::NotUtf8 { key })?;
    Ok(Some(value.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_in_use_is_read() {
        for (text, identity, client_type) in [
            (
                "hub.example/edge/?api-version=2019-10-01&DeviceClientType=azure-iot-device%2F2.14.0",
                "edge",
                Some("azure-iot-device/2.14.0"),
            ),
            ("gw/edge/sensor/?api-version=2021-04-12", "edge/sensor", None),
            ("gw/edge/sensor/?DeviceClientType=a%20b&api-version=&x=y", "edge/sensor", Some("a b")),
            ("gw/edge/sensor/?api-version=1&DeviceClientType=un/encoded", "edge/sensor", Some("un/encoded")),
            ("gw/edge/api-version=2016-11-14&DeviceClientType=c", "edge", Some("c")),
            ("gw/edge/sensor/api-version=2016-11-14&", "edge/sensor", None),
            ("gw/edge/sensor/api-version=2017-06-30/DeviceClientType=Client/1.5", "edge/sensor", Some("Client/1.5")),
            (
                "gw/edge/$edgeAgent/?api-version=1&DeviceClientType=first&DeviceClientType=second",
                "edge/$edgeAgent",
                Some("first"),
            ),
            ("/edge/?api-version=1", "edge", None),
        ] {
            let name = UserName::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (name.identity.to_string().as_str(), name.device_client_type.as_deref()),
                (identity, client_type),
                "{text}"
            );
        }
        let all = UserName::parse("h/d/?api-version=v&model-id=dtmi%3Ax%3B1&auth-chain=d%3Be").unwrap();
        assert_eq!((all.host.as_str(), all.api_version.as_str()), ("h", "v"));
        assert_eq!((all.model_id.as_deref(), all.auth_chain.as_deref()), (Some("dtmi:x;1"), Some("d;e")));
    }

    #[test]
    fn everything_else_is_refused_with_the_reason() {
        use UserNameError as E;
        for (text, expected) in [
            ("", E::Form),
            ("host", E::Form),
            ("host?api-version=1", E::Form),
            ("host/edge", E::Form),
            ("host/edge/sensor", E::NoApiVersion),
            ("host/edge/api-version", E::NoApiVersion),
            ("host/edge/sensor/?version=1", E::NoApiVersion),
            ("host/edge/sensor?api-version=1?x=y", E::NoApiVersion),
            ("host/edge/sensor/api-version=1/more", E::Form),
            ("host/edge/sensor/api-version=1/DeviceClientType=a/b/c", E::Form),
            ("host/edge/?api-version=1&DeviceClientType=%ff", E::NotUtf8 { key: "DeviceClientType" }),
        ] {
            assert_eq!(UserName::parse(text), Err(expected), "{text}");
        }
        assert!(matches!(UserName::parse("host//?api-version=1"), Err(E::Name(NameError::Device { .. }))));
        assert!(matches!(UserName::parse("host/edge/a b/?api-version=1"), Err(E::Name(NameError::Module { .. }))));
        assert!(matches!(UserName::parse(&"x".repeat(5_000)), Err(E::TooLong { size: 5_000 })));
    }

    #[test]
    fn the_client_id_has_to_be_the_identity() {
        let module = UserName::parse("h/edge/sensor/?api-version=1").unwrap();
        assert_eq!(module.check_client_id("edge/sensor"), Ok(()));
        for other in ["edge", "edge/Sensor", "edge/sensor/", "sensor", ""] {
            assert!(module.check_client_id(other).is_err(), "{other}");
        }
        let device = UserName::parse("h/edge/?api-version=1").unwrap();
        assert_eq!(device.check_client_id("edge"), Ok(()));
        assert_eq!(
            device.check_client_id("edge/sensor").unwrap_err().to_string(),
            "the client id is not edge, the identity of the user name"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-z/?&=%\\PC]{0,80}") {
            if let Ok(name) = UserName::parse(&text) {
                let _ = name.check_client_id(&text);
            }
        }
    }
}
