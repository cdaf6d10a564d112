//! The pipes of a job, and the launcher's own copies of their ends.
//!
//! A server that dies takes its ends with it. Without ours a job would then read the end of its stdin and be ended by its
//! next write (SIGPIPE), and what waits in its pipes would be gone: so each end is kept until the server has acknowledged that the job's
//! outcome and output are on disk. The launcher never reads or writes through them.

use runtime_plan::{
    launch::LaunchPlan,
    link::{self, PipesKind},
    spec::StdinSource,
};
use runtime_sys::{Error, file, pipe};
use std::{
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
};

/// Size of a pipe of output: what a job can write while no server is there to read, and what one splice moves.
const PIPE_BYTES: usize = 1024 * 1024;

/// Pages that a job's two pipes of output take at that size.
const JOB_PAGES: u64 = 2 * (PIPE_BYTES as u64) / 4_096;
/// Of the pages that an ordinary user's pipes may take, a launcher uses up to this part for large ones: the user has other programs, whose new
/// pipes would get two pages each.
const USER_SHARE: u64 = 4;

/// Who may have large pipes.
#[derive(Debug, Clone, Copy)]
pub struct Pipes {
    /// Jobs at one time; the rest have pipes of the usual size.
    jobs_max: u64,
}

impl Pipes {
    /// Root is not bounded; of others the kernel counts the pages (pipe(7), /proc/sys/fs/pipe-user-pages-soft).
    pub fn of(rootful: bool, user_pages_soft: Option<u64>) -> Pipes {
        let jobs_max = match user_pages_soft {
            _ if rootful => u64::MAX,
            // 0 is no bound.
            Some(0) => u64::MAX,
            Some(pages) => pages / USER_SHARE / JOB_PAGES,
            None => 0,
        };
        Pipes { jobs_max }
    }

    /// Whether one more job may have them.
    pub fn may_be_large(self, jobs: usize) -> bool {
        (jobs as u64) < self.jobs_max
    }
}

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
    pub fn pipes(&self, plan: &LaunchPlan) -> link::Pipes {
        let kind = match self {
            Kept::Streams { stdin, .. } => PipesKind::Streams { stdin: stdin.is_some() },
            Kept::Terminal { .. } => PipesKind::Terminal,
        };
        link::Pipes {
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
        grow(large, [&read]);
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
    grow(large, [&stdout, &stderr]);
    if let Some(uid) = job_uid {
        for end in &job {
            file::change_owner_fd(end.as_fd(), uid, uid)?;
        }
    }
    Ok(Stdio { job, kept: Kept::Streams { stdin, stdout: Rc::new(stdout), stderr: Rc::new(stderr) } })
}

/// A bound of the host may be lower, or met by now: then the rest stays as it is.
fn grow<const COUNT: usize>(large: bool, pipes: [&OwnedFd; COUNT]) {
    if large {
        pipes.into_iter().all(|pipe| pipe::set_size(pipe.as_fd(), PIPE_BYTES).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_user_keeps_room_for_other_pipes() {
        let large =
            |rootful, soft| (0..100).filter(|jobs| Pipes::of(rootful, soft).may_be_large(*jobs)).count();
        assert_eq!(large(true, Some(1)), 100);
        assert_eq!(large(false, Some(16_384)), 8);
        assert_eq!([large(false, Some(0)), large(false, Some(64)), large(false, None)], [100, 0, 0]);
    }
}
