//! Is a client who it says it is? Pure: a CONNECT, the configuration and the time in, an identity or a refusal out.

use edge_protocol::connect::{self, UserName};
use edge_protocol::identity::Identity;
use edge_protocol::sas::{self, Expiry, SharedAccessSignature, UnixSeconds};
use edge_protocol::topic::EmptyValues;
use rmqtt_codec::v3::Connect;

use crate::configuration::Active;

/// A client that has proved its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authenticated {
    pub(crate) identity: Identity,
    /// When its token ends. The connection ends with it, since some SDKs renew only then.
    pub(crate) expires: Expiry,
    /// What its SDK can read.
    pub(crate) empty_values: EmptyValues,
}

/// Why a client was refused. Logged for the operator; the client learns no more than a CONNACK code.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the user name is missing")]
    NoUserName,
    #[error("{0}")]
    UserName(#[from] connect::UserNameError),
    #[error("the client belongs to device {given}, this hub serves {ours}")]
    OtherDevice { given: String, ours: String },
    #[error("no module {identity} is deployed here")]
    Unknown { identity: Identity },
    #[error("the password is missing or not text, a SAS token is expected")]
    NoToken,
    #[error("the password is not a SAS token: {0}")]
    Malformed(#[from] sas::TokenError),
    #[error("{0}")]
    Token(#[from] sas::Refusal),
    #[error("it connects on behalf of another identity (auth-chain), which is not supported yet")]
    OnBehalf,
}

/// Judges a CONNECT.
pub(crate) fn authenticate(connect: &Connect, active: &Active, now: UnixSeconds) -> Result<Authenticated, Refusal> {
    let user = UserName::parse(connect.username.as_deref().ok_or(Refusal::NoUserName)?)?;
    user.check_client_id(&connect.client_id)?;
    if user.auth_chain.is_some() {
        return Err(Refusal::OnBehalf);
    }
    let empty_values = EmptyValues::for_client(user.device_client_type.as_deref());
    let identity = user.identity;
    if identity.device != active.device {
        return Err(Refusal::OtherDevice { given: identity.device.to_string(), ours: active.device.to_string() });
    }
    let keys = identity.module.as_ref().and_then(|module| active.modules.get(module));
    let Some(keys) = keys else { return Err(Refusal::Unknown { identity }) };
    let password = connect.password.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or(Refusal::NoToken)?;
    let token = SharedAccessSignature::parse(password)?;
    let keys: Vec<_> = keys.0.iter().collect();
    let expires = token.verify(&keys, &active.token_hosts, &identity, now)?;
    Ok(Authenticated { identity, expires, empty_values })
}
