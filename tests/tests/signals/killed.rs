//! Kills that nobody can catch, and readers that go away.

use crate::{Running, SIGKILL, assert_nothing_remains, ended_by, send};
use runtime_tests::{Stage, children, stories, wait};
use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

stories!(
    a_killed_command_line_takes_everything_with_it,
    a_killed_launcher_takes_everything_with_it,
    a_killed_server_ends_the_run_and_says_so,
    a_reader_that_goes_away_ends_the_job,
    a_reader_of_stderr_that_goes_away_ends_the_job,
);

/// A command that hears nothing and has put daemons into sessions of their own.
const DEEP: &str = "trap '' TERM; for i in 1 2 3; do setsid sh -c 'trap \"\" TERM HUP; (sleep 1000 & sleep 1000)' & done; sleep 0.1; echo up; while :; do sleep 1; done";

fn a_killed_command_line_takes_everything_with_it(stage: &Stage) {
    let mut running = Running::start(stage, &[], DEEP);
    let before = Instant::now();
    running.signal(SIGKILL);
    let status = running.child.wait().unwrap();
    assert!(ended_by(status, SIGKILL));
    assert_nothing_remains(&running.traces);
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
}

fn a_killed_launcher_takes_everything_with_it(stage: &Stage) {
    let running = Running::start(stage, &[], DEEP);
    let launcher = children(running.child.id());
    assert_eq!(launcher.len(), 1, "{launcher:?}");
    send(launcher[0].pid, SIGKILL);
    let Running { mut child, traces, .. } = running;
    let status = wait(&mut child, Duration::from_secs(20)).unwrap();
    assert_eq!(status.code(), Some(125));
    let mut errors = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut errors).unwrap();
    assert!(errors.starts_with("runtime: ") && errors.contains("launcher"), "{errors}");
    // Its directory and its cgroups are the next launcher's to sweep.
    let next = stage.run(&runtime_tests::Request::new(["--", "true"]));
    assert_eq!(next.status.code(), Some(0), "{}", next.errors());
    assert_nothing_remains(&traces);
}

fn a_killed_server_ends_the_run_and_says_so(stage: &Stage) {
    let running = Running::start(stage, &[], DEEP);
    let launcher = children(running.child.id());
    let server = children(launcher[0].pid)
        .into_iter()
        .find(|process| runtime_tests::cmdline(process.pid).iter().any(|word| word == "__server"))
        .unwrap();
    send(server.pid, SIGKILL);
    let ended = running.end();
    assert_eq!(ended.status.code(), Some(125), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("runtime: "), "{}", ended.stderr);
}

fn a_reader_that_goes_away_ends_the_job(stage: &Stage) {
    let status = stage.open_directory().join("status");
    let before = Instant::now();
    let mut command = stage.command("/bin/sh");
    let script =
        r#"{ "$1" run --embedded -- sh -c 'while :; do echo line; done'; echo $? >"$2"; } | head -1"#;
    command.args(["-c", script, "sh"]).arg(stage.program("runtime")).arg(&status);
    let output = command.stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.stdout, b"line\n");
    assert_eq!(output.stderr, b"", "nobody reads any more, and nothing is wrong");
    assert_eq!(fs::read_to_string(&status).unwrap(), "141\n", "as for any program whose reader went away");
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
}

fn a_reader_of_stderr_that_goes_away_ends_the_job(stage: &Stage) {
    let mut command = stage.command(stage.program("runtime"));
    command.args(["run", "--embedded", "--", "sh", "-c", "while :; do echo line >&2; done"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    let status = wait(&mut child, Duration::from_secs(20));
    assert_eq!(status.unwrap().code(), Some(141));
}
