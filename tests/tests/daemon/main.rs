//! `runtime serve` from outside: its sockets, its clients, its API, its end. Each story is told with a daemon of root's and
//! with one of an ordinary user.

mod api;
mod clients;
mod life;
mod refusals;
mod sockets;
mod streams;

use runtime_tests::{Daemon, Stage, eventually};
use serde_json::Value;
use std::{ffi::OsStr, process::Output};

const NO_ARGS: [&str; 0] = [];

fn start(stage: &Stage) -> Daemon<'_> {
    Daemon::start(stage, &NO_ARGS, "")
}

/// A client command that ends well; its stdout.
fn ask<A: AsRef<OsStr>>(daemon: &Daemon<'_>, args: &[A]) -> String {
    let output = daemon.client(args).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One line of `runtime: …` on stderr with these words, and this status.
fn assert_refused(output: &Output, status: i32, words: &[&str]) {
    let errors = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(status), 0), "{errors}");
    assert!(errors.starts_with("runtime: ") && errors.lines().count() == 1, "{errors}");
    for word in words {
        assert!(errors.contains(word), "{word:?} is not in: {errors}");
    }
}

/// Jobs as `ps --json` shows them, newest first.
fn jobs(daemon: &Daemon<'_>) -> Vec<Value> {
    ask(daemon, &["ps", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One job as `inspect --json` shows it.
fn inspect(daemon: &Daemon<'_>, job: &str) -> Value {
    serde_json::from_str(&ask(daemon, &["inspect", "--json", job])).unwrap()
}

/// Waits until the newest job is in a state; its id.
fn newest_in_state(daemon: &Daemon<'_>, state: &str) -> String {
    let mut id = String::new();
    eventually(&format!("the newest job is {state}"), || {
        let jobs = jobs(daemon);
        let Some(job) = jobs.first().filter(|job| job["state"] == state) else { return false };
        id = job["job_id"].as_str().unwrap().to_owned();
        true
    });
    id
}

/// Waits until a job has ended; its outcome.
fn outcome(daemon: &Daemon<'_>, job: &str) -> Value {
    eventually(&format!("{job} has ended"), || inspect(daemon, job)["state"] == "finished");
    inspect(daemon, job)["outcome"].clone()
}
