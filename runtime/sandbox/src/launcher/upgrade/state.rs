//! All that a launcher knows, as bytes: written by one version of the program and read by the next.
//!
//! Any change to these types, to a type of `runtime_plan` in them, to the records of init or to the link makes another
//! [`FORMAT`]: a program that does not know the format of the one before it says so while that one still runs.

use runtime_plan::{
    doctor::Finding,
    launch::LaunchPlan,
    link::{self, JobId, LauncherId, Pipes, SealKey},
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

/// Version of this format.
const FORMAT: u32 = 1;
/// What the bytes begin with.
const MAGIC: &[u8; 8] = b"runtime\0";
/// Bytes before the state itself: the above, the format, the version of the link.
const HEAD_BYTES: usize = 16;
/// No state has more bytes: the plans of some thousand jobs, and the reports of as many.
pub const STATE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Why bytes are no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// They are something else.
    #[error("it is not the state of a launcher")]
    NoState,
    /// Another version wrote them.
    #[error(
        "the running daemon keeps its state in format {format} with version {link} of the link, this program knows {FORMAT} with {own}: stop the daemon and start this one",
        own = link::VERSION
    )]
    Format {
        /// Of the state.
        format: u32,
        /// Of the link.
        link: u32,
    },
    /// They are damaged.
    #[error("the state cannot be read: {0}")]
    Damaged(String),
}

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
    pub identity: LauncherId,
    /// Seals specs on disk.
    pub seal_key: SealKey,
    /// How many servers there have been.
    pub generation: u32,
    /// The last number of a job.
    pub serial: u64,
    /// What the doctor said, and whether the default profile runs.
    pub findings: (Vec<Finding>, bool),
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
    Limit(LimitHit),
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
    pub plan: Box<LaunchPlan>,
    /// Which walls stand.
    pub enforcement: Enforcement,
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
    pub pipes: Pipes,
    /// Its pipes.
    pub stdio: Stdio,
    /// The encoded start.
    pub started: Option<Vec<u8>>,
    /// The encoded end.
    pub finished: Vec<u8>,
}

/// The bytes of a state.
///
/// # Errors
/// When it cannot be encoded, or is too large.
pub fn encode(state: &State) -> Result<Vec<u8>, StateError> {
    let mut bytes = Vec::with_capacity(64 * 1024);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&link::VERSION.to_le_bytes());
    let damaged = |why: String| StateError::Damaged(why);
    let bytes = postcard::to_extend(state, bytes).map_err(|error| damaged(error.to_string()))?;
    if bytes.len() > STATE_BYTES_MAX {
        return Err(damaged(format!("{} bytes are too many", bytes.len())));
    }
    Ok(bytes)
}

/// A state from its bytes.
///
/// # Errors
/// When another version wrote it, or it is none.
pub fn decode(bytes: &[u8]) -> Result<State, StateError> {
    let head = bytes.get(..HEAD_BYTES).filter(|head| head.starts_with(MAGIC)).ok_or(StateError::NoState)?;
    let word =
        |at: usize| head.get(at..at + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_le_bytes);
    let (format, link) = (word(8), word(12));
    if (format, link) != (FORMAT, link::VERSION) {
        return Err(StateError::Format { format, link });
    }
    let (state, rest) = postcard::take_from_bytes(bytes.get(HEAD_BYTES..).unwrap_or_default())
        .map_err(|error| StateError::Damaged(error.to_string()))?;
    if rest.is_empty() {
        Ok(state)
    } else {
        Err(StateError::Damaged(format!("{} bytes are left over", rest.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let path = |text: &str| PathBytes::from(Path::new(text));
        let lease = |fd| Lease { path: path("/run/runtime/x"), lock: Fd(fd) };
        let id = |text: &str| JobId::try_from(text.to_owned()).unwrap();
        State {
            identity: LauncherId { instance: "00".repeat(8), boot_id: "b".to_owned(), pid: 7 },
            seal_key: SealKey([3; 32]),
            generation: 4,
            serial: 9,
            findings: (Vec::new(), true),
            drain_timeout: Duration::from_secs(3),
            origin: Origin {
                program: path("/usr/bin/runtime"),
                profiles: Some(path("/etc/runtime/profiles")),
                policies: None,
                sockets: vec![PathBytes(b"/run/a\xffb.sock".to_vec())],
                state_dir: path("/var/lib/runtime"),
            },
            instance: (lease(5), path("/run/runtime")),
            slots: Some((lease(6), 0x7000_0000, vec![2, 1])),
            lifeline: None,
            zygote: Fd(7),
            recipe: Recipe {
                arguments: vec!["--unix-listener-fd".to_owned(), "8=/run/a".to_owned()],
                fds: vec![Fd(8)],
                faults: vec!["crash-at=started".to_owned()],
                directory: Fd(9),
                uid: Some(0x7010_0001),
                lease: Some(lease(10)),
            },
            jobs: Vec::new(),
            ended: vec![(
                3,
                Ended {
                    id: id("job-1"),
                    record: vec![1, 2],
                    pipes: Pipes {
                        kind: link::PipesKind::Streams { stdin: true },
                        output_bytes_max: 5,
                        idle_ms_max: None,
                    },
                    stdio: Stdio::Streams(Some(Fd(11)), Fd(12), Fd(13)),
                    started: None,
                    finished: vec![9],
                },
            )],
            quarantine: vec![Held {
                job: id("job-0"),
                init: Some((1, Fd(14))),
                group: Some(Group { name: "job-0".to_owned(), applied: [true; 6] }),
                slot: Some(0x7000_0010),
            }],
        }
    }

    #[test]
    fn a_state_survives_its_bytes() {
        let bytes = encode(&state()).unwrap();
        assert_eq!(decode(&bytes).unwrap(), state());
        let socket: PathBuf = state().origin.sockets[0].clone().into();
        assert_eq!(socket.as_os_str().as_bytes(), b"/run/a\xffb.sock");
    }

    #[test]
    fn what_another_version_wrote_is_refused_with_both_numbers() {
        let mut bytes = encode(&state()).unwrap();
        bytes[8] = 77;
        let refused = decode(&bytes).unwrap_err();
        assert_eq!(refused, StateError::Format { format: 77, link: link::VERSION });
        assert!(refused.to_string().contains("format 77"), "{refused}");
        bytes[8] = FORMAT as u8;
        bytes[12] ^= 0xff;
        assert!(matches!(decode(&bytes), Err(StateError::Format { .. })));
    }

    #[test]
    fn what_is_no_state_is_no_state() {
        assert_eq!(decode(b""), Err(StateError::NoState));
        assert_eq!(decode(b"something else of some length"), Err(StateError::NoState));
        let mut bytes = encode(&state()).unwrap();
        bytes.push(0);
        assert!(matches!(decode(&bytes), Err(StateError::Damaged(_))));
        bytes.truncate(40);
        assert!(matches!(decode(&bytes), Err(StateError::Damaged(_))));
    }
}
