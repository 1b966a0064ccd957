//! The module's side of the workload API: what a device SDK asks it for before it connects.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use edge_protocol::workload::{HMAC_SHA256, SignRequest, SignResponse, TrustBundle};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// How long a token is good for.
const TOKEN_LIFE: Duration = Duration::from_hours(1);
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest answer that is read.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Who this module is and where its workload API listens: the environment of every IoT Edge module.
#[derive(Debug, Args)]
pub(crate) struct Environment {
    /// `unix://` and the path of the socket.
    #[arg(long, env = "IOTEDGE_WORKLOADURI")]
    workload_uri: String,
    /// The edge device.
    #[arg(long, env = "IOTEDGE_DEVICEID")]
    pub(crate) device_id: String,
    /// The module.
    #[arg(long, env = "IOTEDGE_MODULEID")]
    pub(crate) module_id: String,
    /// The generation of its identity.
    #[arg(long, env = "IOTEDGE_MODULEGENERATIONID")]
    generation_id: String,
    /// The host in the token.
    #[arg(long, env = "IOTEDGE_IOTHUBHOSTNAME")]
    pub(crate) iothub_hostname: String,
    /// The hub.
    #[arg(long, env = "IOTEDGE_GATEWAYHOSTNAME")]
    pub(crate) gateway_hostname: String,
    /// The version of the API.
    #[arg(long, env = "IOTEDGE_APIVERSION")]
    api_version: String,
}

/// Why the workload API was of no help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Not a unix socket.
    #[error("IOTEDGE_WORKLOADURI is {given:?}; unix://PATH is expected")]
    Address {
        /// What was given.
        given: String,
    },
    /// Nobody listens.
    #[error("failed to connect to {path}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not HTTP.
    #[error("failed to ask the workload API for {path}")]
    Http {
        /// What was asked for.
        path: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another status than 200.
    #[error("the workload API answered {path} with {status}: {body}")]
    Refused {
        /// What was asked for.
        path: String,
        /// The status.
        status: u16,
        /// What it said.
        body: String,
    },
    /// No answer in time.
    #[error("the workload API did not answer within {PATIENCE:?}")]
    Timeout,
}

impl Environment {
    /// The certificates that vouch for the hub, as PEM.
    pub(crate) async fn trust_bundle(&self) -> Result<String, Error> {
        let path = format!("/trust-bundle?api-version={}", self.api_version);
        let bundle: TrustBundle = self.ask(Method::GET, path, Bytes::new()).await?;
        Ok(bundle.certificate)
    }

    /// A token that proves who we are.
    pub(crate) async fn token(&self) -> Result<String, Error> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let audience = encoded(&format!("{}/devices/{}/modules/{}", self.iothub_hostname, self.device_id, self.module_id));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let expiry = (now + TOKEN_LIFE).as_secs();
        let (module, generation) = (encoded(&self.module_id), encoded(&self.generation_id));
        let path = format!("/modules/{module}/genid/{generation}/sign?api-version={}", self.api_version);
        let data = STANDARD.encode(format!("{audience}\n{expiry}"));
        let request = SignRequest { key_id: "primary".to_owned(), algo: HMAC_SHA256.to_owned(), data };
        let body = serde_json::to_vec(&request).map_err(|error| failed(&path, error))?;
        let signed: SignResponse = self.ask(Method::POST, path, body.into()).await?;
        Ok(format!("SharedAccessSignature sr={audience}&sig={}&se={expiry}", encoded(&signed.digest)))
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: String, body: Bytes) -> Result<T, Error> {
        tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await.map_err(|_| Error::Timeout)?
    }

    async fn exchange<T: DeserializeOwned>(&self, method: Method, path: String, body: Bytes) -> Result<T, Error> {
        let socket = self.workload_uri.strip_prefix("unix://");
        let socket = socket.map(PathBuf::from).ok_or_else(|| Error::Address { given: self.workload_uri.clone() })?;
        let stream = UnixStream::connect(&socket).await.map_err(|source| Error::Connect { path: socket, source })?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| failed(&path, error))?;
        let request = Request::builder()
            .method(method)
            .uri(&path)
            .header("host", "workload")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| failed(&path, error))?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(|error| failed(&path, error))?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
            let body = body.map_err(|source| Error::Http { path: path.clone(), source })?.to_bytes();
            if status != 200 {
                return Err(Error::Refused { path: path.clone(), status, body: String::from_utf8_lossy(&body).into_owned() });
            }
            serde_json::from_slice(&body).map_err(|error| failed(&path, error))
        };
        tokio::pin!(connection);
        tokio::pin!(answer);
        // The connection has to be driven while its answer is awaited, and may end before the answer has been read.
        tokio::select! {
            answer = &mut answer => answer,
            ended = &mut connection => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(failed(&path, error)),
            }
        }
    }
}

fn failed(path: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Http { path: path.to_owned(), source: Box::new(error) }
}
