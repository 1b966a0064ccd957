//! The cleaner thread: what is done for the journal beside appending.
//!
//! When room is short it moves the records that are still wanted out of segments that hold few of them, so that the segments can be used
//! again; every so often it ends what has expired in queues that nobody reads, and has the clock noted. Nothing depends on it but room:
//! when it fails, the segments stay as they are, and it tries again after a pause.
//!
//! It works in steps of bounded size. Where the numbers of the queues do not tell how much is wanted of a segment, it is read once to
//! learn that, and once more to be copied. The copy is written whole, synced and named before the originals are given back, and its
//! head says which generations it takes the place of; so after a crash at any point either the originals or the copy are in force.
//! What is found damaged is noted, as by a reader.

mod copy;
mod moving;

use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tracing::warn;

use self::moving::{Mover, Step};
use super::shared::Shared;
use super::writer::WriterHandle;

/// Time between two looks for what has expired.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two notes of the clock while something waits that will expire: so much of its life may be forgotten when the machine
/// loses power.
const CLOCK_INTERVAL: Duration = Duration::from_mins(1);
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Tells whoever waits that nobody cleans any more, also after a panic.
struct Ending<'a>(&'a Shared);
impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.cleaner_has_ended();
    }
}

/// Starts the thread.
pub(crate) fn start(shared: &Arc<Shared>, writer: Weak<WriterHandle>) -> io::Result<()> {
    shared.cleaning().runs = true;
    let cleaned = Arc::clone(shared);
    let thread = thread::Builder::new().name("journal-cleaner".to_owned()).spawn(move || run(&cleaned, &writer));
    thread.map(|_| ()).inspect_err(|_| shared.cleaner_has_ended())
}

/// Runs until the writer has ended.
fn run(shared: &Shared, writer: &Weak<WriterHandle>) {
    let _ending = Ending(shared);
    let mut mover = Mover::default();
    let (mut swept, mut noted) = (Instant::now(), Instant::now());
    // After a failure: when to try again, whether or not somebody asks.
    let mut retry_at: Option<Instant> = None;
    loop {
        let mut cleaning = shared.cleaning();
        if !cleaning.wanted && !cleaning.stop {
            let sweep_in = SWEEP_INTERVAL.saturating_sub(swept.elapsed());
            let retry_in = retry_at.map_or(sweep_in, |at| at.saturating_duration_since(Instant::now()));
            let waited = shared.wanted.wait_timeout(cleaning, sweep_in.min(retry_in));
            cleaning = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        if cleaning.stop {
            return;
        }
        let wanted = std::mem::replace(&mut cleaning.wanted, false);
        cleaning.busy = true;
        drop(cleaning);

        if swept.elapsed() >= SWEEP_INTERVAL {
            swept = Instant::now();
            sweep(shared, writer);
            if noted.elapsed() >= CLOCK_INTERVAL {
                noted = Instant::now();
                note_clock(shared, writer);
            }
        }
        let mut step = Step::Nothing;
        if (wanted && retry_at.is_none()) || retry_at.is_some_and(|at| at <= Instant::now()) {
            // Expired records are room, too.
            sweep(shared, writer);
            let outcome = mover.step(shared);
            if let Err(error) = &outcome {
                warn!(%error, "records could not be moved to make room: trying again later");
            }
            let is_stuck = matches!(outcome, Err(_) | Ok(Step::NoSpace));
            retry_at = is_stuck.then(|| Instant::now() + RETRY_PAUSE);
            step = outcome.unwrap_or(Step::Nothing);
        }
        let mut cleaning = shared.cleaning();
        cleaning.busy = false;
        cleaning.looked += u64::from(step != Step::Undecided);
        cleaning.moved += u64::from(step == Step::Moved);
        // Perhaps there is more to move.
        cleaning.wanted |= matches!(step, Step::Moved | Step::Undecided);
        drop(cleaning);
        shared.cleaned.notify_all();
        if step == Step::Moved {
            shared.room_was_made();
        }
    }
}

fn sweep(shared: &Shared, writer: &Weak<WriterHandle>) {
    let now = shared.time.now();
    let mut ledger = shared.ledger();
    let swept = ledger.sweep(now);
    drop(ledger);
    if swept.tell_writer {
        WriterHandle::cursors_moved(writer);
    }
    if swept.records > 0 {
        shared.room_was_made();
    }
}

fn note_clock(shared: &Shared, writer: &Weak<WriterHandle>) {
    let mut ledger = shared.ledger();
    let due = ledger.something_expires();
    ledger.clock_is_due |= due;
    drop(ledger);
    if due {
        WriterHandle::cursors_moved(writer);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::destination::{Destination, Destinations};
    use crate::journal::{Journal, JournalOptions};

    #[tokio::test]
    async fn a_nearly_full_journal_is_not_looked_through_with_each_commit() {
        let directory = tempfile::tempdir().unwrap();
        let options = JournalOptions { segment_bytes: 64 * 1024, max_bytes: 16 * 64 * 1024, ..JournalOptions::DEFAULT };
        let (journal, _) = Journal::open(directory.path(), options).unwrap();
        let endpoint = Destinations::from(Destination::new("a".parse().unwrap()));
        while !journal.shared.ledger().room_is_short() {
            journal.append(&endpoint, Bytes::from(vec![0; 8 * 1024])).await.unwrap();
        }
        let before = journal.shared.cleaning().looked;
        for _ in 0..50 {
            journal.append(&endpoint, Bytes::from_static(b"x")).await.unwrap();
        }
        let looked = journal.shared.cleaning().looked - before;
        assert!(looked <= 3, "{looked}");
    }
}
