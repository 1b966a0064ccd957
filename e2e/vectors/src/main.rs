//! Runs a file of reference vectors: inputs, and what IoT Edge makes of them. Each goes through the library that the hub runs; this
//! program only brings inputs into form and compares results. Where the hub differs on purpose, the record is listed in
//! [`deviations`], with the reason.
//!
//! # The file
//! A JSON array of objects with `area`, `id`, `expected` and what the area needs. Records of the area `fixture` define the messages
//! that others name.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is its purpose")]

mod areas;
mod deviations;
mod record;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use record::Records;
use report::Report;

/// Runs reference vectors against the hub's libraries, and says by area how many agree.
///
/// Ends with 1 if a record differs that is not listed as a deviation, if one that is listed agrees, differs in another way or is not in
/// the file, or if there is nothing to run.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The file of vectors.
    file: PathBuf,
    /// Only areas whose names begin with one of these.
    #[arg(long = "area", value_name = "PREFIX")]
    areas: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(report) => {
            print!("{report}");
            if report.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Report, Error> {
    let records = Records::read(&arguments.file)?;
    let selected = areas::select(&arguments.areas).map_err(|prefix| Error::NoSuchArea { prefix })?;
    let mut report = Report::new(&records, &selected);
    for area in selected {
        let mut count = 0;
        for record in records.of(area.name) {
            report.add(area.name, record, &(area.check)(record, &records)?);
            count += 1;
        }
        if count == 0 {
            return Err(Error::NoRecords { area: area.name });
        }
    }
    if arguments.areas.is_empty() {
        report.miss_deviations();
    }
    Ok(report)
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Record(#[from] record::Error),
    #[error("no area that this program knows begins with {prefix:?}; it knows {}", areas::names())]
    NoSuchArea { prefix: String },
    #[error("the file has no record of area {area}")]
    NoRecords { area: &'static str },
}

#[cfg(test)]
mod tests;
