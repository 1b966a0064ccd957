//! `edge-bench`: runs one measurement and prints its figures; exit code 1 if one misses its target, 2 if there are none.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use edge_bench::report::Verdict;
use edge_bench::{Error, disk, line, memory, report, say};

/// Measures the hub from outside, on loopback.
#[derive(Debug, Parser)]
#[command(version)]
enum Arguments {
    /// Rates and latencies beside mosquitto.
    Hub {
        /// The hub's program.
        #[arg(long)]
        hub: PathBuf,
        /// The broker's program.
        #[arg(long, default_value = "/usr/sbin/mosquitto")]
        mosquitto: PathBuf,
        /// A folder on the disk to be measured; a new one is made in it, and removed.
        #[arg(long)]
        folder: PathBuf,
        /// Seconds that each repeat publishes.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=60))]
        seconds: u64,
        /// Repeats of each contender.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=50))]
        repeats: u16,
        /// Only the lines whose name contains this.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Resident memory and time to start.
    Memory {
        /// The hub's program.
        #[arg(long)]
        hub: PathBuf,
        /// A folder with some gigabytes to spare; a new one is made in it, and removed.
        #[arg(long)]
        folder: PathBuf,
        /// Messages that pass through.
        #[arg(long, default_value_t = 2_000_000)]
        through: u64,
        /// Messages that wait.
        #[arg(long, default_value_t = 5_000_000)]
        queued: u64,
    },
    /// Bytes written to the device.
    Disk {
        /// The hub's program.
        #[arg(long)]
        hub: PathBuf,
        /// A folder on a file system that has its device for itself.
        #[arg(long)]
        folder: PathBuf,
        /// The device's counters, such as /sys/block/loop0/stat.
        #[arg(long)]
        counter: PathBuf,
    },
}

fn main() -> ExitCode {
    let measured = match Arguments::parse() {
        Arguments::Hub { hub, mosquitto, folder, seconds, repeats, only } => below(&folder, |folder| {
            let time = Duration::from_secs(seconds);
            let settings = line::Settings { hub, mosquitto, folder, time, repeats: repeats.into() };
            let wanted: Vec<_> = line::LINES.iter().filter(|line| line.name.contains(&only)).collect();
            wanted.into_iter().map(|line| Ok(report::line(line, &line.measure(&settings)?))).collect()
        }),
        Arguments::Memory { hub, folder, through, queued } => {
            below(&folder, |folder| memory::measure(&memory::Settings { hub, folder, through, queued }))
        }
        Arguments::Disk { hub, folder, counter } => {
            below(&folder, |folder| disk::measure(&disk::Settings { hub, folder, counter }))
        }
    };
    match measured {
        Ok(verdicts) if verdicts.is_empty() => {
            say("nothing was measured");
            ExitCode::from(2)
        }
        Ok(verdicts) => {
            let missed = verdicts.iter().filter(|verdict| **verdict == Verdict::Fail).count();
            say(&format!("{} of {} targets met", verdicts.len() - missed, verdicts.len()));
            if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text.extend([": ", &error.to_string()]);
                cause = error.source();
            }
            say(&text);
            ExitCode::from(2)
        }
    }
}

/// Measures in a new folder below `folder`, which goes when it is done.
fn below(folder: &std::path::Path, measure: impl FnOnce(PathBuf) -> Result<Vec<Verdict>, Error>) -> Result<Vec<Verdict>, Error> {
    let own = tempfile::Builder::new().prefix("bench-").tempdir_in(folder).map_err(Error::file("make a folder in", folder))?;
    measure(own.path().to_owned())
}
