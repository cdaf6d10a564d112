//! Memory and swap.

use crate::{assert_ended_by, has_cgroup, limit_hit, python, run};
use runtime_tests::{Stage, stories};

stories!(
    memory_ends_a_job_that_eats_too_much,
    memory_counts_the_whole_tree,
    a_child_that_eats_too_much_ends_the_job,
    memory_counts_scratch_where_the_kernel_does,
    swap_is_named_by_the_plan,
    a_job_within_its_memory_is_left_alone,
);

const MIB: u64 = 1 << 20;

fn memory_ends_a_job_that_eats_too_much(stage: &Stage) {
    let code = "print('up', flush=True)\nb = bytearray(200 << 20)\nwhile True: pass";
    let output = python(stage, &["memory=64MiB"], code);
    let hit = assert_ended_by(&output, "memory", 64 * MIB);
    assert_eq!(output.text(), "up\n");
    let used = hit["used"].as_u64().unwrap();
    let evidence = hit["evidence"].as_str().unwrap();
    if has_cgroup(&output) {
        assert!((60 * MIB..=64 * MIB).contains(&used), "{used}");
        assert!(evidence.contains("oom_kill"), "the kernel's own count: {evidence}");
    } else {
        assert!(used > 64 * MIB && evidence.contains("polled"), "{hit}");
    }
}

fn memory_counts_the_whole_tree(stage: &Stage) {
    // Each is within the limit, all three are not.
    let code = r"
import os, time
for _ in range(3):
    if os.fork() == 0:
        b = bytearray(40 << 20)
        time.sleep(30)
        os._exit(0)
time.sleep(30)
";
    let output = python(stage, &["memory=96MiB"], code);
    assert_ended_by(&output, "memory", 96 * MIB);
}

fn a_child_that_eats_too_much_ends_the_job(stage: &Stage) {
    // A tree with a hole in it is no result, wherever the kernel struck.
    let code = r"
import subprocess, sys
print('up', flush=True)
subprocess.run([sys.executable, '-c', 'b = bytearray(200 << 20)\nwhile True: pass'])
print('never', flush=True)
import time; time.sleep(30)
";
    let output = python(stage, &["memory=64MiB"], code);
    assert_ended_by(&output, "memory", 64 * MIB);
    assert!(output.text().starts_with("up\n"), "{}", output.text());
}

fn memory_counts_scratch_where_the_kernel_does(stage: &Stage) {
    // Scratch is bounded to a half of the memory unless more is asked for: it is full before the job is killed.
    let script = "dd if=/dev/zero of=/tmp/x bs=1M count=100 2>&1 | grep -o 'No space left on device'; stat -c %s /tmp/x";
    let output = run(stage, &["memory=64MiB"], &["sh", "-c", script]);
    assert_eq!(output.status.code(), Some(0), "{}", output.errors());
    let text = output.text();
    let (refused, size) = text.trim().split_once('\n').unwrap();
    assert_eq!(refused, "No space left on device");
    let size: u64 = size.parse().unwrap();
    assert!((28 * MIB..=32 * MIB).contains(&size), "{size}");
    assert!(limit_hit(&output, "scratch").is_some(), "{}", output.report["outcome"]);
}

fn swap_is_named_by_the_plan(stage: &Stage) {
    for (limits, expected) in [(vec![], 0), (vec!["--limit", "swap=32MiB"], 32 * MIB)] {
        let mut command = stage.command(stage.program("runtime"));
        command.args(["run", "--embedded", "--plan"]).args(limits).args(["--", "true"]);
        let output = command.output().unwrap();
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(plan["limits"]["swap_bytes"], expected);
    }
}

fn a_job_within_its_memory_is_left_alone(stage: &Stage) {
    let output = python(stage, &["memory=96MiB"], "b = bytearray(40 << 20); print(sum(b[::4096]))");
    assert_eq!((output.status.code(), output.text().as_str()), (Some(0), "0\n"), "{}", output.errors());
    assert!(limit_hit(&output, "memory").is_none());
    if has_cgroup(&output) {
        let peak = output.report["outcome"]["usage"]["memory_peak_bytes"].as_u64().unwrap();
        assert!((40 * MIB..=96 * MIB).contains(&peak), "{peak}");
    }
}
