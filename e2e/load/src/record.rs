//! The recorder: a subscriber with a session that keeps one ledger per topic.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use edge_mqtt::{Connect, Endpoint, Event, Incoming, QoS};
use tokio::time::{MissedTickBehavior, interval};

use crate::ledger::Ledger;
use crate::say;

/// Pause before the next try after a connection broke.
const RETRY: Duration = Duration::from_millis(250);
/// What a broker gets to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the ledgers are printed, if anything came.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// Most topics that get a ledger.
const MAX_TOPICS: usize = 64;

/// Where to listen, and to what.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// The broker: `mqtt://host[:1883]`.
    #[arg(long)]
    url: String,
    /// The subscription.
    #[arg(long, default_value = "edge/#")]
    filter: String,
    /// Names the session at the broker, which keeps what comes while we are away.
    #[arg(long, default_value = "recorder")]
    client_id: String,
}

/// Records until it is killed: a recorder that could end by itself might end too early.
pub(crate) async fn run(settings: &Settings) -> Result<(), edge_mqtt::Error> {
    let endpoint = Endpoint::from_url(&settings.url)?;
    let connect = Connect {
        endpoint,
        client_id: settings.client_id.clone(),
        username: None,
        password: None,
        keep_alive: Duration::from_secs(20),
        clean_session: false,
        timeout: PATIENCE,
    };
    let mut ledgers = BTreeMap::new();
    loop {
        let Err(error) = connection(&connect, &settings.filter, &mut ledgers).await;
        say(&format!("broken: {}", crate::chain(&error)));
        tokio::time::sleep(RETRY).await;
    }
}

async fn connection(
    connect: &Connect,
    filter: &str,
    ledgers: &mut BTreeMap<String, Ledger>,
) -> Result<std::convert::Infallible, edge_mqtt::Error> {
    let mut connection = connect.open().await?;
    say(if connection.session_present() { "connected, the broker knows us" } else { "connected, the broker does not know us" });
    let subscription = connection.subscribe(filter, QoS::AtLeastOnce)?;
    let mut ticks = interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut news = false;
    loop {
        tokio::select! {
            event = connection.next() => match event? {
                Event::Message(message) => {
                    write_down(&message, ledgers);
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
                report(ledgers);
            }
        }
    }
}

fn write_down(message: &Incoming, ledgers: &mut BTreeMap<String, Ledger>) {
    let topic = message.topic.to_string();
    if ledgers.contains_key(&topic) || ledgers.len() < MAX_TOPICS {
        ledgers.entry(topic).or_default().arrived(&message.payload);
    }
}

fn report(ledgers: &BTreeMap<String, Ledger>) {
    match serde_json::to_string(ledgers) {
        Ok(text) => say(&format!("ledgers {text}")),
        Err(error) => say(&format!("error: {error}")),
    }
}
