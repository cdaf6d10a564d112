//! Outcome, usage and enforcement as JSON.

use runtime_proto::v1::{Enforcement, LimitHit, Outcome, Usage, WallReport, WallState, outcome::Cause};
use serde_json::Value;

use super::{Object, list, microseconds, short};

/// An outcome: exactly one of the causes is a field.
pub fn outcome(outcome: &Outcome) -> Value {
    let object = match &outcome.cause {
        None => Object::default(),
        Some(cause) => {
            let (name, value) = cause_field(cause);
            Object::default().set(name, value)
        }
    };
    object
        .set("limits_hit", list(&outcome.limits_hit, limit_hit))
        .set_some("usage", outcome.usage.as_ref().map(usage))
        .set("exit_status", outcome.exit_status)
        .set("stdout_bytes", outcome.stdout_bytes)
        .set("stderr_bytes", outcome.stderr_bytes)
        .set("cleanup_errors", outcome.cleanup_errors.clone())
        .into()
}

fn cause_field(cause: &Cause) -> (&'static str, Value) {
    let empty = Object::default;
    match cause {
        Cause::Exited(exited) => ("exited", empty().set("code", exited.code).into()),
        Cause::Signalled(ended) => {
            let object = empty().set("signal", ended.signal).set("core_dumped", ended.core_dumped);
            ("signalled", object.set("evidence", ended.evidence.as_str()).into())
        }
        Cause::Limit(hit) => ("limit", limit_hit(hit)),
        Cause::Denied(denied) => ("denied", empty().set_some("syscall", denied.syscall).into()),
        Cause::Cancelled(cancelled) => {
            let by = cancelled.by.as_str();
            ("cancelled", empty().set("by", by).set("reason", cancelled.reason.as_str()).into())
        }
        Cause::SpawnFailed(failed) => (
            "spawn_failed",
            empty()
                .set("step", failed.step.as_str())
                .set("index", failed.index)
                .set("steps", failed.steps)
                .set("errno", failed.errno)
                .set("wall", failed.wall.as_str())
                .set("message", failed.message.as_str())
                .into(),
        ),
        Cause::HostOom(killed) => ("host_oom", empty().set("evidence", killed.evidence.as_str()).into()),
        Cause::Lost(lost) => ("lost", empty().set("why", lost.why.as_str()).into()),
    }
}

fn limit_hit(hit: &LimitHit) -> Value {
    Object::default()
        .set("limit", hit.limit.as_str())
        .set("allowed", hit.allowed)
        .set_some("used", hit.used)
        .set("unit", hit.unit.as_str())
        .set("count", hit.count)
        .set("evidence", hit.evidence.as_str())
        .into()
}

fn usage(usage: &Usage) -> Value {
    Object::default()
        .set_some("cpu_user_us", usage.cpu_user.as_ref().map(microseconds))
        .set_some("cpu_system_us", usage.cpu_system.as_ref().map(microseconds))
        .set_some("cpu_throttled_us", usage.cpu_throttled.as_ref().map(microseconds))
        .set_some("memory_peak_bytes", usage.memory_peak_bytes)
        .set_some("pids_peak", usage.pids_peak)
        .set_some("io_read_bytes", usage.io_read_bytes)
        .set_some("io_write_bytes", usage.io_write_bytes)
        .set_some("queue_time_us", usage.queue_time.as_ref().map(microseconds))
        .set_some("spawn_time_us", usage.spawn_time.as_ref().map(microseconds))
        .set_some("run_time_us", usage.run_time.as_ref().map(microseconds))
        .set_some("output_bytes", usage.output_bytes)
        .into()
}

/// Which walls stood.
pub fn enforcement(enforcement: &Enforcement) -> Value {
    Object::default()
        .set("walls", list(&enforcement.walls, wall))
        .set("kernel", enforcement.kernel.as_str())
        .set("landlock_abi", enforcement.landlock_abi)
        .set("cgroup_version", enforcement.cgroup_version.as_str())
        .set("plan_digest", enforcement.plan_digest.as_str())
        .set("profile", enforcement.profile.as_str())
        .set("profile_digest", enforcement.profile_digest.as_str())
        .into()
}

fn wall(report: &WallReport) -> Value {
    Object::default()
        .set("wall", report.wall.as_str())
        .set("state", wall_state(report.state()))
        .set("detail", report.detail.as_str())
        .into()
}

/// `up`, `fallback`, `down`.
pub fn wall_state(state: WallState) -> String {
    short(state.as_str_name(), "WALL_STATE_").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_proto::v1::*;
    use serde_json::json;

    #[test]
    fn exactly_one_cause_is_a_field() {
        let exited = Outcome {
            cause: Some(Cause::Exited(ExitedOutcome { code: 3 })),
            exit_status: 3,
            ..Default::default()
        };
        let value = outcome(&exited);
        assert_eq!(value["exited"], json!({"code": 3}));
        assert_eq!(value["exit_status"], 3);
        for other in ["signalled", "limit", "denied", "cancelled", "spawn_failed", "host_oom", "lost"] {
            assert!(value.get(other).is_none(), "{other}");
        }
    }

    #[test]
    fn what_was_not_measured_is_absent_and_never_0() {
        let value = usage(&Usage {
            cpu_user: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
            ..Default::default()
        });
        assert_eq!(value, json!({"cpu_user_us": 1_500_000}));
    }

    #[test]
    fn states_of_walls_are_short_words() {
        assert_eq!(wall_state(WallState::Fallback), "fallback");
    }
}
