//! A real power cut: the journal on a loop-mounted ext4 that is shut down without a flush while a process appends.
//!
//! Killing a process proves nothing about fsync, since the kernel keeps what was written. `EXT4_IOC_SHUTDOWN` throws it away, as a
//! plug that is pulled does. The process runs outside the file system and says which appends were acknowledged; after the
//! file system was mounted again, all of those must be found, in order. With the fsync taken out the same check must find a loss.
//!
//! Needs root, loop devices, `mkfs.ext4` and `python3`, for the one call that Rust does not offer without `unsafe`. Where they are
//! missing the tests say so and pass, unless `EDGE_REQUIRE_ROOT_TESTS=1`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::VecDeque;
use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use edge_store::disk::{Disk, DiskFile, DiskLock, RealDisk};
use edge_store::{Journal, JournalOptions, OnFull};
use support::{queue, read_to_end, to};
use tempfile::TempDir;

/// Size of the file system.
const IMAGE_BYTES: u64 = 256 * 1024 * 1024;
/// Small segments, so that cuts fall on their borders too.
const OPTIONS: JournalOptions =
    JournalOptions { segment_bytes: 256 * 1024, max_bytes: 192 * 1024 * 1024, on_full: OnFull::RejectNew, min_free_bytes: 0 };
/// Acknowledgements to wait for before the plug is pulled, per round.
const ACKNOWLEDGED_BEFORE_CUT: [u64; 4] = [3000, 1, 500, 1500];
/// A process that nobody cuts ends by itself after so many appends.
const MOST_APPENDS: u64 = 300_000;
/// Appends in flight.
const WINDOW: usize = 64;
/// What the process that appends is told by its environment.
const DIRECTORY: &str = "EDGE_TEST_APPEND_TO";
const FIRST_NUMBER: &str = "EDGE_TEST_APPEND_FROM";
const WITHOUT_SYNC: &str = "EDGE_TEST_APPEND_WITHOUT_SYNC";

#[test]
fn everything_acknowledged_before_a_real_power_cut_is_there_afterwards_in_order() {
    let Some(mut machine) = Machine::new_or_skip() else { return };
    let mut next_number = 0;
    for acknowledged_before_cut in ACKNOWLEDGED_BEFORE_CUT {
        let acknowledged = machine.append_until_cut(next_number, acknowledged_before_cut, true);
        let found = machine.read_all();
        println!("{acknowledged} acknowledged, {} found", found.len());
        assert!(acknowledged >= next_number + acknowledged_before_cut);
        assert!(found.len() as u64 >= acknowledged, "{} found of {acknowledged} acknowledged", found.len());
        assert!(found.iter().copied().eq(0..found.len() as u64), "in order, each once");
        next_number = found.len() as u64;
    }
}

#[test]
fn the_same_check_finds_a_loss_when_fsync_is_taken_out() {
    let Some(mut machine) = Machine::new_or_skip() else { return };
    let acknowledged = machine.append_until_cut(0, 3000, false);
    let found = machine.read_all();
    println!("{acknowledged} acknowledged without fsync, {} found", found.len());
    assert!((found.len() as u64) < acknowledged, "{} found of {acknowledged} acknowledged: nothing was lost", found.len());
}

/// The process that appends, until it is killed or the file system is gone. Says each number once it is acknowledged.
#[test]
#[ignore = "a process of its own, run by the other tests"]
fn append_and_say_what_was_acknowledged() {
    let Ok(directory) = env::var(DIRECTORY) else { return };
    let first: u64 = env::var(FIRST_NUMBER).unwrap().parse().unwrap();
    let disk: Arc<dyn Disk> = if env::var(WITHOUT_SYNC).is_ok() { Arc::new(WithoutSync) } else { Arc::new(RealDisk) };
    let (journal, _) = Journal::open_on(disk, Path::new(&directory), OPTIONS).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let appender = journal.appender();
        let queues = to(["upstream", "modules/filter/inputs/in"]);
        let mut pending = VecDeque::new();
        for number in first..first + MOST_APPENDS {
            let mut payload = number.to_le_bytes().to_vec();
            payload.resize(8 + usize::try_from(number % 600).unwrap(), b'.');
            pending.push_back((number, appender.submit(&queues, Bytes::from(payload)).await));
            if pending.len() == WINDOW {
                let (number, append) = pending.pop_front().unwrap();
                if append.await.is_err() {
                    return;
                }
                // Past the test harness, which would gather it.
                writeln!(io::stdout().lock(), "ACKNOWLEDGED={number}").unwrap();
            }
        }
    });
}

/// The operating system's disk, with the syncs taken out.
struct WithoutSync;
struct FileWithoutSync(Arc<dyn DiskFile>);

impl DiskFile for FileWithoutSync {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_at(bytes, position)
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

impl Disk for WithoutSync {
    fn create_dir(&self, directory: &Path) -> io::Result<()> {
        RealDisk.create_dir(directory)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        RealDisk.lock(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(directory)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FileWithoutSync(RealDisk.create(path)?)))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FileWithoutSync(RealDisk.open(path)?)))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(directory)
    }
    fn sync_dir(&self, _directory: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// A file system whose plug can be pulled. Unmounted when dropped, also by a panic.
struct Machine {
    // Dropped last: the image and the mount point are in it.
    folder: TempDir,
}

/// Killed when dropped, also by a panic.
struct Appending(Child);
impl Drop for Appending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine {
    fn new_or_skip() -> Option<Self> {
        match Self::new() {
            Ok(machine) => Some(machine),
            Err(reason) if env::var("EDGE_REQUIRE_ROOT_TESTS").is_ok_and(|value| value == "1") => panic!("{reason}"),
            Err(reason) => {
                // Past the test harness, which would show it only if the test failed.
                let _ = writeln!(io::stderr().lock(), "SKIPPED, nothing was proven about power cuts: {reason}");
                None
            }
        }
    }

    fn new() -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let machine = Self { folder };
        let image = File::create(machine.image()).map_err(|error| error.to_string())?;
        image.set_len(IMAGE_BYTES).map_err(|error| error.to_string())?;
        fs::create_dir(machine.mount_point()).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(machine.image()))?;
        run(Command::new("python3").args(["-c", "import fcntl"]))?;
        machine.mount()?;
        Ok(machine)
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn mount_point(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn journal(&self) -> PathBuf {
        self.mount_point().join("journal")
    }

    /// With a commit interval beyond the test's duration: the file system does not save by chance what the journal did not.
    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop,commit=300"]).arg(self.image()).arg(self.mount_point()))
    }

    /// Runs the process that appends, pulls the plug once so many are acknowledged, and mounts the file system again. Returns the
    /// number after the last that was acknowledged.
    fn append_until_cut(&mut self, first_number: u64, acknowledged: u64, with_sync: bool) -> u64 {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "append_and_say_what_was_acknowledged", "--ignored", "--nocapture"]);
        command.env(DIRECTORY, self.journal()).env(FIRST_NUMBER, first_number.to_string());
        if !with_sync {
            command.env(WITHOUT_SYNC, "1");
        }
        let mut appending = Appending(command.stdout(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(appending.0.stdout.take().unwrap()).lines();
        let mut next = first_number;
        // In a thread of its own: somebody must go on reading, or the process would stand still when the plug is pulled.
        let mut cut = None;
        while let Some(Ok(line)) = lines.next() {
            let Some((_, number)) = line.split_once("ACKNOWLEDGED=") else { continue };
            let number: u64 = number.parse().unwrap();
            assert_eq!(number, next, "answers come in the order of the appends");
            next += 1;
            if cut.is_none() && next - first_number >= acknowledged {
                let mount_point = self.mount_point();
                cut = Some(thread::spawn(move || pull_the_plug(&mount_point)));
            }
        }
        cut.expect("the process ended before the plug was pulled").join().unwrap().unwrap();
        drop(appending);
        run(Command::new("umount").arg(self.mount_point())).unwrap();
        self.mount().unwrap();
        next
    }

    /// Opens the journal and reads all of both queues, which must agree.
    fn read_all(&self) -> Vec<u64> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (journal, recovery) = Journal::open(&self.journal(), OPTIONS).unwrap();
            assert_eq!((recovery.corrupt_records, recovery.damaged_segments), (0, 0), "a power cut damages nothing");
            journal.close().await;
            let mut queues = Vec::new();
            for name in ["upstream", "modules/filter/inputs/in"] {
                let records = read_to_end(&mut journal.reader(&queue(name)).unwrap()).await;
                let numbers = records.iter().map(|record| u64::from_le_bytes(record.payload[..8].try_into().unwrap()));
                queues.push(numbers.collect::<Vec<_>>());
            }
            assert_eq!(queues[0], queues[1]);
            queues.swap_remove(0)
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Fails where it was not mounted.
        let _ = Command::new("umount").arg("--quiet").arg(self.mount_point()).stderr(Stdio::null()).status();
    }
}

fn pull_the_plug(mount_point: &Path) -> Result<(), String> {
    // EXT4_IOC_SHUTDOWN is _IOR('X', 125, __u32); 2 is EXT4_GOING_FLAGS_NOLOGFLUSH.
    let shutdown = "import fcntl, os, struct, sys\n\
        fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
    run(Command::new("python3").args(["-c", shutdown]).arg(mount_point))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())) }
}
