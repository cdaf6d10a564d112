//! The one line that `run` prints when a command did not simply exit: why it ended, the evidence, the next step.

use runtime_plan::limit::LimitName;
use runtime_proto::v1::{LimitHit, Outcome, SpawnFailedOutcome, outcome::Cause};

use super::{amount, escape, signal};

/// The line, without `runtime: `; `None` when the command exited by itself.
pub fn line(outcome: &Outcome) -> Option<String> {
    let text = match outcome.cause.as_ref() {
        None => "the outcome names no cause: the daemon's version is newer than ours; upgrade this command".to_owned(),
        Some(Cause::Exited(_)) => return None,
        Some(Cause::Signalled(ended)) => {
            let core = if ended.core_dumped { ", core dumped" } else { "" };
            format!("the command was ended by signal {}{core}", signal::show(ended.signal))
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
        Some(Cause::Lost(lost)) => lost_line(&lost.why),
    };
    Some(escape::line(&text))
}

/// A job whose end nobody saw: what that means for its caller.
fn lost_line(why: &str) -> String {
    match why {
        "env_not_kept" => "the job waited for its turn while the daemon was started again, and the values of its variables went with the old one (env_not_kept): it never ran; submit it again".to_owned(),
        "host_rebooted" => "the host went down while the command ran (host_rebooted): what it did so far is unknown".to_owned(),
        why => format!("nobody saw the command end ({why}): see the daemon's log; what it did so far is unknown"),
    }
}

/// What shows that it ended so; empty where the line says it already, or nothing more is known.
pub fn evidence(outcome: &Outcome) -> String {
    match outcome.cause.as_ref() {
        Some(Cause::Signalled(ended)) => escape::line(&ended.evidence),
        Some(Cause::HostOom(killed)) => escape::line(&killed.evidence),
        _ => String::new(),
    }
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
        Some(Cause::Signalled(ended)) => format!("signal {}", signal::show(ended.signal)),
        Some(Cause::Limit(hit)) => format!("limit {}", hit.limit),
        Some(Cause::Denied(_)) => "denied".to_owned(),
        Some(Cause::Cancelled(_)) => "cancelled".to_owned(),
        Some(Cause::SpawnFailed(_)) => "spawn failed".to_owned(),
        Some(Cause::HostOom(_)) => "host oom".to_owned(),
        Some(Cause::Lost(_)) => "lost".to_owned(),
    };
    escape::line(&text)
}

#[cfg(test)]
#[path = "outcome/tests.rs"]
mod tests;
