//! Publishes on their way to the disk, and the order of their acknowledgements.
//!
//! What comes in with one read from the socket travels as one batch: one hand-over to the journal, one answer, and acknowledgements
//! that are written together.
//!
//! # Promises
//! - [`Inbox::next`] names publishes only after the fsync that covers them, and in the order of [`Inbox::push`].
//! - When the journal refuses (full, disk trouble), nothing is acknowledged and nothing overtakes: what was refused is submitted
//!   again, in order, once the journal can be written.
//! - At most [`MAX_WAITING`] publishes, or [`MAX_WAITING_BYTES`], are held; the connection stops reading, or ends, before there are
//!   more.

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use edge_store::{AppendError, Appender, Destinations, Journal, PendingBatch};
use prometheus_client::metrics::gauge::Gauge;

/// Publishes of one connection that are not durable yet.
pub(crate) const MAX_WAITING: usize = 1000;

/// Bytes of publishes of one connection that are not durable yet, give or take the last. The Python SDK has up to 20 under way, of
/// 256 KiB at most: it can wait for a full journal without losing its connection.
pub(crate) const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;

/// Small records share pieces of memory of this size. A record that waits for its reader keeps its whole piece, so larger ones would
/// save little and could cost much.
const CHUNK_BYTES: usize = 4 * 1024;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A publish in its batch.
struct Publish {
    packet_id: Option<NonZeroU16>,
    /// Is there a record of it? One that no route wants only waits for its turn to be acknowledged.
    kept: bool,
}

/// Publishes that travel together.
#[derive(Default)]
struct Batch {
    publishes: Vec<Publish>,
    /// Of those that are kept, in order.
    records: Vec<(Destinations, Bytes)>,
}

impl Batch {
    fn bytes(&self) -> usize {
        self.records.iter().map(|(_, record)| record.len()).sum()
    }

    /// The publishes before the record at `index`; the others stay.
    fn split_before(&mut self, index: usize) -> Self {
        let mut kept = 0;
        let refused = self.publishes.iter().position(|publish| {
            kept += usize::from(publish.kept);
            kept > index
        });
        let rest = self.publishes.split_off(refused.unwrap_or(self.publishes.len()));
        let rest = Self { publishes: rest, records: self.records.split_off(index.min(self.records.len())) };
        std::mem::replace(self, rest)
    }
}

/// See the module.
pub(crate) struct Inbox {
    appender: Arc<Appender>,
    gathering: Batch,
    /// Memory for the next small records.
    chunk: BytesMut,
    waiting: VecDeque<Batch>,
    submitting: Option<(Batch, Boxed<PendingBatch>)>,
    /// Submitted; none: nothing of it is kept.
    pending: VecDeque<(Batch, Option<PendingBatch>)>,
    /// Refused by the journal, or behind one that was.
    refused: VecDeque<Batch>,
    retry: Option<Boxed<()>>,
    /// Publishes held.
    len: usize,
    /// Of everything held.
    bytes: usize,
    gauge: Gauge,
    /// Acknowledged before its time; see [`Inbox::acknowledge_early`].
    #[cfg(feature = "failpoints")]
    early: Vec<NonZeroU16>,
}

impl Inbox {
    pub(crate) fn new(journal: &Journal, gauge: Gauge) -> Self {
        Self {
            appender: Arc::new(journal.appender()),
            gathering: Batch::default(),
            chunk: BytesMut::new(),
            waiting: VecDeque::new(),
            submitting: None,
            pending: VecDeque::new(),
            refused: VecDeque::new(),
            retry: None,
            len: 0,
            bytes: 0,
            gauge,
            #[cfg(feature = "failpoints")]
            early: Vec::new(),
        }
    }

    /// Breaks the promise if `EDGE_SABOTAGE` asks for it, so that a test can show that it would be noticed.
    #[cfg(feature = "failpoints")]
    fn acknowledge_early(&mut self) {
        static WANTED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
        if *WANTED.get_or_init(|| std::env::var("EDGE_SABOTAGE").is_ok_and(|wish| wish == "ack-early")) {
            self.early.extend(self.gathering.publishes.iter_mut().filter_map(|publish| publish.packet_id.take()));
        }
    }

    /// Publishes held.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Is there no room for another publish?
    pub(crate) fn is_full(&self) -> bool {
        self.len >= MAX_WAITING || self.bytes >= MAX_WAITING_BYTES
    }

    /// Does the journal refuse at the moment?
    pub(crate) fn refused(&self) -> bool {
        self.retry.is_some() || !self.refused.is_empty()
    }

    /// Takes a publish. Without a record it is acknowledged in its turn and kept nowhere. It waits for [`Inbox::submit`].
    pub(crate) fn push(&mut self, packet_id: Option<NonZeroU16>, record: Option<(Destinations, Bytes)>) {
        self.gathering.publishes.push(Publish { packet_id, kept: record.is_some() });
        if let Some((destinations, record)) = record {
            self.bytes += record.len();
            self.gathering.records.push((destinations, record));
        }
        self.len += 1;
    }

    /// A record of up to `bytes` bytes, which `write` appends.
    pub(crate) fn record(&mut self, bytes: usize, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        if self.chunk.capacity() < bytes {
            self.chunk = BytesMut::with_capacity(bytes.max(CHUNK_BYTES));
        }
        write(&mut self.chunk);
        self.chunk.split().freeze()
    }

    /// Sends what was pushed on its way, as one batch.
    pub(crate) fn submit(&mut self) {
        if self.gathering.publishes.is_empty() {
            return;
        }
        #[cfg(feature = "failpoints")]
        self.acknowledge_early();
        let batch = std::mem::take(&mut self.gathering);
        self.gauge.inc_by(i64::try_from(batch.publishes.len()).unwrap_or_default());
        self.waiting.push_back(batch);
    }

    /// Waits until publishes are durable and adds their identifiers to `durable`, where they have one. May be dropped at any await.
    ///
    /// # Errors
    /// What cannot be cured by waiting. The connection must end, so that the client does not believe in an acknowledgement to come.
    pub(crate) async fn next(&mut self, durable: &mut Vec<NonZeroU16>) -> Result<(), AppendError> {
        loop {
            self.submit_next();
            self.retry_when_drained();
            #[cfg(feature = "failpoints")]
            if !self.early.is_empty() {
                durable.append(&mut self.early);
                return Ok(());
            }
            tokio::select! {
                biased;
                outcome = settled(self.pending.front_mut()), if !self.pending.is_empty() => {
                    let Some((mut batch, _)) = self.pending.pop_front() else { continue };
                    match outcome {
                        Ok(()) if self.refused.is_empty() => {
                            self.done(&batch, durable);
                            return Ok(());
                        }
                        Err((_, error)) if !can_be_cured(&error) => {
                            self.done(&batch, &mut Vec::new());
                            return Err(error);
                        }
                        Err((index, error)) if self.refused.is_empty() => {
                            tracing::warn!(%error, "the journal refuses a message; its sender waits unacknowledged");
                            let accepted = batch.split_before(index);
                            self.refused.push_back(batch);
                            if !accepted.publishes.is_empty() {
                                self.done(&accepted, durable);
                                return Ok(());
                            }
                        }
                        // Behind what was refused before it.
                        Ok(()) | Err(_) => self.refused.push_back(batch),
                    }
                }
                append = started(&mut self.submitting), if self.submitting.is_some() => {
                    if let Some((batch, _)) = self.submitting.take() {
                        self.pending.push_back((batch, Some(append)));
                    }
                }
                () = elapsed(&mut self.retry), if self.retry.is_some() => {
                    self.retry = None;
                    self.appender.resume();
                    // Back in front of what came later, in order.
                    while let Some(batch) = self.refused.pop_back() {
                        self.waiting.push_front(batch);
                    }
                }
                () = std::future::pending(), if self.pending.is_empty() && self.submitting.is_none() && self.retry.is_none() => {}
            }
        }
    }

    /// Gives back memory that only a busy client needs.
    pub(crate) fn rest(&mut self) {
        self.chunk = BytesMut::new();
    }

    fn done(&mut self, batch: &Batch, durable: &mut Vec<NonZeroU16>) {
        self.gauge.dec_by(i64::try_from(batch.publishes.len()).unwrap_or_default());
        self.len -= batch.publishes.len();
        self.bytes -= batch.bytes();
        durable.extend(batch.publishes.iter().filter_map(|publish| publish.packet_id));
    }

    #[expect(
        clippy::async_yields_async,
        reason = "submitting and becoming durable are two steps, and the second is awaited elsewhere"
    )]
    fn submit_next(&mut self) {
        while self.submitting.is_none() && !self.refused() {
            let Some(batch) = self.waiting.pop_front() else { return };
            if batch.records.is_empty() {
                self.pending.push_back((batch, None));
                continue;
            }
            let (appender, records) = (Arc::clone(&self.appender), batch.records.clone());
            self.submitting = Some((batch, Box::pin(async move { appender.submit_batch(records).await })));
        }
    }

    /// Everything submitted has been answered, and some of it was refused: wait until the journal can be written.
    fn retry_when_drained(&mut self) {
        if !self.refused.is_empty() && self.pending.is_empty() && self.submitting.is_none() && self.retry.is_none() {
            let appender = Arc::clone(&self.appender);
            self.retry = Some(Box::pin(async move { appender.writable().await }));
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // What was pushed and never submitted was never counted.
        self.gauge.dec_by(i64::try_from(self.len - self.gathering.publishes.len()).unwrap_or_default());
    }
}

fn can_be_cured(error: &AppendError) -> bool {
    matches!(
        error,
        AppendError::Full { .. }
            | AppendError::EndpointFull { .. }
            | AppendError::DiskFull
            | AppendError::Disk { .. }
            | AppendError::Behind
    )
}

async fn settled(front: Option<&mut (Batch, Option<PendingBatch>)>) -> Result<(), (usize, AppendError)> {
    match front {
        Some((_, Some(append))) => append.await.map_err(|refused| (refused.index, refused.error)),
        Some((_, None)) => Ok(()),
        None => std::future::pending().await,
    }
}

async fn started(submitting: &mut Option<(Batch, Boxed<PendingBatch>)>) -> PendingBatch {
    match submitting {
        Some((_, future)) => future.await,
        None => std::future::pending().await,
    }
}

async fn elapsed(retry: &mut Option<Boxed<()>>) {
    match retry {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(kept: &[bool]) -> Batch {
        let id = |place| u16::try_from(place + 1).ok().and_then(NonZeroU16::new);
        let publishes = kept.iter().enumerate().map(|(place, kept)| Publish { packet_id: id(place), kept: *kept }).collect();
        let to = || edge_store::Destination::new("q".parse().unwrap()).into();
        let records = kept.iter().filter(|kept| **kept).map(|_| (to(), Bytes::from_static(b"x"))).collect();
        Batch { publishes, records }
    }

    #[test]
    fn a_batch_is_split_where_the_journal_refused() {
        for (kept, index, before, records_after) in [
            (&[true, true, true][..], 0, 0, 3),
            (&[true, true, true], 2, 2, 1),
            (&[false, true, false, true, false], 0, 1, 2),
            (&[false, true, false, true, false], 1, 3, 1),
            (&[true, true], 2, 2, 0),
        ] {
            let mut rest = batch(kept);
            let accepted = rest.split_before(index);
            assert_eq!(accepted.publishes.len(), before, "{kept:?} {index}");
            assert_eq!(accepted.records.len(), index, "{kept:?} {index}");
            assert_eq!((rest.publishes.len(), rest.records.len()), (kept.len() - before, records_after), "{kept:?} {index}");
        }
    }
}
