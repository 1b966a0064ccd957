//! Publishing: as much as the window allows, for some time or up to some number.

use std::time::{Duration, Instant};

use crate::Error;
use crate::conversation::{Conversation, PATIENCE};
use crate::stopwatch::Times;
use crate::wire::{Incoming, Template};

/// Bytes written at once.
const WRITE_BYTES: usize = 64 * 1024;

/// How a publisher goes about it.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Messages without acknowledgement at a time; 0: quality of service 0.
    pub window: usize,
    /// Begins a window only when the one before is acknowledged whole.
    pub in_batches: bool,
    /// Pause after each batch.
    pub pause: Duration,
    /// When to stop.
    pub end: End,
}

/// When to stop. All that was sent is still waited for.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// After so long.
    After(Duration),
    /// After so many messages of each publisher.
    Messages(u64),
}

/// What became of it.
#[derive(Debug)]
pub struct Published {
    /// Messages sent, and at QoS 1 acknowledged.
    pub messages: u64,
    /// From a message's sending to its acknowledgement, of one message in flight at a time.
    pub acknowledged: Times,
}

/// Publishes until the end, and waits for the acknowledgements.
pub(crate) async fn publish(conversation: &mut Conversation, template: &Template, manner: Manner) -> Result<Published, Error> {
    let begun = Instant::now();
    let mut out = Vec::with_capacity(WRITE_BYTES + template.len());
    let (mut sent, mut acknowledged) = (0_u64, 0_u64);
    let mut times = Times::default();
    let mut watched: Option<(u64, Instant)> = None;
    loop {
        let may_begin = !manner.in_batches || sent == acknowledged;
        if may_begin && sent > 0 && !manner.pause.is_zero() {
            tokio::time::sleep(manner.pause).await;
        }
        while may_begin && !is_over(manner.end, begun, sent) && has_room(manner.window, sent, acknowledged) {
            let now = Instant::now();
            while out.len() < WRITE_BYTES && has_room(manner.window, sent, acknowledged) && !is_enough(manner.end, sent) {
                if watched.is_none() {
                    watched = Some((sent, now));
                }
                template.write(&mut out, identifier(sent), sent);
                sent += 1;
            }
            conversation.write(&out).await?;
            out.clear();
        }
        if manner.window == 0 || sent == acknowledged && is_over(manner.end, begun, sent) {
            return Ok(Published { messages: sent, acknowledged: times });
        }
        let waited = tokio::time::timeout(PATIENCE, conversation.read()).await;
        waited.map_err(|_| Error::Stuck {
            client: conversation.who().to_owned(),
            what: format!("the acknowledgement of {acknowledged}"),
            waited: PATIENCE,
        })??;
        let client = conversation.who().to_owned();
        while let Some(packet) = conversation.packet()? {
            if packet != (Incoming::PubAck { id: identifier(acknowledged) }) || acknowledged == sent {
                return Err(Error::Unexpected {
                    client,
                    what: format!("{packet:?} where {acknowledged} was to be acknowledged"),
                });
            }
            if let Some((_, since)) = watched.take_if(|watched| watched.0 == acknowledged) {
                times.add(since.elapsed());
            }
            acknowledged += 1;
        }
    }
}

fn has_room(window: usize, sent: u64, acknowledged: u64) -> bool {
    window == 0 || sent - acknowledged < window as u64
}

fn is_over(end: End, begun: Instant, sent: u64) -> bool {
    match end {
        End::After(time) => begun.elapsed() >= time,
        End::Messages(_) => is_enough(end, sent),
    }
}

fn is_enough(end: End, sent: u64) -> bool {
    matches!(end, End::Messages(most) if sent >= most)
}

/// 1 to 65,535, again and again; a window is far smaller.
fn identifier(number: u64) -> u16 {
    u16::try_from(number % u64::from(u16::MAX) + 1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_leave_out_zero_and_come_round() {
        assert_eq!([0, 65_534, 65_535, 131_070].map(identifier), [1, 65_535, 1, 1]);
    }
}
