//! Answers, in the one shape that the parsers of all SDKs take.

use bytes::Bytes;
use edge_protocol::workload::ErrorBody;
use http_body_util::Full;
use hyper::ext::ReasonPhrase;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// A finished answer. Its body has a known length, so it is never sent in chunks.
pub(super) type Answer = Response<Full<Bytes>>;

/// A request that is not fulfilled, and why. The message goes to the client, so it never holds a secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        json(refusal.status, &ErrorBody { message: refusal.message })
    }
}

/// `value` as JSON on one line.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    // Our answers are structs of strings, which always serialise; an empty object is still an answer.
    let body = serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec());
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.extensions_mut().insert(ReasonPhrase::from_static(one_word(status)));
    answer
}

/// The reason phrase. One SDK splits the status line at its spaces and wants three parts: `Not Found` would be unreadable to it.
fn one_word(status: StatusCode) -> &'static [u8] {
    match status {
        StatusCode::OK => b"OK",
        StatusCode::BAD_REQUEST => b"BadRequest",
        StatusCode::FORBIDDEN => b"Forbidden",
        StatusCode::NOT_FOUND => b"NotFound",
        StatusCode::REQUEST_TIMEOUT => b"RequestTimeout",
        StatusCode::PAYLOAD_TOO_LARGE => b"PayloadTooLarge",
        StatusCode::UNPROCESSABLE_ENTITY => b"UnprocessableEntity",
        _ => b"Error",
    }
}
