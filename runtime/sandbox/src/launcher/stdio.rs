//! The pipes of a job, and the launcher's own copies of their ends.
//!
//! A server that dies takes its ends with it. Without ours a job would then read the end of its stdin and be ended by its
//! next write (SIGPIPE), and what waits in its pipes would be gone: so each end is kept until the server has acknowledged that the job's
//! outcome and output are on disk. The launcher never reads or writes through them.

use runtime_plan::{
    launch::LaunchPlan,
    link::{Pipes, PipesKind},
    spec::StdinSource,
};
use runtime_sys::{Error, file, pipe};
use std::{
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
};

/// Size of a pipe of output: what a job can write while no server is there to read, and what one splice moves.
const PIPE_BYTES: usize = 1024 * 1024;

/// Stdio of a job: what it gets, and what we keep.
#[derive(Debug)]
pub struct Stdio {
    /// The job's ends, in the order of its stdio. None with a terminal, which init makes itself.
    pub job: Vec<OwnedFd>,
    /// Ours, of which the server gets copies.
    pub kept: Kept,
}

/// The ends that the launcher keeps. Shared with the messages that wait for the server.
#[derive(Debug)]
pub enum Kept {
    /// Pipes.
    Streams {
        /// Write end, until everything is written.
        stdin: Option<Rc<OwnedFd>>,
        /// Read end.
        stdout: Rc<OwnedFd>,
        /// Read end.
        stderr: Rc<OwnedFd>,
    },
    /// A terminal.
    Terminal {
        /// Read end of the pipe through which the terminal's bytes go into the file.
        read: Rc<OwnedFd>,
        /// Its write end.
        write: Rc<OwnedFd>,
        /// The terminal's master side, once init has made it.
        master: Option<Rc<OwnedFd>>,
    },
}

impl Kept {
    /// What the server is told of them.
    pub fn pipes(&self, plan: &LaunchPlan) -> Pipes {
        let kind = match self {
            Kept::Streams { stdin, .. } => PipesKind::Streams { stdin: stdin.is_some() },
            Kept::Terminal { .. } => PipesKind::Terminal,
        };
        Pipes {
            kind,
            output_bytes_max: plan.limits.output_bytes,
            idle_ms_max: plan.limits.idle_time_ms,
        }
    }

    /// The fds that go with [`Kept::pipes`], in its order.
    pub fn fds(&self) -> Vec<Rc<OwnedFd>> {
        match self {
            Kept::Streams { stdin, stdout, stderr } => {
                stdin.iter().chain([stdout, stderr]).cloned().collect()
            }
            Kept::Terminal { read, write, .. } => vec![read.clone(), write.clone()],
        }
    }

    /// The fds that go with `Started`.
    pub fn started_fds(&self) -> Vec<Rc<OwnedFd>> {
        match self {
            Kept::Streams { .. } => Vec::new(),
            Kept::Terminal { master, .. } => master.iter().cloned().collect(),
        }
    }

    /// Gives up our copy of stdin.
    pub fn close_stdin(&mut self) {
        if let Kept::Streams { stdin, .. } = self {
            *stdin = None;
        }
    }

    /// Takes the terminal that init made. A job without one has none to give.
    pub fn take_master(&mut self, fd: OwnedFd) {
        if let Kept::Terminal { master, .. } = self {
            master.get_or_insert_with(|| Rc::new(fd));
        }
    }
}

/// Makes them. The job's ends belong to `job_uid`, so that it can open /dev/stdout again. With `large`, pipes of output are made as large
/// as the kernel lets us: a smaller one is slower, and no failure.
///
/// # Errors
/// What the kernel says: no more fds.
pub fn make(plan: &LaunchPlan, job_uid: Option<u32>, large: bool) -> Result<Stdio, Error> {
    if plan.command.terminal.is_some() {
        let (read, write) = pipe::pipe()?;
        let kept = Kept::Terminal { read: Rc::new(read), write: Rc::new(write), master: None };
        return Ok(Stdio { job: Vec::new(), kept });
    }
    let mut job = Vec::new();
    let mut stdin = None;
    if plan.command.stdin == StdinSource::Stream {
        let (read, write) = pipe::pipe()?;
        job.push(read);
        stdin = Some(Rc::new(write));
    }
    let (stdout, stdout_end) = pipe::pipe()?;
    let (stderr, stderr_end) = pipe::pipe()?;
    job.extend([stdout_end, stderr_end]);
    for end in [&stdout, &stderr] {
        let grown = if large { pipe::set_size(end.as_fd(), PIPE_BYTES).is_ok() } else { false };
        if !grown {
            break;
        }
    }
    if let Some(uid) = job_uid {
        for end in &job {
            file::change_owner_fd(end.as_fd(), uid, uid)?;
        }
    }
    Ok(Stdio { job, kept: Kept::Streams { stdin, stdout: Rc::new(stdout), stderr: Rc::new(stderr) } })
}
