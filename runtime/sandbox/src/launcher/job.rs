//! One job as the launcher knows it: its sandbox, its deadlines, and how its end came about.
//!
//! ```text
//! starting ── Started ──► running ── leader gone ──► ending ── init reaped ──► finished
//!     └────── Failed / deadline / cancel ──────────────┘
//! ```

use crate::{
    inside::step::{ExitStatus, Failure},
    launcher::{places::Slot, stdio::Kept},
};
use runtime_plan::{
    launch::LaunchPlan,
    limit::LimitName,
    link::{JobId, ToServer},
    outcome::LimitHit,
    wall::Enforcement,
};
use runtime_sys::{cgroup::JobGroup, clone::Pid};
use std::{os::fd::OwnedFd, time::Duration};

/// Why the launcher is ending a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// A limit that ends.
    Limit(LimitHit),
    /// Somebody asked.
    Cancelled {
        /// Who.
        by: String,
        /// Their words.
        reason: String,
    },
}

/// Times of a job, on the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// When the launcher took it.
    pub taken: Duration,
    /// When the program ran.
    pub started: Option<Duration>,
    /// When its first process was gone.
    pub ended: Option<Duration>,
    /// The start on the wall clock, since 1970.
    pub started_wall: Option<Duration>,
    /// The end likewise.
    pub ended_wall: Option<Duration>,
    /// When KILL follows TERM.
    pub kill: Option<Duration>,
    /// When it is given up, although its init is still there.
    pub stuck: Option<Duration>,
    /// When usage is looked at next, for limits that no event tells.
    pub poll: Option<Duration>,
}

/// One job.
#[derive(Debug)]
pub struct Job {
    /// Its id on the link.
    pub id: JobId,
    /// The server's own words about it, handed to each server as they came.
    pub record: Vec<u8>,
    /// Our ends of its pipes.
    pub stdio: Kept,
    /// Number in the tokens of the event loop.
    pub serial: u64,
    /// What it runs under. The system call policy is left out.
    pub plan: LaunchPlan,
    /// Which walls stand.
    pub enforcement: Enforcement,
    /// Init.
    pub init: Pid,
    /// Init.
    pub init_pidfd: OwnedFd,
    /// The launcher's end of init's socket; gone after its end of file.
    pub socket: Option<OwnedFd>,
    /// The job's first process, once it runs.
    pub leader: Option<OwnedFd>,
    /// Its cgroup.
    pub group: Option<JobGroup>,
    /// Fds that tell of memory events.
    pub group_events: Vec<OwnedFd>,
    /// Its host ids.
    pub slot: Option<Slot>,
    /// Its times.
    pub times: Times,
    /// Why we are ending it.
    pub ending: Option<Ending>,
    /// What init said of the start's failure.
    pub failure: Option<Failure>,
    /// What init said of the leader's end.
    pub exit: Option<ExitStatus>,
    /// CPU time that init counted, user and system, in microseconds.
    pub init_cpu_us: Option<(u64, u64)>,
    /// Signals that we sent because somebody asked for them, as a set ([`crate::launcher::verdict::signal_bit`]).
    pub signals_asked: u64,
    /// What init saw of the scratch file system at the end: (bytes full, inodes full).
    pub scratch_full: (bool, bool),
    /// Highest values that polling saw; `None` when events tell everything and nothing is polled.
    pub polled: Option<Polled>,
}

/// What polling saw.
#[derive(Debug, Clone, Copy, Default)]
pub struct Polled {
    /// Highest resident memory of the tree, in bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Highest number of processes.
    pub pids_peak: Option<u64>,
}

impl Job {
    /// When the loop has to look at the job next, if nothing happens before.
    pub fn next_deadline(&self) -> Option<Duration> {
        [self.wall_deadline(), self.times.kill, self.times.stuck, self.times.poll].into_iter().flatten().min()
    }

    /// When its wall time is over; none while it is being ended.
    pub fn wall_deadline(&self) -> Option<Duration> {
        if self.ending.is_some() || self.times.ended.is_some() {
            return None;
        }
        let limit = Duration::from_millis(self.plan.limits.wall_time_ms?);
        // The clock starts at exec; a start that hangs is bounded by the same time, counted from when it began.
        Some(self.times.started.unwrap_or(self.times.taken) + limit)
    }

    /// What the server hears of its start.
    pub fn started_message(&self) -> ToServer {
        ToServer::Started {
            job: self.id.clone(),
            time_us: self.times.started_wall.unwrap_or_default().as_micros() as u64,
            enforcement: Box::new(self.enforcement.clone()),
        }
    }

    /// A limit that ended the job.
    pub fn limit_hit(limit: LimitName, allowed: u64, used: Option<u64>, evidence: String) -> Ending {
        Ending::Limit(LimitHit { limit, allowed, used, count: 1, evidence })
    }
}
