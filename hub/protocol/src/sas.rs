//! Shared access signatures: the tokens by which a client proves its identity, as its MQTT password.
//!
//! `SharedAccessSignature sr={audience}&sig={signature}&se={expiry}[&skn={policy}]`, fields in any order. The signature is the
//! HMAC-SHA256, under the client's key, of `sr` as it stands in the token, a line feed, and `se`.
//!
//! # What verification holds to
//! - The text that is signed is the one in the token: SDKs encode audiences differently, and re-encoding would refuse some.
//! - The audience is `{host}/devices/{device}[/modules/{module}]`; the ids may be encoded once more (C# does). Host and ids are
//!   compared without regard to case, as IoT Edge 1.5 does.
//! - A token is taken until [`CLOCK_SKEW_SECONDS`] past its expiry.
//! - Signatures are compared in constant time, and tokens never appear in an error or in `Debug` output.
//! - The token's `skn` is not looked at: which keys count is the caller's decision.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::hmac;

use crate::configuration::SymmetricKey;
use crate::identity::{Identity, ModuleName};

/// Longest token that is read. The longest ids, encoded twice, and the longest host name stay below 2,600 bytes.
pub const MAX_TOKEN_BYTES: usize = 4_096;
/// How far the clocks of client and hub may be apart. The value of IoT Edge.
pub const CLOCK_SKEW_SECONDS: u64 = 300;

/// What is encoded in a token that we make: all but the unreserved characters of URLs.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Seconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(pub u64);

/// A token in parts. Nothing in it is believed before [`SharedAccessSignature::verify`].
#[derive(Clone, PartialEq, Eq)]
pub struct SharedAccessSignature {
    /// `sr` as it stands in the token.
    raw_audience: String,
    /// `se` as it stands in the token.
    raw_expiry: String,
    signature: Vec<u8>,
    expiry: UnixSeconds,
}

/// Until when a verified token counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The moment in the token.
    pub at: UnixSeconds,
}

/// Why a text is not a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Past [`MAX_TOKEN_BYTES`].
    #[error("the token has {size} bytes; at most {MAX_TOKEN_BYTES} are read")]
    TooLong {
        /// Its length.
        size: usize,
    },
    /// The first word is another.
    #[error("the token does not begin with SharedAccessSignature and a space")]
    Scheme,
    /// A field is missing.
    #[error("the token has no field {field}")]
    Missing {
        /// Which.
        field: &'static str,
    },
    /// Two readers could disagree on which counts.
    #[error("the token has two fields {field}")]
    Twice {
        /// Which.
        field: &'static str,
    },
    /// A field's text makes no sense.
    #[error("the token's field {field} is not {expected}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// Why a token does not prove the identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too old, the allowed skew included.
    #[error("the token of {identity} expired at {} (seconds since 1970)", expired.0)]
    Expired {
        /// Who came.
        identity: Identity,
        /// When it did.
        expired: UnixSeconds,
    },
    /// For another host or another identity.
    #[error("the token that {identity} came with is for another audience")]
    Audience {
        /// Who came.
        identity: Identity,
    },
    /// Made with another key, or changed on its way.
    #[error("the signature of the token of {identity} is wrong")]
    Signature {
        /// Who came.
        identity: Identity,
    },
    /// None of the identity's keys is base64.
    #[error("{identity} has no usable key")]
    NoKey {
        /// Who came.
        identity: Identity,
    },
}

/// The key is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key is not base64")]
pub struct KeyError;

impl Expiry {
    /// Is the token too old at `now`? From then on its connection is closed: some SDKs make a new token only when they reconnect.
    pub fn is_past(self, now: UnixSeconds) -> bool {
        self.at.0.saturating_add(CLOCK_SKEW_SECONDS) < now.0
    }

    /// Seconds from `now` during which the token still counts.
    pub fn remaining(self, now: UnixSeconds) -> u64 {
        self.at.0.saturating_add(CLOCK_SKEW_SECONDS).saturating_sub(now.0)
    }
}

impl SharedAccessSignature {
    /// Takes a token apart.
    pub fn parse(token: &str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong { size: token.len() });
        }
        let fields = token
            .strip_prefix("SharedAccessSignature")
            .and_then(|rest| rest.strip_prefix([' ', '\t', '\r', '\n']))
            .ok_or(TokenError::Scheme)?;
        let raw_audience = field(fields, "sr")?;
        let raw_expiry = field(fields, "se")?;
        let expiry = (raw_expiry.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| raw_expiry.parse().ok())
            .flatten()
            .ok_or(TokenError::Field { field: "se", expected: "a number of seconds" })?;
        let signature = percent_decode_str(field(fields, "sig")?)
            .decode_utf8()
            .ok()
            .and_then(|text| STANDARD.decode(text.as_bytes()).ok())
            .ok_or(TokenError::Field { field: "sig", expected: "percent-encoded base64" })?;
        Ok(Self {
            raw_audience: raw_audience.to_owned(),
            raw_expiry: raw_expiry.to_owned(),
            signature,
            expiry: UnixSeconds(expiry),
        })
    }

    /// Does the token prove, at `now`, that its bearer holds one of `keys` and speaks as `identity` to one of `accepted_hosts`?
    pub fn verify(
        &self,
        keys: &[&SymmetricKey],
        accepted_hosts: &[String],
        identity: &Identity,
        now: UnixSeconds,
    ) -> Result<Expiry, Refusal> {
        let expiry = Expiry { at: self.expiry };
        if expiry.is_past(now) {
            return Err(Refusal::Expired { identity: identity.clone(), expired: self.expiry });
        }
        if !self.is_for(accepted_hosts, identity) {
            return Err(Refusal::Audience { identity: identity.clone() });
        }
        let signed = format!("{}\n{}", self.raw_audience, self.raw_expiry);
        let usable: Vec<_> = keys.iter().filter_map(|key| hmac_key(key).ok()).collect();
        if usable.is_empty() {
            return Err(Refusal::NoKey { identity: identity.clone() });
        }
        if usable.iter().any(|key| hmac::verify(key, signed.as_bytes(), &self.signature).is_ok()) {
            Ok(expiry)
        } else {
            Err(Refusal::Signature { identity: identity.clone() })
        }
    }

    fn is_for(&self, accepted_hosts: &[String], identity: &Identity) -> bool {
        let Ok(audience) = percent_decode_str(&self.raw_audience).decode_utf8() else { return false };
        let mut parts = audience.split('/');
        let (Some(host), Some("devices"), Some(device)) = (parts.next(), parts.next(), parts.next()) else { return false };
        let module = match (parts.next(), parts.next(), parts.next()) {
            (None, None, None) => None,
            (Some("modules"), Some(module), None) => Some(module),
            _ => return false,
        };
        let module_matches = match (module, &identity.module) {
            (None, None) => true,
            (Some(given), Some(module)) => same_id(given, module.as_str()),
            _ => false,
        };
        accepted_hosts.iter().any(|accepted| accepted.eq_ignore_ascii_case(host))
            && same_id(device, identity.device.as_str())
            && module_matches
    }
}

/// Is `given`, as it is or decoded once more, the id?
fn same_id(given: &str, id: &str) -> bool {
    given.eq_ignore_ascii_case(id)
        || percent_decode_str(given).decode_utf8().is_ok_and(|decoded| decoded.eq_ignore_ascii_case(id))
}

/// The only field of that name.
fn field<'a>(fields: &'a str, name: &'static str) -> Result<&'a str, TokenError> {
    let mut found = fields.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) if !value.is_empty() => Ok(value),
        (Some(_), Some(_)) => Err(TokenError::Twice { field: name }),
        _ => Err(TokenError::Missing { field: name }),
    }
}

fn hmac_key(key: &SymmetricKey) -> Result<hmac::Key, KeyError> {
    let secret = STANDARD.decode(key.expose_base64()).map_err(|_| KeyError)?;
    // An empty key would make a signature that anybody can make.
    if secret.is_empty() { Err(KeyError) } else { Ok(hmac::Key::new(hmac::HMAC_SHA256, &secret)) }
}

/// HMAC-SHA256 of `data` under `key`.
pub(crate) fn hmac_sha256(key: &SymmetricKey, data: &[u8]) -> Result<hmac::Tag, KeyError> {
    Ok(hmac::sign(&hmac_key(key)?, data))
}

/// The audience of a token by which `identity` speaks to `host`, ready to be given to [`sign`].
pub fn audience(host: &str, identity: &Identity) -> String {
    let encoded = |id: &str| utf8_percent_encode(id, ENCODED).to_string();
    let device = encoded(identity.device.as_str());
    match identity.module.as_ref().map(ModuleName::as_str) {
        Some(module) => format!("{host}/devices/{device}/modules/{}", encoded(module)),
        None => format!("{host}/devices/{device}"),
    }
}

/// Makes a token for our own clients.
pub fn sign(key: &SymmetricKey, audience: &str, expiry: UnixSeconds) -> Result<String, KeyError> {
    let audience = utf8_percent_encode(audience, ENCODED);
    let tag = hmac_sha256(key, format!("{audience}\n{}", expiry.0).as_bytes())?;
    let signature = STANDARD.encode(tag.as_ref());
    Ok(format!("SharedAccessSignature sr={audience}&sig={}&se={}", utf8_percent_encode(&signature, ENCODED), expiry.0))
}

impl fmt::Debug for SharedAccessSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedAccessSignature")
            .field("raw_audience", &self.raw_audience)
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
