//! What people do with a daemon: run, ps, inspect, attach, cancel; two of them at a time; one that is killed.

use crate::{ask, assert_refused, inspect, jobs, newest_in_state, outcome, start, text};
use runtime_tests::{Daemon, Stage, eventually, stories, wait};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

stories!(
    a_run_at_a_daemon_is_like_one_without,
    jobs_are_listed_and_inspected,
    two_clients_run_at_the_same_time,
    thirty_jobs_at_once_keep_their_output_apart,
    a_second_client_joins_a_job,
    a_client_that_joins_may_write,
    a_cancel_ends_a_job,
    a_killed_client_ends_its_job,
    a_client_that_ends_with_a_signal_ends_its_job,
    a_prefix_names_a_job_when_it_is_the_only_one,
);

fn background(daemon: &Daemon<'_>, script: &str) -> Child {
    let mut command = daemon.client(&["run", "-i", "--", "sh", "-c", script]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(mut child: Child) -> std::process::Output {
    assert!(wait(&mut child, Duration::from_secs(20)).is_some(), "the client ends");
    child.wait_with_output().unwrap()
}

fn a_run_at_a_daemon_is_like_one_without(stage: &Stage) {
    let daemon = start(stage);
    let script = "cat; printf 'to stderr\\n' >&2; id -u; exit 7";
    let mut child = background(&daemon, script);
    let bytes: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    let mut stdin = child.stdin.take().unwrap();
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    assert!(output.stdout == [&bytes, b"1000\n".as_slice()].concat(), "{} bytes came", output.stdout.len());
    assert_eq!(output.stderr, b"to stderr\n");
    // Nothing of the daemon's own environment or directory is in the job.
    let environment = ask(&daemon, &["run", "--", "env"]);
    assert!(
        !environment.contains("XDG_RUNTIME_DIR") && environment.contains("HOME=/workspace"),
        "{environment}"
    );
    let output = daemon.client(&["run", "--", "nosuch"]).output().unwrap();
    assert_refused(&output, 127, &["nosuch was not found"]);
    let output = daemon.client(&["run", "--dir", ".", "--", "true"]).output().unwrap();
    assert_refused(&output, 125, &["--dir", "--embedded"]);
}

fn jobs_are_listed_and_inspected(stage: &Stage) {
    let daemon = start(stage);
    assert_eq!(jobs(&daemon).len(), 0);
    ask(&daemon, &["run", "--env", "TOKEN=hidden-value", "--profile", "shell", "--", "sh", "-c", "exit 0"]);
    assert_eq!(daemon.client(&["run", "--", "sh", "-c", "kill -9 $$"]).status().unwrap().code(), Some(137));
    let listed = jobs(&daemon);
    let states: Vec<&str> = listed.iter().map(|job| job["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["finished", "finished"]);
    // Newest first.
    assert_eq!(listed[0]["outcome"]["signalled"]["signal"], 9);
    assert_eq!(listed[1]["outcome"]["exited"]["code"], 0);
    assert_eq!(listed[1]["profile"], "shell");
    assert_eq!(listed[1]["argv"], serde_json::json!(["sh", "-c", "exit 0"]));
    assert_eq!(listed[1]["env_names"], serde_json::json!(["TOKEN"]));
    let id = listed[1]["job_id"].as_str().unwrap();
    let whole = inspect(&daemon, id);
    assert_eq!(whole["enforcement"]["walls"].as_array().unwrap().len(), 17);
    let shown = ask(&daemon, &["inspect", id]);
    assert!(shown.contains("exited 0") && shown.contains("seccomp"), "{shown}");
    assert!(!shown.contains("hidden-value") && !whole.to_string().contains("hidden-value"));
    let table = ask(&daemon, &["ps"]);
    assert!(table.contains(id) && table.lines().count() == 3, "{table}");
    assert_eq!(ask(&daemon, &["ps", "--max", "1", "--json"]).lines().count(), 1);
    assert_eq!(ask(&daemon, &["ps", "--state", "running", "--json"]).lines().count(), 0);
}

fn two_clients_run_at_the_same_time(stage: &Stage) {
    let daemon = start(stage);
    // Each waits for a word: neither could end if they came one after the other.
    let mut clients: Vec<Child> =
        (0..2).map(|_| background(&daemon, "read word; echo got $word; ls -A /tmp; touch /tmp/x")).collect();
    eventually("both run", || jobs(&daemon).iter().filter(|job| job["state"] == "running").count() == 2);
    for (number, client) in clients.iter_mut().enumerate() {
        writeln!(client.stdin.as_mut().unwrap(), "word-{number}").unwrap();
    }
    for (number, client) in clients.into_iter().enumerate() {
        assert_eq!(text(&end(client).stdout), format!("got word-{number}\n"));
    }
}

fn thirty_jobs_at_once_keep_their_output_apart(stage: &Stage) {
    let daemon = start(stage);
    let clients: Vec<Child> = (0..30)
        .map(|number| {
            background(
                &daemon,
                &format!(
                    "for i in 1 2 3 4 5; do echo {number}; done; yes {number} | head -c 50000; exit {number}"
                ),
            )
        })
        .collect();
    for (number, client) in clients.into_iter().enumerate() {
        let output = end(client);
        assert_eq!(output.status.code(), Some(i32::try_from(number).unwrap()), "{}", text(&output.stderr));
        let line = format!("{number}\n");
        let said = text(&output.stdout);
        assert_eq!(said.len(), 5 * line.len() + 50_000);
        assert!(said.lines().all(|it| line.starts_with(it)), "job {number} said something else");
    }
    assert_eq!(jobs(&daemon).len(), 30);
}

fn a_second_client_joins_a_job(stage: &Stage) {
    let daemon = start(stage);
    let mut first = background(&daemon, "echo one; echo error >&2; read word; echo two; exit 6");
    let id = newest_in_state(&daemon, "running");
    let mut second =
        daemon.client(&["attach", &id]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(second.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "one", "what was written before is there");
    writeln!(first.stdin.as_mut().unwrap(), "go").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "two");
    assert_eq!(text(&end(first).stdout), "one\ntwo\n");
    let output = end(second);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(6), "error\n"));
    // And after the end as well.
    let late = daemon.client(&["attach", &id]).output().unwrap();
    assert_eq!((late.status.code(), text(&late.stdout).as_str()), (Some(6), "one\ntwo\n"));
}

fn a_client_that_joins_may_write(stage: &Stage) {
    let daemon = start(stage);
    let first = background(&daemon, "read word; echo got $word");
    let id = newest_in_state(&daemon, "running");
    let mut second =
        daemon.client(&["attach", "-i", &id]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(second.stdin.take().unwrap(), "from-the-second").unwrap();
    assert_eq!(text(&end(second).stdout), "got from-the-second\n");
    assert_eq!(text(&end(first).stdout), "got from-the-second\n");
}

fn a_cancel_ends_a_job(stage: &Stage) {
    let daemon = start(stage);
    let mut client =
        background(&daemon, "trap 'echo told; exit 0' TERM; echo up; while :; do sleep 0.02; done");
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "up");
    let id = newest_in_state(&daemon, "running");
    let said = ask(&daemon, &["cancel", "--reason", "enough of it", &id]);
    assert_eq!(said, format!("{id}\n"));
    let output = end(client);
    assert_eq!((output.status.code(), lines.next().unwrap().unwrap().as_str()), (Some(143), "told"));
    assert!(
        text(&output.stderr).ends_with(&format!("runtime: cancelled by uid {}: enough of it\n", stage.uid()))
    );
    assert_eq!(outcome(&daemon, &id)["cancelled"]["reason"], "enough of it");
    assert_eq!(ask(&daemon, &["cancel", &id]), format!("{id} had ended already\n"));
    // At once, for one that does not listen.
    let stubborn = background(&daemon, "trap '' TERM; while :; do sleep 1; done");
    let id = newest_in_state(&daemon, "running");
    let before = Instant::now();
    ask(&daemon, &["cancel", "--kill", &id]);
    assert_eq!(end(stubborn).status.code(), Some(143));
    assert!(before.elapsed() < Duration::from_secs(4), "{:?}", before.elapsed());
}

fn a_killed_client_ends_its_job(stage: &Stage) {
    let daemon = start(stage);
    let mut client = background(&daemon, "trap '' TERM; setsid sleep 1000 & while :; do sleep 1; done");
    let id = newest_in_state(&daemon, "running");
    client.kill().unwrap();
    client.wait().unwrap();
    // For 30 s it could have come back.
    assert!(daemon.client(&["wait", "--timeout", "60s", &id]).output().unwrap().stdout.is_empty());
    let outcome = outcome(&daemon, &id);
    assert_eq!(outcome["cancelled"]["by"], "client disconnected", "{outcome}");
    assert_eq!(outcome["cleanup_errors"].as_array().unwrap().len(), 0, "{outcome}");
}

fn a_client_that_ends_with_a_signal_ends_its_job(stage: &Stage) {
    let daemon = start(stage);
    let mut client = background(&daemon, "echo up; sleep 1000");
    let id = newest_in_state(&daemon, "running");
    let mut line = String::new();
    BufReader::new(client.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let pidfd = runtime_sys::pidfd::open(runtime_sys::clone::Pid(client.id().try_into().unwrap())).unwrap();
    runtime_sys::pidfd::send_signal(std::os::fd::AsFd::as_fd(&pidfd), 15).unwrap();
    assert_eq!(end(client).status.code(), Some(143));
    assert_eq!(outcome(&daemon, &id)["cancelled"]["reason"], "terminate");
}

fn a_prefix_names_a_job_when_it_is_the_only_one(stage: &Stage) {
    let daemon = start(stage);
    for code in [3, 4] {
        let script = format!("exit {code}");
        assert_eq!(daemon.client(&["run", "--", "sh", "-c", &script]).status().unwrap().code(), Some(code));
    }
    let id = jobs(&daemon)[0]["job_id"].as_str().unwrap().to_owned();
    let attached = daemon.client(&["attach", &id[..id.len() - 2]]).output().unwrap();
    assert_eq!(attached.status.code(), Some(4), "{}", text(&attached.stderr));
    assert_refused(&daemon.client(&["inspect", "job-"]).output().unwrap(), 1, &["job-"]);
    assert_refused(&daemon.client(&["inspect", "job-zzz"]).output().unwrap(), 1, &["job-zzz", "runtime ps"]);
    assert_refused(&daemon.client(&["attach", "job-zzz"]).output().unwrap(), 125, &["job-zzz"]);
}
