//! The one line that `run` prints when a command did not simply exit: why it ended, the evidence, the next step.

use runtime_plan::limit::LimitName;
use runtime_proto::v1::{LimitHit, Outcome, SpawnFailedOutcome, outcome::Cause};

use super::{amount, escape};

/// The line, without `runtime: `; `None` when the command exited by itself.
pub fn line(outcome: &Outcome) -> Option<String> {
    let text = match outcome.cause.as_ref() {
        None => "the outcome names no cause: the daemon's version is newer than ours; upgrade this command".to_owned(),
        Some(Cause::Exited(_)) => return None,
        Some(Cause::Signalled(ended)) => {
            let core = if ended.core_dumped { ", core dumped" } else { "" };
            format!("the command was ended by signal {}{core}", signal(ended.signal))
        }
        Some(Cause::Limit(hit)) => limit(hit),
        Some(Cause::Denied(denied)) => match denied.syscall {
            Some(number) => format!(
                "the system call filter killed the command (system call {number} of x86_64); see which profile allows it with `runtime profile list`"
            ),
            None => "the system call filter killed the command (SIGSYS); see which profile allows more with `runtime profile list`".to_owned(),
        },
        Some(Cause::Cancelled(cancelled)) => match cancelled.reason.as_str() {
            "" => format!("cancelled by {}", cancelled.by),
            reason => format!("cancelled by {}: {reason}", cancelled.by),
        },
        Some(Cause::SpawnFailed(failure)) => spawn_failed(failure),
        Some(Cause::HostOom(_)) => {
            "the host ran out of memory and its kernel chose the command (not a limit of the job): free memory, or run fewer jobs at a time".to_owned()
        }
        Some(Cause::Lost(lost)) => {
            format!("nobody saw the command end ({}): see the daemon's log; what it did so far is unknown", lost.why)
        }
    };
    Some(escape::line(&text))
}

/// A limit that ended a job.
fn limit(hit: &LimitHit) -> String {
    let evidence = if hit.evidence.is_empty() { String::new() } else { format!(" ({})", hit.evidence) };
    let Some(name) = LimitName::from_name(&hit.limit) else {
        return format!("{} limit: allowed {} {}{evidence}", hit.limit, hit.allowed, hit.unit);
    };
    let words = name.name().replace('_', " ");
    let allowed = amount::of_limit(name, hit.allowed);
    let used = match hit.used {
        Some(used) => format!("used {} of {allowed}", amount::of_limit(name, used)),
        None => format!("allowed {allowed}"),
    };
    format!("{words} limit: {used}{evidence}; raise with --limit {name}={}", amount::twice(name, hit.allowed))
}

/// A limit that a job ran into without being ended by it, for tables.
pub fn limit_hit(hit: &LimitHit) -> String {
    let allowed = match LimitName::from_name(&hit.limit) {
        Some(name) => amount::of_limit(name, hit.allowed),
        None => format!("{} {}", hit.allowed, hit.unit),
    };
    escape::line(&format!("{}: {} times at {allowed} ({})", hit.limit, hit.count, hit.evidence))
}

fn spawn_failed(failure: &SpawnFailedOutcome) -> String {
    if !failure.message.is_empty() {
        return failure.message.clone();
    }
    format!(
        "failed to {}: errno {} (step {} of {})",
        failure.step, failure.errno, failure.index, failure.steps
    )
}

/// How a job ended, in a few words for tables.
pub fn word(outcome: &Outcome) -> String {
    let text = match outcome.cause.as_ref() {
        None => "unknown".to_owned(),
        Some(Cause::Exited(exited)) => format!("exited {}", exited.code),
        Some(Cause::Signalled(ended)) => format!("signal {}", signal(ended.signal)),
        Some(Cause::Limit(hit)) => format!("limit {}", hit.limit),
        Some(Cause::Denied(_)) => "denied".to_owned(),
        Some(Cause::Cancelled(_)) => "cancelled".to_owned(),
        Some(Cause::SpawnFailed(_)) => "spawn failed".to_owned(),
        Some(Cause::HostOom(_)) => "host oom".to_owned(),
        Some(Cause::Lost(_)) => "lost".to_owned(),
    };
    escape::line(&text)
}

/// A signal's number and, for those that people know, its name (signal(7), x86_64).
fn signal(number: i32) -> String {
    let name = match number {
        1 => "HUP",
        2 => "INT",
        3 => "QUIT",
        4 => "ILL",
        5 => "TRAP",
        6 => "ABRT",
        7 => "BUS",
        8 => "FPE",
        9 => "KILL",
        10 => "USR1",
        11 => "SEGV",
        12 => "USR2",
        13 => "PIPE",
        14 => "ALRM",
        15 => "TERM",
        24 => "XCPU",
        25 => "XFSZ",
        31 => "SYS",
        _ => return number.to_string(),
    };
    format!("{number} ({name})")
}

#[cfg(test)]
#[path = "outcome/tests.rs"]
mod tests;
