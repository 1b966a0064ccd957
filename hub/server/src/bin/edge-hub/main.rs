//! `edge-hub`: the local IoT Hub of one EdgeDeployment. Needs a configuration directory and a data directory, and no cluster.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use edge_hub::configuration;
use edge_hub::run::{Options, start};
use edge_store::journal::inspect::{inspect, verify};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The local IoT Hub of one edge device: takes messages from modules over MQTT, keeps them on disk, routes them to other modules
/// and to the upstream.
///
/// The configuration directory holds hub.json, identities.json and the files they name; it is read again whenever it changes. A
/// configuration that cannot be used leaves the previous one in force.
#[derive(Parser)]
#[command(version, subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Directory with hub.json and identities.json.
    #[arg(long, value_name = "DIR", env = "EDGE_HUB_CONFIG", required = true)]
    config: Option<PathBuf>,
    /// Directory for messages and sessions; created if missing. One hub at a time may use it.
    #[arg(long, value_name = "DIR", env = "EDGE_HUB_DATA", required_unless_present = "check")]
    data: Option<PathBuf>,
    /// Only check the configuration: say what is wrong with it, or nothing, and exit.
    #[arg(long)]
    check: bool,
    /// What to log: error, warn, info, debug, or a filter such as `info,edge_hub::uplink=debug`.
    #[arg(long, default_value = "info", env = "LOG_LEVEL")]
    log_level: String,
    /// How to log: text or json.
    #[arg(long, default_value = "text", env = "LOG_FORMAT")]
    log_format: edge_hub::logging::Format,
}

#[derive(Subcommand)]
enum Command {
    /// Look at the messages on disk, without a hub running and without changing anything.
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Subcommand)]
enum StoreCommand {
    /// List the journal's files and queues: what waits for whom, how much, since when.
    ///
    /// Reads the heads of the files and the newest of them. The queue of an endpoint is named after it; of a priority other than the
    /// default, with `_Pri0` to `_Pri9` behind.
    Inspect {
        /// The hub's data directory, the journal in it, or a copy of either.
        directory: PathBuf,
    },
    /// Read every record that still waits, and tell which are damaged. Exits with 1 if any is.
    ///
    /// A torn last commit is no damage: the hub died while it wrote it, and had not acknowledged it.
    Verify {
        /// The hub's data directory, the journal in it, or a copy of either.
        directory: PathBuf,
    },
}

fn look_at_store(command: &StoreCommand) -> ExitCode {
    let (StoreCommand::Inspect { directory } | StoreCommand::Verify { directory }) = command;
    let inner = directory.join("journal");
    let directory = if inner.is_dir() { &inner } else { directory };
    let outcome = match command {
        StoreCommand::Inspect { .. } => inspect(directory).map(|inspection| (inspection.to_string(), true)),
        StoreCommand::Verify { .. } => verify(directory).map(|found| (found.to_string(), found.damage.is_empty())),
    };
    match outcome {
        Ok((text, good)) => {
            // Whoever reads only the beginning, as `head` does, has seen enough.
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
            if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => edge_hub::logging::fail(&error),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::Store(command)) = &arguments.command {
        return look_at_store(command);
    }
    if let Err(error) = edge_hub::logging::start(&arguments.log_level, arguments.log_format) {
        return edge_hub::logging::fail(&error);
    }
    // clap demands both, but for --data where only a check is wanted.
    let config = arguments.config.unwrap_or_default();
    let Some(data) = arguments.data.filter(|_| !arguments.check) else {
        return match configuration::load(&config) {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => edge_hub::logging::fail(&error),
        };
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(worker_threads()).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return edge_hub::logging::fail(&error),
    };
    runtime.block_on(serve(Options { config, data }))
}

/// Two serve an edge node's cores; more would only cost memory.
fn worker_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2))
}

async fn serve(options: Options) -> ExitCode {
    let (mut terminate, mut interrupt) = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => return edge_hub::logging::fail(&error),
    };
    let running = match start(&options, CancellationToken::new()).await {
        Ok(running) => running,
        Err(error) => return edge_hub::logging::fail(&error),
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    running.shut_down().await;
    ExitCode::SUCCESS
}
