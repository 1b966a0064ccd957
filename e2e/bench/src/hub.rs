//! The hub under measurement: its configuration, its clients' credentials, its process.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use edge_protocol::configuration::SymmetricKey;
use edge_protocol::identity::Identity;
use edge_protocol::sas::{self, UnixSeconds};
use serde_json::{Value, json};

use crate::Error;
use crate::certificates;
use crate::conversation::{Address, Conversation};
use crate::process::Process;
use crate::wire::Credentials;

/// The edge device.
pub const DEVICE: &str = "line-7";
/// How a client calls the hub.
const HOST: &str = "edgehub";
/// Time that a server gets to listen.
const START_BUDGET: Duration = Duration::from_secs(30);
/// Pause between two attempts to connect to a server that starts.
const START_PAUSE: Duration = Duration::from_millis(2);
/// Life of the clients' tokens.
const TOKEN_SECONDS: u64 = 24 * 3600;

/// A hub to be started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program.
    pub program: PathBuf,
    /// Everything of this hub is below it: configuration, data, log.
    pub folder: PathBuf,
    /// Routes, as written.
    pub routes: Vec<String>,
    /// Who may connect.
    pub modules: Vec<String>,
    /// Listen with TLS.
    pub tls: bool,
    /// Bytes that messages may take on disk.
    pub max_journal_bytes: u64,
    /// Messages that a subscriber may have before it acknowledges.
    pub delivery_window: u32,
    /// For the hub's process alone.
    pub environment: Vec<(String, String)>,
}

/// A hub that runs.
pub struct Hub {
    plan: Plan,
    /// Its process.
    pub process: Process,
    /// Where it listens.
    pub address: Address,
    /// From the start of the process until a client was let in.
    pub ready_after: Duration,
}

/// The key of a module: 32 bytes made of its name.
pub fn key(module: &str) -> SymmetricKey {
    let bytes: Vec<u8> = module.bytes().cycle().take(32).collect();
    SymmetricKey::from_base64(STANDARD.encode(bytes))
}

/// What a module connects with.
pub fn credentials(module: &str) -> Result<Credentials, Error> {
    let failed = || Error::Token { client: module.to_owned() };
    let identity: Identity = format!("{DEVICE}/{module}").parse().map_err(|_| failed())?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let token = sas::sign(&key(module), &sas::audience(HOST, &identity), UnixSeconds(now + TOKEN_SECONDS));
    Ok(Credentials {
        client_id: format!("{DEVICE}/{module}"),
        user_name: format!("{HOST}/{DEVICE}/{module}/?api-version=2021-04-12&DeviceClientType=bench"),
        password: token.map_err(|_| failed())?,
    })
}

/// A port on loopback that was free a moment ago.
pub fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|source| Error::Start { program: "a listener".to_owned(), source })
}

impl Plan {
    fn config(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// The directory of its messages.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What it says.
    pub fn log(&self) -> PathBuf {
        self.folder.join("hub.log")
    }

    /// Writes the configuration and starts the hub; waits until it lets the first of its modules in.
    pub fn start(self) -> Result<Hub, Error> {
        let config = self.config();
        std::fs::create_dir_all(&config).map_err(Error::file("create", &config))?;
        let address = Address { port: free_port()?, tls: if self.tls { Some(certificates::write(&config)?) } else { None } };
        let listen = format!("127.0.0.1:{}", address.port);
        let listeners = if self.tls {
            json!({"mqtt": {"address": listen, "certificateFile": certificates::CHAIN, "privateKeyFile": certificates::KEY}})
        } else {
            json!({"mqttPlain": {"address": listen}})
        };
        let named = self.routes.iter().enumerate();
        let routes: Vec<Value> = named.map(|(place, route)| json!({"name": format!("r{place}"), "route": route})).collect();
        let hub = json!({"deviceId": DEVICE, "gatewayHostnames": [HOST], "listeners": listeners, "routes": routes,
            "storeAndForward": {"maxBytes": self.max_journal_bytes}, "delivery": {"window": self.delivery_window}});
        let keys = self.modules.iter().map(|module| json!({"moduleId": module, "primaryKey": key(module).expose_base64()}));
        let identities = json!({"modules": keys.collect::<Vec<_>>()});
        for (name, value) in [("hub.json", hub), ("identities.json", identities)] {
            let path = config.join(name);
            std::fs::write(&path, value.to_string()).map_err(Error::file("write", &path))?;
        }
        let (process, ready_after) = launch(&self, &address)?;
        Ok(Hub { plan: self, process, address, ready_after })
    }
}

impl Hub {
    /// Where its messages are.
    pub fn data(&self) -> PathBuf {
        self.plan.data()
    }

    /// Starts it again on the same data and port; it has ended, or is killed.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.process.kill();
        (self.process, self.ready_after) = launch(&self.plan, &self.address)?;
        Ok(())
    }

    /// The same with another environment, and without waiting until it listens: it may die before.
    pub fn relaunch(&mut self, environment: Vec<(String, String)>) -> Result<(), Error> {
        self.process.kill();
        self.plan.environment = environment;
        self.process = spawn(&self.plan)?;
        Ok(())
    }
}

fn spawn(plan: &Plan) -> Result<Process, Error> {
    let mut command = Command::new(&plan.program);
    command.arg("--config").arg(plan.config()).arg("--data").arg(plan.data()).args(["--log-level", "warn"]);
    command.env_clear().envs(plan.environment.iter().cloned());
    Process::start(command, &plan.log())
}

fn launch(plan: &Plan, address: &Address) -> Result<(Process, Duration), Error> {
    let begun = Instant::now();
    let mut process = spawn(plan)?;
    let who = match plan.modules.first() {
        Some(module) => credentials(module)?,
        None => return Ok((process, Duration::ZERO)),
    };
    wait_until_it_listens("the hub", &mut process, address, &who, &plan.log())?;
    Ok((process, begun.elapsed()))
}

/// Connects again and again until the server lets the client in.
pub(crate) fn wait_until_it_listens(
    server: &'static str,
    process: &mut Process,
    address: &Address,
    who: &Credentials,
    log: &Path,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::Start { program: "the client".to_owned(), source })?;
    let begun = Instant::now();
    while begun.elapsed() < START_BUDGET && !process.has_ended() {
        if runtime.block_on(Conversation::open(address, who)).is_ok() {
            return Ok(());
        }
        std::thread::sleep(START_PAUSE);
    }
    Err(Error::NotReady { server, client: who.client_id.clone(), waited: begun.elapsed(), log: log.to_owned() })
}
