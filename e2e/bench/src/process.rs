//! A server's process: its end, its memory, its processor time.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::Error;

/// Ticks of a second in `/proc/PID/stat`, on every Linux there is.
const TICKS_PER_SECOND: u64 = 100;

/// How often a process is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(1);

/// A process that was started here, and is killed when it is dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it, with everything it says in `log`.
    pub fn start(mut command: Command, log: &Path) -> Result<Self, Error> {
        let out = File::options().append(true).create(true).open(log).map_err(Error::file("create", log))?;
        let errors = out.try_clone().map_err(Error::file("share", log))?;
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(out).stderr(errors).spawn();
        Ok(Self(child.map_err(|source| Error::Start { program, source })?))
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Has it ended?
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Waits for its end. May be dropped and called again.
    pub async fn ended(&mut self) -> Result<ExitStatus, Error> {
        let pid = self.id();
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => tokio::time::sleep(LOOK).await,
                Err(_) => return Err(Error::Figures { what: "the end", pid }),
            }
        }
    }

    /// Kills it and waits for its end.
    pub fn kill(&mut self) {
        // It may have ended already; either way it is gone afterwards.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    pub fn stop(&mut self) {
        if let Ok(pid) = i32::try_from(self.id())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            let _ended = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _reaped = self.0.wait();
    }

    /// Bytes resident now.
    pub fn resident_bytes(&self) -> Result<u64, Error> {
        self.status("VmRSS:")
    }

    /// Most bytes ever resident.
    pub fn most_resident_bytes(&self) -> Result<u64, Error> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &'static str) -> Result<u64, Error> {
        let figures = Error::Figures { what: name, pid: self.id() };
        let Ok(text) = std::fs::read_to_string(format!("/proc/{}/status", self.id())) else { return Err(figures) };
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kilobytes.map(|kilobytes| kilobytes * 1024).ok_or(figures)
    }

    /// Processor time used so far.
    pub fn processor_time(&self) -> Result<Duration, Error> {
        processor_time(&self.id().to_string()).ok_or(Error::Figures { what: "processor time", pid: self.id() })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Processor time of this process.
pub fn own_processor_time() -> Duration {
    processor_time("self").unwrap_or_default()
}

fn processor_time(process: &str) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in brackets may hold anything; the figures follow the last bracket.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}
