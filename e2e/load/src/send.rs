//! The sender: a module that publishes numbers and never forgets one before it was acknowledged.

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::time::Duration;

use clap::Args;
use edge_mqtt::Event;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::hub::{self, Session};
use crate::ledger;
use crate::say;
use crate::workload::Environment;

/// Pause before the next try after a connection broke.
const RETRY: Duration = Duration::from_millis(250);
/// Acknowledged messages between two lines of progress.
const REPORT_EVERY: u64 = 250;
/// How often the sender's allowance is topped up.
const TICK: Duration = Duration::from_millis(20);

/// What to send.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    environment: Environment,
    /// The last number.
    #[arg(long)]
    count: u64,
    /// Messages per second, at most.
    #[arg(long, default_value_t = 1000)]
    per_second: u32,
    /// Size of a message.
    #[arg(long, default_value_t = 64)]
    body_bytes: usize,
    /// Sent and not acknowledged, at most. The hub closes a connection at 1,000.
    #[arg(long, default_value_t = 200)]
    window: usize,
    /// The module's output.
    #[arg(long, default_value = "load")]
    output: String,
    /// Give up when nothing was acknowledged for so many seconds.
    #[arg(long, default_value_t = 180)]
    give_up_seconds: u64,
}

/// Why the sender gave up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The hub was away for too long, or takes nothing.
    #[error("nothing was acknowledged for {seconds} s; {acknowledged} messages were")]
    Stuck {
        /// For how long.
        seconds: u64,
        /// How far we got.
        acknowledged: u64,
    },
    /// The hub broke its promise that PUBACKs come in the order of what was published.
    #[error("message {expected} was next, and another was acknowledged")]
    Order {
        /// The message whose PUBACK was due.
        expected: u64,
    },
}

/// Why one connection ended.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Open(#[from] hub::Error),
    #[error(transparent)]
    Mqtt(#[from] edge_mqtt::Error),
    #[error("nothing was acknowledged")]
    Silent,
    #[error(transparent)]
    Final(#[from] Error),
}

/// How far we are. Acknowledged numbers are a row without gaps from 1, because PUBACKs come in order.
struct Progress {
    acknowledged: u64,
    sent: u64,
    since: Instant,
}

/// Sends until everything is acknowledged.
pub(crate) async fn run(settings: &Settings) -> Result<(), Error> {
    let mut progress = Progress { acknowledged: 0, sent: 0, since: Instant::now() };
    let give_up = Duration::from_secs(settings.give_up_seconds);
    loop {
        match connection(settings, &mut progress).await {
            Ok(()) => {
                say(&format!("done {}", progress.acknowledged));
                return Ok(());
            }
            Err(Broken::Final(error)) => return Err(error),
            Err(error) => say(&format!("broken at {}: {}", progress.acknowledged, crate::chain(&error))),
        }
        if progress.since.elapsed() > give_up {
            return Err(Error::Stuck { seconds: settings.give_up_seconds, acknowledged: progress.acknowledged });
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// One connection: first what the last one left unacknowledged, in order, then what follows.
async fn connection(settings: &Settings, progress: &mut Progress) -> Result<(), Broken> {
    let mut connection = hub::open(&settings.environment, Session::Clean).await?;
    say(&format!("connected at {}", progress.acknowledged));
    let topic = topic(settings);
    let mut next = progress.acknowledged + 1;
    let mut unacknowledged: VecDeque<(NonZeroU16, u64)> = VecDeque::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let per_tick = (f64::from(settings.per_second) * TICK.as_secs_f64()).max(1.0);
    let mut allowance = 0.0;
    while progress.acknowledged < settings.count {
        while allowance >= 1.0 && unacknowledged.len() < settings.window && next <= settings.count {
            let body = ledger::body(next, settings.body_bytes);
            let id = connection.publish(&topic, &body, next <= progress.sent)?;
            unacknowledged.push_back((id, next));
            progress.sent = progress.sent.max(next);
            next += 1;
            allowance -= 1.0;
        }
        tokio::select! {
            event = connection.next() => if let Event::PubAck(id) = event? {
                acknowledged(id, &mut unacknowledged, progress)?;
            },
            _ = ticks.tick() => {
                // What was not used in one tick is not saved for a burst later.
                allowance = (allowance + per_tick).min(2.0 * per_tick);
                if unacknowledged.is_empty() {
                    progress.since = Instant::now();
                } else if progress.since.elapsed() > Duration::from_secs(settings.give_up_seconds) {
                    return Err(Broken::Silent);
                }
            }
        }
    }
    // The goodbye is a courtesy: everything is acknowledged.
    let _ = connection.close().await;
    Ok(())
}

fn acknowledged(id: NonZeroU16, waiting: &mut VecDeque<(NonZeroU16, u64)>, progress: &mut Progress) -> Result<(), Error> {
    match waiting.pop_front() {
        Some((first, number)) if first == id => {
            progress.acknowledged = number;
            progress.since = Instant::now();
            if number.is_multiple_of(REPORT_EVERY) {
                say(&format!("acknowledged {number}"));
            }
            Ok(())
        }
        _ => Err(Error::Order { expected: progress.acknowledged + 1 }),
    }
}

/// Where a module's telemetry goes. Test modules have names that need no encoding.
fn topic(settings: &Settings) -> String {
    let Environment { device_id, module_id, .. } = &settings.environment;
    format!("devices/{device_id}/modules/{module_id}/messages/events/%24.on={}/", settings.output)
}
