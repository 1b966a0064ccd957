//! Waiting until a module may start: IoT SDKs do not repeat their first request, nor their first connection.
//!
//! The socket must answer, or the module could not even learn who it is. The hub is waited for as long as time is left and then
//! given up: a module must start while its hub is down, and its restart policy brings it back until the hub is there.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge_mqtt::TlsError;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsConnector;

use super::identity::{IdentityError, read_trust_bundle};

/// Pause between two tries. There is nothing to be told by: neither side of a socket says that it has come up.
const PAUSE: Duration = Duration::from_millis(100);
/// The request, with the version that every IoT SDK knows.
const REQUEST: &[u8] = b"GET /trust-bundle?api-version=2018-06-28 HTTP/1.1\r\nHost: workload\r\nConnection: close\r\n\r\n";
/// What the answer has to begin with.
const ANSWER: &[u8] = b"HTTP/1.1 200 ";

/// A hub's TLS port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hub {
    /// Its name, as in its certificate.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// How the wait ended.
#[derive(Debug)]
pub enum Waited {
    /// Everything the module needs is there.
    Ready,
    /// The socket answers; the hub does not, and this is what the last try said.
    WithoutHub(HubError),
}

/// The socket did not answer in time; the module must not start.
#[derive(Debug, thiserror::Error)]
#[error("the workload socket {path} did not answer within {limit:?}: {last}")]
pub struct SocketSilent {
    path: String,
    limit: Duration,
    last: io::Error,
}

/// Why the hub cannot be reached yet.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// There is nothing to verify it with.
    #[error("there is no trust bundle")]
    NoTrustBundle,
    /// What it should be verified with is unusable.
    #[error(transparent)]
    TrustBundle(#[from] IdentityError),
    /// A certificate to verify it with is none.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Its name is none that a certificate could have.
    #[error("{0} is no host name")]
    Name(String),
    /// No connection, or no handshake.
    #[error("failed to connect to {host}:{port}: {source}")]
    Connect {
        /// Its host.
        host: String,
        /// Its port.
        port: u16,
        /// What went wrong.
        source: io::Error,
    },
}

/// Waits at most `limit` for `socket` and then, in what is left of it, for the hub at `hub`.
///
/// # Errors
/// [`SocketSilent`]: nothing answered on the socket. The hub never makes this fail.
pub async fn wait(socket: &Path, hub: Option<&Hub>, trust_bundle: &Path, limit: Duration) -> Result<Waited, SocketSilent> {
    let deadline = Instant::now() + limit;
    if let Err(last) = until(deadline, || ask(socket), || io::ErrorKind::TimedOut.into()).await {
        return Err(SocketSilent { path: socket.display().to_string(), limit, last });
    }
    let Some(hub) = hub else { return Ok(Waited::Ready) };
    let timed_out = || connect_error(hub, io::ErrorKind::TimedOut.into());
    match until(deadline, || shake_hands(hub, trust_bundle), timed_out).await {
        Ok(()) => Ok(Waited::Ready),
        Err(last) => Ok(Waited::WithoutHub(last)),
    }
}

/// Repeats `attempt` until it is well or `deadline` has come; then the error is that of the last try that ended by itself.
async fn until<F, E>(deadline: Instant, mut attempt: impl FnMut() -> F, timed_out: impl FnOnce() -> E) -> Result<(), E>
where
    F: Future<Output = Result<(), E>>,
{
    let mut last = None;
    loop {
        match timeout_at(deadline, attempt()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => last = Some(error),
            Err(_) => return Err(last.unwrap_or_else(timed_out)),
        }
        if timeout_at(deadline, sleep(PAUSE)).await.is_err() {
            return Err(last.unwrap_or_else(timed_out));
        }
    }
}

/// One request for the trust bundle.
async fn ask(socket: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(REQUEST).await?;
    let mut start = [0; ANSWER.len()];
    stream.read_exact(&mut start).await?;
    if start == ANSWER { Ok(()) } else { Err(io::Error::other("there is no trust bundle")) }
}

/// One TLS handshake, verified as a module would: the host's name against the trust bundle, which is read anew each time.
async fn shake_hands(hub: &Hub, trust_bundle: &Path) -> Result<(), HubError> {
    let pem = read_trust_bundle(trust_bundle)?.ok_or(HubError::NoTrustBundle)?;
    let config: Arc<ClientConfig> = edge_mqtt::client_config(pem.as_bytes())?;
    let name = ServerName::try_from(hub.host.clone()).map_err(|_| HubError::Name(hub.host.clone()))?;
    let stream = TcpStream::connect((hub.host.as_str(), hub.port)).await.map_err(|source| connect_error(hub, source))?;
    let mut stream = TlsConnector::from(config).connect(name, stream).await.map_err(|source| connect_error(hub, source))?;
    // A polite end, so that the hub need not log a client that vanished.
    let _ = stream.shutdown().await;
    Ok(())
}

fn connect_error(hub: &Hub, source: io::Error) -> HubError {
    HubError::Connect { host: hub.host.clone(), port: hub.port, source }
}
