//! Somebody asks for the end: the command hears TERM, has its grace, and is killed after it.

use crate::{Running, SIGHUP, SIGINT, SIGTERM, send};
use runtime_tests::{Stage, children, stories};
use std::{
    fs,
    io::BufRead,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

stories!(
    term_hup_and_int_reach_the_command_as_term,
    a_command_that_exits_well_upon_term_was_still_cancelled,
    a_command_that_ignores_term_has_its_grace,
    a_second_interrupt_kills_at_once,
    more_terms_leave_the_grace_alone,
    the_interrupt_of_a_terminal_reaches_the_command_line_alone,
    a_run_that_ignores_hangups_goes_on,
    a_signal_at_any_moment_of_the_start_leaves_nothing,
);

const POLITE: &str =
    "trap 'echo told; exit 0' TERM; trap 'echo wrong' INT HUP; echo up; while :; do sleep 0.02; done";
const STUBBORN: &str = "trap '' TERM INT HUP; echo up; while :; do sleep 0.02; done";

fn term_hup_and_int_reach_the_command_as_term(stage: &Stage) {
    for (signal, reason) in [(SIGTERM, "terminate"), (SIGHUP, "hangup"), (SIGINT, "interrupt")] {
        let running = Running::start(stage, &[], POLITE);
        let before = Instant::now();
        running.signal(signal);
        let ended = running.end();
        ended.assert_cancelled(stage, signal, reason);
        assert_eq!(ended.stdout, "told\n");
        assert!(before.elapsed() < Duration::from_secs(4), "the grace was not needed");
    }
}

fn a_command_that_exits_well_upon_term_was_still_cancelled(stage: &Stage) {
    let running = Running::start(stage, &[], POLITE);
    running.signal(SIGTERM);
    let ended = running.end();
    assert!(ended.report["outcome"].get("exited").is_none(), "{}", ended.report["outcome"]);
    assert_eq!(ended.report["outcome"]["exit_status"], 143);
}

fn a_command_that_ignores_term_has_its_grace(stage: &Stage) {
    // The grace of this profile is 1 s.
    let running = Running::start(stage, &["--profile", "strict"], STUBBORN);
    let before = Instant::now();
    running.signal(SIGTERM);
    running.end().assert_cancelled(stage, SIGTERM, "terminate");
    let took = before.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(8), "{took:?}");
}

fn a_second_interrupt_kills_at_once(stage: &Stage) {
    let mut running =
        Running::start(stage, &[], "trap 'echo told' TERM; echo up; while :; do sleep 0.02; done");
    let before = Instant::now();
    running.signal(SIGINT);
    let mut line = String::new();
    running.stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "told\n");
    running.signal(SIGINT);
    running.end().assert_cancelled(stage, SIGINT, "interrupt");
    assert!(before.elapsed() < Duration::from_secs(4), "the grace of 5 s was not waited for");
}

fn more_terms_leave_the_grace_alone(stage: &Stage) {
    let running = Running::start(stage, &["--profile", "strict"], STUBBORN);
    let before = Instant::now();
    for _ in 0..4 {
        running.signal(SIGTERM);
        thread::sleep(Duration::from_millis(50));
    }
    running.end().assert_cancelled(stage, SIGTERM, "terminate");
    assert!(before.elapsed() >= Duration::from_millis(900), "{:?}", before.elapsed());
}

fn the_interrupt_of_a_terminal_reaches_the_command_line_alone(stage: &Stage) {
    let report = stage.open_directory().join("report");
    let mut command = stage.command(stage.program("runtime"));
    command.args(["run", "--embedded", "--report"]).arg(&report);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let running = Running::spawn(command, report, POLITE);
    // A terminal sends to the foreground group; of ours only the command line is in it.
    let group = running.child.id().to_string();
    let sent = stage.command("/bin/sh").args(["-c", r#"kill -INT "-$1""#, "sh", &group]).status().unwrap();
    assert!(sent.success());
    let ended = running.end();
    ended.assert_cancelled(stage, SIGINT, "interrupt");
    assert_eq!(ended.stdout, "told\n");
}

fn a_run_that_ignores_hangups_goes_on(stage: &Stage) {
    let report = stage.open_directory().join("report");
    let mut command = stage.command("/bin/sh");
    command.args(["-c", r#"trap '' HUP; exec "$@""#, "sh"]).arg(stage.program("runtime"));
    command.args(["run", "--embedded", "--report"]).arg(&report);
    let running = Running::spawn(command, report, "echo up; sleep 0.3; echo still here; exit 4");
    running.signal(SIGHUP);
    let ended = running.end();
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(4), "still here\n"), "{}", ended.stderr);
}

fn a_signal_at_any_moment_of_the_start_leaves_nothing(stage: &Stage) {
    for delay_ms in (0..60).step_by(4) {
        let mut command = stage.command(stage.program("runtime"));
        command.args(["run", "--embedded", "--", "sleep", "30"]).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        thread::sleep(Duration::from_millis(delay_ms));
        let mut traces = runtime_tests::Traces::before();
        for process in children(child.id()) {
            traces.note(process.pid);
        }
        send(child.id(), SIGTERM);
        let status = runtime_tests::wait(&mut child, Duration::from_secs(20));
        let status = status.unwrap_or_else(|| panic!("after {delay_ms} ms it does not end"));
        assert!(status.code() == Some(143) || crate::ended_by(status, SIGTERM), "{delay_ms} ms: {status:?}");
        crate::assert_nothing_remains(&traces);
    }
    if stage.uid() != 0 {
        // The user's run directory is the test's own: whatever is in it is ours.
        let instances = fs::read_dir(stage.run_dir().join("instances")).map_or(0, Iterator::count);
        assert_eq!(instances, 0);
    }
}
