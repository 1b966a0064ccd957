//! Connections: how many, for how long, and what happens to those that misbehave.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::api;
use super::identity::IdentityFolder;
use super::socket::Socket;
use super::{CONNECTION_TIME, HEAD_TIME, MAX_BODIES, MAX_CONNECTIONS, MAX_HEAD_BYTES, MAX_HEADERS};

/// Pause after a failed accept: out of file descriptors, most likely, and that does not pass faster by trying harder.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the answers are made of.
#[derive(Debug)]
pub struct Api {
    /// Who is served, and with which keys.
    pub(super) identity: IdentityFolder,
    /// PEM file with the certificates that vouch for the hub.
    pub(super) trust_bundle: PathBuf,
    /// Places for request bodies.
    pub(super) bodies: Semaphore,
}

impl Api {
    /// Serves the module of `identity`; `trust_bundle` is the PEM file with the certificates that vouch for the hub.
    pub fn new(identity: IdentityFolder, trust_bundle: PathBuf) -> Self {
        Self { identity, trust_bundle, bodies: Semaphore::new(MAX_BODIES) }
    }
}

/// Serves `api` on `socket` until it is dropped.
pub async fn serve(socket: &Socket, api: Api) -> Infallible {
    let api = Arc::new(api);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Never closed, so this is always a permit.
        let place = Arc::clone(&places).acquire_owned().await.ok();
        match socket.listener.accept().await {
            Ok((stream, _)) => {
                let api = Arc::clone(&api);
                tokio::spawn(async move {
                    answer_one(stream, api).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("failed to accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, one request, one answer.
async fn answer_one(stream: UnixStream, api: Arc<Api>) {
    let service = service_fn(|request| {
        let api = Arc::clone(&api);
        async move { Ok::<_, Infallible>(api::answer(&api, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .header_read_timeout(HEAD_TIME)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(MAX_HEAD_BYTES)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_TIME, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("a connection ended early: {error}"),
        Err(_) => tracing::debug!("a connection was cut: it took longer than {CONNECTION_TIME:?}"),
    }
}
