//! What launcher and server say to each other. The launcher believes nothing of what it is told: every message is bounded and
//! checked again on its side, and no message can name a host path, a filter, a uid or a cgroup.

use crate::{
    doctor::Finding, facts::HostFacts, outcome::ExitReport, policy::Policy, profile::ProfileSummary,
    spec::Spec, wall::Enforcement,
};
use serde::{Deserialize, Serialize};

/// Version of this protocol: both sides say it first, and a mismatch ends the server.
pub const VERSION: u32 = 2;
/// A message of at most this many bytes goes in the datagram itself; a larger one as a sealed memfd.
pub const INLINE_BYTES_MAX: usize = 65_536;
/// No message is larger: argv and env at their bound, and the framing.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A job's id on this link.
pub const JOB_ID_BYTES_MAX: usize = 64;
/// Words of a cancel.
pub const REASON_BYTES_MAX: usize = 1_024;
/// The server's own words about a job, which the launcher keeps without reading them.
pub const RECORD_BYTES_MAX: usize = 65_536;

/// From the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToLauncher {
    /// First message.
    Hello {
        /// [`VERSION`] of the server.
        version: u32,
    },
    /// Start this job.
    Start {
        /// Chosen by the server; unknown to the launcher so far.
        job: JobId,
        /// What to run.
        spec: Box<Spec>,
        /// What the server wants to hear again in [`ToServer::Adopt`], at most [`RECORD_BYTES_MAX`]. Opaque.
        record: Vec<u8>,
    },
    /// Say what would be done.
    Plan {
        /// Comes back in the answer.
        request: u64,
        /// What would be run.
        spec: Box<Spec>,
    },
    /// End this job: TERM, grace, KILL.
    Cancel {
        /// Which.
        job: JobId,
        /// Who asked.
        by: String,
        /// Their words.
        reason: String,
        /// At once, without TERM and grace.
        kill: bool,
    },
    /// Send this signal (1 to 64).
    Signal {
        /// Which.
        job: JobId,
        /// Signal number.
        signal: i32,
        /// To every process of the job, else to its leader.
        all: bool,
    },
    /// The job ran into a limit that the server measures: end it.
    LimitReached {
        /// Which.
        job: JobId,
        /// What it ran into.
        limit: MeasuredLimit,
        /// How far it came: bytes of output, or milliseconds without any.
        used: u64,
    },
    /// Every byte of stdin is in the pipe: the launcher gives up its copy, and the job reads end of file.
    CloseStdin {
        /// Which.
        job: JobId,
    },
    /// Outcome and output are on disk: the launcher forgets the job.
    Acknowledge {
        /// Which.
        job: JobId,
    },
    /// The server has taken over what there was, and clients are accepted.
    Ready,
    /// The server is done: no more jobs will come.
    Goodbye,
}

/// A limit that only the server can measure, for it moves the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MeasuredLimit {
    /// Bytes of output.
    Output,
    /// Time without input and output.
    IdleTime,
}

/// From the launcher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToServer {
    /// First message.
    Hello(Box<Welcome>),
    /// A job of an earlier server of this launcher, live or over but not acknowledged; its `Started` and `Finished` follow, as far as it came.
    Adopt {
        /// Which.
        job: JobId,
        /// What came with its `Start`.
        record: Vec<u8>,
        /// Its pipes, as in `Accepted`.
        pipes: Pipes,
    },
    /// Every job that is to be adopted has been told.
    AdoptionComplete,
    /// The job is taken.
    Accepted {
        /// Which.
        job: JobId,
        /// What its fds are.
        pipes: Pipes,
    },
    /// The job is not taken.
    Refused {
        /// Which.
        job: JobId,
        /// Why.
        refusal: Refusal,
    },
    /// The command runs. With a terminal one fd follows: the master.
    Started {
        /// Which.
        job: JobId,
        /// Since when, in microseconds since 1970.
        time_us: u64,
        /// Which walls stand.
        enforcement: Box<Enforcement>,
    },
    /// The job is over, and nothing of it is left.
    Finished {
        /// Which.
        job: JobId,
        /// When its leader ended, in microseconds since 1970.
        time_us: u64,
        /// How.
        report: Box<ExitReport>,
        /// Which walls stood, as far as the start came.
        enforcement: Box<Enforcement>,
    },
    /// What would be done, as JSON of a `LaunchPlan`, or why not.
    Planned {
        /// Of the question.
        request: u64,
        /// The plan as JSON, or the refusal.
        result: Result<String, Refusal>,
    },
    /// The operator's files were read again (SIGHUP), and were good.
    Reloaded(Box<Rules>),
    /// Make room for another server: stop accepting, finish what is being written, say goodbye. No job is ended.
    Retire,
    /// Finish: jobs have been ended (the operator or the parent asked for it).
    ShutDown,
    /// The launcher is on its way down: no job is taken any more, and jobs that run have some time. `ShutDown` follows when the last one is over.
    Draining,
}

/// What the fds that come with a job are, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipes {
    /// How the job's stdio is made.
    pub kind: PipesKind,
    /// Bytes of output that it may write.
    pub output_bytes_max: u64,
    /// Milliseconds without input and output after which it is ended.
    pub idle_ms_max: Option<u64>,
}

/// How a job's stdio is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PipesKind {
    /// stdin (write end, when `stdin`), stdout, stderr (read ends).
    Streams {
        /// Whether the first fd is stdin. False also when it was closed already.
        stdin: bool,
    },
    /// Read and write end of a pipe through which the master's bytes go into the file; the master itself comes with `Started`.
    Terminal,
}

impl PipesKind {
    /// How many fds come.
    pub const fn fds(self) -> usize {
        match self {
            PipesKind::Streams { stdin: true } => 3,
            PipesKind::Streams { stdin: false } | PipesKind::Terminal => 2,
        }
    }
}

/// What the operator's files say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The profiles, by name.
    pub profiles: Vec<ProfileSummary>,
    /// The policy.
    pub policy: Policy,
}

/// Which launcher this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LauncherId {
    /// 16 hexadecimal digits, new with each start; the same for all servers of this launcher, and after an upgrade.
    pub instance: String,
    /// The kernel's boot id (/proc/sys/kernel/random/boot_id).
    pub boot_id: String,
    /// Process id on the host.
    pub pid: u32,
}

/// What the server has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`VERSION`] of the launcher.
    pub version: u32,
    /// What the host offers.
    pub facts: HostFacts,
    /// The operator's files.
    pub rules: Rules,
    /// Which launcher.
    pub launcher: LauncherId,
    /// The number of this server among those of its launcher, from 1.
    pub generation: u32,
    /// Seals specs that wait on disk: made anew with each launcher, and known to its servers only.
    pub seal_key: SealKey,
    /// What the doctor says of the host.
    pub findings: Vec<Finding>,
    /// Whether the default profile can run.
    pub default_profile_runs: bool,
}

/// 32 random bytes, never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealKey(pub [u8; 32]);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// Why a job is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Stable code, from the list in `proto/ERRORS.md`.
    pub reason: RefusalReason,
    /// One sentence and the next step.
    pub message: String,
}

/// Stable codes of refusals by the launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalReason {
    /// No such profile.
    UnknownProfile,
    /// Policy does not let the caller use it.
    ProfileNotAllowed,
    /// A limit is above the ceiling, below the floor, or fixed by the profile.
    LimitOutOfRange,
    /// The launcher was not given a directory (`--dir` is for the embedded form).
    NoHostDirectory,
    /// A wall that the profile requires cannot be built on this host.
    WallUnavailable,
    /// The launcher has no room for one more.
    TooManyJobs,
    /// The id is taken.
    DuplicateJob,
    /// The launcher could not make what the job needs (pipes, cgroup, ids).
    HostResources,
    /// The daemon is on its way down.
    ShuttingDown,
}

/// A job's id on this link: 1 to 64 of `[a-z0-9-]`, so that it can name a cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

impl JobId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is no job id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a job id has 1 to {JOB_ID_BYTES_MAX} of a-z, 0-9 and -")]
pub struct BadJobId;

impl TryFrom<String> for JobId {
    type Error = BadJobId;
    fn try_from(text: String) -> Result<Self, BadJobId> {
        let fits = !text.is_empty() && text.len() <= JOB_ID_BYTES_MAX && !text.starts_with('-');
        let plain =
            text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if fits && plain { Ok(JobId(text)) } else { Err(BadJobId) }
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> String {
        id.0
    }
}

impl std::fmt::Display for JobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Over the bound.
    #[error("a message of {bytes} bytes is over the bound of {MESSAGE_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not of the protocol's form, or a field out of bounds.
    #[error("failed to decode a message: {0}")]
    Malformed(String),
}

/// Bytes of a message. Fails only over [`MESSAGE_BYTES_MAX`].
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, DecodeError> {
    let bytes = postcard::to_stdvec(message).map_err(|error| DecodeError::Malformed(error.to_string()))?;
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(DecodeError::TooLong { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// A message from bytes; trailing bytes are an error.
pub fn decode<'a, M: Deserialize<'a>>(bytes: &'a [u8]) -> Result<M, DecodeError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(DecodeError::TooLong { bytes: bytes.len() });
    }
    let (message, rest) =
        postcard::take_from_bytes(bytes).map_err(|error| DecodeError::Malformed(error.to_string()))?;
    if !rest.is_empty() {
        return Err(DecodeError::Malformed(format!("{} bytes are left over", rest.len())));
    }
    Ok(message)
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
