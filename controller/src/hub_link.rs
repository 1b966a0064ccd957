//! Links to hubs: one MQTT connection per EdgeDeployment, as `$edgeAgent`, over which the hub says how it is.
//!
//! # Invariants
//! - A link reconnects with back-off for as long as its EdgeDeployment exists. It never gives up.
//! - What a hub said counts until a connection attempt fails: a hub that renews its connection is not unknown in between.
//! - Whatever changes asks for a reconcile, over a bounded channel; what does not fit is found by the next resync.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use edge_mqtt::{Connect, Endpoint, Event, QoS};
use edge_protocol::configuration::{STATUS_TOPIC, SymmetricKey};
use edge_protocol::identity::{DeviceId, Identity, ModuleName};
use edge_protocol::sas::{self, UnixSeconds};
use edge_protocol::status::HubStatus;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Where hubs listen.
const MQTT_PORT: u16 = 8883;
/// How long a token counts. The hub closes the connection when it is over, and the next one has a new token.
const TOKEN_LIFE: Duration = Duration::from_hours(1);
/// Longest silence on a connection.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Time for DNS, TCP, TLS and CONNACK together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Wait before the second attempt; doubled up to [`LONGEST_WAIT`].
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Largest status document that is read.
const MAX_STATUS_BYTES: usize = 64 * 1024;
/// Longest description of a problem that is kept, in bytes.
const MAX_PROBLEM_BYTES: usize = 512;

/// Which hub.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HubKey {
    /// Namespace of the EdgeDeployment.
    pub namespace: String,
    /// Its name.
    pub deployment: String,
}

/// What a link needs to know. When any of it changes, the link is made anew.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkTarget {
    /// Host name of the hub, as its certificate has it.
    pub host: String,
    /// Host name in the audience of tokens.
    pub audience_host: String,
    /// The device.
    pub device: DeviceId,
    /// The key of `$edgeAgent`.
    pub key: SymmetricKey,
    /// PEM of the CA.
    pub ca: String,
}

impl fmt::Debug for LinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkTarget({})", self.host)
    }
}

/// What is known of a hub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubReport {
    /// What it said last; absent while it is not reached.
    pub status: Option<HubStatus>,
    /// Why it is not reached.
    pub problem: Option<String>,
}

/// All links. One owner of their state: this struct.
pub struct HubLinks {
    links: Mutex<HashMap<HubKey, Link>>,
    reports: Arc<Mutex<HashMap<HubKey, HubReport>>>,
    changed: mpsc::Sender<HubKey>,
}

struct Link {
    target: LinkTarget,
    task: AbortHandle,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HubLinks {
    /// No links yet; `changed` hears of every change.
    pub fn new(changed: mpsc::Sender<HubKey>) -> Self {
        Self { links: Mutex::default(), reports: Arc::default(), changed }
    }

    /// Starts the link to the hub of `key`, or restarts it for another target.
    pub fn ensure(&self, key: &HubKey, target: LinkTarget) {
        let mut links = locked(&self.links);
        if links.get(key).is_some_and(|link| link.target == target && !link.task.is_finished()) {
            return;
        }
        let teller = Teller { key: key.clone(), reports: Arc::clone(&self.reports), changed: self.changed.clone() };
        let task = tokio::spawn(run(target.clone(), teller)).abort_handle();
        links.insert(key.clone(), Link { target, task });
    }

    /// Ends the link to the hub of `key`, and forgets what it said.
    pub fn stop(&self, key: &HubKey) {
        locked(&self.links).remove(key);
        locked(&self.reports).remove(key);
    }

    /// What is known of the hub of `key`; `None`: there is no link.
    pub fn report(&self, key: &HubKey) -> Option<HubReport> {
        locked(&self.reports).get(key).cloned()
    }

    /// How many hubs are reached.
    pub fn reached(&self) -> usize {
        locked(&self.reports).values().filter(|report| report.status.is_some()).count()
    }
}

/// Nothing that holds one of these locks can panic halfway: every change is one insert or remove.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes down what one hub said.
struct Teller {
    key: HubKey,
    reports: Arc<Mutex<HashMap<HubKey, HubReport>>>,
    changed: mpsc::Sender<HubKey>,
}

impl Teller {
    fn tell(&self, report: &HubReport) {
        let before = locked(&self.reports).insert(self.key.clone(), report.clone());
        let same = before.as_ref() == Some(report);
        // What does not fit into the channel is found by the next resync.
        if !same && self.changed.try_send(self.key.clone()).is_err() {
            tracing::debug!(deployment = self.key.deployment, "the queue of hub changes is full");
        }
    }
}

async fn run(target: LinkTarget, teller: Teller) {
    let mut wait = SHORTEST_WAIT;
    loop {
        let failure = match open(&target).await {
            Ok(connection) => {
                wait = SHORTEST_WAIT;
                tracing::info!(hub = target.host, "connected to the hub");
                let ended = listen(connection, &teller).await;
                tracing::info!(hub = target.host, "the connection to the hub ended: {}", chain(&ended));
                // Perhaps only its time was over: one attempt before anything is said.
                match open(&target).await {
                    Ok(connection) => listen(connection, &teller).await,
                    Err(failure) => failure,
                }
            }
            Err(failure) => failure,
        };
        let problem = chain(&failure);
        tracing::debug!(hub = target.host, problem, "the hub is not reached");
        teller.tell(&HubReport { status: None, problem: Some(problem) });
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Why a link is not up.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("its CA cannot be used")]
    Ca(#[from] edge_mqtt::TlsError),
    #[error("the key of $edgeAgent is not base64")]
    Key(#[from] sas::KeyError),
    #[error(transparent)]
    Mqtt(#[from] edge_mqtt::Error),
    #[error("the hub refused the subscription to its status")]
    Refused,
    #[error("the hub's status cannot be read: {reason}")]
    Status { reason: String },
}

async fn open(target: &LinkTarget) -> Result<edge_mqtt::Connection, LinkError> {
    let agent = Identity::of_module(target.device.clone(), ModuleName::edge_agent());
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    let expiry = UnixSeconds(now.saturating_add(TOKEN_LIFE.as_secs()));
    let token = sas::sign(&target.key, &sas::audience(&target.audience_host, &agent), expiry)?;
    let connect = Connect {
        endpoint: Endpoint {
            host: target.host.clone(),
            port: MQTT_PORT,
            tls: Some(edge_mqtt::client_config(target.ca.as_bytes())?),
        },
        client_id: agent.to_string(),
        username: Some(format!("{}/{agent}/?api-version=2018-06-30&DeviceClientType=edge-controller", target.audience_host)),
        password: Some(Bytes::from(token)),
        keep_alive: KEEP_ALIVE,
        clean_session: true,
        timeout: CONNECT_TIMEOUT,
    };
    let mut connection = connect.open().await?;
    connection.subscribe(STATUS_TOPIC, QoS::AtLeastOnce)?;
    Ok(connection)
}

/// Passes on what the hub says, until the connection ends.
async fn listen(mut connection: edge_mqtt::Connection, teller: &Teller) -> LinkError {
    loop {
        let event = match connection.next().await {
            Ok(event) => event,
            Err(error) => return error.into(),
        };
        match event {
            Event::Message(message) => {
                if let Some(id) = message.packet_id
                    && let Err(error) = connection.acknowledge(id)
                {
                    return error.into();
                }
                if &*message.topic != STATUS_TOPIC {
                    continue;
                }
                if message.payload.len() > MAX_STATUS_BYTES {
                    return LinkError::Status { reason: format!("it is larger than {MAX_STATUS_BYTES} bytes") };
                }
                match serde_json::from_slice::<HubStatus>(&message.payload) {
                    Ok(status) => teller.tell(&HubReport { status: Some(status), problem: None }),
                    Err(error) => return LinkError::Status { reason: error.to_string() },
                }
            }
            Event::SubAck(_, granted) if granted.iter().any(Option::is_none) => return LinkError::Refused,
            Event::SubAck(..) | Event::PubAck(_) => {}
        }
    }
}

/// The error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text[..text.floor_char_boundary(MAX_PROBLEM_BYTES)].to_owned()
}
