//! Bad input: each gets its exact status and one clear line with the next step, nothing runs, and nothing is left behind.

mod endpoints;
mod hosts;
mod profiles;
mod programs;
mod requests;

use runtime_tests::{Stage, orphaned_instances};
use std::{ffi::OsStr, process::Output};

/// Runs the command line with these arguments, from the actor's home.
fn call<A: AsRef<OsStr>>(stage: &Stage, args: &[A]) -> Output {
    stage.command(stage.program("runtime")).current_dir(stage.home()).args(args).output().unwrap()
}

/// Status, silence on stdout, one line `runtime: …` on stderr with all of these words, and no launcher's directory.
fn assert_refused(stage: &Stage, args: &[&str], status: i32, words: &[&str]) {
    let output = call(stage, args);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {errors}");
    assert_eq!(output.stdout, b"", "{args:?}");
    assert!(errors.starts_with("runtime: ") && errors.ends_with('\n'), "{args:?}: {errors:?}");
    assert_eq!(errors.lines().count(), 1, "{args:?}: {errors}");
    for word in words {
        assert!(errors.contains(word), "{args:?}: {word:?} is not in: {errors}");
    }
    assert_nothing_left(stage);
}

/// The same with `--json`: an object with this code.
fn assert_code(stage: &Stage, args: &[&str], status: i32, code: &str) {
    let output = call(stage, &[&["--json"], args].concat());
    assert_eq!(output.status.code(), Some(status), "{args:?}");
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["code"], code, "{args:?}: {error}");
    assert!(!error["error"]["message"].as_str().unwrap().is_empty());
}

fn assert_nothing_left(stage: &Stage) {
    // Root's directory is shared with other tests that run: there only what nobody holds counts.
    let left = orphaned_instances(&stage.run_dir());
    assert!(stage.uid() == 0 || left.is_empty(), "{left:?}");
}
