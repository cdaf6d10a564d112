//! All that a launcher knows, as data without life: descriptors are numbers.
//!
//! Any change to these types is another format: see [`super::codec`].

use super::codec::Described;
use runtime_plan::{
    doctor::Finding,
    launch::LaunchPlan,
    link::{JobId, LauncherId, Pipes, SealKey},
    outcome::LimitHit,
    wall::Enforcement,
};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    time::Duration,
};

/// A descriptor by its number, which stays the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fd(pub i32);

/// A path, of whatever bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathBytes(Vec<u8>);

impl From<&Path> for PathBytes {
    fn from(path: &Path) -> PathBytes {
        PathBytes(path.as_os_str().as_bytes().to_vec())
    }
}

impl From<PathBytes> for PathBuf {
    fn from(path: PathBytes) -> PathBuf {
        PathBuf::from(OsString::from_vec(path.0))
    }
}

/// A lease: its file, and the lock on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The file, or the directory of an instance.
    pub path: PathBytes,
    /// The lock.
    pub lock: Fd,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Which launcher.
    pub identity: Described<LauncherId>,
    /// Seals specs on disk.
    pub seal_key: SealKey,
    /// How many servers there have been.
    pub generation: u32,
    /// The last number of a job.
    pub serial: u64,
    /// What the doctor said, and whether the default profile runs.
    pub findings: Described<(Vec<Finding>, bool)>,
    /// How long jobs may go on after a TERM.
    pub drain_timeout: Duration,
    /// Where it came from.
    pub origin: Origin,
    /// The instance, and the run directory.
    pub instance: (Lease, PathBytes),
    /// Host ids of jobs: lease, first id, free slots.
    pub slots: Option<(Lease, u32, Vec<u32>)>,
    /// The pidfd of the parent whose end is ours.
    pub lifeline: Option<Fd>,
    /// The zygote of the program before.
    pub zygote: Fd,
    /// How servers are started.
    pub recipe: Recipe,
    /// Jobs that run.
    pub jobs: Vec<Job>,
    /// Jobs that are over, with their numbers.
    pub ended: Vec<(u64, Ended)>,
    /// What did not go away.
    pub quarantine: Vec<Held>,
}

/// What the operator gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The program's file.
    pub program: PathBytes,
    /// Profiles that override built-in ones.
    pub profiles: Option<PathBytes>,
    /// Policies likewise.
    pub policies: Option<PathBytes>,
    /// Where it listens: removed at the end.
    pub sockets: Vec<PathBytes>,
    /// Records and output.
    pub state_dir: PathBytes,
}

/// What a job holds that did not go away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The job.
    pub job: JobId,
    /// Its init: the job's number, and the pidfd.
    pub init: Option<(u64, Fd)>,
    /// Its group.
    pub group: Option<Group>,
    /// Its first host id.
    pub slot: Option<u32>,
}

/// How servers are started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Arguments, with numbers of descriptors in them.
    pub arguments: Vec<String>,
    /// Listening sockets.
    pub fds: Vec<Fd>,
    /// What goes wrong on purpose.
    pub faults: Vec<String>,
    /// The state directory, locked.
    pub directory: Fd,
    /// The server's uid.
    pub uid: Option<u32>,
    /// Its lease.
    pub lease: Option<Lease>,
}

/// A control group: its name, and what it applies as bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// memory, swap, pids, cpu, io, devices.
    pub applied: [bool; 6],
}

/// Our ends of a job's pipes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdio {
    /// stdin, stdout, stderr.
    Streams(Option<Fd>, Fd, Fd),
    /// Read and write end of the relay, the terminal's master.
    Terminal(Fd, Fd, Option<Fd>),
}

/// Why a job is being ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// A limit.
    Limit(Described<LimitHit>),
    /// Somebody asked: who, and their words.
    Cancelled(String, String),
}

/// Times of a job on the monotonic clock, which an exec does not touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// As in the launcher's own.
    pub taken: Duration,
    /// Likewise.
    pub started: Option<Duration>,
    /// Likewise.
    pub ended: Option<Duration>,
    /// Likewise, wall clock.
    pub started_wall: Option<Duration>,
    /// Likewise, wall clock.
    pub ended_wall: Option<Duration>,
    /// Likewise.
    pub kill: Option<Duration>,
    /// Likewise.
    pub stuck: Option<Duration>,
    /// Likewise.
    pub poll: Option<Duration>,
}

/// A job that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its number.
    pub serial: u64,
    /// The server's words.
    pub record: Vec<u8>,
    /// Its pipes.
    pub stdio: Stdio,
    /// What it runs under, without the system call policy.
    pub plan: Box<Described<LaunchPlan>>,
    /// Which walls stand.
    pub enforcement: Described<Enforcement>,
    /// Init: number and pidfd.
    pub init: (i32, Fd),
    /// Init's socket.
    pub socket: Option<Fd>,
    /// The leader's pidfd.
    pub leader: Option<Fd>,
    /// Its group.
    pub group: Option<Group>,
    /// Its first host id.
    pub slot: Option<u32>,
    /// Its times.
    pub times: Times,
    /// Why it is being ended.
    pub ending: Option<Ending>,
    /// Init's record of a start that failed.
    pub failed: Option<Vec<u8>>,
    /// Init's record of the leader's end.
    pub exited: Option<Vec<u8>>,
    /// Signals that we sent.
    pub signals_asked: u64,
    /// What polling saw, where something is polled: memory, processes.
    pub polled: Option<(Option<u64>, Option<u64>)>,
}

/// A job that is over and not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its id.
    pub id: JobId,
    /// The server's words.
    pub record: Vec<u8>,
    /// What its fds are.
    pub pipes: Described<Pipes>,
    /// Its pipes.
    pub stdio: Stdio,
    /// The encoded start.
    pub started: Option<Vec<u8>>,
    /// The encoded end.
    pub finished: Vec<u8>,
}
