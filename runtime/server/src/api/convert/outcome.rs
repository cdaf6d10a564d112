//! From an exit report to the wire, and the exit status that a shell would see.

use super::duration_from_us;
use crate::jobs::{Finished, JobRecord};
use runtime_plan::outcome::{LimitHit, Outcome, SpawnFailure, Usage};
use runtime_plan::wall::{Enforcement, WallState};
use runtime_proto::v1;

/// timeout(1) says it so.
const STATUS_LIMIT: u32 = 124;
/// env(1) and docker-run(1) say it so: the failure is ours.
const STATUS_OURS: u32 = 125;
/// How a shell says "ended by signal N".
const STATUS_SIGNAL: u32 = 128;
/// signal(7) on every Linux architecture.
const SIGKILL: u32 = 9;
/// signal(7): what we send first.
const SIGTERM: u32 = 15;
/// signal(7): what the filter sends (not on MIPS and SPARC).
const SIGSYS: u32 = 31;

/// The exit status of `runtime run`: the command's own, 128+N for a signal, 124 for a limit, 126 and 127 when the
/// command could not be run, 125 when the fault is ours. A cancelled job counts as ended by TERM (143) whatever it
/// made of it, a call that the filter killed as SIGSYS (159), and the host's memory killer as KILL (137).
pub fn exit_status(outcome: &Outcome) -> u32 {
    match outcome {
        Outcome::Exited { code } => u32::try_from(*code).map_or(STATUS_OURS, |code| code & 0xff),
        Outcome::Signalled { signal, .. } => {
            u32::try_from(*signal).map_or(STATUS_OURS, |signal| STATUS_SIGNAL + (signal & 0x7f))
        }
        Outcome::Limit(_) => STATUS_LIMIT,
        Outcome::Denied { .. } => STATUS_SIGNAL + SIGSYS,
        Outcome::Cancelled { .. } => STATUS_SIGNAL + SIGTERM,
        Outcome::SpawnFailed(failure) => match failure.exit_status {
            126 => 126,
            127 => 127,
            _ => STATUS_OURS,
        },
        Outcome::HostOom { .. } => STATUS_SIGNAL + SIGKILL,
        Outcome::Lost { .. } => STATUS_OURS,
    }
}

/// The outcome of a job that is over.
pub fn outcome_to_wire(finished: &Finished) -> v1::Outcome {
    let report = &finished.report;
    v1::Outcome {
        cause: Some(cause_to_wire(&report.outcome)),
        limits_hit: report.limits_hit.iter().map(limit_hit_to_wire).collect(),
        usage: Some(usage_to_wire(
            &report.usage,
            finished.stdout_bytes.saturating_add(finished.stderr_bytes),
        )),
        exit_status: exit_status(&report.outcome),
        stdout_bytes: finished.stdout_bytes,
        stderr_bytes: finished.stderr_bytes,
        cleanup_errors: report.cleanup_errors.clone(),
    }
}

fn cause_to_wire(outcome: &Outcome) -> v1::outcome::Cause {
    use v1::outcome::Cause;
    match outcome {
        Outcome::Exited { code } => Cause::Exited(v1::ExitedOutcome { code: *code }),
        Outcome::Signalled { signal, core_dumped, evidence } => Cause::Signalled(v1::SignalledOutcome {
            signal: *signal,
            core_dumped: *core_dumped,
            evidence: evidence.clone(),
        }),
        Outcome::Limit(hit) => Cause::Limit(limit_hit_to_wire(hit)),
        Outcome::Denied { syscall } => Cause::Denied(v1::DeniedOutcome { syscall: *syscall }),
        Outcome::Cancelled { by, reason } => {
            Cause::Cancelled(v1::CancelledOutcome { by: by.clone(), reason: reason.clone() })
        }
        Outcome::SpawnFailed(failure) => Cause::SpawnFailed(spawn_failure_to_wire(failure)),
        Outcome::HostOom { evidence } => Cause::HostOom(v1::HostOomOutcome { evidence: evidence.clone() }),
        Outcome::Lost { why } => Cause::Lost(v1::LostOutcome { why: why.clone() }),
    }
}

fn spawn_failure_to_wire(failure: &SpawnFailure) -> v1::SpawnFailedOutcome {
    v1::SpawnFailedOutcome {
        step: failure.step.clone(),
        index: failure.index,
        steps: failure.steps,
        errno: failure.errno,
        wall: failure.wall.map(|wall| wall.name().to_owned()).unwrap_or_default(),
        message: failure.message.clone(),
    }
}

fn limit_hit_to_wire(hit: &LimitHit) -> v1::LimitHit {
    v1::LimitHit {
        limit: hit.limit.name().to_owned(),
        allowed: hit.allowed,
        used: hit.used,
        unit: hit.limit.unit().to_owned(),
        count: hit.count.max(1),
        evidence: hit.evidence.clone(),
    }
}

fn usage_to_wire(usage: &Usage, output_bytes: u64) -> v1::Usage {
    v1::Usage {
        cpu_user: usage.cpu_user_us.map(duration_from_us),
        cpu_system: usage.cpu_system_us.map(duration_from_us),
        cpu_throttled: usage.cpu_throttled_us.map(duration_from_us),
        memory_peak_bytes: usage.memory_peak_bytes,
        pids_peak: usage.pids_peak,
        io_read_bytes: usage.io_read_bytes,
        io_write_bytes: usage.io_write_bytes,
        queue_time: usage.queue_us.map(duration_from_us),
        spawn_time: usage.spawn_us.map(duration_from_us),
        run_time: usage.run_us.map(duration_from_us),
        output_bytes: Some(output_bytes),
    }
}

/// Which walls stood, and under which profile.
pub fn enforcement_to_wire(enforcement: &Enforcement, record: &JobRecord) -> v1::Enforcement {
    let walls = enforcement.walls.iter().map(|report| v1::WallReport {
        wall: report.wall.name().to_owned(),
        state: match report.state {
            WallState::Up => v1::WallState::Up,
            WallState::Fallback => v1::WallState::Fallback,
            WallState::Down => v1::WallState::Down,
        }
        .into(),
        detail: report.detail.clone(),
    });
    v1::Enforcement {
        walls: walls.collect(),
        kernel: enforcement.kernel.clone(),
        landlock_abi: enforcement.landlock_abi,
        cgroup_version: enforcement.cgroup_version.clone(),
        plan_digest: enforcement.plan_digest.clone(),
        profile: record.profile.clone(),
        profile_digest: record.profile_digest.clone(),
    }
}
