//! How a run ends when somebody wants it to: signals to the command line, readers that go away, kills that nobody can catch.
//! Whatever the end, nothing of the run is left.

mod asked;
mod killed;
mod left;

use runtime_tests::{Stage, Traces, eventually, wait};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::{fd::AsFd, unix::process::ExitStatusExt},
    path::PathBuf,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::Duration,
};

/// signal(7).
const SIGHUP: i32 = 1;
/// signal(7).
const SIGINT: i32 = 2;
/// signal(7).
const SIGKILL: i32 = 9;
/// signal(7).
const SIGTERM: i32 = 15;

/// A run whose command has said `up`.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    report: PathBuf,
    traces: Traces,
}

/// The end of one.
struct Ended {
    status: ExitStatus,
    stdout: String,
    stderr: String,
    report: Value,
}

impl Running {
    /// Starts `runtime run --embedded FLAGS -- sh -c SCRIPT`; the script says `up` when it is ready.
    fn start(stage: &Stage, flags: &[&str], script: &str) -> Running {
        let mut command = stage.command(stage.program("runtime"));
        let report = stage.open_directory().join("report");
        command.args(["run", "--embedded", "--report"]).arg(&report).args(flags);
        Running::spawn(command, report, script)
    }

    /// The same with a command line that was made elsewhere; it lacks the command.
    fn spawn(mut command: Command, report: PathBuf, script: &str) -> Running {
        command.args(["--", "sh", "-c", script]);
        let traces = Traces::before();
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        if line != "up\n" {
            let mut errors = String::new();
            child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            panic!("the command said {line:?} and not up; stderr: {errors}");
        }
        let mut running = Running { child, stdout, report, traces };
        running.traces.note(running.child.id());
        let (processes, instances, namespaces) = running.traces.counts();
        // The command line, launcher, zygote, server, init and the command; and each kind of namespace.
        assert!(processes >= 6 && instances == 1 && namespaces >= 7, "{:?}", running.traces.counts());
        running
    }

    fn signal(&self, signal: i32) {
        send(self.child.id(), signal);
    }

    /// Waits for the end, and until nothing is left of it.
    fn end(mut self) -> Ended {
        let status = wait(&mut self.child, Duration::from_secs(20));
        let Some(status) = status else {
            self.child.kill().unwrap();
            panic!("the run did not end");
        };
        assert_nothing_remains(&self.traces);
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let report = fs::read(&self.report).unwrap_or_default();
        Ended { status, stdout, stderr, report: serde_json::from_slice(&report).unwrap_or_default() }
    }
}

impl Ended {
    /// Asserts that the job was cancelled in these words, and that the command line shows it as the signal that it got.
    fn assert_cancelled(&self, stage: &Stage, signal: i32, reason: &str) {
        let outcome = &self.report["outcome"];
        assert_eq!(self.status.code(), Some(128 + signal), "{}", self.stderr);
        assert_eq!(outcome["cancelled"]["by"], format!("uid {}", stage.uid()), "{outcome}");
        assert_eq!(outcome["cancelled"]["reason"], reason, "{outcome}");
        // A shell may have told of its children before.
        let line = format!("runtime: cancelled by uid {}: {reason}\n", stage.uid());
        assert!(self.stderr.ends_with(&line), "{}", self.stderr);
        assert_eq!(self.stderr.matches("runtime: ").count(), 1, "{}", self.stderr);
    }
}

/// Sends a signal to a process.
fn send(pid: u32, signal: i32) {
    let pidfd = runtime_sys::pidfd::open(runtime_sys::clone::Pid(i32::try_from(pid).unwrap())).unwrap();
    runtime_sys::pidfd::send_signal(pidfd.as_fd(), signal).unwrap();
}

fn assert_nothing_remains(traces: &Traces) {
    eventually("nothing of the run is left", || traces.remaining().is_empty());
}

/// Whether a status is that of a process that a signal ended.
fn ended_by(status: ExitStatus, signal: i32) -> bool {
    status.signal() == Some(signal)
}
