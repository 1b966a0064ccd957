//! The lines of `bench-hub`: what is sent, beside whom it is measured, and what is asked of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;
use crate::conversation::Address;
use crate::drive::{self, End, Load, Manner, Outcome, Publisher, Subscriber};
use crate::hub::{self, DEVICE, Hub, Plan};
use crate::mosquitto::Mosquitto;
use crate::process::Process;
use crate::stopwatch::Times;
use crate::sync_time;

/// Bytes that a measured hub may keep: far more than any line leaves behind.
const JOURNAL_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// The most that can be configured. Mosquitto's subscribers are not limited at all: the window of a line is the publisher's.
const DELIVERY_WINDOW: u32 = 1000;
/// Small writes that are timed beside each repeat of a line about latency.
const SYNCS: usize = 500;

/// Where the messages of the publishers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// All to one subscriber.
    ToOne,
    /// Each publisher's to a subscriber of its own.
    OneToOne,
    /// All to each of so many subscribers.
    ToEach(usize),
}

/// What is asked of the hub.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// So many times mosquitto's rate.
    TimesMosquitto(f64),
    /// So much of the rate that the hub has without conditions.
    OfUnconditional(f64),
    /// The median acknowledgement within so many times the median of a synced write.
    TimesSync(f64),
}

/// One line.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// What it is called.
    pub name: &'static str,
    /// How many publish.
    pub publishers: usize,
    /// Messages in flight of each; 0: quality of service 0.
    pub window: usize,
    /// Where to.
    pub shape: Shape,
    /// Over TLS.
    pub tls: bool,
    /// What is asked.
    pub target: Target,
}

const fn line(name: &'static str, publishers: usize, window: usize, shape: Shape, target: Target) -> Line {
    Line { name, publishers, window, shape, tls: false, target }
}

/// All of them.
pub const LINES: [Line; 9] = [
    line("window 100", 1, 100, Shape::ToOne, Target::TimesMosquitto(2.0)),
    line("window 1000", 1, 1000, Shape::ToOne, Target::TimesMosquitto(5.0)),
    line("20 publishers, window 20", 20, 20, Shape::ToOne, Target::TimesMosquitto(4.0)),
    line("20 publishers to 20 inputs", 20, 20, Shape::OneToOne, Target::TimesMosquitto(3.0)),
    line("one output to 5 inputs", 1, 100, Shape::ToEach(5), Target::TimesMosquitto(2.0)),
    line("qos 0", 1, 0, Shape::ToOne, Target::TimesMosquitto(1.2)),
    Line { tls: true, ..line("window 100, tls", 1, 100, Shape::ToOne, Target::TimesMosquitto(2.0)) },
    line("one in flight", 1, 1, Shape::ToOne, Target::TimesSync(1.5)),
    line("three conditions, window 1000", 1, 1000, Shape::ToOne, Target::OfUnconditional(0.7)),
];

/// How to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The hub's program.
    pub hub: PathBuf,
    /// Mosquitto's program.
    pub mosquitto: PathBuf,
    /// Everything is below it; on the disk that is to be measured.
    pub folder: PathBuf,
    /// For how long each repeat publishes.
    pub time: Duration,
    /// Repeats of each contender, taken in turn.
    pub repeats: usize,
}

/// One contender's repeats.
#[derive(Debug, Default)]
pub struct Series {
    /// Who.
    pub name: &'static str,
    /// Messages per second, per repeat.
    pub rates: Vec<f64>,
    /// Send to acknowledgement, over all repeats.
    pub acknowledged: Times,
    /// Messages lost, and first arrivals out of order, over all repeats.
    pub lost: u64,
    /// First arrivals out of order.
    pub disordered: u64,
    /// Arrivals beyond the first.
    pub repeated: u64,
    /// Published over all repeats.
    pub published: u64,
    /// Processor time of the server, over all repeats.
    pub server_time: Duration,
    /// Processor time of the client, over all repeats.
    pub client_time: Duration,
    /// How long all repeats took.
    pub took: Duration,
}

/// A line measured: the hub, and what it is measured beside.
#[derive(Debug)]
pub struct Measured {
    /// The hub.
    pub hub: Series,
    /// Mosquitto, or the hub without conditions.
    pub beside: Series,
    /// Small synced writes in the hub's directory, before and after each repeat; empty where nobody asks.
    pub syncs: Times,
}

enum Server {
    Hub(Box<Hub>),
    Mosquitto(Mosquitto),
}

impl Server {
    fn process(&self) -> &Process {
        match self {
            Self::Hub(hub) => &hub.process,
            Self::Mosquitto(mosquitto) => &mosquitto.process,
        }
    }

    fn address(&self) -> &Address {
        match self {
            Self::Hub(hub) => &hub.address,
            Self::Mosquitto(mosquitto) => &mosquitto.address,
        }
    }
}

impl Line {
    /// Measures it: the contenders take turns, so that a machine that slows down slows both.
    pub fn measure(&self, settings: &Settings) -> Result<Measured, Error> {
        let folder = settings.folder.join(self.name.replace([' ', ','], "-"));
        let conditional = matches!(self.target, Target::OfUnconditional(_));
        let hub = Server::Hub(Box::new(self.plan(settings, &folder.join("hub"), conditional).start()?));
        let first = hub::credentials(&publisher(0))?;
        let beside = if conditional {
            Server::Hub(Box::new(self.plan(settings, &folder.join("unconditional"), false).start()?))
        } else {
            Server::Mosquitto(Mosquitto::start(&settings.mosquitto, &folder.join("mosquitto"), self.tls, &first)?)
        };
        let mut measured = Measured {
            hub: Series { name: "hub", ..Series::default() },
            beside: Series { name: if conditional { "unconditional" } else { "mosquitto" }, ..Series::default() },
            syncs: Times::default(),
        };
        for _ in 0..settings.repeats {
            if matches!(self.target, Target::TimesSync(_)) {
                measured.syncs.join(sync_time::measure(&folder, SYNCS)?);
            }
            self.repeat(settings, &hub, &mut measured.hub)?;
            self.repeat(settings, &beside, &mut measured.beside)?;
        }
        drop((hub, beside));
        std::fs::remove_dir_all(&folder).map_err(Error::file("remove", &folder))?;
        Ok(measured)
    }

    fn repeat(&self, settings: &Settings, server: &Server, series: &mut Series) -> Result<(), Error> {
        let load = self.load(settings, matches!(server, Server::Hub(_)))?;
        let before = server.process().processor_time()?;
        let outcome = drive::run(server.address(), &load)?;
        series.server_time += server.process().processor_time()?.saturating_sub(before);
        series.add(outcome);
        Ok(())
    }

    fn plan(&self, settings: &Settings, folder: &Path, conditional: bool) -> Plan {
        let condition = if conditional { " WHERE level > '5' AND unit = 'C' AND $body.level < 9" } else { "" };
        let to = |subscriber: usize, from: &str| {
            format!("FROM {from}{condition} INTO BrokeredEndpoint(\"/modules/{}/inputs/in\")", self::subscriber(subscriber))
        };
        let routes = match self.shape {
            Shape::OneToOne => (0..self.publishers)
                .map(|place| to(place, &format!("/messages/modules/{}/outputs/out", publisher(place))))
                .collect(),
            _ => (0..self.subscribers()).map(|place| to(place, "/messages/*")).collect(),
        };
        let modules = (0..self.publishers).map(publisher).chain((0..self.subscribers()).map(subscriber)).collect();
        Plan {
            program: settings.hub.clone(),
            folder: folder.to_owned(),
            routes,
            modules,
            tls: self.tls,
            max_journal_bytes: JOURNAL_BYTES,
            delivery_window: DELIVERY_WINDOW,
            environment: Vec::new(),
        }
    }

    fn subscribers(&self) -> usize {
        match self.shape {
            Shape::ToOne => 1,
            Shape::OneToOne => self.publishers,
            Shape::ToEach(subscribers) => subscribers,
        }
    }

    fn load(&self, settings: &Settings, through_the_hub: bool) -> Result<Load, Error> {
        // The same topics for both; only the hub gives them a meaning.
        let properties = match self.target {
            Target::OfUnconditional(_) => "%24.on=out&level=7&unit=C&%24.ct=application%2Fjson&%24.ce=utf-8",
            _ => "%24.on=out",
        };
        let topic = |module: &str| format!("devices/{DEVICE}/modules/{module}/messages/events/{properties}");
        let publishers = (0..self.publishers)
            .map(publisher)
            .map(|module| Ok(Publisher { who: hub::credentials(&module)?, topic: topic(&module), topic_per_message: false }));
        let subscribers = (0..self.subscribers()).map(|place| {
            let module = subscriber(place);
            let filter = match self.shape {
                _ if through_the_hub => format!("devices/{DEVICE}/modules/{module}/inputs/#"),
                Shape::OneToOne => topic(&publisher(place)),
                _ => topic("+"),
            };
            Ok(Subscriber { who: hub::credentials(&module)?, filter, pause: Duration::ZERO })
        });
        Ok(Load {
            publishers: publishers.collect::<Result<_, Error>>()?,
            subscribers: subscribers.collect::<Result<_, Error>>()?,
            one_to_one: self.shape == Shape::OneToOne,
            manner: Manner { window: self.window, in_batches: false, pause: Duration::ZERO, end: End::After(settings.time) },
            wait_for_arrivals: true,
        })
    }
}

impl Series {
    fn add(&mut self, outcome: Outcome) {
        self.rates.push(outcome.rate());
        self.lost += outcome.lost();
        self.disordered += outcome.disordered;
        self.repeated += outcome.repeated;
        self.published += outcome.published;
        self.took += outcome.took;
        self.client_time += outcome.client_time;
        self.acknowledged.join(outcome.acknowledged);
    }
}

fn publisher(place: usize) -> String {
    format!("p{place:02}")
}

fn subscriber(place: usize) -> String {
    format!("s{place:02}")
}
