//! Packets over a byte stream: one buffer each way, decoded and encoded by the codec. Both ends of a connection use it.
//!
//! # Invariants
//! - [`Link::exchange`] may be dropped at any await: no byte is lost or sent twice.
//! - The incoming buffer never holds more than one packet of the size limit and one read beyond it.
//! - Nothing is sent until `exchange` runs: the caller bounds what it queues by [`Link::queued_bytes`].

use bytes::BytesMut;
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::v3::{Codec, Packet};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio_util::codec::{Decoder, Encoder};

use crate::Error;

/// TCP or anything like it, with or without TLS.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// Capacity kept in an empty buffer; what a burst grew beyond it is given back.
const KEPT_BUFFER_BYTES: usize = 8 * 1024;
/// Room made for each read.
const READ_BYTES: usize = 2 * 1024;

/// What [`Link::exchange`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Bytes came in; [`Link::decode`] may have a packet.
    Read,
    /// Bytes went out.
    Wrote,
}

/// A stream that carries MQTT 3.1.1 packets.
pub struct Link {
    reader: ReadHalf<Box<dyn Transport>>,
    writer: WriteHalf<Box<dyn Transport>>,
    codec: Codec,
    incoming: BytesMut,
    outgoing: BytesMut,
    /// Bytes have been written since the last flush; TLS may still hold them.
    unflushed: bool,
}

impl Link {
    /// Wraps a stream; packets over `max_packet_bytes` are refused before they are read.
    pub fn new(stream: Box<dyn Transport>, max_packet_bytes: u32) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let codec = Codec::new(max_packet_bytes);
        Self { reader, writer, codec, incoming: BytesMut::new(), outgoing: BytesMut::new(), unflushed: false }
    }

    /// Changes the size limit for packets to come.
    pub fn set_max_packet_bytes(&mut self, bytes: u32) {
        self.codec.set_max_size(bytes);
    }

    /// The next packet that has come in whole, and its size in bytes without the fixed header.
    pub fn decode(&mut self) -> Result<Option<(Packet, u32)>, DecodeError> {
        let packet = self.codec.decode(&mut self.incoming)?;
        if self.incoming.is_empty() && self.incoming.capacity() > KEPT_BUFFER_BYTES {
            self.incoming = BytesMut::new();
        }
        Ok(packet)
    }

    /// Queues a packet.
    pub fn queue(&mut self, packet: Packet) -> Result<(), Error> {
        self.codec.encode(packet, &mut self.outgoing).map_err(|error| Error::Encode { reason: error.to_string() })
    }

    /// Bytes queued and not yet taken by the stream.
    pub fn queued_bytes(&self) -> usize {
        self.outgoing.len()
    }

    /// Reads or writes, whichever is possible first; reads only when `may_read`. Waits for ever when there is nothing to do.
    /// [`Error::Closed`] at the end of the stream.
    pub async fn exchange(&mut self, may_read: bool) -> Result<Progress, Error> {
        let must_write = !self.outgoing.is_empty() || self.unflushed;
        if may_read && self.incoming.capacity() - self.incoming.len() < READ_BYTES {
            self.incoming.reserve(READ_BYTES);
        }
        tokio::select! {
            read = self.reader.read_buf(&mut self.incoming), if may_read => match read? {
                0 => Err(Error::Closed),
                _ => Ok(Progress::Read),
            },
            pushed = push(&mut self.writer, &mut self.outgoing), if must_write => {
                self.unflushed = pushed?;
                Ok(Progress::Wrote)
            }
            () = std::future::pending(), if !may_read && !must_write => Ok(Progress::Wrote),
        }
    }

    /// Writes everything queued, without reading. For the end of a connection: the caller limits its time.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.writer.write_all_buf(&mut self.outgoing).await?;
        self.writer.flush().await?;
        self.unflushed = false;
        Ok(())
    }

    /// Writes everything queued and closes our side.
    pub async fn shut_down(&mut self) -> Result<(), Error> {
        self.flush().await?;
        self.writer.shutdown().await?;
        Ok(())
    }
}

/// One step of writing: some bytes of the buffer, or, when it is empty, the flush that makes TLS send them. Returns whether a
/// flush is still owed. May be dropped: `write_buf` consumes exactly what was written.
async fn push(writer: &mut WriteHalf<Box<dyn Transport>>, outgoing: &mut BytesMut) -> Result<bool, Error> {
    if outgoing.is_empty() {
        writer.flush().await?;
        return Ok(false);
    }
    if writer.write_buf(outgoing).await? == 0 {
        return Err(Error::Closed);
    }
    if outgoing.is_empty() && outgoing.capacity() > KEPT_BUFFER_BYTES {
        *outgoing = BytesMut::new();
    }
    Ok(true)
}
