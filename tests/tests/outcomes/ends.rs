//! Ends that a job comes to by itself, or by its limits.

use crate::{assert_nothing_runs, cause, on, outcome, python, run, seconds, spec, start, with};
use runtime_proto::v1::{Job, JobSpec, Limits, outcome::Cause};
use runtime_tests::{Stage, Who, stories};

stories!(
    every_cause_is_the_true_one,
    what_is_left_behind_goes_with_the_job,
    limits_that_only_refuse_are_counted
);

const MIB: u64 = 1 << 20;

/// What a row of the table must come to.
enum Expected {
    Exited(i32),
    Signalled(i32),
    /// Name, allowed, words of the evidence.
    Limit(&'static str, u64, &'static str),
    /// Words of the step, and the status of `runtime run`.
    SpawnFailed(&'static str, u32),
    Denied,
}

fn rows(who: Who) -> Vec<(&'static str, JobSpec, Expected)> {
    let wall = |script| with(Limits { wall_time: seconds(1), ..Limits::default() }, spec(script));
    let cpu = with(Limits { cpu_time: seconds(1), ..Limits::default() }, spec("while :; do :; done"));
    let output = with(Limits { output_bytes: Some(10_000), ..Limits::default() }, spec("yes"));
    let idle = with(Limits { idle_time: seconds(1), ..Limits::default() }, spec("echo up; sleep 1000"));
    let mut rows = vec![
        ("an end of its own", spec("exit 0"), Expected::Exited(0)),
        ("a code of its own", spec("exit 42"), Expected::Exited(42)),
        ("the code of a killed job, by choice", spec("exit 137"), Expected::Exited(137)),
        ("the code of a job that ran into a limit, by choice", spec("exit 124"), Expected::Exited(124)),
        ("a kill of itself", spec("kill -KILL $$"), Expected::Signalled(9)),
        ("a TERM of itself", spec("kill -TERM $$"), Expected::Signalled(15)),
        ("a crash", spec("kill -SEGV $$"), Expected::Signalled(11)),
        ("an abort", python("import os; os.abort()"), Expected::Signalled(6)),
        ("its wall time", wall("sleep 1000"), Expected::Limit("wall_time", 1_000, "timer")),
        (
            "its wall time, deaf to TERM",
            wall("trap '' TERM; while :; do sleep 1; done"),
            Expected::Limit("wall_time", 1_000, "timer"),
        ),
        (
            "its wall time, and an end of its own upon TERM",
            wall("trap 'exit 0' TERM; while :; do sleep 0.1; done"),
            Expected::Limit("wall_time", 1_000, "timer"),
        ),
        (
            "its wall time, stopped",
            wall("kill -STOP $$; echo never"),
            Expected::Limit("wall_time", 1_000, "timer"),
        ),
        ("its cpu time", cpu, Expected::Limit("cpu_time", 1_000, "cpu")),
        ("too much output", output, Expected::Limit("output", 10_000, "bytes")),
        ("too long a silence", idle, Expected::Limit("idle_time", 1_000, "byte")),
        (
            "a program that is not there",
            JobSpec { argv: vec![b"no-such-program".to_vec().into()], ..JobSpec::default() },
            Expected::SpawnFailed("execute", 127),
        ),
        (
            "a program that is none",
            JobSpec { argv: vec![b"/etc/hostname".to_vec().into()], ..JobSpec::default() },
            Expected::SpawnFailed("execute", 126),
        ),
        (
            "a directory that is not there",
            JobSpec { workdir: b"/workspace/no/such".to_vec().into(), ..spec("true") },
            Expected::SpawnFailed("director", 125),
        ),
        (
            "a file for stdin that is not there",
            JobSpec { stdin_file: b"/workspace/no-such".to_vec().into(), ..spec("cat") },
            Expected::SpawnFailed("stdin", 125),
        ),
        ("a call that kills", python(X32), Expected::Denied),
    ];
    if who == Who::Root {
        let memory = Limits { memory_bytes: Some(64 * MIB), ..Limits::default() };
        let hungry = "b = bytearray(200 << 20)\nwhile True: pass";
        let child = "import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', 'b = bytearray(200 << 20)'])\ntime.sleep(1000)";
        rows.push((
            "too much memory",
            with(memory, python(hungry)),
            Expected::Limit("memory", 64 * MIB, "oom_kill"),
        ));
        rows.push((
            "too much memory in a child",
            with(memory, python(child)),
            Expected::Limit("memory", 64 * MIB, "oom_kill"),
        ));
    }
    rows
}

/// A call of the x32 ABI, which every profile answers with death.
const X32: &str = "import ctypes; ctypes.CDLL(None).syscall(0x40000000 + 39)";

fn check(name: &str, job: &Job, expected: &Expected) {
    let seen = cause(job);
    match (expected, seen) {
        (Expected::Exited(code), Cause::Exited(exited)) => assert_eq!(*code, exited.code, "{name}"),
        (Expected::Signalled(signal), Cause::Signalled(signalled)) => {
            assert_eq!(*signal, signalled.signal, "{name}");
            assert!(!signalled.evidence.is_empty(), "{name}: {signalled:?}");
        }
        (Expected::Limit(limit, allowed, words), Cause::Limit(hit)) => {
            assert_eq!((*limit, *allowed), (hit.limit.as_str(), hit.allowed), "{name}: {hit:?}");
            assert!(
                hit.evidence.to_lowercase().contains(words) && !hit.evidence.is_empty(),
                "{name}: {hit:?}"
            );
            assert!(hit.used.is_none_or(|used| used > 0), "{name}: {hit:?}");
            assert_eq!(outcome(job).exit_status, 124, "{name}");
        }
        (Expected::SpawnFailed(step, status), Cause::SpawnFailed(failed)) => {
            assert!(failed.step.contains(step) && !failed.message.is_empty(), "{name}: {failed:?}");
            assert!((1..=failed.steps).contains(&failed.index), "{name}: {failed:?}");
            assert_eq!(outcome(job).exit_status, *status, "{name}");
        }
        (Expected::Denied, Cause::Denied(_)) => {}
        _ => panic!("{name} ended as {seen:?}"),
    }
}

fn every_cause_is_the_true_one(stage: &Stage) {
    let daemon = start(stage);
    on(async {
        for (name, spec, expected) in rows(stage.who()) {
            let (job, _) = run(&daemon, &spec).await;
            check(name, &job, &expected);
            let started = !matches!(expected, Expected::SpawnFailed(..));
            let usage = outcome(&job).usage.as_ref().expect("every outcome has its usage");
            assert_eq!(usage.run_time.is_some(), started, "{name}: {usage:?}");
            assert!(usage.queue_time.is_some(), "{name}: {usage:?}");
            assert_eq!(
                usage.output_bytes.unwrap_or(0),
                outcome(&job).stdout_bytes + outcome(&job).stderr_bytes,
                "{name}: {usage:?}"
            );
            assert_nothing_runs(&daemon, name);
        }
    });
}

/// The leader's end is the job's: what it left running is ended with it, however it hid.
fn what_is_left_behind_goes_with_the_job(stage: &Stage) {
    let daemon = start(stage);
    let rows = [
        ("children that live on", "sleep 1000 & sleep 1000 & echo done; exit 5", "done\n", 5),
        (
            "children of dead parents",
            "(sleep 1000 &) ; (sh -c 'sleep 1000 & sleep 1000 &'); echo done",
            "done\n",
            0,
        ),
        (
            "a session of its own",
            "setsid sh -c 'trap \"\" TERM HUP; sleep 1000' & sleep 0.2; echo done",
            "done\n",
            0,
        ),
        ("a double fork", "(setsid sh -c '(sleep 1000 &) &' &) ; sleep 0.2; echo done; exit 1", "done\n", 1),
        ("stdout closed, and work done after it", "echo said; exec >&- 2>&-; sleep 0.5; exit 6", "said\n", 6),
        (
            "stdout left to a background process",
            "(while :; do sleep 1; done) & echo done; exit 7",
            "done\n",
            7,
        ),
        ("a child that was stopped", "sh -c 'kill -STOP $$' & sleep 0.3; echo done", "done\n", 0),
        (
            "stopped and continued",
            "(sleep 0.3; kill -CONT $$) & kill -STOP $$; wait; echo again; exit 8",
            "again\n",
            8,
        ),
    ];
    on(async {
        for (name, script, stdout, code) in rows {
            let (job, said) = run(&daemon, &spec(script)).await;
            assert_eq!(said, stdout, "{name}");
            check(name, &job, &Expected::Exited(code));
            assert_nothing_runs(&daemon, name);
        }
    });
}

fn limits_that_only_refuse_are_counted(stage: &Stage) {
    let daemon = start(stage);
    let rows = [
        (
            "pids",
            with(
                Limits { pids: Some(8), ..Limits::default() },
                spec("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.3 & done; wait; exit 0"),
            ),
            stage.who() == Who::Root,
        ),
        (
            "scratch",
            with(
                Limits { scratch_bytes: Some(MIB), ..Limits::default() },
                spec("head -c 4000000 /dev/zero > /tmp/x; exit 0"),
            ),
            true,
        ),
    ];
    on(async {
        for (limit, spec, seen) in rows {
            let (job, _) = run(&daemon, &spec).await;
            let hits = &outcome(&job).limits_hit;
            let hit = hits.iter().find(|hit| hit.limit == limit);
            assert_eq!(hit.is_some(), seen, "{limit}: {:?}", outcome(&job));
            assert!(!matches!(cause(&job), Cause::Limit(_)), "{limit} only refuses: {:?}", outcome(&job));
            if let Some(hit) = hit {
                assert!(hit.count >= 1 && !hit.evidence.is_empty(), "{hit:?}");
            }
        }
    });
}
