//! Memory and descriptors of a daemon, whatever its jobs write and however many they are.

use crate::{can_look, start};
use runtime_tests::{Daemon, Stage, eventually, fds_of, skip, stories};
use std::fs;

stories!(a_flood_does_not_stay_in_the_servers_memory, many_jobs_leave_no_descriptor_open);

/// The most memory that a process ever had, in KiB: proc_pid_status(5).
fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// In bytes: what each of the two jobs with long writes has.
const FLOOD: u64 = 64 << 20;
/// In KiB. A server that kept one flood in memory grew by 65 536 for it. A burst of its writer is 4 MiB, a pipe 1 MiB, a stream's
/// window 1 MiB; two jobs and two readers of them are well below half of one flood.
const GROWTH_MAX: u64 = 32 << 10;

fn a_flood_does_not_stay_in_the_servers_memory(stage: &Stage) {
    if !can_look() {
        return skip("durable::bounds::rootless::a_flood_does_not_stay_in_the_servers_memory", "needs root");
    }
    let daemon = start(stage);
    assert_eq!(daemon.say(&["run", "--", "true"]).status, 0);
    let server = daemon.server().unwrap();
    let before = peak_kib(server);
    let limit = format!("output={}B", FLOOD + 1);
    let line = daemon.submit(&[
        "--limit",
        &limit,
        "--",
        "sh",
        "-c",
        &format!("head -c {FLOOD} /dev/zero | tr '\\0' x"),
    ]);
    let bytes = "import os\nfor i in range(30000): os.write(1, b'y')";
    let single = daemon.submit(&["--", "python3", "-c", bytes]);
    // Read while they are written, and once more when they are over.
    for _ in 0..2 {
        let output = daemon.client(&["logs", "-f", &line]).output().unwrap().stdout;
        assert!(output.len() as u64 == FLOOD && output.iter().all(|byte| *byte == b'x'), "{}", output.len());
    }
    assert_eq!(daemon.ask(&["logs", "-f", &single]), "y".repeat(30_000));
    assert_eq!(daemon.server(), Some(server), "it is the same server");
    let growth = peak_kib(server) - before;
    assert!(growth < GROWTH_MAX, "the server grew by {growth} KiB over {before}");
}

/// How many descriptors a process has, without those of the store, whose readers come with the load, up to a bound.
fn open_files(pid: u32) -> usize {
    fds_of(pid).values().filter(|file| !file.contains("store.sqlite")).count()
}

/// Runs so many jobs, eight at a time.
fn run_jobs(daemon: &Daemon<'_>, number: usize) {
    for _ in 0..number / 8 {
        let jobs: Vec<String> =
            (0..8).map(|_| daemon.submit(&["--profile", "strict", "--", "true"])).collect();
        let args: Vec<&str> = ["wait"].into_iter().chain(jobs.iter().map(String::as_str)).collect();
        assert_eq!(daemon.say(&args).status, 0);
    }
}

fn many_jobs_leave_no_descriptor_open(stage: &Stage) {
    if !can_look() {
        return skip("durable::bounds::rootless::many_jobs_leave_no_descriptor_open", "needs root");
    }
    let daemon = start(stage);
    let server = daemon.server().unwrap();
    let count = || (open_files(daemon.pid()), open_files(server));
    run_jobs(&daemon, 16);
    // Connections and log files of the last jobs may take a moment to close.
    let mut before = count();
    eventually("the descriptors come to rest", || {
        let last = before;
        std::thread::sleep(std::time::Duration::from_millis(200));
        before = count();
        before == last
    });
    run_jobs(&daemon, 304);
    eventually("there are no more descriptors than before", || {
        let now = count();
        now.0 <= before.0 && now.1 <= before.1
    });
    assert_eq!(daemon.server(), Some(server), "it is the same server");
}
