//! One connection of the client: a socket, with or without TLS, and a buffer of what came in.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Error;
use crate::certificates::SERVER_NAME;
use crate::wire::{self, Credentials, Incoming};

/// Longest that any one answer may take.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes read at once. Larger than any packet of a measurement.
const BUFFER_BYTES: usize = 128 * 1024;
/// What a connection that only exists has for a buffer.
const SMALL_BUFFER_BYTES: usize = 512;

trait Transport: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Transport for T {}

/// Where a server listens, on loopback.
#[derive(Clone)]
pub struct Address {
    /// The port.
    pub port: u16,
    /// How to verify the server; absent: no TLS.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// A client's connection.
pub struct Conversation {
    stream: Box<dyn Transport>,
    who: String,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Conversation {
    /// Connects and waits for the CONNACK.
    ///
    /// # Errors
    /// A refusal is [`Error::Unexpected`]; nobody listening is [`Error::Connection`].
    pub async fn open(address: &Address, who: &Credentials) -> Result<Self, Error> {
        let client = who.client_id.clone();
        let opening = async {
            let stream = connect(address).await.map_err(|source| Error::Connection { client: client.clone(), source })?;
            let mut this = Self { stream, who: client.clone(), buffer: vec![0; SMALL_BUFFER_BYTES], start: 0, end: 0 };
            this.write(&wire::connect(who)).await?;
            match this.answer().await? {
                Incoming::ConnAck { code: 0 } => {}
                other => return Err(Error::Unexpected { client: client.clone(), what: format!("{other:?} for CONNACK") }),
            }
            Ok(this)
        };
        tokio::time::timeout(PATIENCE, opening).await.map_err(|_| Error::Stuck {
            client: who.client_id.clone(),
            what: "CONNACK".to_owned(),
            waited: PATIENCE,
        })?
    }

    /// Subscribes and waits for the SUBACK. No message may be on its way yet.
    ///
    /// # Errors
    /// A subscription that was refused, or granted at another quality of service.
    pub async fn subscribe(&mut self, filter: &str, qos: u8) -> Result<(), Error> {
        self.write(&wire::subscribe(filter, qos)).await?;
        let client = self.who.clone();
        match self.answer().await? {
            Incoming::SubAck { code } if code == qos => Ok(()),
            other => Err(Error::Unexpected { client, what: format!("{other:?} for SUBACK") }),
        }
    }

    /// The client id.
    pub fn who(&self) -> &str {
        &self.who
    }

    /// Makes room for many packets at a time.
    pub fn expect_many(&mut self) {
        self.buffer.resize(BUFFER_BYTES, 0);
    }

    /// Writes all of `bytes`.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        written.await.map_err(|source| Error::Connection { client: self.who.clone(), source })
    }

    /// Reads what has come, waiting for at least a byte. May be dropped while it waits.
    pub async fn read(&mut self) -> Result<(), Error> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let source = match self.stream.read(&mut self.buffer[self.end..]).await {
            Ok(0) => std::io::ErrorKind::UnexpectedEof.into(),
            Ok(read) => {
                self.end += read;
                return Ok(());
            }
            Err(error) => error,
        };
        Err(Error::Connection { client: self.who.clone(), source })
    }

    /// The next packet that has been read in whole.
    pub fn packet(&mut self) -> Result<Option<Incoming<'_>>, Error> {
        let found = wire::first(&self.buffer[self.start..self.end]);
        let found =
            found.map_err(|_| Error::Unexpected { client: self.who.clone(), what: "bytes that are not MQTT".to_owned() })?;
        let Some((packet, length)) = found else { return Ok(None) };
        self.start += length;
        Ok(Some(packet))
    }

    /// The next packet, waited for.
    async fn answer(&mut self) -> Result<Incoming<'_>, Error> {
        while matches!(wire::first(&self.buffer[self.start..self.end]), Ok(None)) {
            self.read().await?;
        }
        let client = self.who.clone();
        self.packet()?.ok_or(Error::Unexpected { client, what: "nothing".to_owned() })
    }
}

async fn connect(address: &Address) -> std::io::Result<Box<dyn Transport>> {
    let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, address.port))).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = &address.tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(SERVER_NAME).map_err(std::io::Error::other)?;
    Ok(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
}
