//! Kills a hub at named places of its work, under load, and looks for what was acknowledged and is gone.
//!
//! The hub is a real process built with the feature `failpoints`. It is told the name of a place and how often to pass it; when it
//! comes there it is killed by SIGKILL, and started again with another place. Publishers keep a full window in flight and send again
//! what was not acknowledged, as SDKs do; a subscriber with a persistent session writes down what arrives.
//!
//! # What must hold, over all kills
//! - nothing that was acknowledged is lost: every publisher's numbers arrive without a gap;
//! - nothing is out of order: of the first arrivals, each is the next number of its publisher;
//! - what arrives again was in flight when the hub was killed, or settled so shortly before that it was not saved yet;
//! - every named place was hit as often as asked for.
//!
//! SIGKILL leaves the page cache alone, so a missing fsync cannot be seen here: the store's power cuts are for that. An acknowledgement
//! that comes before its record is written can: see `--sabotage`.

mod ledger;
mod load;
mod plan;
mod rig;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use edge_bench::say;

/// Kills a hub at named places, and looks for what was acknowledged and is gone.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The hub's program, built with the feature `failpoints`.
    #[arg(long)]
    hub: PathBuf,
    /// A folder on a disk; a new one is made in it, and removed unless something is wrong.
    #[arg(long)]
    folder: PathBuf,
    /// How often each place is to be hit.
    #[arg(long, default_value_t = 20)]
    hits: u32,
    /// How many kills in all, at least.
    #[arg(long, default_value_t = 500)]
    kills: u32,
    /// Only places whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// What the hub is told to do wrong (`ack-early`): the run must fail then.
    #[arg(long)]
    sabotage: Option<String>,
}

fn main() -> ExitCode {
    let Arguments { hub, folder, hits, kills, only, sabotage } = Arguments::parse();
    let own = match tempfile::Builder::new().prefix("crash-").tempdir_in(&folder) {
        Ok(own) => own,
        Err(error) => {
            say(&format!("error: no folder can be made in {}: {error}", folder.display()));
            return ExitCode::from(2);
        }
    };
    let plan = plan::Plan::new(hits, kills, &only);
    let ended = rig::start(hub, own.path().to_owned()).and_then(|hub| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.map_err(|_| rig::Error::Client)?.block_on(rig::run(hub, plan, sabotage))
    });
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            say(&format!("what the hub left behind is in {}", own.keep().display()));
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("error: {error}"));
            say(&format!("what the hub left behind is in {}", own.keep().display()));
            ExitCode::from(2)
        }
    }
}
