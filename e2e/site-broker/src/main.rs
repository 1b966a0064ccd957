//! The MQTT broker of a site: what an EdgeDeployment's `upstream.mqtt` points to in the demo and in tests.
//!
//! It is `rumqttd`, configured small, plus one subscriber to everything that prints each message as a line of JSON on standard
//! output, so that `kubectl logs deploy/site-broker` shows what has arrived. Its own log goes to standard error.
//!
//! Never in production: rumqttd keeps nothing on disk and acknowledges before it has stored (decision record 0001). No TLS either.

mod broker;
mod line;
mod users;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// An MQTT 3.1.1 broker that prints every message it gets.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address and port to listen on.
    #[arg(long, default_value = "0.0.0.0:1883")]
    listen: SocketAddr,
    /// File with one `name:password` per line; without it anybody may connect.
    #[arg(long)]
    users: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,edge_site_broker=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    // The router is one thread, and without it every client hangs. Better to end, and be started again.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(101);
    }));
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let users = arguments.users.map(|path| users::read(&path)).transpose()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stopped = broker::start(arguments.listen, users)?;
    tokio::select! {
        // Nothing is kept on disk, so there is nothing to finish.
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        why = stopped => Err(why.unwrap_or_else(|_| "the broker ended without a reason".to_owned()).into()),
    }
}
