//! What was found, put into the words that `edge-hub store` prints.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::{FileReport, FileState, Found, Inspection, Ledger, QueueReport, Verification};
use crate::journal::slots;
use crate::record::NEVER;

impl Inspection {
    /// Takes over what the ledger knows.
    pub(super) fn describe(&mut self, found: &[Found], ledger: &Ledger) {
        (self.end_offset, self.clock) = (ledger.end_offset, ledger.clock.journal);
        for found in found {
            let Some(segment) = ledger.segments.get(&found.header.generation) else { continue };
            let name = slots::file_name(found.slot);
            let Some(file) = self.files.iter_mut().find(|file| file.name == name) else { continue };
            file.offsets = Some((segment.first_offset, segment.end_offset));
            file.needed_by = segment.needed_by;
            file.state = match (ledger.is_newest(segment.generation), segment.needed_by) {
                (true, _) => FileState::Newest,
                (false, 0) => FileState::Waiting,
                (false, _) => FileState::Needed,
            };
        }
        let mut queues: Vec<_> = ledger.queues.values().collect();
        queues.sort_by(|a, b| (&a.endpoint, a.priority).cmp(&(&b.endpoint, b.priority)));
        self.queues = queues
            .into_iter()
            .map(|queue| {
                let holding = queue.holding_of(queue.cursor.number);
                let oldest = holding.and_then(|holding| ledger.segments.get(&holding.segment));
                QueueReport {
                    name: queue.name(),
                    depth: queue.depth(),
                    bytes: queue.held_bytes(),
                    numbers: (queue.cursor.number, queue.next.number),
                    oldest_in: oldest.map(|segment| slots::file_name(segment.slot)),
                    expires: holding.map(|holding| holding.expires).filter(|expires| *expires != NEVER),
                }
            })
            .collect();
    }

    fn written(&self, name: &str) -> Option<SystemTime> {
        self.files.iter().find(|file| file.name == name)?.written
    }
}

impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.pad("newest"),
            Self::Needed => f.pad("needed"),
            Self::Waiting => f.pad("waiting"),
            Self::Damaged => f.pad("DAMAGED"),
            Self::UnknownFormat(format) => f.pad(&format!("FORMAT {format}")),
            Self::Unfinished => f.pad("unfinished"),
        }
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u64 = self.files.iter().map(|file| file.bytes).sum();
        writeln!(
            f,
            "journal {}: {} files, {total} bytes, next offset {}",
            self.directory.display(),
            self.files.len(),
            self.end_offset
        )?;
        if self.torn_tail {
            writeln!(f, "the last commit is torn: it was never acknowledged, and is cut when the hub starts")?;
        }
        if self.corrupt_records > 0 {
            writeln!(f, "{} damaged records in the newest segment", self.corrupt_records)?;
        }
        writeln!(
            f,
            "\n{:<12} {:<10} {:>10} {:>9} {:>11} {:>21} {:>6} {:>9}",
            "FILE", "STATE", "BYTES", "KIND", "GENERATION", "OFFSETS", "QUEUES", "WRITTEN"
        )?;
        for file in &self.files {
            write_file(f, file)?;
        }
        writeln!(
            f,
            "\n{:<40} {:>10} {:>12} {:>10} {:>10} {:>9} {:>12}",
            "QUEUE", "DEPTH", "BYTES", "CURSOR", "NEXT", "OLDEST", "EXPIRES IN"
        )?;
        for queue in &self.queues {
            let QueueReport { name, depth, bytes, numbers: (cursor, next), oldest_in, expires } = queue;
            let oldest = age(oldest_in.as_deref().and_then(|name| self.written(name)));
            let expires = expires.map_or("-".to_owned(), |at| duration(Duration::from_millis(at.saturating_sub(self.clock))));
            let oldest = if *depth == 0 { "-".to_owned() } else { oldest };
            writeln!(f, "{name:<40} {depth:>10} {bytes:>12} {cursor:>10} {next:>10} {oldest:>9} {expires:>12}")?;
        }
        Ok(())
    }
}

fn write_file(f: &mut fmt::Formatter<'_>, file: &FileReport) -> fmt::Result {
    let FileReport { name, state, bytes, written, generation, offsets, sealed: _, needed_by } = file;
    let (kind, covers) = match generation {
        None => ("-", "-".to_owned()),
        Some((generation, _, false)) => ("log", generation.to_string()),
        Some((_, (first, last), true)) => ("compacted", format!("{first}-{last}")),
    };
    let offsets = offsets.map_or("-".to_owned(), |(first, end)| format!("{first}..{end}"));
    writeln!(f, "{name:<12} {state:<10} {bytes:>10} {kind:>9} {covers:>11} {offsets:>21} {needed_by:>6} {:>9}", age(*written))
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, messages, control_records, bytes, damage, torn_tail } = self;
        for damage in damage {
            writeln!(f, "DAMAGE {} at byte {}: {}", damage.file, damage.position, damage.problem)?;
        }
        if *torn_tail {
            writeln!(f, "the last commit is torn, which is no damage: it was never acknowledged")?;
        }
        let verdict = if damage.is_empty() { "no damage".to_owned() } else { format!("{} places are damaged", damage.len()) };
        writeln!(f, "{files} files, {messages} messages and {control_records} other records, {bytes} bytes: {verdict}")
    }
}

/// How long ago, as far as the file system knows.
fn age(written: Option<SystemTime>) -> String {
    let elapsed = written.and_then(|at| at.elapsed().ok());
    elapsed.map_or("-".to_owned(), duration)
}

fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
