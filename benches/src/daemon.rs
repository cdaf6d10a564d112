//! A daemon of our own: its socket, its state and its log in one directory, ended with this value.

use crate::error::Error;
use crate::memory::{self, Process};
use runtime_sys::{clone::Pid, pidfd};
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it may take to end: its own deadlines add up to less.
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// signal(7).
const SIGTERM: i32 = 15;

/// A running `runtime serve`.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Daemon {
    /// Starts one that keeps everything below `home`, and waits until its socket is there.
    pub fn start(runtime: &Path, home: &Path) -> Result<Daemon, Error> {
        let (socket, log) = (home.join("api.sock"), home.join("daemon.log"));
        let stderr = File::create(&log).map_err(Error::io("make the daemon's log"))?;
        let mut listen = std::ffi::OsString::from("unix:");
        listen.push(&socket);
        let child = Command::new(runtime)
            .args(["serve", "--die-with-parent", "--listen"])
            .arg(listen)
            .arg("--state-dir")
            .arg(home.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(Error::io("start the daemon"))?;
        let mut daemon = Daemon { child, socket, log };
        let deadline = Instant::now() + START_TIMEOUT;
        while !daemon.socket.exists() {
            if daemon.has_ended()? {
                return Err(daemon.failed("ended at its start"));
            }
            if Instant::now() >= deadline {
                return Err(daemon.failed("does not listen"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(daemon)
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Memory of its processes, now.
    pub fn memory(&self) -> Result<Vec<Process>, Error> {
        memory::of_daemon(self.child.id())
    }

    /// Ends it as an operator would, and says so when it does not end well.
    pub fn stop(mut self) -> Result<(), Error> {
        self.terminate()?;
        let status = self.child.wait().map_err(Error::io("wait for the daemon"))?;
        if status.success() { Ok(()) } else { Err(self.failed("did not end with success")) }
    }

    fn terminate(&mut self) -> Result<(), Error> {
        let kernel = |source| Error::Kernel { act: "end the daemon", source };
        let pid = Pid(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
        let pidfd = pidfd::open(pid).map_err(kernel)?;
        pidfd::send_signal(pidfd.as_fd(), SIGTERM).map_err(kernel)?;
        let deadline = Instant::now() + END_TIMEOUT;
        while !self.has_ended()? {
            if Instant::now() >= deadline {
                self.child.kill().map_err(Error::io("kill the daemon"))?;
                return Err(self.failed("did not end upon TERM"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn has_ended(&mut self) -> Result<bool, Error> {
        self.child.try_wait().map(|status| status.is_some()).map_err(Error::io("look at the daemon"))
    }

    fn failed(&self, what: &'static str) -> Error {
        let words = fs::read_to_string(&self.log).unwrap_or_default().trim().to_owned();
        Error::Daemon { what, words }
    }
}

impl Drop for Daemon {
    /// After an error elsewhere: that error is told, this one beside it.
    fn drop(&mut self) {
        let ended = match self.has_ended() {
            Ok(false) => self.terminate(),
            other => other.map(drop),
        };
        if let Err(error) = ended {
            eprintln!("runtime-benches: {error}");
        }
    }
}
