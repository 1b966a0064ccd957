//! The recorder: a subscriber at the place above, with a session there.

use std::time::Duration;

use clap::Args;
use edge_mqtt::{Connect, Endpoint, Error};

use crate::say;
use crate::subscriber::{Ledgers, RETRY, write_down};

/// What a broker gets to answer.
const PATIENCE: Duration = Duration::from_secs(10);

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
pub(crate) async fn run(settings: &Settings) -> Result<(), Error> {
    let connect = Connect {
        endpoint: Endpoint::from_url(&settings.url)?,
        client_id: settings.client_id.clone(),
        username: None,
        password: None,
        keep_alive: Duration::from_secs(20),
        clean_session: false,
        timeout: PATIENCE,
    };
    let mut ledgers = Ledgers::default();
    loop {
        let error = match connect.open().await {
            Ok(connection) => {
                let Err(error) =
                    write_down(connection, &settings.filter, &mut ledgers, |message| message.topic.to_string()).await;
                error
            }
            Err(error) => error,
        };
        say(&format!("broken: {}", crate::chain(&error)));
        tokio::time::sleep(RETRY).await;
    }
}
