//! `bench-memory`: what the hub keeps in memory, whatever there is to keep on disk.

use std::path::PathBuf;
use std::time::Duration;

use edge_protocol::configuration::DEFAULT_DELIVERY_WINDOW;
use tokio::runtime::Builder;

use crate::Error;
use crate::conversation::Conversation;
use crate::drive::{self, End, Load, Manner, Publisher, Subscriber};
use crate::hub::{self, DEVICE, Hub, Plan};
use crate::report::{self, Verdict};
use crate::say;

/// Bytes that the hub may keep: room for five million messages of 256 bytes.
const JOURNAL_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// Messages in flight of the publisher.
const WINDOW: usize = 1000;
/// Idle connections: as many as there may be identities.
const CONNECTIONS: usize = 1000;
/// Topics that differ.
const TOPICS: u64 = 200_000;
/// Rest of the slow reader after each read.
const SLOW: Duration = Duration::from_millis(200);
const MEGABYTE: f64 = 1_000_000.0;

/// What and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The hub's program.
    pub hub: PathBuf,
    /// Everything is below it.
    pub folder: PathBuf,
    /// Messages through.
    pub through: u64,
    /// Messages queued.
    pub queued: u64,
}

impl Settings {
    fn plan(&self, name: &str, modules: Vec<String>, tls: bool) -> Plan {
        Plan {
            program: self.hub.clone(),
            folder: self.folder.join(name),
            routes: vec!["FROM /messages/* INTO BrokeredEndpoint(\"/modules/reader/inputs/in\")".to_owned()],
            modules,
            tls,
            max_journal_bytes: JOURNAL_BYTES,
            delivery_window: DEFAULT_DELIVERY_WINDOW,
            environment: Vec::new(),
        }
    }
}

/// Measures all of it.
pub fn measure(settings: &Settings) -> Result<Vec<Verdict>, Error> {
    let mut verdicts = Vec::new();
    verdicts.extend(through(settings)?);
    verdicts.extend(queued(settings)?);
    verdicts.push(idle(settings, false, 10.0)?);
    verdicts.push(idle(settings, true, 24.0)?);
    Ok(verdicts)
}

fn two_clients() -> Vec<String> {
    ["sender", "reader"].map(str::to_owned).into()
}

fn load(messages: u64, topic_per_message: bool, pause: Duration, wait_for_arrivals: bool) -> Result<Load, Error> {
    let property = if topic_per_message { "n=" } else { "" };
    Ok(Load {
        publishers: vec![Publisher {
            who: hub::credentials("sender")?,
            topic: format!("devices/{DEVICE}/modules/sender/messages/events/{property}"),
            topic_per_message,
        }],
        subscribers: vec![Subscriber {
            who: hub::credentials("reader")?,
            filter: format!("devices/{DEVICE}/modules/reader/inputs/#"),
            pause,
        }],
        one_to_one: false,
        manner: Manner { window: WINDOW, in_batches: false, pause: Duration::ZERO, end: End::Messages(messages) },
        wait_for_arrivals,
    })
}

/// Messages through, then as many topics as there are messages.
fn through(settings: &Settings) -> Result<Vec<Verdict>, Error> {
    let hub = settings.plan("through", two_clients(), false).start()?;
    report::figure("after start", megabytes(hub.process.resident_bytes()?), "MB");
    let outcome = drive::run(&hub.address, &load(settings.through, false, Duration::ZERO, true)?)?;
    say(&format!("    {} messages at {:.0}/s, {} lost", outcome.published, outcome.rate(), outcome.lost()));
    let before = hub.process.resident_bytes()?;
    let sound = Verdict::of(outcome.lost() == 0 && outcome.disordered == 0);
    let what = format!("after {} messages", settings.through);
    let resident = report::at_most(&what, megabytes(before), 16.0, "MB");
    report::figure("    most at any time", megabytes(hub.process.most_resident_bytes()?), "MB");
    drive::run(&hub.address, &load(TOPICS, true, Duration::ZERO, true)?)?;
    let more = megabytes(hub.process.resident_bytes()?) - megabytes(before);
    Ok(vec![sound, resident, report::at_most("200000 topics add", more, 2.0, "MB")])
}

/// A reader that does not keep up, and what a start costs with its backlog.
fn queued(settings: &Settings) -> Result<Vec<Verdict>, Error> {
    let mut hub = settings.plan("queued", two_clients(), false).start()?;
    let outcome = drive::run(&hub.address, &load(settings.queued, false, SLOW, false)?)?;
    let waiting = outcome.published - outcome.arrived;
    say(&format!("    {} published at {:.0}/s, {waiting} queued", outcome.published, outcome.rate()));
    let resident = megabytes(hub.process.resident_bytes()?);
    let what = format!("with {} messages queued and a slow reader", settings.queued);
    let mut verdicts = vec![report::at_most(&what, resident, 24.0, "MB")];
    report::figure("    most at any time", megabytes(hub.process.most_resident_bytes()?), "MB");
    hub.process.stop();
    hub.restart()?;
    let ready = |hub: &Hub| hub.ready_after.as_secs_f64() * 1000.0;
    verdicts.push(report::at_most("ready after a stop, with all of them queued", ready(&hub), 1000.0, "ms"));
    hub.restart()?;
    verdicts.push(report::at_most("ready after kill -9, with all of them queued", ready(&hub), 1000.0, "ms"));
    report::figure("    resident after that", megabytes(hub.process.resident_bytes()?), "MB");
    drop(hub);
    let folder = settings.folder.join("queued");
    std::fs::remove_dir_all(&folder).map_err(Error::file("remove", &folder))?;
    Ok(verdicts)
}

/// Connections that do nothing.
fn idle(settings: &Settings, tls: bool, most_kilobytes: f64) -> Result<Verdict, Error> {
    let modules: Vec<String> = (0..CONNECTIONS).map(|place| format!("idle{place:04}")).collect();
    let name = if tls { "idle-tls" } else { "idle" };
    let hub = settings.plan(name, modules.clone(), tls).start()?;
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::Start { program: "the client".to_owned(), source })?;
    let before = hub.process.resident_bytes()?;
    let connections = runtime.block_on(async {
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for module in &modules {
            connections.push(Conversation::open(&hub.address, &hub::credentials(module)?).await?);
        }
        Ok::<_, Error>(connections)
    })?;
    let after = hub.process.resident_bytes()?;
    let each = megabytes(after.saturating_sub(before)) * 1000.0 / f64::from(u16::try_from(connections.len()).unwrap_or(1));
    let what = format!("each of {} idle connections{}", connections.len(), if tls { ", tls" } else { "" });
    Ok(report::at_most(&what, each, most_kilobytes, "kB"))
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below what a float holds exactly")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / MEGABYTE
}
