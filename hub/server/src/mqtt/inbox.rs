//! Publishes on their way to the disk, and the order of their acknowledgements.
//!
//! # Promises
//! - [`Inbox::next`] names a publish only after the fsync that covers it, and in the order of [`Inbox::push`].
//! - When the journal refuses (full, disk trouble), nothing is acknowledged and nothing overtakes: what was refused is submitted
//!   again, in order, once the journal can be written.
//! - At most [`MAX_WAITING`] publishes, or [`MAX_WAITING_BYTES`], are held; the connection stops reading, or ends, before there are
//!   more.

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use edge_store::{AppendError, Appender, Destinations, Journal, PendingAppend};
use prometheus_client::metrics::gauge::Gauge;

/// Publishes of one connection that are not durable yet.
pub(crate) const MAX_WAITING: usize = 1000;

/// Bytes of publishes of one connection that are not durable yet, give or take the last. The Python SDK has up to 20 under way, of
/// 256 KiB at most: it can wait for a full journal without losing its connection.
pub(crate) const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

struct Publish {
    packet_id: Option<NonZeroU16>,
    /// Where it goes, and what is kept of it; `None`: nowhere.
    record: Option<(Destinations, Bytes)>,
}

impl Publish {
    /// Bytes held for it.
    fn len(&self) -> usize {
        self.record.as_ref().map_or(0, |(_, record)| record.len())
    }
}

enum Slot {
    /// Waits for its fsync.
    Append(PendingAppend),
    /// Goes nowhere, and only waits for its turn to be acknowledged.
    Nothing,
}

/// See the module.
pub(crate) struct Inbox {
    appender: Arc<Appender>,
    waiting: VecDeque<Publish>,
    submitting: Option<(Publish, Boxed<PendingAppend>)>,
    pending: VecDeque<(Publish, Slot)>,
    /// Refused by the journal, or behind one that was.
    refused: VecDeque<Publish>,
    retry: Option<Boxed<()>>,
    /// Of everything held.
    bytes: usize,
    gauge: Gauge,
}

impl Inbox {
    pub(crate) fn new(journal: &Journal, gauge: Gauge) -> Self {
        Self {
            appender: Arc::new(journal.appender()),
            waiting: VecDeque::new(),
            submitting: None,
            pending: VecDeque::new(),
            refused: VecDeque::new(),
            retry: None,
            bytes: 0,
            gauge,
        }
    }

    /// Publishes held.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.submitting.is_some()) + self.pending.len() + self.refused.len()
    }

    /// Is there no room for another publish?
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= MAX_WAITING || self.bytes >= MAX_WAITING_BYTES
    }

    /// Does the journal refuse at the moment?
    pub(crate) fn refused(&self) -> bool {
        self.retry.is_some() || !self.refused.is_empty()
    }

    /// Takes a publish. Without a record it is acknowledged in its turn and kept nowhere.
    pub(crate) fn push(&mut self, packet_id: Option<NonZeroU16>, record: Option<(Destinations, Bytes)>) {
        let publish = Publish { packet_id, record };
        self.gauge.inc();
        self.bytes += publish.len();
        self.waiting.push_back(publish);
    }

    /// Waits until the next publish is durable and returns its identifier (none at QoS 0). May be dropped at any await.
    ///
    /// # Errors
    /// What cannot be cured by waiting. The connection must end, so that the client does not believe in an acknowledgement to come.
    pub(crate) async fn next(&mut self) -> Result<Option<NonZeroU16>, AppendError> {
        loop {
            self.submit_next();
            self.retry_when_drained();
            if self.len() == 0 {
                return std::future::pending().await;
            }
            tokio::select! {
                biased;
                outcome = settled(self.pending.front_mut()), if !self.pending.is_empty() => {
                    let Some((publish, _)) = self.pending.pop_front() else { continue };
                    match outcome {
                        Ok(()) if self.refused.is_empty() => {
                            self.gauge.dec();
                            self.bytes -= publish.len();
                            return Ok(publish.packet_id);
                        }
                        Ok(()) => self.refused.push_back(publish),
                        Err(error) if can_be_cured(&error) => {
                            if self.refused.is_empty() {
                                tracing::warn!(%error, "the journal refuses a message; its sender waits unacknowledged");
                            }
                            self.refused.push_back(publish);
                        }
                        Err(error) => {
                            self.gauge.dec();
                            self.bytes -= publish.len();
                            return Err(error);
                        }
                    }
                }
                append = started(&mut self.submitting), if self.submitting.is_some() => {
                    if let Some((publish, _)) = self.submitting.take() {
                        self.pending.push_back((publish, Slot::Append(append)));
                    }
                }
                () = elapsed(&mut self.retry), if self.retry.is_some() => {
                    self.retry = None;
                    self.appender.resume();
                    // Back in front of what came later, in order.
                    while let Some(publish) = self.refused.pop_back() {
                        self.waiting.push_front(publish);
                    }
                }
            }
        }
    }

    #[expect(
        clippy::async_yields_async,
        reason = "submitting and becoming durable are two steps, and the second is awaited elsewhere"
    )]
    fn submit_next(&mut self) {
        if self.submitting.is_some() || self.refused() {
            return;
        }
        let Some(publish) = self.waiting.pop_front() else { return };
        let Some((destinations, record)) = publish.record.clone() else {
            self.pending.push_back((publish, Slot::Nothing));
            return;
        };
        let appender = Arc::clone(&self.appender);
        self.submitting = Some((publish, Box::pin(async move { appender.submit(&destinations, record).await })));
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
        self.gauge.dec_by(i64::try_from(self.len()).unwrap_or_default());
    }
}

fn can_be_cured(error: &AppendError) -> bool {
    matches!(error, AppendError::Full { .. } | AppendError::DiskFull | AppendError::Disk { .. } | AppendError::Behind)
}

async fn settled(front: Option<&mut (Publish, Slot)>) -> Result<(), AppendError> {
    match front {
        Some((_, Slot::Append(append))) => append.await,
        Some((_, Slot::Nothing)) => Ok(()),
        None => std::future::pending().await,
    }
}

async fn started(submitting: &mut Option<(Publish, Boxed<PendingAppend>)>) -> PendingAppend {
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
