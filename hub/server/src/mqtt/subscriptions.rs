//! Which queues a client's subscriptions reach, and the delivery tasks that serve them.

use std::collections::HashMap;
use std::sync::Arc;

use edge_protocol::identity::Identity;
use edge_protocol::topic::{EmptyValues, Filter};
use edge_routing::Endpoint;
use edge_store::QueueName;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::delivery::{self, Delivery};
use crate::hub::Hub;
use crate::session::Session;

/// The quality of service granted for an input; none: nothing subscribed reaches it.
pub(crate) fn granted(session: &Session, identity: &Identity, input: &str) -> Option<u8> {
    let reaching = session.subscriptions.iter().filter(|subscription| {
        matches!(Filter::classify(&subscription.filter, identity), Filter::Inputs(filter) if filter.selects(input))
    });
    reaching.map(|subscription| subscription.qos).max()
}

/// Does the client want to hear of the hub's status?
pub(crate) fn wants_status(session: &Session, identity: &Identity) -> bool {
    session.subscriptions.iter().any(|subscription| Filter::classify(&subscription.filter, identity) == Filter::Status)
}

/// The delivery tasks of one connection: one per queue that its subscriptions reach.
pub(crate) struct Deliveries {
    hub: Arc<Hub>,
    identity: Identity,
    empty_values: EmptyValues,
    window: Arc<Semaphore>,
    window_size: usize,
    packets: mpsc::Sender<Delivery>,
    tasks: HashMap<QueueName, JoinHandle<()>>,
}

impl Deliveries {
    /// No tasks yet. What they have to send comes out of the receiver.
    pub(crate) fn new(hub: Arc<Hub>, identity: Identity, empty_values: EmptyValues) -> (Self, mpsc::Receiver<Delivery>) {
        // One place: the window bounds what is in flight, the channel only hands over.
        let (packets, receiver) = mpsc::channel(1);
        let window_size = hub.active.load().delivery_window;
        let window = Arc::new(Semaphore::new(window_size));
        (Self { hub, identity, empty_values, window, window_size, packets, tasks: HashMap::new() }, receiver)
    }

    /// Starts and ends tasks so that they fit the session and the configuration in force.
    pub(crate) async fn adjust(&mut self, session: &Session) {
        let wanted = self.wanted(session);
        let unwanted: Vec<QueueName> = self.tasks.keys().filter(|queue| !wanted.contains_key(*queue)).cloned().collect();
        for queue in unwanted {
            if let Some(task) = self.tasks.remove(&queue) {
                end(task).await;
            }
        }
        for (queue, input) in wanted {
            if self.tasks.contains_key(&queue) {
                continue;
            }
            let task = delivery::Task {
                hub: Arc::clone(&self.hub),
                to: self.identity.clone(),
                empty_values: self.empty_values,
                input: input.into(),
                queue: queue.clone(),
                window: Arc::clone(&self.window),
                window_size: self.window_size,
                packets: self.packets.clone(),
            };
            self.tasks.insert(queue, tokio::spawn(task.run()));
        }
    }

    /// Queues of the routes in force, and those of former routes that still hold messages for this module.
    fn wanted(&self, session: &Session) -> HashMap<QueueName, String> {
        let Some(module) = &self.identity.module else { return HashMap::new() };
        let active = self.hub.active.load();
        let former = self.hub.journal.queues().into_iter().filter(|queue| queue.depth > 0).map(|queue| queue.endpoint);
        let queues = active.queues.values().cloned().chain(former);
        let mine = queues.filter_map(|queue| match Endpoint::from_queue_name(queue.as_str()) {
            Ok(Endpoint::Input { module: to, input }) if to == *module => Some((queue, input)),
            _ => None,
        });
        mine.filter(|(_, input)| granted(session, &self.identity, input).is_some()).collect()
    }

    /// Ends all tasks; their queues are free for another reader afterwards.
    pub(crate) async fn end(self) {
        for (_, task) in self.tasks {
            end(task).await;
        }
    }
}

async fn end(task: JoinHandle<()>) {
    task.abort();
    // An error says that it was aborted, which is what we asked for.
    let _aborted = task.await;
}
