//! The receiver: a module that subscribes to its inputs.

use std::convert::Infallible;

use clap::Args;
use edge_mqtt::Incoming;

use crate::hub::{self, Session};
use crate::say;
use crate::subscriber::{Ledgers, RETRY, write_down};
use crate::workload::Environment;

/// Who receives.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    environment: Environment,
}

/// Receives until it is killed.
pub(crate) async fn run(settings: &Settings) -> Result<(), Infallible> {
    let Environment { device_id, module_id, .. } = &settings.environment;
    let filter = format!("devices/{device_id}/modules/{module_id}/inputs/#");
    let mut ledgers = Ledgers::default();
    loop {
        match hub::open(&settings.environment, Session::Kept).await {
            Ok(connection) => {
                let Err(error) = write_down(connection, &filter, &mut ledgers, sender_of).await;
                say(&format!("broken: {}", crate::chain(&error)));
            }
            Err(error) => say(&format!("not connected: {}", crate::chain(&error))),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// The module that sent a message, which the hub stamps into its topic.
fn sender_of(message: &Incoming) -> String {
    let properties = message.topic.rsplit('/').next().unwrap_or_default();
    let sender = properties.split('&').find_map(|pair| pair.strip_prefix("%24.cmid="));
    sender.unwrap_or("(unknown)").to_owned()
}
