//! `bench-disk`: bytes written to the block device per byte of record, from the device's own counter.
//!
//! The folder must be on a file system that has the device for itself; `run.sh` makes one on a loop device.

use std::path::{Path, PathBuf};
use std::time::Duration;

use edge_protocol::configuration::DEFAULT_DELIVERY_WINDOW;
use edge_protocol::date;
use edge_protocol::message::Message;
use edge_protocol::system_properties::SystemProperties;

use crate::Error;
use crate::drive::{self, End, Load, Manner, Publisher, Subscriber};
use crate::hub::{self, DEVICE, Hub, Plan};
use crate::report::{self, Verdict};
use crate::wire::BODY_BYTES;

/// Messages that wait for their acknowledgement together.
const BATCH: usize = 100;
/// Messages before the counting begins: every file that the journal uses has been filled by then.
const WARM_UP: u64 = 100_000;
/// Messages that are counted.
const COUNTED: u64 = 200_000;
/// The SD card's case: one message at a time, so many, ten a second.
const SLOW_MESSAGES: u64 = 300;
const SLOW_PAUSE: Duration = Duration::from_millis(100);
/// Bytes that the hub may keep.
const JOURNAL_BYTES: u64 = 512 * 1024 * 1024;
/// Bytes of a sector in the kernel's counters, whatever the device's.
const SECTOR_BYTES: u64 = 512;

/// Bytes of a record beside its message, and of each of its destinations: the format at the top of the store's `record.rs`.
const RECORD_HEAD_BYTES: usize = 20;
const RECORD_ENTRY_BYTES: usize = 20;

/// What and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The hub's program.
    pub hub: PathBuf,
    /// On the device.
    pub folder: PathBuf,
    /// `/sys/block/<device>/stat`.
    pub counter: PathBuf,
}

/// Bytes of a message of the load, in a record with so many destinations.
fn record_bytes(destinations: usize) -> Result<u64, Error> {
    let from = format!("{DEVICE}/sender").parse().map_err(|_| Error::Token { client: "sender".to_owned() })?;
    let (system, body) = (SystemProperties::new(), vec![0; BODY_BYTES].into());
    let mut message = Message { from, output: None, system, properties: Vec::new(), body };
    // As long as any: a UUID, and a time to the tenth of a microsecond.
    message.system.stamp("0".repeat(36), date::round_trip(0));
    Ok((message.encode().len() + RECORD_HEAD_BYTES + destinations * RECORD_ENTRY_BYTES) as u64)
}

/// Measures all of it.
pub fn measure(settings: &Settings) -> Result<Vec<Verdict>, Error> {
    let steady = Manner { window: BATCH, in_batches: true, pause: Duration::ZERO, end: End::Messages(COUNTED) };
    let rare = Manner { window: 1, in_batches: true, pause: SLOW_PAUSE, end: End::Messages(SLOW_MESSAGES) };
    let one = written(settings, "one reader", &["r0"], &["r0"], steady)?;
    let two = written(settings, "two readers", &["r0", "r1"], &["r0", "r1"], steady)?;
    let lagging = written(settings, "one reader of two lags for good", &["r0", "r1"], &["r0"], steady)?;
    let slow = written(settings, "ten messages a second", &["r0"], &["r0"], rare)?;
    report::figure("device bytes per record byte at 10 messages a second", slow, "");
    Ok(vec![
        report::at_most("device bytes per record byte, readers keep up", one, 1.3, ""),
        report::at_most("the same with two destinations", two, 1.3, ""),
        report::at_most("the same with one destination lagging for good", lagging, 2.6, ""),
    ])
}

fn written(settings: &Settings, name: &str, endpoints: &[&str], readers: &[&str], manner: Manner) -> Result<f64, Error> {
    let into = |module: &&str| format!("FROM /messages/* INTO BrokeredEndpoint(\"/modules/{module}/inputs/in\")");
    let plan = Plan {
        program: settings.hub.clone(),
        folder: settings.folder.join(name.replace(' ', "-")),
        routes: endpoints.iter().map(into).collect(),
        modules: std::iter::once("sender").chain(endpoints.iter().copied()).map(str::to_owned).collect(),
        tls: false,
        max_journal_bytes: JOURNAL_BYTES,
        delivery_window: DEFAULT_DELIVERY_WINDOW,
        environment: Vec::new(),
    };
    let folder = plan.folder.clone();
    let hub = plan.start()?;
    let counted = match manner.end {
        End::Messages(messages) => messages,
        End::After(_) => 0,
    };
    // What is rare fills no file in any time that a measurement has.
    let warm_up = if manner.pause.is_zero() { WARM_UP } else { SLOW_MESSAGES };
    send(&hub, readers, Manner { end: End::Messages(warm_up), pause: Duration::ZERO, ..manner })?;
    let before = device_bytes(settings)?;
    send(&hub, readers, manner)?;
    let bytes = device_bytes(settings)? - before;
    drop(hub);
    std::fs::remove_dir_all(&folder).map_err(Error::file("remove", &folder))?;
    Ok(ratio(bytes, counted * record_bytes(endpoints.len())?))
}

fn send(hub: &Hub, readers: &[&str], manner: Manner) -> Result<(), Error> {
    let subscriber = |module: &&str| {
        let filter = format!("devices/{DEVICE}/modules/{module}/inputs/#");
        Ok(Subscriber { who: hub::credentials(module)?, filter, pause: Duration::ZERO })
    };
    let load = Load {
        publishers: vec![Publisher {
            who: hub::credentials("sender")?,
            topic: format!("devices/{DEVICE}/modules/sender/messages/events/"),
            topic_per_message: false,
        }],
        subscribers: readers.iter().map(subscriber).collect::<Result<_, Error>>()?,
        one_to_one: false,
        manner,
        wait_for_arrivals: true,
    };
    let outcome = drive::run(&hub.address, &load)?;
    if outcome.lost() > 0 {
        return Err(Error::Unexpected { client: "the readers".to_owned(), what: format!("all but {} messages", outcome.lost()) });
    }
    Ok(())
}

/// Bytes that the device was given to write, everything that waits in the kernel included.
fn device_bytes(settings: &Settings) -> Result<u64, Error> {
    let folder = std::fs::File::open(&settings.folder).map_err(Error::file("open", &settings.folder))?;
    rustix::fs::syncfs(&folder).map_err(|error| Error::File {
        operation: "sync the file system of",
        path: settings.folder.clone(),
        source: error.into(),
    })?;
    sectors_written(&settings.counter).map(|sectors| sectors * SECTOR_BYTES)
}

fn sectors_written(counter: &Path) -> Result<u64, Error> {
    let text = std::fs::read_to_string(counter).map_err(Error::file("read", counter))?;
    let field = text.split_whitespace().nth(6).and_then(|field| field.parse().ok());
    field.ok_or_else(|| Error::File {
        operation: "read",
        path: counter.to_owned(),
        source: std::io::ErrorKind::InvalidData.into(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
fn ratio(bytes: u64, of: u64) -> f64 {
    bytes as f64 / (of as f64).max(1.0)
}
