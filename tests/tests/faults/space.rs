//! Disks without space, and clocks that jump.

use crate::start;
use runtime_tests::{Stage, client, eventually, stories};
use std::fs;

stories!(
    a_disk_that_is_full_stalls_output_and_refuses_jobs_until_there_is_space,
    a_record_that_cannot_be_written_is_refused_once,
    a_clock_that_jumps_ends_no_job,
);

fn a_disk_that_is_full_stalls_output_and_refuses_jobs_until_there_is_space(stage: &Stage) {
    const BYTES: usize = 6 << 20;
    let daemon = start(stage, "disk-full-after=1MiB");
    let job = daemon.submit_script(&format!("head -c {BYTES} /dev/zero | tr '\\0' z; exit 3"));
    eventually("the output waits for the disk", || daemon.inspect(&job)["output_stalled"] != "");
    daemon.refuses(&["submit", "--json", "--", "true"], 1, &["STATE_FULL"]);
    assert_eq!(daemon.inspect(&job)["state"], "running");
    // A server that starts now counts anew, comes to the same point, and loses nothing.
    daemon.replace_server();
    eventually("the output waits again", || daemon.inspect(&job)["output_stalled"] != "");
    assert_eq!(daemon.inspect(&job)["state"], "running");
    fs::write(stage.home().join("state/fault-space"), b"").unwrap();
    assert_eq!(daemon.say(&["wait", &job]).status, 3);
    let output = daemon.client(&["logs", &job]).output().unwrap().stdout;
    assert!(output.len() == BYTES && output.iter().all(|byte| *byte == b'z'), "{} bytes came", output.len());
    eventually("jobs are taken again", || daemon.say(&["run", "--", "true"]).status == 0);
}

fn a_record_that_cannot_be_written_is_refused_once(stage: &Stage) {
    let daemon = start(stage, "store-fails-at=1");
    daemon.refuses(&["submit", "--json", "--", "true"], 1, &["STATE_FULL"]);
    let mut job = String::new();
    eventually("the space is noticed", || {
        let said = daemon.say(&["submit", "--", "sh", "-c", "exit 3"]);
        job = said.out.trim().to_owned();
        said.status == 0
    });
    assert_eq!(daemon.say(&["wait", &job]).status, 3);
    assert_eq!(daemon.ps(&[]).len(), 1, "what was refused is not there");
}

fn a_clock_that_jumps_ends_no_job(stage: &Stage) {
    let daemon = start(stage, "clock-jump=2h");
    let run = daemon.say(&["run", "--timeout", "60s", "--", "sh", "-c", "sleep 0.3; exit 3"]);
    assert_eq!(run.status, 3, "its wall time is of another clock: {}", run.err);
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let jobs = threads.block_on(async { client::list(&client::client(&daemon)).await });
    let seconds = |time: &Option<prost_types::Timestamp>| time.as_ref().unwrap().seconds;
    let jump = seconds(&jobs[0].finish_time) - seconds(&jobs[0].create_time);
    assert!((7_200..7_260).contains(&jump), "the record shows the jump: {jump} s");
    let ran = jobs[0].outcome.as_ref().unwrap().usage.as_ref().unwrap().run_time.unwrap();
    assert!(ran.seconds < 60, "and what was used does not: {ran:?}");
}
