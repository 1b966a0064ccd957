//! Opening a connection: TCP, TLS, CONNECT, CONNACK.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use rmqtt_codec::types::Protocol;
use rmqtt_codec::v3::{ConnectAck, Packet};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::connection::Connection;
use crate::link::{Link, Transport};
use crate::{Error, MAX_PACKET_BYTES};

const MQTT_PORT: u16 = 1883;
const MQTTS_PORT: u16 = 8883;

/// Where a server listens.
#[derive(Clone)]
pub struct Endpoint {
    /// DNS name or IP address; verified in the certificate when TLS is used.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How to verify the server; absent: no TLS.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Endpoint {
    /// Reads `mqtt://host[:1883]` or `mqtts://host[:8883]`. Paths, queries and user information are refused: they would do nothing.
    /// For `mqtts` the caller sets [`Endpoint::tls`]; [`Endpoint::is_tls_url`] tells.
    pub fn from_url(text: &str) -> Result<Self, Error> {
        let refused = |shown: &str| Error::Address { url: shown.chars().take(200).collect() };
        // What cannot be parsed may hold a password somewhere, so it is not repeated.
        let url = Url::parse(text).map_err(|_| refused("(not a URL)"))?;
        let default_port = match url.scheme() {
            "mqtt" => MQTT_PORT,
            "mqtts" => MQTTS_PORT,
            _ => return Err(refused(&format!("{}://…", url.scheme()))),
        };
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        match url.host_str() {
            Some(host) if plain && matches!(url.path(), "" | "/") && !host.is_empty() => Ok(Self {
                host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
                port: url.port().unwrap_or(default_port),
                tls: None,
            }),
            _ => Err(refused(&format!("{}://{}…", url.scheme(), url.host_str().unwrap_or_default()))),
        }
    }

    /// Does this URL ask for TLS?
    pub fn is_tls_url(text: &str) -> bool {
        text.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("mqtts://"))
    }

    async fn open(&self) -> Result<Box<dyn Transport>, Error> {
        let failed = |source| Error::Open { host: self.host.clone(), port: self.port, source };
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(failed)?;
        // Acknowledgements are small and waited for; Nagle would hold each back for 40 ms.
        tcp.set_nodelay(true).map_err(failed)?;
        let Some(config) = &self.tls else { return Ok(Box::new(tcp)) };
        let name = ServerName::try_from(self.host.clone()).map_err(|_| Error::ServerName { host: self.host.clone() })?;
        let tls = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await.map_err(failed)?;
        Ok(Box::new(tls))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}{}", self.host, self.port, if self.tls.is_some() { " (TLS)" } else { "" })
    }
}

/// What a CONNECT says. `Debug` is left out on purpose: the password must not reach a log.
pub struct Connect {
    /// Where to.
    pub endpoint: Endpoint,
    /// Names the session at the server.
    pub client_id: String,
    /// User name, if the server wants one.
    pub username: Option<String>,
    /// Password; only together with a user name.
    pub password: Option<Bytes>,
    /// Longest silence on the connection. At least a second.
    pub keep_alive: Duration,
    /// Forget the session at the server?
    pub clean_session: bool,
    /// Time for everything up to the CONNACK.
    pub timeout: Duration,
}

impl Connect {
    /// Opens the connection and waits for the CONNACK.
    pub async fn open(&self) -> Result<Connection, Error> {
        let Endpoint { host, port, .. } = &self.endpoint;
        tokio::time::timeout(self.timeout, self.hand_shake()).await.map_err(|_| Error::OpenTimeout {
            host: host.clone(),
            port: *port,
            timeout: self.timeout,
        })?
    }

    async fn hand_shake(&self) -> Result<Connection, Error> {
        let mut link = Link::new(self.endpoint.open().await?, MAX_PACKET_BYTES);
        link.queue(self.packet())?;
        loop {
            match link.packet() {
                Ok(None) => {}
                Ok(Some(Packet::ConnectAck(ConnectAck { return_code, session_present }))) => {
                    return match u8::from(return_code) {
                        0 => Ok(Connection::new(link, self.keep_alive, session_present)),
                        code => Err(Error::Refused { code }),
                    };
                }
                Ok(Some(_)) => return Err(Error::Unexpected { what: "another first packet than CONNACK" }),
                Err(error) => return Err(Error::Decode { reason: error.to_string() }),
            }
            link.exchange(true).await?;
        }
    }

    fn packet(&self) -> Packet {
        let seconds = self.keep_alive.as_secs().clamp(1, u64::from(u16::MAX));
        Packet::Connect(Box::new(rmqtt_codec::v3::Connect {
            protocol: Protocol::default(),
            clean_session: self.clean_session,
            keep_alive: u16::try_from(seconds).unwrap_or(u16::MAX),
            last_will: None,
            client_id: ByteString::from(self.client_id.as_str()),
            username: self.username.as_deref().map(ByteString::from),
            password: self.password.clone(),
            cert: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_the_usual_default_ports() {
        let plain = Endpoint::from_url("mqtt://broker.site").unwrap();
        assert_eq!((plain.host.as_str(), plain.port), ("broker.site", 1883));
        let tls = Endpoint::from_url("mqtts://broker.site").unwrap();
        assert_eq!(tls.port, 8883);
        assert_eq!(Endpoint::from_url("mqtts://[::1]:9").unwrap().host, "::1");
        assert!(Endpoint::is_tls_url("MQTTS://x") && !Endpoint::is_tls_url("mqtt://x"));
    }

    #[test]
    fn credentials_in_an_address_are_refused_and_not_repeated() {
        let error = Endpoint::from_url("mqtt://me:secret@broker").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        for refused in ["http://x", "mqtt://", "mqtt://x/path", "mqtt://x?y", "x", "me:secret"] {
            assert!(Endpoint::from_url(refused).is_err(), "{refused}");
        }
    }
}
