//! `attach` without a terminal: its output from the start, its stdin, its end.

use crate::start;
use runtime_tests::{Daemon, Stage, Who, stories};
use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

stories!(
    whoever_joins_reads_all_of_it_and_ends_as_the_job,
    stdin_is_handed_on_and_its_end_too,
    fifty_mebibytes_of_stdin_arrive_whole,
);

/// Writes to a client's stdin from a thread, and reads what comes meanwhile.
fn feed(mut command: Command, bytes: Vec<u8>) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer
        .join()
        .unwrap()
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    output
}

fn whoever_joins_reads_all_of_it_and_ends_as_the_job(stage: &Stage) {
    let daemon = start(stage);
    let job = daemon.submit_script("echo one; echo two >&2; exit 9");
    for _ in 0..2 {
        let said = daemon.say(&["attach", &job]);
        assert_eq!((said.status, said.out.as_str(), said.err.as_str()), (9, "one\n", "two\n"));
    }
    assert_eq!(daemon.say(&["wait", &job]).status, 9);
    assert_eq!(daemon.say(&["attach", &job]).status, 9, "also when it is over");
}

fn stdin_is_handed_on_and_its_end_too(stage: &Stage) {
    let daemon = start(stage);
    let job = daemon.submit(&["-i", "--", "sh", "-c", "cat; echo end; exit 2"]);
    daemon.until_state(&job, "running");
    assert_eq!(daemon.inspect(&job)["stdin_open"], true);
    let output = feed(daemon.client(&["attach", "-i", &job]), b"typed\0\xff\n".to_vec());
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), b"typed\0\xff\nend\n".as_slice()));
    assert_eq!(daemon.inspect(&job)["stdin_open"], false);
}

/// sha256sum(1) of bytes, by the host's program.
fn sha256(stage: &Stage, bytes: Vec<u8>) -> String {
    let output = feed(stage.command("sha256sum"), bytes);
    String::from_utf8(output.stdout).unwrap()
}

/// Every byte value at every place of a block of 64 KiB, and no block like another.
fn noise(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(50);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}

fn fifty_mebibytes_of_stdin_arrive_whole(stage: &Stage) {
    const LENGTH: usize = 50 << 20;
    let daemon = start(stage);
    let bytes = noise(LENGTH);
    let expected = sha256(stage, bytes.clone());
    let output = feed(daemon.client(&["run", "-i", "--", "sha256sum"]), bytes);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!((output.status.code(), printed.as_ref()), (Some(0), expected.as_str()));
    // None of it stays in the server, whose memory is bounded: with all of it in memory it had 50 MiB more.
    if can_look(stage) {
        let peak = peak_kib(&daemon);
        assert!(peak < 48 << 10, "the server took {peak} KiB for {LENGTH} bytes of stdin");
    }
}

/// Whether /proc of the daemon's server is open to us.
fn can_look(stage: &Stage) -> bool {
    runtime_sys::process::effective_uid() == 0 || stage.who() == Who::Root
}

/// The most memory that the server ever had, in KiB.
fn peak_kib(daemon: &Daemon<'_>) -> u64 {
    let server = daemon.server().expect("a server is up");
    let status = std::fs::read_to_string(format!("/proc/{server}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
