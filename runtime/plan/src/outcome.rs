//! Why a job ended, with the numbers that prove it.

use crate::{limit::LimitName, wall::Wall};
use serde::{Deserialize, Serialize};

/// Why a job ended. Never a made-up 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The command ended by itself.
    Exited {
        /// Exit code, 0 to 255.
        code: i32,
    },
    /// A signal that was not ours ended the command.
    Signalled {
        /// Signal number, 1 to 64.
        signal: i32,
        /// Whether the kernel says that it dumped core (ours never write one).
        core_dumped: bool,
        /// What shows that neither the launcher nor a limit sent it.
        evidence: String,
    },
    /// The launcher or the kernel ended the job because of a limit.
    Limit(LimitHit),
    /// A system call of the job was answered with death by the filter.
    Denied {
        /// The number of the system call, when the kernel's record tells.
        syscall: Option<u32>,
    },
    /// Somebody asked for the end.
    Cancelled {
        /// Who: a uid, or "client disconnected".
        by: String,
        /// Their words, at most 1 024 bytes.
        reason: String,
    },
    /// The command never ran.
    SpawnFailed(SpawnFailure),
    /// The host itself was out of memory and its killer chose the job.
    HostOom {
        /// What shows it: the kernel's count beside how far the job was from its own limit.
        evidence: String,
    },
    /// Nobody saw the end.
    Lost {
        /// Why: `launcher_died`, `host_rebooted`, `init_vanished`, `env_not_kept`.
        why: String,
    },
}

/// A limit that was hit, with the numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitHit {
    /// Which.
    pub limit: LimitName,
    /// What was allowed, in the limit's unit.
    pub allowed: u64,
    /// What was used, in the limit's unit, when it was seen. Absent when the host cannot tell.
    pub used: Option<u64>,
    /// How often, for limits that only refuse.
    pub count: u64,
    /// The event that says so, for example "memory.events oom_group_kill 1".
    pub evidence: String,
}

/// Why a start failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnFailure {
    /// The step's name, for example "mount /workspace".
    pub step: String,
    /// Its place in the list, from 1.
    pub index: u32,
    /// How many steps there are.
    pub steps: u32,
    /// The kernel's answer; 0 when it was not the kernel.
    pub errno: i32,
    /// The wall that the step belongs to, when it does.
    pub wall: Option<Wall>,
    /// One sentence for the user: what failed and what to do next.
    pub message: String,
    /// How a shell would say it: 126 not executable, 127 not found, 125 ours.
    pub exit_status: i32,
}

/// What the job used. What a host cannot measure is absent, never 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Usage {
    /// CPU time in user mode, in microseconds.
    pub cpu_user_us: Option<u64>,
    /// CPU time in kernel mode, in microseconds.
    pub cpu_system_us: Option<u64>,
    /// Time during which the cpu limit held the job back, in microseconds.
    pub cpu_throttled_us: Option<u64>,
    /// Highest memory of the tree, in bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Highest number of processes and threads.
    pub pids_peak: Option<u64>,
    /// Bytes read from block devices.
    pub io_read_bytes: Option<u64>,
    /// Bytes written to block devices.
    pub io_write_bytes: Option<u64>,
    /// From the request to the launcher's start, in microseconds.
    pub queue_us: Option<u64>,
    /// From the launcher's start to exec, in microseconds.
    pub spawn_us: Option<u64>,
    /// From exec to the end of the leader, in microseconds.
    pub run_us: Option<u64>,
}

/// How a job ended, as the launcher saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitReport {
    /// Why.
    pub outcome: Outcome,
    /// Limits that the job ran into without being ended by them.
    pub limits_hit: Vec<LimitHit>,
    /// What it used.
    pub usage: Usage,
    /// Things that went wrong while cleaning up; empty as a rule.
    pub cleanup_errors: Vec<String>,
}
