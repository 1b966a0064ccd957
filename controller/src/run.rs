//! The life of the process: start, take the Lease, act, stop.
//!
//! # The end
//! On SIGTERM no new reconcile begins, those under way get [`DRAIN`] to finish, and the Lease is given back. When the Lease is
//! lost everything stops where it is, at once, and the process ends with an error: another replica acts already.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use edge_crds::EdgeDeployment;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::cluster_dns::DnsError;
use crate::context::Context;
use crate::events::Recorder;
use crate::http::{self, Health};
use crate::hub_link::{HubKey, HubLinks};
use crate::lease::Candidate;
use crate::metrics::Metrics;
use crate::queue::{Outcome, Queue};
use crate::reconcile::{self, Error};
use crate::settings::{MAX_WATCHED_NAMESPACES, RunArguments};
use crate::watch::{self, Heartbeats};

/// Changes that wait to be queued. A full channel makes watches wait, which costs nothing but time.
const CHANGES: usize = 256;
/// Longest reconcile. The first of a hundred modules makes some seven hundred requests.
const RECONCILE_TIMEOUT: Duration = Duration::from_mins(3);
/// How often an EdgeDeployment is looked at whose namespace is being deleted.
const LOOK_AT_ENDING: Duration = Duration::from_secs(30);
/// What reconciles under way get to finish after SIGTERM; well inside the pod's grace period of 30 s.
const DRAIN: Duration = Duration::from_secs(10);
/// Where a pod learns how names resolve.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Why the controller could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No cluster.
    #[error("no cluster is known: neither in a pod nor in a kubeconfig")]
    Config(#[source] Box<kube::config::InferConfigError>),
    /// No client.
    #[error("failed to set up the client of the API server")]
    Client(#[source] Box<kube::Error>),
    /// No DNS.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// The port is taken, or not ours to take.
    #[error("failed to listen on {address} for probes and metrics")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The reason.
        source: std::io::Error,
    },
    /// Signals cannot be heard.
    #[error("failed to listen for signals")]
    Signal(#[source] std::io::Error),
    /// Too many namespaces.
    #[error(
        "WATCH_NAMESPACES names {count} namespaces; at most {MAX_WATCHED_NAMESPACES} are watched one by one: leave it empty to watch all"
    )]
    TooManyNamespaces {
        /// How many.
        count: usize,
    },
    /// A defect of ours. Its object would never be looked at again, so the process is begun anew.
    #[error("a reconcile broke off")]
    BrokeOff(#[source] JoinError),
    /// Another replica acts.
    #[error("the Lease was lost; another replica acts")]
    LeaseLost,
}

/// What the probes are told.
struct State {
    context: Arc<Context>,
    heartbeats: std::sync::OnceLock<Arc<Heartbeats>>,
    is_stopping: AtomicBool,
}

impl Health for State {
    fn sickness(&self) -> Option<String> {
        let stuck = self.heartbeats.get().and_then(|heartbeats| heartbeats.stuck())?;
        Some(format!("the watch of {stuck} is stuck"))
    }

    fn unreadiness(&self) -> Option<String> {
        self.is_stopping.load(Ordering::Relaxed).then(|| "stopping".to_owned())
    }

    fn metrics(&self) -> String {
        self.context.metrics.text(self.context.links.reached())
    }
}

/// Runs until told to stop.
pub async fn run(arguments: RunArguments) -> Result<(), RunError> {
    let namespaces = arguments.watched_namespaces();
    if namespaces.len() > MAX_WATCHED_NAMESPACES {
        return Err(RunError::TooManyNamespaces { count: namespaces.len() });
    }
    let resolv_conf = tokio::fs::read_to_string(RESOLV_CONF).await.unwrap_or_default();
    let settings = arguments.settings(&resolv_conf)?;
    let mut config = Config::infer().await.map_err(|error| RunError::Config(Box::new(error)))?;
    config.connect_timeout = Some(Duration::from_secs(10));
    let client = Client::try_from(config).map_err(|error| RunError::Client(Box::new(error)))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signal)?;
    let address = arguments.http_address;
    let listener = http::bind(address).await.map_err(|source| RunError::Listen { address, source })?;
    let (changed, queue) = mpsc::channel(CHANGES);
    let identity = arguments.identity();
    let metrics = Arc::new(Metrics::default());
    let context = Arc::new(Context {
        client: client.clone(),
        settings,
        recorder: Recorder::new(client.clone(), identity.clone()),
        links: HubLinks::new(changed.clone()),
        metrics: Arc::clone(&metrics),
        clock: Timestamp::now,
    });
    let state = Arc::new(State {
        context: Arc::clone(&context),
        heartbeats: std::sync::OnceLock::new(),
        is_stopping: AtomicBool::new(false),
    });
    tokio::spawn(http::serve(listener, Arc::clone(&state)));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), image = context.settings.image, dns = ?context.settings.dns, "started");

    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(stop);
    let mut candidate = arguments.leader_election.then(|| Candidate::new(client.clone(), &arguments.pod_namespace, &identity));
    if let Some(candidate) = &mut candidate {
        tokio::select! {
            () = candidate.acquire() => {}
            () = &mut stop => return Ok(()),
        }
    }
    metrics.leads(true);
    look_for_the_definition(&client, &namespaces).await;
    // The tasks of the watches are started only now: a replica that waits costs the API server nothing.
    let heartbeats = watch::start(&client, &namespaces, &changed, &metrics);
    let _ = state.heartbeats.set(heartbeats);
    let mut work = Work { context, changes: queue, queue: Queue::default(), running: JoinSet::new() };
    let lost = async {
        match &mut candidate {
            Some(candidate) => candidate.hold().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        outcome = work.go_on() => return outcome,
        () = lost => {
            work.running.abort_all();
            metrics.leads(false);
            return Err(RunError::LeaseLost);
        }
        () = &mut stop => {}
    }
    state.is_stopping.store(true, Ordering::Relaxed);
    tracing::info!("stopping: no new reconcile begins");
    if tokio::time::timeout(DRAIN, work.drain()).await.is_err() {
        tracing::warn!("reconciles under way did not end in time and are cut off");
        work.running.abort_all();
    }
    if let Some(candidate) = &mut candidate {
        candidate.release().await;
    }
    Ok(())
}

/// The work under way: the one owner of the queue.
struct Work {
    context: Arc<Context>,
    changes: mpsc::Receiver<HubKey>,
    queue: Queue,
    running: JoinSet<(HubKey, Outcome)>,
}

impl Work {
    /// Works until a defect shows.
    async fn go_on(&mut self) -> Result<(), RunError> {
        loop {
            while let Some(key) = self.queue.start(Instant::now()) {
                self.running.spawn(one(Arc::clone(&self.context), key));
            }
            let due = self.queue.next_due();
            let sleep = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                change = self.changes.recv() => match change {
                    Some(key) => self.queue.request(key, Instant::now()),
                    None => return Ok(()),
                },
                Some(ended) = self.running.join_next() => self.ended(ended)?,
                () = sleep => {}
            }
        }
    }

    fn ended(&mut self, ended: Result<(HubKey, Outcome), JoinError>) -> Result<(), RunError> {
        let (key, outcome) = ended.map_err(RunError::BrokeOff)?;
        self.queue.finished(&key, outcome, Instant::now());
        Ok(())
    }

    /// Lets what is under way come to its end.
    async fn drain(&mut self) {
        while let Some(ended) = self.running.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a reconcile broke off");
            }
        }
    }
}

/// One reconcile, with its bound in time.
async fn one(context: Arc<Context>, key: HubKey) -> (HubKey, Outcome) {
    let begun = Instant::now();
    let reconciled =
        tokio::time::timeout(RECONCILE_TIMEOUT, reconcile::reconcile(&context, &key.namespace, &key.deployment)).await;
    let result = reconciled.unwrap_or(Err(Error::Timeout { seconds: RECONCILE_TIMEOUT.as_secs() }));
    context.metrics.reconciled(&result, begun.elapsed());
    let outcome = match result {
        Ok(Some(next)) => Outcome::Again(next),
        Ok(None) => {
            context.metrics.forget(&key);
            Outcome::Gone
        }
        // The EdgeDeployment is about to be deleted too, and that will be heard.
        Err(Error::NamespaceEnding) => Outcome::Again(LOOK_AT_ENDING),
        Err(error) => {
            let causes: Vec<_> = std::iter::successors(std::error::Error::source(&error), |error| error.source())
                .map(ToString::to_string)
                .collect();
            tracing::warn!(namespace = key.namespace, deployment = key.deployment, cause = causes.join(": "), "{error}");
            Outcome::Failed
        }
    };
    (key, outcome)
}

/// Says how to cure a missing definition, once and plainly, rather than in the words of every watch that fails for it.
async fn look_for_the_definition(client: &Client, namespaces: &[String]) {
    let api: Api<EdgeDeployment> = match namespaces.first() {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    if let Err(kube::Error::Api(status)) = api.list(&ListParams::default().limit(1)).await
        && status.code == 404
    {
        tracing::error!(
            "this cluster does not know EdgeDeployment: install the chart with crds.install=true, or apply the definition that comes \
             with it; it is looked for again until it is there"
        );
    }
}
