//! What may be asked for: between the floor and the ceiling, with a unit.

use runtime_tests::{Daemon, Request, Stage, stories};
use std::ffi::OsStr;

stories!(
    a_request_above_the_ceiling_names_the_ceiling,
    a_request_below_the_floor_names_the_floor,
    a_bare_number_is_refused_with_its_readings,
    a_limit_that_is_not_one_is_refused_with_the_right_name,
    a_limit_given_twice_is_refused,
    an_operators_ceiling_holds,
);

fn assert_refused(stage: &Stage, args: &[&str], words: &[&str]) {
    let output = stage.run(&Request::new([args, &["--", "echo", "ran"]].concat()));
    let errors = output.errors();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0), "{args:?}: {errors}");
    assert!(errors.starts_with("runtime: ") && errors.lines().count() == 1, "{errors}");
    for word in words {
        assert!(errors.contains(word), "{word:?} is not in {errors}");
    }
}

fn a_request_above_the_ceiling_names_the_ceiling(stage: &Stage) {
    for (limit, ceiling) in [
        ("memory=17GiB", "16GiB"),
        ("swap=5GiB", "4GiB"),
        ("cpu=65", "64"),
        ("pids=4097", "4096"),
        ("files=16385", "16384"),
        ("output=5GiB", "4GiB"),
        ("scratch=9GiB", "8GiB"),
        ("inodes=1000001", "1000000"),
        ("cpu_time=25h", "24h"),
    ] {
        assert_refused(stage, &["--limit", limit], &["ceiling", ceiling, "ask for less"]);
    }
    assert_refused(stage, &["--timeout", "25h"], &["wall_time", "ceiling", "24h"]);
}

fn a_request_below_the_floor_names_the_floor(stage: &Stage) {
    for (limit, floor) in [
        ("memory=1MiB", "4MiB"),
        ("pids=1", "2"),
        ("files=3", "16"),
        ("scratch=4kB", "1MiB"),
        ("inodes=1", "64"),
    ] {
        assert_refused(stage, &["--limit", limit], &["below", floor, "ask for more"]);
    }
}

fn a_bare_number_is_refused_with_its_readings(stage: &Stage) {
    assert_refused(stage, &["--limit", "memory=512"], &["no unit", "512B", "512MiB"]);
    assert_refused(stage, &["--timeout", "30"], &["no unit", "30s"]);
    assert_refused(stage, &["--limit", "output=-1"], &["output"]);
    assert_refused(stage, &["--limit", "memory=99999999999999999999GiB"], &["memory"]);
}

fn a_limit_that_is_not_one_is_refused_with_the_right_name(stage: &Stage) {
    assert_refused(stage, &["--limit", "memry=1GiB"], &["memry", "memory"]);
    assert_refused(stage, &["--limit", "memory"], &["NAME=VALUE"]);
}

fn a_limit_given_twice_is_refused(stage: &Stage) {
    assert_refused(stage, &["--limit", "pids=10", "--limit", "pids=20"], &["pids", "twice"]);
    assert_refused(stage, &["--timeout", "3s", "--limit", "wall_time=4s"], &["wall_time", "twice"]);
}

/// An operator's own policy lowers what a profile asks for, and refuses what a caller asks for above it.
fn an_operators_ceiling_holds(stage: &Stage) {
    let policies = stage.home().join("policies");
    let mut command = stage.command("/bin/sh");
    let script = r#"umask 022; mkdir "$1"; printf 'jobs_running_max = 4\njobs_queued_max = 4\nhost_directory = false\n[ceilings]\nfiles = 64\n' >"$1/local.toml""#;
    assert!(command.args(["-c", script, "sh"]).arg(&policies).status().unwrap().success());
    let daemon = Daemon::start(stage, &[OsStr::new("--policies"), policies.as_os_str()], "");
    let refused = daemon.client(&["run", "--limit", "files=65", "--", "echo", "ran"]).output().unwrap();
    let errors = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(125), 0), "{errors}");
    assert!(errors.contains("files=65 is above the ceiling of 64"), "{errors}");
    let lowered = daemon.client(&["run", "--", "sh", "-c", "ulimit -n"]).output().unwrap();
    assert_eq!(lowered.stdout, b"64\n", "{}", String::from_utf8_lossy(&lowered.stderr));
}
