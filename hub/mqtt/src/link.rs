//! Packets over a byte stream: one buffer each way. Both ends of a connection use it.
//!
//! # Invariants
//! - [`Link::exchange`] may be dropped at any await: no byte is lost or sent twice.
//! - The incoming buffer never holds more than one packet of the size limit and one read, of at most [`MAX_READ_BYTES`], beyond it.
//! - Nothing is sent until `exchange` runs: the caller bounds what it queues by [`Link::queued_bytes`].
//! - A connection that is used less needs less: what is read at a time, and kept between bursts, follows what there is.

use std::future::poll_fn;
use std::num::NonZeroU16;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, BytesMut};
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::v3::{Codec, Packet};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::codec::Encoder;
use tokio_util::io::{poll_read_buf, poll_write_buf};

use crate::Error;
use crate::frame::{self, Head};
pub use crate::frame::{Frame, Publish};

/// TCP or anything like it, with or without TLS.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// Room made for a read on a quiet connection.
const MIN_READ_BYTES: usize = 2 * 1024;
/// Room made for a read on a busy one: some hundred small messages.
pub const MAX_READ_BYTES: usize = 64 * 1024;
/// Capacity that an empty outgoing buffer keeps on a busy connection; a quiet one keeps [`MIN_READ_BYTES`]. What [`MAX_READ_BYTES`]
/// at a time fill with some to spare: memory that comes and goes with every burst costs more than what is in it.
const KEPT_OUTGOING_BYTES: usize = 256 * 1024;

/// What [`Link::exchange`] did: at least one of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes came in; [`Link::frame`] may have a packet.
    pub read: bool,
    /// Bytes went out.
    pub wrote: bool,
}

/// A stream that carries MQTT 3.1.1 packets.
pub struct Link {
    stream: Box<dyn Transport>,
    max_packet_bytes: u32,
    incoming: BytesMut,
    /// Room made for the next read.
    read_bytes: usize,
    /// What the packet at the front still lacks.
    missing: usize,
    outgoing: BytesMut,
    /// Most that the outgoing buffer held since it was empty.
    outgoing_peak: usize,
    /// Bytes have been written since the last flush; TLS may still hold them.
    unflushed: bool,
}

impl Link {
    /// Wraps a stream; packets over `max_packet_bytes` are refused before they are read.
    pub fn new(stream: Box<dyn Transport>, max_packet_bytes: u32) -> Self {
        Self {
            stream,
            max_packet_bytes,
            incoming: BytesMut::new(),
            read_bytes: MIN_READ_BYTES,
            missing: 0,
            outgoing: BytesMut::new(),
            outgoing_peak: 0,
            unflushed: false,
        }
    }

    /// Changes the size limit for packets to come.
    pub fn set_max_packet_bytes(&mut self, bytes: u32) {
        self.max_packet_bytes = bytes;
    }

    /// The next packet that has come in whole.
    pub fn frame(&mut self) -> Result<Option<Frame>, DecodeError> {
        match self.head()? {
            Some(head) => head.take(&mut self.incoming).map(Some),
            None => Ok(None),
        }
    }

    /// The same where messages are the exception, as in a hand-shake.
    pub fn packet(&mut self) -> Result<Option<Packet>, DecodeError> {
        match self.head()? {
            Some(head) => head.take_packet(&mut self.incoming).map(Some),
            None => Ok(None),
        }
    }

    /// The head of a packet that is there in whole.
    fn head(&mut self) -> Result<Option<Head>, DecodeError> {
        self.missing = 0;
        let Some(head) = Head::read(&self.incoming, self.max_packet_bytes)? else { return Ok(None) };
        if self.incoming.len() >= head.packet_len() {
            return Ok(Some(head));
        }
        self.missing = head.packet_len() - self.incoming.len();
        self.incoming.reserve(self.missing);
        Ok(None)
    }

    /// Queues a packet.
    pub fn queue(&mut self, packet: Packet) -> Result<(), Error> {
        Codec::new(0).encode(packet, &mut self.outgoing).map_err(|error| Error::Encode { reason: error.to_string() })
    }

    /// Queues a message: at QoS 1 with an identifier, at QoS 0 without.
    pub fn queue_publish(&mut self, topic: &str, payload: &[u8], packet_id: Option<NonZeroU16>, dup: bool) -> Result<(), Error> {
        frame::write_publish(&mut self.outgoing, topic, payload, packet_id, dup)
    }

    /// Queues the acknowledgement of a message.
    pub fn queue_acknowledgement(&mut self, packet_id: NonZeroU16) {
        frame::write_acknowledgement(&mut self.outgoing, packet_id);
    }

    /// Bytes queued and not yet taken by the stream.
    pub fn queued_bytes(&self) -> usize {
        self.outgoing.len()
    }

    /// Writes what is queued and reads what has come, as far as either is possible now; reads only when `may_read`. Waits until one
    /// is; for ever when there is nothing to do. [`Error::Closed`] at the end of the stream.
    pub async fn exchange(&mut self, may_read: bool) -> Result<Progress, Error> {
        poll_fn(|context| self.poll_exchange(context, may_read)).await
    }

    fn poll_exchange(&mut self, context: &mut Context<'_>, may_read: bool) -> Poll<Result<Progress, Error>> {
        let mut progress = Progress::default();
        match self.poll_push(context) {
            Poll::Ready(Ok(wrote)) => progress.wrote = wrote,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {}
        }
        if may_read {
            match self.poll_pull(context) {
                Poll::Ready(Ok(())) => progress.read = true,
                // What was written before the end is news, too; the end will be met again.
                Poll::Ready(Err(error)) if !progress.wrote => return Poll::Ready(Err(error)),
                Poll::Ready(Err(_)) | Poll::Pending => {}
            }
        }
        if progress == Progress::default() { Poll::Pending } else { Poll::Ready(Ok(progress)) }
    }

    /// Reads once.
    fn poll_pull(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.incoming.is_empty() && self.incoming.capacity() > 2 * self.read_bytes {
            self.incoming = BytesMut::new();
        }
        if self.incoming.capacity() - self.incoming.len() < self.read_bytes {
            self.incoming.reserve(self.read_bytes);
        }
        // A buffer that grows doubles; what it has beyond what was asked for is not to be filled.
        let mut room = (&mut self.incoming).limit(self.read_bytes.max(self.missing));
        let read = ready!(poll_read_buf(Pin::new(&mut self.stream), context, &mut room))?;
        if read == 0 {
            return Poll::Ready(Err(Error::Closed));
        }
        if read >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 2).min(MAX_READ_BYTES);
        } else if read < self.read_bytes / 4 {
            self.read_bytes = (self.read_bytes / 2).max(MIN_READ_BYTES);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes until nothing is queued or the stream takes no more. Ready with false: there was nothing to write.
    fn poll_push(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        let mut wrote = false;
        self.outgoing_peak = self.outgoing_peak.max(self.outgoing.len());
        while !self.outgoing.is_empty() {
            match poll_write_buf(Pin::new(&mut self.stream), context, &mut self.outgoing) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Error::Closed)),
                Poll::Ready(Ok(_)) => (wrote, self.unflushed) = (true, true),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending if wrote => return Poll::Ready(Ok(true)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if wrote {
            let kept = if self.outgoing_peak > MIN_READ_BYTES { KEPT_OUTGOING_BYTES } else { MIN_READ_BYTES };
            if self.outgoing.capacity() > kept {
                self.outgoing = BytesMut::new();
            }
            self.outgoing_peak = 0;
        }
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Ready(Ok(())) => (wrote, self.unflushed) = (true, false),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending if wrote => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(wrote))
    }

    /// Gives back memory that only a busy connection needs.
    pub fn rest(&mut self) {
        if self.incoming.is_empty() {
            (self.incoming, self.read_bytes) = (BytesMut::new(), MIN_READ_BYTES);
        }
        if self.outgoing.is_empty() {
            self.outgoing = BytesMut::new();
        }
    }

    /// Writes everything queued, without reading. For the end of a connection: the caller limits its time.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.stream.write_all_buf(&mut self.outgoing).await?;
        self.stream.flush().await?;
        self.unflushed = false;
        Ok(())
    }

    /// Writes everything queued and closes our side.
    pub async fn shut_down(&mut self) -> Result<(), Error> {
        self.flush().await?;
        self.stream.shutdown().await?;
        Ok(())
    }
}

#[cfg(test)]
mod hostile;

#[cfg(test)]
mod tests {
    use super::*;

    async fn exchange_until(link: &mut Link, mut enough: impl FnMut(Progress) -> bool) {
        while !enough(link.exchange(true).await.unwrap()) {}
    }

    #[tokio::test]
    async fn a_burst_is_read_in_large_pieces_and_its_memory_is_given_back_when_it_is_over() {
        let (ours, theirs) = tokio::io::duplex(256 * 1024);
        let (mut near, mut far) = (Link::new(Box::new(theirs), 1 << 20), Link::new(Box::new(ours), 1 << 20));
        let mut received = 0;
        while received < 2000 {
            for _ in 0..200 {
                near.queue_publish("a/topic", &[7; 300], NonZeroU16::new(1), false).unwrap();
            }
            exchange_until(&mut near, |progress| progress.wrote).await;
            let due = received + 200;
            while received < due {
                match far.frame().unwrap() {
                    Some(Frame::Publish(publish)) => {
                        assert_eq!(publish.payload[..], [7; 300]);
                        received += 1;
                    }
                    Some(other) => panic!("{other:?}"),
                    None => exchange_until(&mut far, |progress| progress.read).await,
                }
            }
        }
        assert_eq!(far.read_bytes, MAX_READ_BYTES);
        for _ in 0..8 {
            near.queue_acknowledgement(NonZeroU16::MIN);
            exchange_until(&mut near, |progress| progress.wrote).await;
            exchange_until(&mut far, |progress| progress.read).await;
            assert!(matches!(far.frame().unwrap(), Some(Frame::PubAck(NonZeroU16::MIN))));
        }
        assert_eq!(far.read_bytes, MIN_READ_BYTES);
        assert!(far.incoming.capacity() <= 2 * MIN_READ_BYTES && near.outgoing.capacity() <= MIN_READ_BYTES);
    }

    #[tokio::test]
    async fn what_was_written_before_the_other_side_closed_is_told_and_then_the_end() {
        let (ours, theirs) = tokio::io::duplex(1024);
        let mut link = Link::new(Box::new(ours), 1 << 20);
        drop(theirs);
        assert!(matches!(link.exchange(true).await, Err(Error::Closed)));
    }
}
