//! One connection's worth of writing down: subscribe, keep the ledgers, acknowledge, report.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use edge_mqtt::{Connection, Error, Event, Incoming, QoS};
use tokio::time::{MissedTickBehavior, interval};

use crate::ledger::Ledger;
use crate::say;

/// Pause before the next try after a connection broke.
pub(crate) const RETRY: Duration = Duration::from_millis(250);
/// How often the ledgers are printed, if anything came.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// Most ledgers.
const MAX_LEDGERS: usize = 64;

/// The ledgers, by sender.
#[derive(Debug, Default)]
pub(crate) struct Ledgers(BTreeMap<String, Ledger>);

/// Writes down what comes until the connection breaks. `sender_of` tells from a message whose it is.
pub(crate) async fn write_down(
    mut connection: Connection,
    filter: &str,
    ledgers: &mut Ledgers,
    sender_of: fn(&Incoming) -> String,
) -> Result<Infallible, Error> {
    say(if connection.session_present() { "connected, and known" } else { "connected, and not known" });
    let subscription = connection.subscribe(filter, QoS::AtLeastOnce)?;
    let mut ticks = interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut news = false;
    loop {
        tokio::select! {
            event = connection.next() => match event? {
                Event::Message(message) => {
                    ledgers.arrived(sender_of(&message), &message.payload);
                    news = true;
                    if let Some(id) = message.packet_id {
                        connection.acknowledge(id)?;
                    }
                }
                Event::SubAck(id, granted) if id == subscription => say(&format!("subscribed {granted:?}")),
                _ => {}
            },
            _ = ticks.tick(), if news => {
                news = false;
                ledgers.report();
            }
        }
    }
}

impl Ledgers {
    fn arrived(&mut self, sender: String, body: &[u8]) {
        if self.0.contains_key(&sender) || self.0.len() < MAX_LEDGERS {
            self.0.entry(sender).or_default().arrived(body);
        }
    }

    fn report(&self) {
        match serde_json::to_string(&self.0) {
            Ok(text) => say(&format!("ledgers {text}")),
            Err(error) => say(&format!("error: {error}")),
        }
    }
}
