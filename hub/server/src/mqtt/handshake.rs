//! From a socket to an admitted client: TLS, CONNECT, authentication, session, CONNACK.
//!
//! CONNACK codes: 1 another protocol version, 2 no client id, 5 whoever cannot prove its identity (a malformed user name
//! included), 3 what the client did not cause: it will try again. The reason itself goes to the log only.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use edge_mqtt::MAX_PACKET_BYTES;
use edge_mqtt::link::{Link, Transport};
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::types::MQTT_LEVEL_311;
use rmqtt_codec::v3::{Connect, ConnectAck, ConnectAckReason, Packet};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::HANDSHAKE_BUDGET;
use super::authenticate::{Authenticated, Refusal, authenticate};
use super::connection::Client;
use crate::clients::{Registration, TooMany};
use crate::clock;
use crate::configuration::Active;
use crate::hub::Hub;
use crate::metrics::ConnectFailure;
use crate::session::Session;

/// Largest CONNECT: names and a token need 3 KiB, the rest is room for a will.
const MAX_CONNECT_BYTES: u32 = 16 * 1024;
/// Time that a connection which was taken over gets to end, before its successor is told to try again.
const TAKE_OVER_BUDGET: Duration = Duration::from_secs(5);
/// Time that a module which the hub does not know waits for a configuration that names it. The kubelet brings a changed volume to the
/// hub within a second.
const IDENTITY_PATIENCE: Duration = Duration::from_secs(5);
/// Time to write the CONNACK of a refused client.
const REFUSAL_BUDGET: Duration = Duration::from_secs(2);

/// Why a connection came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the TLS hand-shake failed")]
    Tls(#[source] io::Error),
    #[error("no CONNECT within {HANDSHAKE_BUDGET:?}")]
    Timeout,
    #[error("the connection ended before its CONNECT")]
    Ended(#[from] edge_mqtt::Error),
    #[error("the connection ended before its first byte, as a probe's does")]
    Probe,
    #[error("the first packet is not a CONNECT")]
    NotConnect,
    #[error("the first packet is not MQTT: {0}")]
    Decode(DecodeError),
    #[error("MQTT of another version than 3.1.1")]
    Version,
    #[error("client id {client_id:?}: {refusal}")]
    NotAuthenticated { client_id: String, refusal: Refusal },
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error("the client's older connection did not end within {TAKE_OVER_BUDGET:?}")]
    TakeOver,
    #[error("the client's session could not be read or erased")]
    Session(#[from] edge_store::StateError),
}

impl Refused {
    pub(crate) fn reason(&self) -> ConnectFailure {
        match self {
            Self::Tls(_) => ConnectFailure::tls,
            Self::Timeout | Self::TakeOver => ConnectFailure::timeout,
            Self::Ended(_) | Self::Probe | Self::NotConnect | Self::Decode(_) | Self::Version => ConnectFailure::protocol,
            Self::NotAuthenticated { .. } => ConnectFailure::not_authenticated,
            Self::TooMany(_) => ConnectFailure::too_many_clients,
            Self::Session(_) => ConnectFailure::storage,
        }
    }

    /// What the client is told, if it can be told anything.
    fn code(&self) -> Option<ConnectAckReason> {
        match self {
            Self::Decode(DecodeError::InvalidClientId) => Some(ConnectAckReason::IdentifierRejected),
            Self::Tls(_) | Self::Timeout | Self::Ended(_) | Self::Probe | Self::NotConnect | Self::Decode(_) => None,
            Self::Version => Some(ConnectAckReason::UnacceptableProtocolVersion),
            Self::NotAuthenticated { .. } => Some(ConnectAckReason::NotAuthorized),
            Self::TooMany(_) | Self::TakeOver | Self::Session(_) => Some(ConnectAckReason::ServiceUnavailable),
        }
    }
}

/// Takes a socket through everything up to the CONNACK.
pub(crate) async fn admit(stream: TcpStream, tls: Option<TlsAcceptor>, hub: &Arc<Hub>) -> Result<Client, Refused> {
    let (mut link, connect) =
        tokio::time::timeout(HANDSHAKE_BUDGET, first_packet(stream, tls)).await.map_err(|_| Refused::Timeout)??;
    let admitted = match connect {
        Ok(connect) => admit_client(&connect, hub).await.map(|admitted| (connect, admitted)),
        Err(refused) => Err(refused),
    };
    match admitted {
        Ok((connect, admitted)) => {
            let session_present = admitted.session_present;
            link.set_max_packet_bytes(MAX_PACKET_BYTES);
            link.queue(Packet::ConnectAck(ConnectAck { return_code: ConnectAckReason::ConnectionAccepted, session_present }))?;
            Ok(Client::new(Arc::clone(hub), link, connect, admitted))
        }
        Err(refused) => {
            if let Some(return_code) = refused.code() {
                link.queue(Packet::ConnectAck(ConnectAck { return_code, session_present: false }))?;
                // The client may be gone already; it was refused in any case.
                let _sent = tokio::time::timeout(REFUSAL_BUDGET, link.shut_down()).await;
            }
            Err(refused)
        }
    }
}

type FirstPacket = (Link, Result<Box<Connect>, Refused>);

async fn first_packet(stream: TcpStream, tls: Option<TlsAcceptor>) -> Result<FirstPacket, Refused> {
    // Acknowledgements are small and waited for; Nagle would hold each back for 40 ms. A socket that refuses it still works.
    let _slower = stream.set_nodelay(true);
    let stream: Box<dyn Transport> = match tls {
        Some(acceptor) => Box::new(acceptor.accept(stream).await.map_err(|error| match error.kind() {
            // Closed before the first byte of TLS.
            io::ErrorKind::UnexpectedEof => Refused::Probe,
            _ => Refused::Tls(error),
        })?),
        None => Box::new(stream),
    };
    let mut link = Link::new(stream, MAX_CONNECT_BYTES);
    let mut heard = false;
    loop {
        match link.packet() {
            Ok(Some(Packet::Connect(connect))) if connect.protocol.level() == MQTT_LEVEL_311 => {
                return Ok((link, Ok(connect)));
            }
            Ok(Some(Packet::Connect(_))) | Err(DecodeError::UnsupportedProtocolLevel) => {
                return Ok((link, Err(Refused::Version)));
            }
            Ok(Some(_)) => return Err(Refused::NotConnect),
            Err(error) => return Ok((link, Err(Refused::Decode(error)))),
            Ok(None) => {}
        }
        match link.exchange(true).await {
            Ok(_) => heard = true,
            Err(edge_mqtt::Error::Closed) if !heard => return Err(Refused::Probe),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A client that has been let in, and what it comes with.
pub(crate) struct Admitted {
    pub(crate) client: Authenticated,
    pub(crate) registration: Registration,
    pub(crate) session: Session,
    pub(crate) session_present: bool,
}

async fn admit_client(connect: &Connect, hub: &Hub) -> Result<Admitted, Refused> {
    let judge = |active: &Active| {
        authenticate(connect, active, clock::unix_seconds())
            .map_err(|refusal| Refused::NotAuthenticated { client_id: connect.client_id.chars().take(256).collect(), refusal })
    };
    // Before the look, so that a change after it is not missed.
    let mut generation = hub.generation.subscribe();
    let mut active = hub.active.load_full();
    let mut judged = judge(&active);
    if matches!(judged, Err(Refused::NotAuthenticated { refusal: Refusal::Unknown { .. }, .. })) {
        // A module that was deployed this moment may be here before its identity is. Its SDK would take the refusal for final.
        let _patience = tokio::time::timeout(IDENTITY_PATIENCE, generation.changed()).await;
        active = hub.active.load_full();
        judged = judge(&active);
    }
    let client = judged?;
    let registration = hub.clients.register(&client.identity, active.max_clients)?;
    // A configuration that came between the two did not see this client when it ended those that lost their identity.
    let newest = hub.active.load_full();
    if !Arc::ptr_eq(&active, &newest) {
        judge(&newest)?;
    }
    if let Some(predecessor) = &registration.predecessor {
        tokio::time::timeout(TAKE_OVER_BUDGET, predecessor.cancelled()).await.map_err(|_| Refused::TakeOver)?;
    }
    let stored = hub.sessions.load(&client.identity).await?;
    let (session, session_present) = match stored {
        Some(_) if connect.clean_session => {
            hub.sessions.delete(&client.identity).await?;
            (Session::default(), false)
        }
        Some(session) => (session, true),
        None => (Session::default(), false),
    };
    Ok(Admitted { client, registration, session, session_present })
}
