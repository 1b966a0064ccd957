//! The load of the tests: numbered messages on one side, a ledger of what arrived on the other.
//!
//! - `edge-load send` is a module: its settings and its token come from the module's environment and workload API, as a device
//!   SDK would get them. It publishes 1, 2, 3 … at QoS 1, repeats in order whatever was not acknowledged when a connection broke,
//!   and ends well when all are acknowledged.
//! - `edge-load receive` is a module, too: it subscribes to its inputs and says, per sender, what came.
//! - `edge-load record` subscribes at the upstream broker and says the same: how far, what is missing, what came late.
//!
//! All say what they know on standard output, one line at a time; tests read it with `kubectl logs`.

mod hub;
mod ledger;
mod receive;
mod record;
mod send;
mod subscriber;
mod workload;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

/// Numbered messages, and who judges what arrived of them.
#[derive(Debug, Parser)]
#[command(version)]
enum Arguments {
    /// Send as a module.
    Send(send::Settings),
    /// Receive as a module.
    Receive(receive::Settings),
    /// Record at the place above.
    Record(record::Settings),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let ended: Result<(), Box<dyn std::error::Error>> = match Arguments::parse() {
        Arguments::Send(settings) => send::run(&settings).await.map_err(Into::into),
        Arguments::Receive(settings) => receive::run(&settings).await.map_err(Into::into),
        Arguments::Record(settings) => record::run(&settings).await.map_err(Into::into),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {}", chain(&*error)));
            ExitCode::FAILURE
        }
    }
}

/// Writes one line. Whoever reads it may be gone; that must not end the load.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
