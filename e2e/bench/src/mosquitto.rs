//! The broker beside which the hub is measured: Debian's mosquitto, keeping nothing on disk and limiting nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::certificates;
use crate::conversation::Address;
use crate::hub::{free_port, wait_until_it_listens};
use crate::process::Process;
use crate::wire::Credentials;

/// A mosquitto that runs.
pub struct Mosquitto {
    /// Its process.
    pub process: Process,
    /// Where it listens.
    pub address: Address,
}

impl Mosquitto {
    /// Starts one with everything of it in `folder`; waits until it lets `who` in.
    pub fn start(program: &Path, folder: &Path, tls: bool, who: &Credentials) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        let address = Address { port: free_port()?, tls: if tls { Some(certificates::write(folder)?) } else { None } };
        let configuration: PathBuf = folder.join("mosquitto.conf");
        let mut text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_inflight_messages 0\nmax_queued_messages 0\n\
             set_tcp_nodelay true\nlog_type error\nlog_type warning\n",
            address.port
        );
        if tls {
            for (option, name) in [("certfile", certificates::CHAIN), ("keyfile", certificates::KEY)] {
                text.extend([option, " ", &folder.join(name).display().to_string(), "\n"]);
            }
        }
        if rustix::process::geteuid().is_root() {
            // Otherwise it becomes another user, who cannot read the key.
            text.push_str("user root\n");
        }
        std::fs::write(&configuration, text).map_err(Error::file("write", &configuration))?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&configuration);
        let log = folder.join("mosquitto.log");
        let mut process = Process::start(command, &log)?;
        wait_until_it_listens("mosquitto", &mut process, &address, who, &log)?;
        Ok(Self { process, address })
    }
}
