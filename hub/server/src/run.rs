//! A hub from start to end: open the store, put the configuration in force, listen, follow changes, stop in order.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edge_protocol::identity::Identity;
use edge_store::{Journal, JournalOptions, OpenError, Opening, Quota, StateError, StateStore};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::configuration::tls::{Certificate, Reloadable};
use crate::configuration::watch::{Fingerprint, POLL_INTERVAL};
use crate::configuration::{self, Active, Addresses, Loaded, MqttUplink};
use crate::delivery::chain;
use crate::hub::Hub;
use crate::listener::{BindError, bind};
use crate::session::Sessions;
use crate::{http, mqtt, storage, uplink};

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
    let (journal, state, epoch) = open_store(&options.data, &active)?;
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
    tasks.push(tokio::spawn(storage::report(Arc::clone(&hub))));
    let follower = Follower {
        hub: Arc::clone(&hub),
        directory: options.config.clone(),
        data: options.data.clone(),
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

fn open_store(data: &Path, active: &Active) -> Result<(Journal, StateStore, String), StartError> {
    let failed = |source| StartError::Data { directory: data.to_owned(), source };
    std::fs::create_dir_all(data).map_err(failed)?;
    let quota = storage::quota(active, data).map_err(failed)?;
    let Quota { max_bytes, on_full, min_free_bytes } = quota;
    let options = JournalOptions { max_bytes, on_full, min_free_bytes, ..JournalOptions::default() };
    let (journal, recovery) = Journal::open(&data.join("journal"), options)?;
    journal.set_endpoints(&active.targets.endpoints());
    tracing::info!(?recovery, ?quota, "the journal is open");
    let (state, opening) = StateStore::open(&data.join("state.redb"))?;
    if let Opening::Replaced { damaged, reason } = &opening {
        tracing::error!(damaged = %damaged.display(), reason, "the state store was damaged: sessions are lost, modules must subscribe again");
    }
    let epoch = state.epoch().to_owned();
    Ok((journal, state, epoch))
}

/// Follows the configuration directory.
struct Follower {
    hub: Arc<Hub>,
    directory: PathBuf,
    data: PathBuf,
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
            storage::retire_orphans(&self.hub);
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
        self.make_room(&active);
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

    /// Gives the journal the room that the configuration says, and each endpoint its part of it.
    fn make_room(&self, active: &Active) {
        self.hub.journal.set_endpoints(&active.targets.endpoints());
        let quota = match storage::quota(active, &self.data) {
            Ok(quota) => quota,
            Err(error) => {
                tracing::error!(%error, "the volume cannot be measured; the journal keeps the room that it has");
                return;
            }
        };
        if quota == self.hub.journal.quota() {
            return;
        }
        match self.hub.journal.set_quota(quota) {
            Ok(()) => tracing::info!(?quota, "the journal has another quota"),
            Err(error) => tracing::error!(%error, "the journal keeps the room that it has"),
        }
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
