//! From one request to one answer. The order of the checks is IoT Edge's: version, path, method, body, caller, content.

use std::time::Duration;

use edge_protocol::workload::{
    Caller, DecryptRequest, EncryptRequest, MAX_BODY_BYTES, NONCE_BYTES, SignRequest, TrustBundle, WorkloadError, decrypt,
    encrypt, sign,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Method, Request, StatusCode};
use ring::rand::{SecureRandom, SystemRandom};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::BODY_TIME;
use super::answer::{Answer, Refusal, json};
use super::identity::{Identity, IdentityError, read_trust_bundle};
use super::request::{Operation, Target, parse};
use super::server::Api;

/// How long a request may wait for one of the [`super::MAX_BODIES`] places: until each of them has run into [`BODY_TIME`].
const PLACE_TIME: Duration = BODY_TIME;

/// Answers `request`; whatever is wrong becomes an answer too.
pub(super) async fn answer(api: &Api, request: Request<Incoming>) -> Answer {
    let method = request.method().clone();
    let target = parse(request.uri());
    let asked = match &target {
        Ok(Target::TrustBundle) => "trust-bundle",
        Ok(Target::ManifestTrustBundle) => "manifest-trust-bundle",
        Ok(Target::Keyed { operation, .. }) => operation.name(),
        Err(_) => "unknown",
    };
    let answer = match target {
        Ok(target) => fulfil(api, target, request).await,
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok(answer) => {
            tracing::debug!(%method, asked, status = answer.status().as_u16(), "answered");
            answer
        }
        Err(refusal) => {
            let status = refusal.status.as_u16();
            if refusal.status.is_server_error() {
                tracing::error!(%method, asked, status, reason = refusal.message, "failed to answer");
            } else {
                tracing::warn!(%method, asked, status, reason = refusal.message, "refused");
            }
            refusal.into()
        }
    }
}

async fn fulfil(api: &Api, target: Target, request: Request<Incoming>) -> Result<Answer, Refusal> {
    match (target, request.method()) {
        (Target::TrustBundle, &Method::GET) => match read_trust_bundle(&api.trust_bundle)? {
            Some(certificate) => Ok(json(StatusCode::OK, &TrustBundle { certificate })),
            None => Err(Refusal::not_found("there is no trust bundle")),
        },
        // We sign no manifests; an empty text is how IoT Edge says so.
        (Target::ManifestTrustBundle, &Method::GET) => Ok(json(StatusCode::OK, &TrustBundle { certificate: String::new() })),
        (Target::Keyed { module, generation, operation }, &Method::POST) => {
            let place = timeout(PLACE_TIME, api.bodies.acquire()).await;
            // The other way to fail, a closed semaphore, does not happen: nobody closes it.
            let _place = place.map_err(|_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "too many requests at once"))?;
            let (head, body) = request.into_parts();
            let body = read_body(body).await?;
            let body = if is_json(&head.headers) { body } else { Bytes::new() };
            let identity = api.identity.read()?;
            match operation {
                Operation::Sign => {
                    let request: SignRequest = content(&body)?;
                    identity.caller(&module, &generation)?;
                    Ok(json(StatusCode::OK, &sign(&identity.key, &request)?))
                }
                Operation::Encrypt => {
                    let request: EncryptRequest = content(&body)?;
                    let caller = identity.caller(&module, &generation)?;
                    Ok(json(StatusCode::OK, &encrypt(&identity.encryption_key, &caller, &request, fresh_nonce()?)?))
                }
                Operation::Decrypt => {
                    let request: DecryptRequest = content(&body)?;
                    let caller = identity.caller(&module, &generation)?;
                    Ok(json(StatusCode::OK, &decrypt(&identity.encryption_key, &caller, &request)?))
                }
            }
        }
        _ => Err(Refusal::bad_request("method not allowed")),
    }
}

impl Operation {
    const fn name(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
        }
    }
}

impl Identity {
    /// The caller, if it is who this identity is of.
    ///
    /// IoT Edge ignores the generation of a request to sign. Here a wrong one is not found: its keys are gone, and a signature
    /// with the new key under the old name would only be refused later, by the hub, with less to go by.
    fn caller(&self, module: &str, generation: &str) -> Result<Caller, Refusal> {
        if module != self.module.as_str() {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden: this socket serves another module"));
        }
        if generation != self.generation {
            return Err(Refusal::not_found("not found: the module has another generation id"));
        }
        Ok(Caller { module_id: self.module.clone(), generation_id: self.generation.clone() })
    }
}

/// A missing type counts as JSON, since one SDK sends none; parameters such as the character set do not matter.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(given) = headers.get(CONTENT_TYPE) else { return true };
    let essence = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

async fn read_body(body: Incoming) -> Result<Bytes, Refusal> {
    match timeout(BODY_TIME, Limited::new(body, MAX_BODY_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {MAX_BODY_BYTES} bytes")))
        }
        Ok(Err(_)) => Err(Refusal::bad_request("the body could not be read")),
        Err(_) => {
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, format!("the body did not arrive within {} s", BODY_TIME.as_secs())))
        }
    }
}

fn content<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    if body.is_empty() {
        return Err(Refusal::bad_request("missing request body, or its Content-Type is not application/json"));
    }
    // The parser says where, not what; it may quote the name of a member, never a value that fits.
    serde_json::from_slice(body).map_err(|error| {
        let problem = if error.is_data() { "is not of the form that is asked for" } else { "is not JSON" };
        let at = format!("line {} column {}", error.line(), error.column());
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, format!("the body {problem}: {at}"))
    })
}

fn fresh_nonce() -> Result<[u8; NONCE_BYTES], Refusal> {
    let mut nonce = [0; NONCE_BYTES];
    match SystemRandom::new().fill(&mut nonce) {
        Ok(()) => Ok(nonce),
        Err(_) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the system gave no random bytes")),
    }
}

impl From<IdentityError> for Refusal {
    fn from(error: IdentityError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<WorkloadError> for Refusal {
    fn from(error: WorkloadError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, error.to_string())
    }
}
