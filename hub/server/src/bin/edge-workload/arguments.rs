//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use edge_hub::workload::wait::Hub;
use tracing::level_filters::LevelFilter;

/// Longest wait that may be asked for. The kubelet would have given up on the pod long before.
const MAX_TIMEOUT: Duration = Duration::from_hours(1);

/// The workload API of one IoT Edge module.
#[derive(Debug, Parser)]
#[command(name = "edge-workload", version)]
pub(crate) struct Arguments {
    /// How much is logged: error, warn, info or debug.
    #[arg(long, env = "LOG_LEVEL", default_value = "info", global = true)]
    pub(crate) log_level: LevelFilter,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API until terminated.
    Serve(Serve),
    /// Wait until the socket answers, and then a while for the hub.
    Wait(Wait),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where the socket is put; its folder must exist.
    #[arg(long)]
    pub(crate) socket: PathBuf,
    /// Folder with the files device-id, module-id, generation-id, key and encryption-key.
    #[arg(long)]
    pub(crate) identity: PathBuf,
    /// PEM file with the certificates that vouch for the hub.
    #[arg(long)]
    pub(crate) trust_bundle: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// The socket that must answer.
    #[arg(long)]
    pub(crate) socket: PathBuf,
    /// The hub's TLS port, as HOST:PORT. Given up when the time is over.
    #[arg(long, value_parser = parse_hub)]
    pub(crate) hub: Option<Hub>,
    /// PEM file with the certificates that vouch for the hub.
    #[arg(long)]
    pub(crate) trust_bundle: PathBuf,
    /// How long to wait in all, such as 30s or 500ms.
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

fn parse_hub(text: &str) -> Result<Hub, String> {
    let problem = || format!("{text:?} is not of the form HOST:PORT");
    let (host, port) = text.rsplit_once(':').ok_or_else(problem)?;
    let port = port.parse().map_err(|_| problem())?;
    if host.is_empty() || port == 0 { Err(problem()) } else { Ok(Hub { host: host.to_owned(), port }) }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let problem = || format!("{text:?} is not a time such as 30s or 500ms, of at most {MAX_TIMEOUT:?}");
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, Duration::from_millis(1)),
        None => (text.strip_suffix('s').ok_or_else(problem)?, Duration::from_secs(1)),
    };
    let number: u32 = number.parse().map_err(|_| problem())?;
    unit.checked_mul(number).filter(|time| *time <= MAX_TIMEOUT).ok_or_else(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_a_bound() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        for text in ["", "s", "30", "-1s", "1.5s", "3601s", "99999999999s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_hub_is_a_host_and_a_port() {
        let hub = parse_hub("line-7-edgehub:8883").unwrap();
        assert_eq!((hub.host.as_str(), hub.port), ("line-7-edgehub", 8883));
        for text in ["", "host", "host:", ":8883", "host:0", "host:99999"] {
            assert!(parse_hub(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
