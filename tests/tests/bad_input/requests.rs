//! Requests that cannot be meant: refused before anything is made.

use crate::{assert_code, assert_refused, call};
use runtime_tests::{Stage, stories};

stories!(
    a_name_that_is_almost_right_gets_the_right_one,
    a_place_that_is_none_is_refused,
    a_variable_that_is_none_is_refused,
    a_command_line_that_does_not_parse_shows_where_help_is,
    a_refusal_in_json_has_a_stable_code,
);

fn a_name_that_is_almost_right_gets_the_right_one(stage: &Stage) {
    for (flag, value, words) in [
        ("--profile", "nodee", ["\"nodee\"", "did you mean \"node\"", "runtime profile list"]),
        ("--profile", "Strict", ["\"Strict\"", "lower-case", "runtime profile list"]),
        ("--limit", "memry=20MiB", ["\"memry\"", "did you mean", "`memory`"]),
        ("--limit", "walltime=3s", ["\"walltime\"", "did you mean", "`wall_time`"]),
        ("--limit", "nothing=3s", ["\"nothing\"", "memory", "wall_time"]),
    ] {
        assert_refused(stage, &["run", "--embedded", flag, value, "--", "echo", "ran"], 125, &words);
    }
}

fn a_place_that_is_none_is_refused(stage: &Stage) {
    let long = format!("/{}", "x".repeat(4095));
    for workdir in ["..", "../x", "/tmp/../etc", "/workspace/..", "relative", long.as_str()] {
        let words = ["must be absolute inside the sandbox, without `..`", "for example /workspace/src"];
        assert_refused(stage, &["run", "--embedded", "--workdir", workdir, "--", "echo", "ran"], 125, &words);
    }
    let words = ["no such directory inside", "/workspace and /tmp are always there"];
    assert_refused(stage, &["run", "--embedded", "--workdir", "/nope", "--", "echo", "ran"], 125, &words);
    for (directory, words) in [
        ("/no/such/place", ["/no/such/place", "ENOENT", "check that it exists"]),
        ("/etc/passwd", ["/etc/passwd", "ENOTDIR", "check that it exists"]),
        ("", ["--dir needs a path", "--dir .", ":ro"]),
    ] {
        assert_refused(stage, &["run", "--embedded", "--dir", directory, "--", "echo", "ran"], 125, &words);
    }
}

fn a_variable_that_is_none_is_refused(stage: &Stage) {
    for (variable, words) in [
        ("NOT_SET_HERE", ["not set here", "--env NOT_SET_HERE=VALUE"]),
        ("=value", ["empty", "names are one or more bytes without `=`"]),
        ("", ["--env needs NAME=VALUE", "hand on"]),
    ] {
        assert_refused(stage, &["run", "--embedded", "--env", variable, "--", "echo", "ran"], 125, &words);
    }
    let twice = ["run", "--embedded", "--env", "A=1", "--env", "A=2", "--", "echo", "ran"];
    assert_refused(stage, &twice, 125, &["\"A\"", "given twice", "keep one"]);
}

fn a_command_line_that_does_not_parse_shows_where_help_is(stage: &Stage) {
    for (args, status, word) in [
        (vec!["run", "--embedded"], 125, "<COMMAND>"),
        (vec!["run", "--embdded", "--", "true"], 125, "'--embedded'"),
        (vec!["run", "--embedded", "--endpoint", "unix:/x", "--", "true"], 125, "cannot be used with"),
        (vec!["attach"], 125, "<JOB>"),
        (vec!["rum", "--", "true"], 2, "'run'"),
        (vec!["ps", "--max", "many"], 2, "--max"),
        (vec!["profile"], 2, "check"),
    ] {
        let output = call(stage, &args);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(status), 0), "{args:?}: {errors}");
        assert!(errors.starts_with("runtime: ") && errors.contains(word), "{args:?}: {errors}");
        assert!(errors.contains("--help"), "{args:?}: {errors}");
    }
    // The command itself is a word too much to leave out.
    assert_refused(stage, &["run", "--embedded", "--", ""], 125, &["the command is empty", "after `--`"]);
}

fn a_refusal_in_json_has_a_stable_code(stage: &Stage) {
    for (args, status, code) in [
        (vec!["run", "--embedded", "--profile", "nodee", "--", "true"], 125, "UNKNOWN_PROFILE"),
        (vec!["run", "--embedded", "--limit", "memory=17GiB", "--", "true"], 125, "LIMIT_OUT_OF_RANGE"),
        (vec!["run", "--embedded", "--workdir", "..", "--", "true"], 125, "USAGE"),
        (vec!["run", "--bad-flag", "--", "true"], 125, "USAGE"),
        (vec!["run", "--endpoint", "unix:/no/such/socket", "--", "true"], 125, "CONNECT_FAILED"),
        (vec!["run", "--endpoint", "nonsense", "--", "true"], 125, "BAD_ENDPOINT"),
        (vec!["ps", "--endpoint", "unix:/no/such/socket"], 1, "CONNECT_FAILED"),
    ] {
        assert_code(stage, &args, status, code);
    }
}
