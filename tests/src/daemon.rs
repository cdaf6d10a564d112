//! A daemon of a test: its own socket, its own state directory, ended with the test.

use crate::{Stage, embedded::wait};
use runtime_sys::pidfd;
use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    os::fd::AsFd,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

/// TERM ends a daemon's jobs (grace: 5 s), then its server (5 s), then itself.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// signal(7).
const SIGTERM: i32 = 15;
/// signal(7).
const SIGKILL: i32 = 9;

/// A running `runtime serve`.
#[derive(Debug)]
pub struct Daemon<'a> {
    stage: &'a Stage,
    child: Child,
    socket: PathBuf,
}

impl<'a> Daemon<'a> {
    /// Starts one and waits until it accepts. `walls_off` names walls that are down for all of its jobs.
    pub fn start<A: AsRef<OsStr>>(stage: &'a Stage, args: &[A], walls_off: &str) -> Daemon<'a> {
        // The shell makes the descriptor of --ready-fd out of its stdout.
        let mut command = stage.command("/bin/sh");
        command.args(["-c", r#"exec "$@" 3>&1 >/dev/null"#, "sh"]);
        Daemon::start_by(stage, command, args, walls_off)
    }

    /// The same by a command that executes its further arguments, with what is its stdout as descriptor 3.
    pub fn start_by<A: AsRef<OsStr>>(
        stage: &'a Stage,
        mut command: Command,
        args: &[A],
        walls_off: &str,
    ) -> Daemon<'a> {
        let socket = stage.home().join("api.sock");
        command.arg(stage.program("runtime"));
        command.args(["serve", "--ready-fd", "3", "--listen"]).arg(format!("unix:{}", socket.display()));
        command.arg("--state-dir").arg(stage.home().join("state")).args(args);
        if !walls_off.is_empty() {
            command.env("RUNTIME_TEST_WALLS_OFF", walls_off);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.contains("api.sock"), "the daemon did not come up; it said {ready:?}");
        Daemon { stage, child, socket }
    }

    /// Its launcher's pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its socket.
    pub fn socket(&self) -> &PathBuf {
        &self.socket
    }

    /// A command line of its client: arguments after the endpoint.
    pub fn client<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut command = self.stage.command(self.stage.program("runtime"));
        command.arg("--endpoint").arg(format!("unix:{}", self.socket.display())).args(args);
        command
    }

    /// Sends a signal to the launcher.
    pub fn signal(&self, signal: i32) {
        let pid = runtime_sys::clone::Pid(i32::try_from(self.child.id()).unwrap());
        let pidfd = pidfd::open(pid).unwrap();
        pidfd::send_signal(pidfd.as_fd(), signal).unwrap();
    }

    /// Waits for its end after [`Daemon::signal`].
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child, END_TIMEOUT).expect("the daemon ends within its own deadlines")
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_some() {
            return;
        }
        self.signal(SIGTERM);
        if wait(&mut self.child, END_TIMEOUT).is_none() {
            self.signal(SIGKILL);
            self.child.wait().unwrap();
            assert!(std::thread::panicking(), "the daemon did not end upon TERM");
        }
    }
}
