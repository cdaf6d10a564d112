//! Wall time and cpu time.

use crate::{assert_ended_by, has_cgroup, run};
use runtime_tests::{Request, Stage, stories};
use std::time::{Duration, Instant};

stories!(
    wall_time_ends_a_job_with_term,
    a_job_that_ignores_term_is_killed_after_the_grace,
    wall_time_ends_every_process_of_the_job,
    cpu_time_ends_a_job_that_computes,
    cpu_time_counts_what_children_use,
    a_job_that_rests_uses_no_cpu_time,
    the_cpu_share_holds_a_job_back,
);

fn wall_time_ends_a_job_with_term(stage: &Stage) {
    let before = Instant::now();
    let script = "trap 'echo told; exit 3' TERM; echo up; while :; do sleep 0.05; done";
    let output = stage.run(&Request::new(["--timeout", "500ms", "--", "sh", "-c", script]));
    let hit = assert_ended_by(&output, "wall_time", 500);
    assert!((500..4_000).contains(&hit["used"].as_u64().unwrap()), "{hit}");
    assert_eq!(hit["unit"], "ms");
    assert_eq!(output.text(), "up\ntold\n");
    assert!(before.elapsed() < Duration::from_secs(4), "the grace was not needed");
}

fn a_job_that_ignores_term_is_killed_after_the_grace(stage: &Stage) {
    // The grace of this profile is 1 s.
    let script = "trap '' TERM; echo up; while :; do sleep 1; done; echo never";
    let args = ["--profile", "strict", "--timeout", "300ms", "--", "sh", "-c", script];
    let output = stage.run(&Request::new(args));
    assert_ended_by(&output, "wall_time", 300);
    assert_eq!(output.text(), "up\n");
    let run_time = output.report["outcome"]["usage"]["run_time_us"].as_u64().unwrap();
    assert!((1_300_000..8_000_000).contains(&run_time), "{run_time} µs");
}

fn wall_time_ends_every_process_of_the_job(stage: &Stage) {
    let script =
        "setsid sh -c 'trap \"\" TERM; while :; do echo alive; sleep 0.1; done' & trap '' TERM; wait";
    let args = ["--profile", "strict", "--timeout", "300ms", "--", "sh", "-c", script];
    let output = stage.run(&Request::new(args));
    assert_ended_by(&output, "wall_time", 300);
    // 13 in the 1.3 s that the job has; without the kill the run would not end at all.
    assert!(output.text().lines().count() < 100, "{}", output.text());
}

fn cpu_time_ends_a_job_that_computes(stage: &Stage) {
    let output = run(stage, &["cpu_time=300ms"], &["sh", "-c", "echo up; while :; do :; done"]);
    let hit = assert_ended_by(&output, "cpu_time", 300);
    assert!((300..3_000).contains(&hit["used"].as_u64().unwrap()), "{hit}");
    assert_eq!(output.text(), "up\n");
}

fn cpu_time_counts_what_children_use(stage: &Stage) {
    let script = "for child in 1 2 3; do sh -c 'while :; do :; done' & done; wait";
    let output = run(stage, &["cpu_time=400ms"], &["sh", "-c", script]);
    assert_ended_by(&output, "cpu_time", 400);
}

fn a_job_that_rests_uses_no_cpu_time(stage: &Stage) {
    let output = run(stage, &["cpu_time=400ms"], &["sleep", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", output.errors());
}

fn the_cpu_share_holds_a_job_back(stage: &Stage) {
    // So little that it is met on a busy host, too.
    let script = "nproc; i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done";
    let output = run(stage, &["cpu=0.05"], &["sh", "-c", script]);
    assert_eq!((output.status.code(), output.text().as_str()), (Some(0), "1\n"), "{}", output.errors());
    if has_cgroup(&output) {
        let throttled = output.report["outcome"]["usage"]["cpu_throttled_us"].as_u64().unwrap();
        assert!(throttled > 0, "{}", output.report["outcome"]["usage"]);
    }
}
