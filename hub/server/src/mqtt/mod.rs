//! The MQTT head: sockets in, identities proved, packets translated. It decides nothing about messages.
//!
//! [`handshake`] takes a socket to an authenticated client, [`connection`] serves it: [`intake`] takes what it publishes, [`inbox`]
//! keeps the order of acknowledgements, [`subscriptions`] hands out what waits for it. A silent, slow or hostile client costs one of [`MAX_HANDSHAKES`] places for [`HANDSHAKE_BUDGET`], and then nothing.

mod authenticate;
mod connection;
mod end;
mod handshake;
mod in_flight;
mod inbox;
mod intake;
mod peers;
mod subscriptions;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use self::handshake::Refused;
use self::peers::Peers;
use crate::hub::Hub;
use crate::listener;
use crate::metrics::ConnectFailure;

/// Connections that have not authenticated yet. More wait in the listen backlog.
pub(crate) const MAX_HANDSHAKES: usize = 64;
/// Time from accept to CONNACK. A slow edge node needs a second for the TLS hand-shake; IoT Edge allows 60 s.
pub(crate) const HANDSHAKE_BUDGET: Duration = Duration::from_secs(20);

/// Accepts connections until the hub stops. Without an acceptor the connections are plain.
pub(crate) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, hub: Arc<Hub>, clients: TaskTracker) {
    let places = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let peers = Peers::default();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, peer) = tokio::select! {
            () = hub.stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    listener::pause_after(&error, "mqtt").await;
                    continue;
                }
            },
        };
        // Closed at once: an address that has so many under way is broken or hostile, and must not keep the others waiting.
        let Some(share) = peers.take(peer.ip()) else {
            hub.metrics.connect_failed(ConnectFailure::too_many_handshakes);
            continue;
        };
        let (hub, tls) = (Arc::clone(&hub), tls.clone());
        clients.spawn(async move {
            hub.metrics.handshakes.inc();
            let admitted = hub.stop.run_until_cancelled(handshake::admit(stream, tls, &hub)).await;
            hub.metrics.handshakes.dec();
            drop((place, share));
            match admitted {
                None => {}
                Some(Ok(client)) => client.serve().await,
                Some(Err(refused @ Refused::Probe)) => tracing::debug!(%peer, "{refused}"),
                Some(Err(refused)) => {
                    hub.metrics.connect_failed(refused.reason());
                    tracing::warn!(%peer, reason = crate::delivery::chain(&refused), "a connection was refused");
                }
            }
        });
    }
}
