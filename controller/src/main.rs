//! `edge-controller`: the agent of every EdgeDeployment of a cluster.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use edge_controller::run;
use edge_controller::settings::RunArguments;
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(version, about = "Turns EdgeDeployments into hubs and modules")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Reconcile until told to stop
    Run(Box<RunArguments>),
}

fn main() -> ExitCode {
    let Arguments { command: Command::Run(arguments) } = Arguments::parse();
    let filter = EnvFilter::try_new(&arguments.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(std::io::stderr).init();
    // One thread suffices: the work is waiting for the API server, and every thread costs memory.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "failed to start");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run::run(*arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes: Vec<_> = std::iter::successors(std::error::Error::source(&error), |error| error.source())
                .map(ToString::to_string)
                .collect();
            tracing::error!(cause = causes.join(": "), "{error}");
            ExitCode::FAILURE
        }
    }
}
