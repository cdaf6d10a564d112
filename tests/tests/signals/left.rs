//! The command ends by itself and leaves processes behind: they end with it, and nobody waits for them.

use crate::Running;
use runtime_tests::{Stage, stories};
use std::time::{Duration, Instant};

stories!(
    daemons_of_a_job_end_with_it,
    a_child_that_holds_stdout_open_does_not_keep_the_run,
    children_that_ignore_term_end_with_the_command,
    a_stopped_child_ends_with_the_command,
);

fn ends_well(stage: &Stage, script: &str) -> String {
    let running = Running::start(stage, &[], script);
    let before = Instant::now();
    let ended = running.end();
    assert_eq!(ended.status.code(), Some(5), "{}", ended.stderr);
    assert_eq!(ended.report["outcome"]["exited"]["code"], 5);
    assert_eq!(ended.stderr, "");
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    ended.stdout
}

fn daemons_of_a_job_end_with_it(stage: &Stage) {
    let script = "for i in 1 2 3; do setsid sh -c '(sleep 1000 >/dev/null 2>&1 &)' & done; wait; echo up; sleep 0.2; exit 5";
    ends_well(stage, script);
}

fn a_child_that_holds_stdout_open_does_not_keep_the_run(stage: &Stage) {
    let script = "sleep 1000 & echo up; sleep 0.2; echo last words; exit 5";
    assert_eq!(ends_well(stage, script), "last words\n");
}

fn children_that_ignore_term_end_with_the_command(stage: &Stage) {
    let script = "(trap '' TERM HUP INT; while :; do sleep 1; done) & echo up; sleep 0.2; exit 5";
    ends_well(stage, script);
}

fn a_stopped_child_ends_with_the_command(stage: &Stage) {
    let script = "sleep 1000 & kill -STOP $!; echo up; sleep 0.2; exit 5";
    ends_well(stage, script);
}
