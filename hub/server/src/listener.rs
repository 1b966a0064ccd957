//! What all listeners share: binding with a cure in the error, and what to do when accepting fails.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;

/// Pause after a failed accept. Most failures are a lack of descriptors, which passes when a client leaves.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {address} for {what}; is another process using the port?")]
pub struct BindError {
    address: SocketAddr,
    what: &'static str,
    source: io::Error,
}

/// Binds a listener.
pub(crate) async fn bind(address: SocketAddr, what: &'static str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { address, what, source })
}

/// Says what happened and waits a little, so that a lack of descriptors does not become a busy loop.
pub(crate) async fn pause_after(error: &io::Error, what: &'static str) {
    tracing::warn!(%error, listener = what, "failed to accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
