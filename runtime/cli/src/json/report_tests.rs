//! Samples against the published schema. The checker knows the few words that the schema uses, and fails on any other.

use super::*;
use runtime_proto::v1::{outcome::Cause, *};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../schema/report.schema.json")).unwrap()
}

/// Everything that is wrong with `value`, with the place.
fn check(root: &Value, schema: &Value, value: &Value, place: &str, wrong: &mut Vec<String>) {
    let schema = match schema.get("$ref").and_then(Value::as_str) {
        Some(name) => root.pointer(name.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    for (word, rule) in schema.as_object().unwrap() {
        match word.as_str() {
            "type" => {
                let fits = match rule.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_u64() || value.is_i64(),
                    other => panic!("{other}"),
                };
                if !fits {
                    wrong.push(format!("{place}: not of type {rule}"));
                }
            }
            "enum" if !rule.as_array().unwrap().contains(value) => {
                wrong.push(format!("{place}: not one of {rule}"))
            }
            "required" => {
                for name in rule.as_array().unwrap().iter().map(|name| name.as_str().unwrap()) {
                    if value.get(name).is_none() {
                        wrong.push(format!("{place}: {name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, field) in value.as_object().into_iter().flatten() {
                    match rule.get(name) {
                        Some(schema) => check(root, schema, field, &format!("{place}.{name}"), wrong),
                        None => wrong.push(format!("{place}: {name} is unknown")),
                    }
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(root, rule, item, &format!("{place}[]"), wrong);
                }
            }
            "enum" | "additionalProperties" | "description" | "title" | "$schema" | "$defs" => {}
            other => panic!("the schema uses {other}, which this checker does not know"),
        }
    }
}

fn errors(value: &Value) -> Vec<String> {
    let (root, mut wrong) = (schema(), Vec::new());
    check(&root, &root, value, "report", &mut wrong);
    wrong
}

fn hit() -> LimitHit {
    LimitHit {
        limit: "memory".into(),
        allowed: 1,
        used: Some(2),
        unit: "bytes".into(),
        count: 1,
        evidence: "x".into(),
    }
}

fn causes() -> Vec<Cause> {
    vec![
        Cause::Exited(ExitedOutcome { code: 1 }),
        Cause::Signalled(SignalledOutcome { signal: 9, core_dumped: false, evidence: "x".into() }),
        Cause::Limit(hit()),
        Cause::Denied(DeniedOutcome { syscall: Some(1) }),
        Cause::Denied(DeniedOutcome { syscall: None }),
        Cause::Cancelled(CancelledOutcome { by: "uid 0".into(), reason: "x".into() }),
        Cause::SpawnFailed(SpawnFailedOutcome { step: "exec".into(), ..Default::default() }),
        Cause::HostOom(HostOomOutcome { evidence: "x".into() }),
        Cause::Lost(LostOutcome { why: "launcher_died".into() }),
    ]
}

fn sample(cause: Cause) -> Value {
    let duration = Some(prost_types::Duration { seconds: 1, nanos: 5 });
    let usage = Usage {
        cpu_user: duration,
        cpu_system: duration,
        cpu_throttled: duration,
        memory_peak_bytes: Some(1),
        pids_peak: Some(1),
        io_read_bytes: Some(1),
        io_write_bytes: Some(1),
        queue_time: duration,
        spawn_time: duration,
        run_time: duration,
        output_bytes: Some(1),
    };
    let outcome = Outcome {
        cause: Some(cause),
        limits_hit: vec![hit()],
        usage: Some(usage),
        cleanup_errors: vec!["x".into()],
        ..Default::default()
    };
    let walls = [WallState::Up, WallState::Fallback, WallState::Down].map(|state| WallReport {
        wall: "landlock".into(),
        state: state.into(),
        detail: "ABI 6".into(),
    });
    let enforcement = Enforcement { walls: walls.into(), ..Default::default() };
    let time = prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 };
    report(&Report {
        job_id: Some("job-1"),
        start_time: Some(&time),
        finish_time: Some(&time),
        outcome: Some(&outcome),
        enforcement: Some(&enforcement),
        error: Some(("IO_FAILED", "x".into())),
        exit_status: 1,
    })
}

#[test]
fn every_kind_of_report_keeps_to_the_schema() {
    for cause in causes() {
        let value = sample(cause);
        assert_eq!(errors(&value), Vec::<String>::new(), "{value}");
    }
    assert_eq!(errors(&report(&Report::default())), Vec::<String>::new());
}

#[test]
fn the_checker_sees_what_is_wrong() {
    let mut value = sample(Cause::HostOom(HostOomOutcome { evidence: "x".into() }));
    value["outcome"]["surprise"] = 1.into();
    value["exit_status"] = "1".into();
    value["enforcement"]["walls"][0]["state"] = "sideways".into();
    value["enforcement"].as_object_mut().unwrap().remove("kernel");
    assert_eq!(errors(&value).len(), 4, "{:?}", errors(&value));
}

#[test]
fn a_job_shows_its_arguments_and_never_a_value_of_its_environment() {
    let record = Job {
        job_id: "job-1".into(),
        state: JobState::Running.into(),
        argv: vec![b"sh".as_slice().into(), b"\xff".as_slice().into()],
        env_names: vec![b"TOKEN".as_slice().into()],
        ..Default::default()
    };
    let value = job(&record);
    assert_eq!(value["state"], "running");
    assert_eq!(value["argv"], serde_json::json!(["sh", {"hex": "ff"}]));
    assert_eq!(value["env_names"], serde_json::json!(["TOKEN"]));
    assert!(value.get("outcome").is_none());
    for field in
        ["labels", "org", "priority", "terminal", "stdin_open", "stdout_bytes", "adoptions", "output_stalled"]
    {
        assert!(value.get(field).is_some(), "{field}");
    }
}
