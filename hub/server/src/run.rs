//! A hub from start to end: open the store, put the configuration in force, listen, follow changes, stop in order.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edge_protocol::identity::Identity;
use edge_routing::Endpoint;
use edge_store::{Journal, JournalOptions, OnFull, OpenError, Opening, Problem, StateError, StateStore};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::configuration::tls::{Certificate, Reloadable};
use crate::configuration::watch::{Fingerprint, POLL_INTERVAL};
use crate::configuration::{self, Addresses, Loaded, MqttUplink};
use crate::delivery::chain;
use crate::hub::Hub;
use crate::listener::{BindError, bind};
use crate::metrics::DropReason;
use crate::session::Sessions;
use crate::{http, mqtt, uplink};

/// What clients get to finish after SIGTERM. Well inside the pod's grace period of 30 s.
pub const DRAIN_BUDGET: Duration = Duration::from_secs(20);

/// Where the hub finds its configuration and keeps its data.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration directory; see `docs/reference/hub-configuration.md`.
    pub config: PathBuf,
    /// The data directory, created if missing. One hub at a time.
    pub data: PathBuf,
}

/// Why the hub did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No configuration to start with. Once running, a bad one would leave the old one in force.
    #[error("the configuration in {} cannot be used", directory.display())]
    Configuration {
        /// The configuration directory.
        directory: PathBuf,
        /// What is wrong with it.
        source: configuration::Error,
    },
    /// The data directory.
    #[error("failed to create or measure the data directory {}", directory.display())]
    Data {
        /// The data directory.
        directory: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The journal.
    #[error("failed to open the journal")]
    Journal(#[from] OpenError),
    /// The state store.
    #[error("failed to open the state store")]
    State(#[from] StateError),
    /// A port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// TLS.
    #[error("failed to set up TLS")]
    Tls(#[from] rustls::Error),
}

/// A hub that listens.
pub struct Running {
    hub: Arc<Hub>,
    state: StateStore,
    clients: TaskTracker,
    tasks: Vec<JoinHandle<()>>,
    /// Where it listens, with the ports that the system chose where 0 was asked for.
    pub addresses: Addresses,
}

/// Starts a hub. It serves until `stop` is cancelled; then call [`Running::shut_down`].
pub async fn start(options: &Options, stop: CancellationToken) -> Result<Running, StartError> {
    // First, so that a change while we read is noticed later.
    let fingerprint = Fingerprint::of(&options.config);
    let loaded = configuration::load(&options.config)
        .map_err(|source| StartError::Configuration { directory: options.config.clone(), source })?;
    let Loaded { active, certificate, uplink: wanted, addresses } = loaded;
    let (journal, state, epoch) = open_store(&options.data, active.max_journal_bytes)?;
    let hub = Hub::new(active, journal, Sessions::new(state.clone()), epoch, stop);
    let clients = TaskTracker::new();
    let mut tasks = Vec::new();

    let (metrics, metrics_listener) = bind_if(addresses.metrics, "metrics").await?;
    if let Some(listener) = metrics_listener {
        tasks.push(tokio::spawn(http::serve(listener, Arc::clone(&hub))));
    }
    let reloadable = certificate.clone().map(Reloadable::new);
    let (mqtt_address, listener) = bind_if(addresses.mqtt, "MQTT over TLS").await?;
    if let (Some(listener), Some(reloadable)) = (listener, &reloadable) {
        let acceptor = TlsAcceptor::from(reloadable.server_config()?);
        tasks.push(tokio::spawn(mqtt::serve(listener, Some(acceptor), Arc::clone(&hub), clients.clone())));
    }
    let (mqtt_plain, listener) = bind_if(addresses.mqtt_plain, "MQTT without TLS").await?;
    if let Some(listener) = listener {
        tasks.push(tokio::spawn(mqtt::serve(listener, None, Arc::clone(&hub), clients.clone())));
    }
    let (uplinks, wanted) = watch::channel(wanted);
    tasks.push(tokio::spawn(uplink::run(Arc::clone(&hub), wanted)));
    tasks.push(tokio::spawn(report_storage(Arc::clone(&hub))));
    let follower = Follower {
        hub: Arc::clone(&hub),
        directory: options.config.clone(),
        certificate: certificate.zip(reloadable),
        uplinks,
        addresses,
        orphans: true,
    };
    tasks.push(tokio::spawn(follower.follow(fingerprint)));

    let addresses = Addresses { mqtt: mqtt_address, mqtt_plain, metrics };
    hub.set_serving();
    tracing::info!(device = %hub.active.load().device, mqtt = ?addresses.mqtt, mqtt_plain = ?addresses.mqtt_plain, metrics = ?addresses.metrics, "ready");
    Ok(Running { hub, state, clients, tasks, addresses })
}

impl Running {
    /// Stops in the order in which promises are made: nobody new, those connected get their acknowledgements, then the store.
    pub async fn shut_down(self) {
        let Self { hub, state, clients, tasks, addresses: _ } = self;
        hub.stop.cancel();
        clients.close();
        let drained = tokio::time::timeout(DRAIN_BUDGET, clients.wait()).await.is_ok();
        for task in tasks {
            // All of them watch `stop`; one that hangs is ended.
            task.abort();
            let _ended = task.await;
        }
        hub.journal.close().await;
        state.close().await;
        tracing::info!(drained, "stopped");
    }
}

async fn bind_if(
    address: Option<std::net::SocketAddr>,
    what: &'static str,
) -> Result<(Option<std::net::SocketAddr>, Option<TcpListener>), BindError> {
    let Some(address) = address else { return Ok((None, None)) };
    let listener = bind(address, what).await?;
    Ok((Some(listener.local_addr().unwrap_or(address)), Some(listener)))
}

fn open_store(data: &Path, max_bytes: Option<u64>) -> Result<(Journal, StateStore, String), StartError> {
    let failed = |source| StartError::Data { directory: data.to_owned(), source };
    std::fs::create_dir_all(data).map_err(failed)?;
    let max_bytes = match max_bytes {
        Some(bytes) => bytes,
        None => four_fifths_of_the_file_system(data).map_err(failed)?,
    };
    let (journal, recovery) = Journal::open(&data.join("journal"), options(max_bytes))?;
    tracing::info!(?recovery, max_bytes, "the journal is open");
    let (state, opening) = StateStore::open(&data.join("state.redb"))?;
    if let Opening::Replaced { damaged, reason } = &opening {
        tracing::error!(damaged = %damaged.display(), reason, "the state store was damaged: sessions are lost, modules must subscribe again");
    }
    let epoch = state.epoch().to_owned();
    Ok((journal, state, epoch))
}

fn options(max_bytes: u64) -> JournalOptions {
    JournalOptions { max_bytes, on_full: OnFull::RejectNew, ..JournalOptions::default() }
}

/// The rest stays free for the file system's own needs and the state store.
fn four_fifths_of_the_file_system(directory: &Path) -> io::Result<u64> {
    let figures = rustix::fs::statvfs(directory)?;
    Ok(figures.f_blocks.saturating_mul(figures.f_frsize) / 5 * 4)
}

async fn report_storage(hub: Arc<Hub>) {
    let mut problem = hub.journal.problem();
    loop {
        let text = problem.borrow_and_update().as_ref().map(describe);
        if let Some(text) = &text {
            tracing::error!(problem = text, "messages are not accepted");
        }
        hub.set_status(|status| status.storage_problem = text);
        tokio::select! {
            () = hub.stop.cancelled() => return,
            changed = problem.changed() => if changed.is_err() { return },
        }
    }
}

fn describe(problem: &Problem) -> String {
    match problem {
        Problem::Full => "the journal is full: senders wait until messages are delivered; look for an input that nobody reads or an upstream that is not reached, or enlarge the volume and restart the hub".to_owned(),
        Problem::EndpointFull { endpoint } => format!("the journal is full of messages for {endpoint}: senders to it wait until some are delivered; look at whether anybody reads them, or enlarge the volume and restart the hub"),
        Problem::DiskFull => "the volume of the journal has no space left: senders wait until there is some".to_owned(),
        Problem::Disk { detail } => format!("the disk of the journal fails: {detail}"),
    }
}

/// Follows the configuration directory.
struct Follower {
    hub: Arc<Hub>,
    directory: PathBuf,
    certificate: Option<(Certificate, Arc<Reloadable>)>,
    uplinks: watch::Sender<Option<MqttUplink>>,
    addresses: Addresses,
    /// There may be sessions of modules that are no longer deployed.
    orphans: bool,
}

impl Follower {
    async fn follow(mut self, mut last: Fingerprint) {
        let mut interval = tokio::time::interval(POLL_INTERVAL);
        loop {
            tokio::select! {
                () = self.hub.stop.cancelled() => return,
                _ = interval.tick() => {}
            }
            retire_orphans(&self.hub);
            if self.orphans {
                self.orphans = false;
                self.forget_sessions().await;
            }
            let now = Fingerprint::of(&self.directory);
            if now == last {
                continue;
            }
            last = now;
            match configuration::load(&self.directory) {
                Ok(loaded) => self.put_in_force(loaded),
                Err(error) => self.refuse(&error),
            }
        }
    }

    async fn forget_sessions(&self) {
        let active = self.hub.active.load_full();
        let deployed = |client: &Identity| client.module.as_ref().is_some_and(|module| active.modules.contains_key(module));
        if let Err(error) = self.hub.sessions.forget_unless(deployed).await {
            tracing::warn!(error = chain(&error), "sessions of modules that are no longer deployed stay for now");
        }
    }

    fn put_in_force(&mut self, loaded: Loaded) {
        let Loaded { active, certificate, uplink, addresses } = loaded;
        if addresses != self.addresses {
            tracing::warn!("listeners have changed; new addresses take effect when the hub is restarted");
            self.addresses = addresses;
        }
        if let (Some(new), Some((old, reloadable))) = (certificate, &mut self.certificate)
            && !new.same_chain(old)
        {
            reloadable.replace(new.clone());
            *old = new;
            tracing::info!("a new certificate is in use for new connections");
        }
        let previous = self.hub.active.load_full();
        let version = active.version.clone();
        self.hub.active.store(Arc::new(active));
        let active = self.hub.active.load();
        // Whoever lost its identity, or proved it with a key that is no longer right, has to prove it again.
        self.hub.clients.end_unless(|identity| {
            let keys =
                identity.module.as_ref().and_then(|module| Some((active.modules.get(module)?, previous.modules.get(module)?)));
            keys.is_some_and(|(new, old)| new == old)
        });
        self.uplinks.send_if_modified(|current| {
            let changed = *current != uplink;
            *current = uplink;
            changed
        });
        self.hub.generation.send_modify(|generation| *generation += 1);
        self.hub.set_status(|status| {
            let configuration = &mut status.configuration;
            configuration.in_force.clone_from(&version);
            configuration.offered.clone_from(&version);
            configuration.code = 200;
            configuration.description.clear();
        });
        self.hub.metrics.configuration_applied.inc();
        self.orphans = true;
        tracing::info!(version, "a new configuration is in force");
    }

    fn refuse(&self, error: &configuration::Error) {
        let reason = chain(error);
        tracing::error!(reason, "a configuration was refused; the old one stays in force");
        self.hub.metrics.configuration_refused.inc();
        let offered = configuration::offered_version(&self.directory);
        self.hub.set_status(|status| {
            status.configuration.offered = offered;
            status.configuration.code = 400;
            status.configuration.description = reason;
        });
    }
}

/// Drops the queues that nobody can ever read, and that would keep the disk from others: of modules that are no longer deployed,
/// of names that are none of ours (their own were damaged on disk), and, while the journal is full, of an upstream that was removed.
fn retire_orphans(hub: &Hub) {
    let active = hub.active.load();
    let is_full = matches!(*hub.journal.problem().borrow(), Some(Problem::Full | Problem::EndpointFull { .. }));
    for queue in hub.journal.queues() {
        let (orphan, reason) = match Endpoint::from_queue_name(queue.endpoint.as_str()) {
            Ok(Endpoint::Input { module, .. }) => (!active.modules.contains_key(&module), DropReason::endpoint_removed),
            Ok(Endpoint::Upstream) => (!active.has_upstream && is_full, DropReason::endpoint_removed),
            Err(_) => (true, DropReason::corrupt),
        };
        if !orphan {
            continue;
        }
        match hub.journal.retire(&queue.endpoint) {
            Ok(count) => {
                tracing::warn!(queue = %queue.endpoint, count, "messages were dropped: nobody can ever read them");
                hub.metrics.dropped_many(reason, count);
            }
            // The next look will find it again.
            Err(error) => tracing::debug!(queue = %queue.endpoint, %error, "a queue cannot be retired yet"),
        }
    }
}
