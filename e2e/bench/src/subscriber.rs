//! Receiving: everything is acknowledged, counted, and compared with what should come next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::Error;
use crate::conversation::Conversation;
use crate::wire::{self, Incoming};

/// Publishers that a subscriber can tell apart: what two digits can name.
const MAX_PUBLISHERS: usize = 100;
/// Nothing came for so long after the last publisher was done: what is missing is lost.
const SILENCE: Duration = Duration::from_secs(20);
/// The same where messages may be lost.
const SILENCE_AT_MOST_ONCE: Duration = Duration::from_secs(2);

/// What a subscriber got.
#[derive(Clone, Debug)]
pub struct Received {
    /// First arrivals.
    pub messages: u64,
    /// Came before.
    pub repeated: u64,
    /// First arrivals that came after one with a larger number.
    pub disordered: u64,
    /// When the last one came.
    pub last: Instant,
}

/// Until when, and how.
#[derive(Clone)]
pub(crate) struct Manner {
    /// Which subscriber of the load this is.
    pub(crate) place: usize,
    /// How many messages there are to come for each subscriber; none: not known yet.
    pub(crate) expected: watch::Receiver<Option<Arc<[u64]>>>,
    /// At QoS 0 messages may be lost.
    pub(crate) at_most_once: bool,
    /// Rest after each read: a slow reader.
    pub(crate) pause: Duration,
}

/// Receives until all that was published has come, or nothing comes any more.
pub(crate) async fn receive(conversation: &mut Conversation, mut manner: Manner) -> Result<Received, Error> {
    let mut next = [0_u64; MAX_PUBLISHERS];
    let mut received = Received { messages: 0, repeated: 0, disordered: 0, last: Instant::now() };
    let mut out = Vec::new();
    let mut missed: u64 = 0;
    loop {
        while let Some(packet) = conversation.packet()? {
            let Incoming::Publish { id, body } = packet else {
                let what = format!("{packet:?} where messages were due");
                return Err(Error::Unexpected { client: conversation.who().to_owned(), what });
            };
            match wire::origin(body).and_then(|(publisher, number)| Some((next.get_mut(publisher)?, number))) {
                Some((next, number)) if number >= *next => {
                    missed += number - *next;
                    *next = number + 1;
                    received.messages += 1;
                }
                // Late, if it is one of those that were missed; there is no telling which without remembering all.
                Some(_) if missed > 0 => {
                    missed -= 1;
                    received.messages += 1;
                    received.disordered += 1;
                }
                _ => received.repeated += 1,
            }
            if let Some(id) = id {
                wire::acknowledge(&mut out, id);
            }
        }
        if !out.is_empty() {
            received.last = Instant::now();
            conversation.write(&out).await?;
            out.clear();
        }
        if !manner.pause.is_zero() {
            tokio::time::sleep(manner.pause).await;
        }
        let expected = manner.expected.borrow().as_ref().and_then(|expected| expected.get(manner.place).copied());
        if expected.is_some_and(|expected| received.messages >= expected) {
            return Ok(received);
        }
        let silence = if manner.at_most_once { SILENCE_AT_MOST_ONCE } else { SILENCE };
        tokio::select! {
            biased;
            read = conversation.read() => read?,
            changed = manner.expected.changed(), if expected.is_none() => if changed.is_err() {
                return Ok(received);
            },
            () = tokio::time::sleep(silence), if expected.is_some() => return Ok(received),
        }
    }
}
