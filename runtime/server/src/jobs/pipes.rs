//! What the launcher says of a job, and the server's ends of the job's pipes.

use crate::link::LinkError;
use runtime_plan::link::{JobId, Pipes, PipesKind, Refusal};
use runtime_plan::outcome::ExitReport;
use runtime_plan::wall::Enforcement;
use std::os::fd::OwnedFd;
use tokio::sync::mpsc;

/// What the launcher says of a job.
#[derive(Debug)]
pub enum FromLauncher {
    /// It is taken.
    Accepted(JobPipes),
    /// It is not taken.
    Refused(Refusal),
    /// The command runs.
    Started {
        /// Since when, in microseconds since 1970.
        time_us: u64,
        /// Which walls stand.
        enforcement: Box<Enforcement>,
        /// The terminal's master side, when it has one.
        master: Option<OwnedFd>,
    },
    /// It is over.
    Finished {
        /// When, in microseconds since 1970.
        time_us: u64,
        /// How.
        report: Box<ExitReport>,
        /// Which walls stood.
        enforcement: Box<Enforcement>,
    },
}

/// A job of an earlier server that the launcher hands over.
#[derive(Debug)]
pub struct Adoption {
    /// Which.
    pub job: JobId,
    /// What the earlier server wanted to be told.
    pub record: Vec<u8>,
    /// Its pipes.
    pub pipes: JobPipes,
    /// What the launcher says of it from now on.
    pub events: mpsc::UnboundedReceiver<FromLauncher>,
}

/// What the launcher has of earlier servers. A channel that ends without `Complete` is one whose launcher is gone.
#[derive(Debug)]
pub enum Handover {
    /// One job.
    Job(Box<Adoption>),
    /// That was all.
    Complete,
}

/// The server's ends of a job's pipes, and the limits that it measures there.
#[derive(Debug)]
pub struct JobPipes {
    pub(super) ends: PipeEnds,
    /// Bytes of output that the job may write.
    pub(super) output_bytes_max: u64,
    /// Milliseconds without input and output after which it is ended.
    pub(super) idle_ms_max: Option<u64>,
}

/// The descriptors.
#[derive(Debug)]
pub(super) enum PipeEnds {
    /// Three pipes; stdin only while it is open.
    Streams {
        /// Where stdin is written.
        stdin: Option<OwnedFd>,
        /// Where stdout is read.
        stdout: OwnedFd,
        /// Where stderr is read.
        stderr: OwnedFd,
    },
    /// A pipe between the terminal and the file; the terminal itself comes with the start.
    Terminal {
        /// Its reading end.
        relay_read: OwnedFd,
        /// Its writing end.
        relay_write: OwnedFd,
    },
}

impl JobPipes {
    /// The descriptors in the order of the protocol.
    ///
    /// # Errors
    /// When there are more or fewer.
    pub fn new(pipes: Pipes, fds: Vec<OwnedFd>) -> Result<JobPipes, LinkError> {
        if fds.len() != pipes.kind.fds() {
            return Err(LinkError::Unexpected("a job without its pipes"));
        }
        let mut fds = fds.into_iter();
        let mut next = || fds.next().ok_or(LinkError::Unexpected("a job without its pipes"));
        let ends = match pipes.kind {
            PipesKind::Streams { stdin } => PipeEnds::Streams {
                stdin: stdin.then(&mut next).transpose()?,
                stdout: next()?,
                stderr: next()?,
            },
            PipesKind::Terminal => PipeEnds::Terminal { relay_read: next()?, relay_write: next()? },
        };
        Ok(JobPipes { ends, output_bytes_max: pipes.output_bytes_max, idle_ms_max: pipes.idle_ms_max })
    }
}
