//! What is handed out again once some of it is settled: by a journal in a temporary directory, through what the hub calls of it.
//!
//! The journal numbers its records itself, so of a vector's offsets only the order counts, which is what they say in IoT Edge, too:
//! each offset that is named becomes a record, in that order. A checkpoint is the offset up to which all is settled.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use bytes::Bytes;
use edge_store::{
    AppendError, Journal, JournalOptions, Offset, OpenError, QueueName, QueueNameError, QueueReader, ReadError, ReaderError,
};
use serde_json::{Value, json};

use crate::record;
use crate::record::{Record, Records};
use crate::report::Outcome;

/// The payload of the record behind all others, which is never settled: where reading ends.
const LAST: &[u8] = b"last";
/// Longest that the journal may take to hand out a record.
const PATIENCE: Duration = Duration::from_secs(10);
/// The smallest journal there may be; the records have a few bytes.
const OPTIONS: JournalOptions = JournalOptions { segment_bytes: 64 * 1024, max_bytes: 3 * 64 * 1024, ..JournalOptions::DEFAULT };
/// How the vectors say that nothing which remains is passed over.
const ALL_REMAIN: &str = "every remaining message is still admitted afterwards";

/// Why the journal gave no answer. It counts as a wrong one.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("failed to use a temporary directory: {0}")]
    Directory(#[from] io::Error),
    #[error("the queue has no name: {0}")]
    Name(#[from] QueueNameError),
    #[error("failed to open the journal: {0}")]
    Open(#[from] OpenError),
    #[error("failed to append: {0}")]
    Append(#[from] AppendError),
    #[error("failed to get a reader: {0}")]
    Reader(#[from] ReaderError),
    #[error("failed to read: {0}")]
    Read(#[from] ReadError),
    #[error("nothing was handed out for {PATIENCE:?}")]
    Silent,
    #[error("a record was handed out that nobody appended")]
    Unknown,
}

/// What happens to a queue.
struct Story {
    /// Everything up to it is settled, and the journal is closed and opened again.
    checkpoint: i64,
    /// What is settled then, in this order.
    settled: Vec<i64>,
    /// What else is in the queue.
    others: Vec<i64>,
}

/// What a reader gets, in order.
struct HandedOut {
    /// After the checkpoint was reached and the journal opened again.
    before: Vec<i64>,
    /// After the rest was settled, by a reader that starts again.
    rewound: Vec<i64>,
    /// The same, after the journal was closed and opened once more.
    reopened: Vec<i64>,
}

/// The journal, open, and the reader of its one queue.
struct Queue {
    journal: Journal,
    reader: QueueReader,
}

impl Queue {
    fn open(directory: &tempfile::TempDir, name: &QueueName) -> Result<Self, Error> {
        let (journal, _) = Journal::open(directory.path(), OPTIONS)?;
        let reader = journal.reader(name)?;
        Ok(Self { journal, reader })
    }

    /// Everything up to the last record, and where the journal has it.
    async fn read(&mut self) -> Result<Vec<(i64, Offset)>, Error> {
        let mut records = Vec::new();
        loop {
            let next = tokio::time::timeout(PATIENCE, self.reader.next());
            let record = next.await.map_err(|_| Error::Silent)??;
            if record.payload == LAST {
                return Ok(records);
            }
            let payload: [u8; 8] = record.payload[..].try_into().map_err(|_| Error::Unknown)?;
            records.push((i64::from_le_bytes(payload), record.offset));
        }
    }

    /// The same, without the places.
    async fn named(&mut self) -> Result<Vec<i64>, Error> {
        Ok(self.read().await?.into_iter().map(|(named, _)| named).collect())
    }
}

impl Story {
    fn named(&self) -> BTreeSet<i64> {
        [self.checkpoint].iter().chain(&self.settled).chain(&self.others).copied().collect()
    }

    fn play(&self) -> Result<HandedOut, Error> {
        tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(self.play_out())
    }

    async fn play_out(&self) -> Result<HandedOut, Error> {
        let directory = tempfile::tempdir()?;
        let name: QueueName = "queue".parse()?;
        let mut queue = Queue::open(&directory, &name)?;
        for named in self.named() {
            queue.journal.append(&[name.clone().into()], Bytes::copy_from_slice(&named.to_le_bytes())).await?;
        }
        queue.journal.append(&[name.clone().into()], Bytes::from_static(LAST)).await?;
        let places: BTreeMap<i64, Offset> = queue.read().await?.into_iter().collect();
        queue.reader.settle_all(places.range(..=self.checkpoint).map(|(_, place)| *place));
        queue.journal.close().await;
        drop(queue);

        let mut queue = Queue::open(&directory, &name)?;
        let before = queue.named().await?;
        for place in self.settled.iter().filter_map(|named| places.get(named)) {
            queue.reader.settle(*place);
        }
        queue.reader.rewind();
        let rewound = queue.named().await?;
        queue.journal.close().await;
        drop(queue);

        let mut queue = Queue::open(&directory, &name)?;
        let reopened = queue.named().await?;
        queue.journal.close().await;
        Ok(HandedOut { before, rewound, reopened })
    }
}

/// An offset, which stands there as a number or as its digits.
fn offset(record: &Record, member: &str, value: &Value) -> Result<i64, record::Error> {
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| record.wrong(member, "is no offset"))
}

fn offsets(record: &Record, member: &str) -> Result<Vec<i64>, record::Error> {
    record.list(member)?.iter().map(|value| offset(record, member, value)).collect()
}

fn story(record: &Record) -> Result<Story, record::Error> {
    Ok(Story {
        checkpoint: offset(record, "checkpoint", record.get("checkpoint")?)?,
        settled: offsets(record, "committed")?,
        others: offsets(record, "remaining")?,
    })
}

fn outcome(record: &Record, got: Result<Value, Error>) -> Result<Outcome, record::Error> {
    Ok(Outcome::new(record.expected()?.clone(), got.unwrap_or_else(|error| error.to_string().into())))
}

/// Is a message still handed out when everything up to the checkpoint is settled?
pub(super) fn admits(record: &Record, _: &Records) -> Result<Outcome, record::Error> {
    let message = offset(record, "message_offset", record.get("message_offset")?)?;
    let checkpoint = offset(record, "checkpoint", record.get("checkpoint")?)?;
    let story = Story { checkpoint, settled: Vec::new(), others: vec![message] };
    outcome(record, story.play().map(|handed_out| handed_out.before.contains(&message).into()))
}

/// How far is the queue settled afterwards: for a reader that starts again, and after a restart?
pub(super) fn commits(record: &Record, _: &Records) -> Result<Outcome, record::Error> {
    let story = story(record)?;
    let named = story.named();
    let checkpoint = |handed_out: &[i64]| {
        let last = match handed_out.first() {
            Some(first) => named.range(..first).next_back(),
            None => named.last(),
        };
        last.map_or_else(|| "none".to_owned(), i64::to_string)
    };
    let got = story.play().map(|HandedOut { before: _, rewound, reopened }| {
        let (rewound, reopened) = (checkpoint(&rewound), checkpoint(&reopened));
        if rewound == reopened { reopened.into() } else { json!({"rewound": rewound, "reopened": reopened}) }
    });
    outcome(record, got)
}

/// Is everything handed out again that was not settled, and nothing at once that was?
pub(super) fn remain(record: &Record, _: &Records) -> Result<Outcome, record::Error> {
    let story = story(record)?;
    let got = story.play().map(|HandedOut { before: _, rewound, reopened }| {
        let lost = story.others.iter().find(|named| !(rewound.contains(named) && reopened.contains(named)));
        let again = story.settled.iter().find(|named| rewound.contains(named));
        match (lost, again) {
            (Some(lost), _) => format!("{lost} is passed over: {rewound:?}, after a restart {reopened:?}").into(),
            (None, Some(again)) => format!("{again} is handed out although it was settled: {rewound:?}").into(),
            (None, None) => ALL_REMAIN.into(),
        }
    });
    outcome(record, got)
}
