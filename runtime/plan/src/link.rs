//! What launcher and server say to each other. The launcher believes nothing of what it is told: every message is bounded and
//! checked again on its side, and no message can name a host path, a filter, a uid or a cgroup.

use crate::{
    doctor::Finding, facts::HostFacts, outcome::ExitReport, policy::Policy, profile::ProfileSummary,
    spec::Spec, wall::Enforcement,
};
use serde::{Deserialize, Serialize};

/// Version of this protocol: both sides say it first, and a mismatch ends the server.
pub const VERSION: u32 = 1;
/// A message of at most this many bytes goes in the datagram itself; a larger one as a sealed memfd.
pub const INLINE_BYTES_MAX: usize = 65_536;
/// No message is larger: argv and env at their bound, and the framing.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A job's id on this link.
pub const JOB_ID_BYTES_MAX: usize = 64;
/// Words of a cancel.
pub const REASON_BYTES_MAX: usize = 1_024;

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
    /// Send this signal to the leader of the job (1 to 64).
    Signal {
        /// Which.
        job: JobId,
        /// Signal number.
        signal: i32,
    },
    /// The job wrote more than it may: end it.
    OutputLimit {
        /// Which.
        job: JobId,
        /// Bytes that it wrote.
        used: u64,
    },
    /// The exit report has arrived: the launcher forgets the job.
    Acknowledge {
        /// Which.
        job: JobId,
    },
    /// The server is done: no more jobs will come.
    Goodbye,
}

/// From the launcher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToServer {
    /// First message.
    Hello(Box<Welcome>),
    /// The job is taken. Three fds follow with it: stdin (write end, absent when stdin is empty), stdout, stderr (read ends).
    Accepted {
        /// Which.
        job: JobId,
        /// Whether the first fd is stdin.
        stdin: bool,
        /// Bytes of output that it may write.
        output_bytes_max: u64,
    },
    /// The job is not taken.
    Refused {
        /// Which.
        job: JobId,
        /// Why.
        refusal: Refusal,
    },
    /// The command runs.
    Started {
        /// Which.
        job: JobId,
        /// Which walls stand.
        enforcement: Box<Enforcement>,
    },
    /// The job is over, and nothing of it is left.
    Finished {
        /// Which.
        job: JobId,
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
    /// Finish: jobs are being ended (the operator or the parent asked for it).
    ShutDown,
}

/// What the server has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`VERSION`] of the launcher.
    pub version: u32,
    /// What the host offers.
    pub facts: HostFacts,
    /// The profiles, by name.
    pub profiles: Vec<ProfileSummary>,
    /// The policy.
    pub policy: Policy,
    /// What the doctor says of the host.
    pub findings: Vec<Finding>,
    /// Whether the default profile can run.
    pub default_profile_runs: bool,
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
