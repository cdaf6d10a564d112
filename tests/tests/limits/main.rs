//! Limits: each ends or holds back what it should, by the kernel's own evidence, and the outcome names it. Each story is told
//! as root (cgroups) and as an ordinary user (without a delegated group: what stands in for them).

mod asked;
mod counts;
mod memory;
mod storage;
mod strings;
mod time;

use runtime_tests::{Output, Request, Stage};
use serde_json::Value;

/// Runs a command under these limits, each `NAME=VALUE`.
fn run(stage: &Stage, limits: &[&str], command: &[&str]) -> Output {
    let flags = limits.iter().flat_map(|limit| ["--limit", limit]);
    stage.run(&Request::new(flags.chain(["--"]).chain(command.iter().copied())))
}

fn python(stage: &Stage, limits: &[&str], code: &str) -> Output {
    run(stage, limits, &["/usr/bin/python3", "-c", code])
}

/// The limit that ended a job: status 124, one line that says how to raise it, numbers and evidence in the report.
fn assert_ended_by(output: &Output, limit: &str, allowed: u64) -> Value {
    assert_eq!(output.status.code(), Some(124), "{}", output.errors());
    let errors = output.errors();
    // What the command wrote before may lack a newline.
    let line = errors.lines().last().unwrap_or_default();
    assert!(line.contains("runtime: ") && line.contains(&format!("--limit {limit}=")), "{errors}");
    let hit = output.report["outcome"]["limit"].clone();
    assert_eq!(hit["limit"], limit, "{}", output.report["outcome"]);
    assert_eq!(hit["allowed"], allowed);
    assert!(!hit["evidence"].as_str().unwrap().is_empty());
    hit
}

/// The limit of this name among those that the job met without being ended.
fn limit_hit<'a>(output: &'a Output, limit: &str) -> Option<&'a Value> {
    let hits = output.report["outcome"]["limits_hit"].as_array().unwrap_or_else(|| panic!("no report"));
    hits.iter().find(|hit| hit["limit"] == limit)
}

/// Whether a cgroup bounds the tree: always for root, and where a group was delegated.
fn has_cgroup(output: &Output) -> bool {
    output.wall_state("cgroup") == "up"
}
