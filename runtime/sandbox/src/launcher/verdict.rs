//! Why a job ended, from what was seen. Pure: evidence in, outcome out.
//!
//! The order of the questions is the order of trust: what the launcher itself did, what the kernel counted, what init said.

use crate::{
    inside::{
        job::MISSING_INTERPRETER,
        step::{ExitStatus, Failure, Step},
    },
    launcher::job::Ending,
};
use runtime_plan::{
    launch::{CpuTimeKeeping, LaunchPlan},
    limit::LimitName,
    outcome::{LimitHit, Outcome, SpawnFailure},
    spec::StdinSource,
};
use runtime_sys::{cgroup::Events, error::Errno};

/// signal(7).
const SIGKILL: i32 = 9;
/// signal(7).
const SIGXCPU: i32 = 24;
/// The kernel counts for RLIMIT_CPU by ticks, which on a busy host run ahead of the time that was really used: by a tenth and more.
const TICKS_AHEAD: u64 = 2;
/// signal(7).
const SIGSYS: i32 = 31;

/// What was seen of a job's end.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// What it ran under.
    pub plan: &'a LaunchPlan,
    /// What the launcher did.
    pub ending: Option<&'a Ending>,
    /// What the kernel counted; `None` without a cgroup.
    pub events: Option<Events>,
    /// Highest memory, in bytes.
    pub memory_peak_bytes: Option<u64>,
    /// CPU time of the processes that init reaped, in microseconds.
    pub cpu_us: Option<u64>,
    /// What init said of a failed start.
    pub failure: Option<Failure>,
    /// What init said of the leader's end.
    pub exit: Option<ExitStatus>,
    /// Signals that the launcher sent because somebody asked for them: [`signal_bit`] of each.
    pub signals_asked: u64,
    /// Bytes, inodes: what init saw of the scratch file system at the end.
    pub scratch_full: (bool, bool),
}

/// Decides.
pub fn judge(evidence: &Evidence<'_>) -> (Outcome, Vec<LimitHit>) {
    let outcome = outcome(evidence);
    let hits = limits_hit(evidence, &outcome);
    (outcome, hits)
}

fn outcome(evidence: &Evidence<'_>) -> Outcome {
    if let Some(Ending::Limit(hit)) = evidence.ending {
        return Outcome::Limit(hit.clone());
    }
    if let Some(outcome) = out_of_memory(evidence) {
        return outcome;
    }
    if let Some(Ending::Cancelled { by, reason }) = evidence.ending {
        return Outcome::Cancelled { by: by.clone(), reason: reason.clone() };
    }
    if let Some(failure) = evidence.failure {
        return Outcome::SpawnFailed(spawn_failure(evidence.plan, failure));
    }
    if let Some(hit) = cpu_time_of_a_process(evidence) {
        return Outcome::Limit(hit);
    }
    match evidence.exit {
        Some(ExitStatus::Exited(code)) => Outcome::Exited { code },
        // A raised SIGSYS looks the same to wait(2): the number of the call is not known here.
        Some(ExitStatus::Signalled { signal: SIGSYS, .. }) => Outcome::Denied { syscall: None },
        Some(ExitStatus::Signalled { signal, core_dumped }) => {
            Outcome::Signalled { signal, core_dumped, evidence: not_ours(evidence, signal) }
        }
        None => Outcome::Lost { why: "init_vanished".to_owned() },
    }
}

/// A kill by the out-of-memory killer that took the leader or the whole group. One that took a child only is a limit that
/// was hit, unless the launcher has ended the job for it.
fn out_of_memory(evidence: &Evidence<'_>) -> Option<Outcome> {
    let events = evidence.events?;
    let leader_killed = match evidence.exit {
        Some(ExitStatus::Signalled { signal: SIGKILL, .. }) => true,
        Some(_) => false,
        // With memory.oom.group init goes with the job and says nothing.
        None => evidence.failure.is_none(),
    };
    if events.oom_kills == 0 || !leader_killed {
        return None;
    }
    if !met_memory_limit(evidence.plan, events, evidence.memory_peak_bytes) {
        let peak = evidence.memory_peak_bytes.map_or("unknown".to_owned(), |peak| format!("{peak} bytes"));
        let allowed = evidence.plan.limits.memory_bytes;
        let evidence = format!("{}, memory peak {peak} of {allowed} bytes", oom_count(events));
        return Some(Outcome::HostOom { evidence });
    }
    Some(Outcome::Limit(memory_hit(evidence.plan, events, evidence.memory_peak_bytes)))
}

/// Where no group counts cpu time, the kernel ends a process that has used up all of it: RLIMIT_CPU of setrlimit(2). A raised SIGXCPU looks the same
/// to wait(2), but for the time that was used.
fn cpu_time_of_a_process(evidence: &Evidence<'_>) -> Option<LimitHit> {
    let allowed = evidence.plan.limits.cpu_time_ms?;
    let used = evidence.cpu_us? / 1_000;
    let by_kernel = match evidence.exit {
        Some(ExitStatus::Signalled { signal: SIGXCPU, .. }) => used.saturating_mul(TICKS_AHEAD) >= allowed,
        // A second later, for a process that takes no notice.
        Some(ExitStatus::Signalled { signal: SIGKILL, .. }) => used >= allowed,
        _ => false,
    };
    let kept_so = matches!(evidence.plan.cpu_time, CpuTimeKeeping::Processes { .. });
    (by_kernel && kept_so).then(|| LimitHit {
        limit: LimitName::CpuTime,
        allowed,
        used: Some(used),
        count: 1,
        evidence: "the kernel ended a process for its cpu time (RLIMIT_CPU)".to_owned(),
    })
}

/// What shows that a signal was not the launcher's, nor that of a limit.
fn not_ours(evidence: &Evidence<'_>, signal: i32) -> String {
    let sender = if evidence.signals_asked & signal_bit(signal) != 0 {
        "a client asked the launcher to send it"
    } else {
        "the launcher did not send it"
    };
    let oom = match evidence.events {
        Some(events) => oom_count(events),
        None => "no cgroup counts out-of-memory kills".to_owned(),
    };
    format!("wait status: signal {signal}; {sender}; {oom}")
}

/// A signal's place in a set of signals.
pub fn signal_bit(signal: i32) -> u64 {
    u32::try_from(signal - 1).ok().and_then(|place| 1_u64.checked_shl(place)).unwrap_or(0)
}

/// The kernel's count of kills, in the words of the file that has it. Only v2 can end a group as a whole.
fn oom_count(events: Events) -> String {
    if events.oom_group_kills > 0 {
        format!("memory.events oom_kill {} oom_group_kill {}", events.oom_kills, events.oom_group_kills)
    } else {
        format!("oom_kill {}", events.oom_kills)
    }
}

/// Whether the group's own limit was met. The kernel's count of kills also has those of the host's own killer, which strikes
/// while a job is far below its limit. v1's counter of hits is a lower bound (0 on 6.18), so the peak is asked as well: the
/// kernel charges in batches of 64 pages per cpu, hence the slack.
pub fn met_memory_limit(plan: &LaunchPlan, events: Events, peak_bytes: Option<u64>) -> bool {
    const SLACK_BYTES: u64 = 2 * 1024 * 1024;
    let limit = plan.limits.memory_bytes;
    let slack = SLACK_BYTES.min(limit / 4);
    events.memory_max_hits > 0 || peak_bytes.is_some_and(|peak| peak.saturating_add(slack) >= limit)
}

/// The memory limit, with the kernel's count.
pub fn memory_hit(plan: &LaunchPlan, events: Events, used: Option<u64>) -> LimitHit {
    let evidence = if met_memory_limit(plan, events, used) {
        oom_count(events)
    } else {
        format!("{}, by the host's own out-of-memory killer: the job was below its limit", oom_count(events))
    };
    LimitHit {
        limit: LimitName::Memory,
        allowed: plan.limits.memory_bytes,
        used,
        count: events.oom_kills.max(1),
        evidence,
    }
}

fn limits_hit(evidence: &Evidence<'_>, outcome: &Outcome) -> Vec<LimitHit> {
    let limits = &evidence.plan.limits;
    let mut hits = Vec::new();
    if let Some(events) = evidence.events {
        let ended_by_memory = matches!(outcome, Outcome::Limit(hit) if hit.limit == LimitName::Memory);
        let by_host = matches!(outcome, Outcome::HostOom { .. });
        if events.oom_kills > 0 && !ended_by_memory && !by_host {
            hits.push(memory_hit(evidence.plan, events, evidence.memory_peak_bytes));
        }
        if events.pids_max_hits > 0 {
            hits.push(LimitHit {
                limit: LimitName::Pids,
                allowed: limits.pids,
                used: Some(limits.pids),
                count: events.pids_max_hits,
                evidence: format!("pids.events max {}", events.pids_max_hits),
            });
        }
    }
    let full = |limit, allowed, what: &str| LimitHit {
        limit,
        allowed,
        used: Some(allowed),
        count: 1,
        evidence: format!("no {what} free in the scratch file system when the command ended"),
    };
    if evidence.scratch_full.0 {
        hits.push(full(LimitName::Scratch, limits.scratch_bytes, "bytes"));
    }
    if evidence.scratch_full.1 {
        hits.push(full(LimitName::Inodes, limits.scratch_inodes, "inodes"));
    }
    hits
}

/// The failure of a step in words, with what to do next.
pub fn spawn_failure(plan: &LaunchPlan, failure: Failure) -> SpawnFailure {
    let errno = Errno(failure.errno);
    let step = describe(plan, failure);
    let place = format!("step {} of {}", failure.step.place(), Step::ALL.len());
    let program = plan.command.argv.first().map(|program| shown(program)).unwrap_or_default();
    let (exit_status, message) = match (failure.step, errno) {
        (Step::Exec, Errno::ENOENT | Errno::ENOTDIR) => (127, not_found(plan, &program)),
        (Step::Exec, Errno::EACCES) => (
            126,
            format!(
                "{program} cannot be executed: permission denied; make it executable (chmod +x) and readable for others, or run it through its interpreter"
            ),
        ),
        (Step::Exec, Errno(MISSING_INTERPRETER)) => (
            126,
            format!(
                "{program} cannot be executed: the interpreter or loader that it names is not in the sandbox; choose a profile that has it (runtime profile list) or correct its first line"
            ),
        ),
        (Step::Exec, Errno::ENOEXEC) => (
            126,
            format!(
                "{program} cannot be executed: it is no program of this machine and has no #! line; run it through its interpreter, for example: sh {program}"
            ),
        ),
        (Step::Exec, Errno::E2BIG) => (
            126,
            format!(
                "{program} cannot be executed: its arguments and environment are too long; pass data on stdin or in a file"
            ),
        ),
        (Step::Exec, _) => (126, format!("{program} cannot be executed: {errno} ({place})")),
        (Step::OpenStdin, Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES | Errno::EISDIR) => (
            125,
            format!(
                "failed to {step}: {errno} ({place}); give a regular file that is there inside and that the command may read"
            ),
        ),
        (Step::WorkDirectory, Errno::ENOENT | Errno::ENOTDIR) => (
            125,
            format!(
                "failed to {step}: there is no such directory inside ({place}); /workspace and /tmp are always there"
            ),
        ),
        _ => (
            125,
            format!(
                "failed to {step}: {errno} ({place}); `runtime doctor` shows what this host lacks and how to mend it"
            ),
        ),
    };
    SpawnFailure {
        step,
        index: failure.step.place(),
        steps: Step::ALL.len() as u32,
        errno: if failure.errno == MISSING_INTERPRETER { Errno::ENOENT.0 } else { failure.errno },
        wall: failure.step.wall(),
        message,
        exit_status,
    }
}

fn not_found(plan: &LaunchPlan, program: &str) -> String {
    if program.contains('/') {
        return format!(
            "{program} was not found in the sandbox; `runtime run -- ls {program}` shows what is there, and `runtime profile show {}` what the profile mounts",
            plan.profile
        );
    }
    let path: Vec<String> = plan.command.path.iter().map(|directory| shown(directory)).collect();
    format!(
        "{program} was not found in the sandbox's PATH ({}); choose a profile that has it (runtime profile list) or give its path",
        path.join(":")
    )
}

/// The step with its object: "mount /workspace".
fn describe(plan: &LaunchPlan, failure: Failure) -> String {
    let item = failure.item as usize;
    let object = match failure.step {
        Step::RootEntry => plan.root.get(item).map(|entry| entry.target()),
        Step::ProcReadOnly => plan.proc_read_only.get(item).cloned(),
        Step::ProcMasked => plan.proc_masked.get(item).cloned(),
        Step::UserSysctls => plan.user_sysctls.get(item).map(|(name, _)| name.clone()),
        Step::LandlockRules => plan.landlock.rules.get(item).map(|(path, _)| format!("for {path}")),
        Step::ResourceLimit => plan.rlimits.get(item).map(|(limit, ..)| format!("{limit:?}").to_lowercase()),
        Step::WorkDirectory => Some(shown(&plan.command.workdir)),
        Step::OpenStdin => match &plan.command.stdin {
            StdinSource::File(path) => Some(shown(path)),
            StdinSource::Empty | StdinSource::Stream => None,
        },
        Step::Exec => plan.command.argv.first().map(|program| shown(program)),
        _ => None,
    };
    match object {
        Some(object) => format!("{} {object}", failure.step.text()),
        None => failure.step.text().to_owned(),
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(200).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
