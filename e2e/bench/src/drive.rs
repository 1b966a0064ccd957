//! One run: publishers on one thread, subscribers on another, from the first message to the last arrival.

use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Error;
use crate::conversation::{Address, Conversation};
use crate::process::own_processor_time;
pub use crate::publisher::{End, Manner, Published};
use crate::stopwatch::Times;
pub use crate::subscriber::Received;
use crate::wire::{Credentials, Template};
use crate::{publisher, subscriber};

/// A client that publishes.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// Who.
    pub who: Credentials,
    /// Where to.
    pub topic: String,
    /// The topic ends in the message's number.
    pub topic_per_message: bool,
}

/// A client that subscribes.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// Who.
    pub who: Credentials,
    /// To what.
    pub filter: String,
    /// Rest after each read; zero: as fast as it can.
    pub pause: Duration,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Load {
    /// Up to a hundred.
    pub publishers: Vec<Publisher>,
    /// Each gets the messages of all publishers, or, if `one_to_one`, those of the publisher with the same place in the list.
    pub subscribers: Vec<Subscriber>,
    /// See `subscribers`.
    pub one_to_one: bool,
    /// How to publish.
    pub manner: Manner,
    /// Go on receiving until all has arrived. Otherwise the subscribers leave when the publishers are done.
    pub wait_for_arrivals: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Messages sent, over all publishers.
    pub published: u64,
    /// First arrivals, over all subscribers.
    pub arrived: u64,
    /// Messages that should have arrived, over all subscribers.
    pub due: u64,
    /// Arrivals beyond the first.
    pub repeated: u64,
    /// First arrivals out of order.
    pub disordered: u64,
    /// From the first message sent to the last arrival.
    pub took: Duration,
    /// From the first message sent to the last acknowledgement.
    pub publishing_took: Duration,
    /// Send to acknowledgement.
    pub acknowledged: Times,
    /// Processor time of this client.
    pub client_time: Duration,
}

impl Outcome {
    /// Messages published, delivered and acknowledged per second.
    pub fn rate(&self) -> f64 {
        count(self.published) / self.took.as_secs_f64().max(1e-9)
    }

    /// Messages that never arrived.
    pub fn lost(&self) -> u64 {
        self.due.saturating_sub(self.arrived)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of messages are far below what a float holds exactly")]
fn count(messages: u64) -> f64 {
    messages as f64
}

/// Does it.
///
/// # Errors
/// Anything but lost, repeated and disordered messages: those are in the outcome.
pub fn run(address: &Address, load: &Load) -> Result<Outcome, Error> {
    let client_time = own_processor_time();
    let (expected, expectation) = watch::channel(None);
    let receiving = runtime()?;
    let at_most_once = load.manner.window == 0;
    let conversations = receiving.block_on(subscribe(address, &load.subscribers, u8::from(!at_most_once)))?;
    let manners: Vec<_> = load.subscribers.iter().map(|subscriber| subscriber.pause).collect();
    let receiving_thread = thread::spawn(move || {
        receiving.block_on(async move {
            let mut tasks = JoinSet::new();
            for (place, (mut conversation, pause)) in conversations.into_iter().zip(manners).enumerate() {
                let manner = subscriber::Manner { place, expected: expectation.clone(), at_most_once, pause };
                tasks.spawn(async move { subscriber::receive(&mut conversation, manner).await });
            }
            drop(expectation);
            let mut all = Vec::new();
            while let Some(received) = tasks.join_next().await {
                all.push(received.map_err(|_| Error::Thread)??);
            }
            Ok::<_, Error>(all)
        })
    });
    let (begun, published) = runtime()?.block_on(publish(address, load))?;
    let publishing_took = begun.elapsed();
    let per_publisher: Vec<u64> = published.iter().map(|one| one.messages).collect();
    let messages: u64 = per_publisher.iter().sum();
    let acknowledged = published.into_iter().fold(Times::default(), |mut times, one| {
        times.join(one.acknowledged);
        times
    });
    let due: Vec<u64> = match (load.wait_for_arrivals, load.one_to_one) {
        // What has come by now is enough.
        (false, _) => vec![0; load.subscribers.len()],
        (true, true) => per_publisher,
        (true, false) => vec![messages; load.subscribers.len()],
    };
    expected.send_replace(Some(due.into()));
    let received = receiving_thread.join().map_err(|_| Error::Thread)??;
    let last = received.iter().map(|received| received.last).max().unwrap_or(begun);
    let sum = |figure: fn(&Received) -> u64| received.iter().map(figure).sum::<u64>();
    Ok(Outcome {
        published: messages,
        arrived: sum(|received| received.messages),
        due: if load.one_to_one { messages } else { messages * received.len() as u64 },
        repeated: sum(|received| received.repeated),
        disordered: sum(|received| received.disordered),
        took: last.saturating_duration_since(begun).max(publishing_took),
        publishing_took,
        acknowledged,
        client_time: own_processor_time().saturating_sub(client_time),
    })
}

fn runtime() -> Result<Runtime, Error> {
    Builder::new_current_thread().enable_all().build().map_err(|source| Error::Start { program: "the client".to_owned(), source })
}

async fn subscribe(address: &Address, subscribers: &[Subscriber], qos: u8) -> Result<Vec<Conversation>, Error> {
    let mut conversations = Vec::new();
    for subscriber in subscribers {
        let mut conversation = Conversation::open(address, &subscriber.who).await?;
        conversation.subscribe(&subscriber.filter, qos).await?;
        conversation.expect_many();
        conversations.push(conversation);
    }
    Ok(conversations)
}

async fn publish(address: &Address, load: &Load) -> Result<(Instant, Vec<Published>), Error> {
    let mut conversations = Vec::new();
    for publisher in &load.publishers {
        let mut conversation = Conversation::open(address, &publisher.who).await?;
        conversation.expect_many();
        conversations.push(conversation);
    }
    let qos = u8::from(load.manner.window > 0);
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (place, (mut conversation, publisher)) in conversations.into_iter().zip(&load.publishers).enumerate() {
        let template = Template::new(&publisher.topic, qos, place, publisher.topic_per_message);
        let manner = load.manner;
        tasks.spawn(async move { Ok::<_, Error>((place, publisher::publish(&mut conversation, &template, manner).await?)) });
    }
    let mut published = Vec::new();
    while let Some(one) = tasks.join_next().await {
        published.push(one.map_err(|_| Error::Thread)??);
    }
    published.sort_by_key(|(place, _)| *place);
    Ok((begun, published.into_iter().map(|(_, one)| one).collect()))
}
