//! Files of the operator with mistakes in them: file, line, column and what was meant.

use crate::{assert_nothing_left, assert_refused, call};
use runtime_tests::{Stage, Who, stories};
use std::{fs, path::PathBuf};

stories!(
    every_mistake_of_a_profile_is_shown_with_its_place,
    a_profile_that_is_right_is_said_to_be,
    a_run_with_a_broken_profile_beside_it_says_where,
    an_unknown_profile_is_shown_with_the_right_one,
);

fn write(stage: &Stage, name: &str, text: &str) -> PathBuf {
    let path = stage.open_directory().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn every_mistake_of_a_profile_is_shown_with_its_place(stage: &Stage) {
    let text = "description = \"x\"\nextends = \"default\"\n[walls]\ncgruop = \"optional\"\nnet = \"maybe\"\n[limits]\nmemry = \"1GiB\"\nmemory = \"1\"\npids = -3\n[env]\n\"A=B\" = \"x\"\n";
    let path = write(stage, "mine.toml", text);
    let output = call(stage, &["profile", "check", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    for (line, words) in [
        (4, vec!["cgruop", "did you mean `cgroup`"]),
        (5, vec!["maybe", "required"]),
        (7, vec!["memry", "did you mean `memory`"]),
        (8, vec!["no unit"]),
        (9, vec!["-3", "not a count"]),
        (11, vec!["A=B"]),
    ] {
        let place = format!("mine.toml:{line}:");
        let found = told.lines().find(|told| told.contains(&place));
        let found = found.unwrap_or_else(|| panic!("nothing of line {line} in:\n{told}"));
        for word in words {
            assert!(found.contains(word), "{word:?} is not in {found}");
        }
    }
}

fn a_profile_that_is_right_is_said_to_be(stage: &Stage) {
    let path = write(
        stage,
        "mine.toml",
        "description = \"Mine.\"\nextends = \"python\"\n[limits]\nmemory = \"2GiB\"\n",
    );
    let output = call(stage, &["profile", "check", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let absent = call(stage, &["profile", "check", "/no/such/file.toml"]);
    assert_eq!(absent.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&absent.stderr).starts_with("runtime: failed to read /no/such/file.toml")
    );
}

fn a_run_with_a_broken_profile_beside_it_says_where(stage: &Stage) {
    if stage.who() == Who::Root {
        // Root's place is /etc/runtime: a daemon is given another one.
        let profiles = stage.home().join("profiles");
        fs::create_dir(&profiles).unwrap();
        fs::write(profiles.join("mine.toml"), "extend = \"default\"\n").unwrap();
        let socket = format!("unix:{}", stage.home().join("api.sock").display());
        let state = stage.home().join("state");
        let (state, profiles) = (state.to_str().unwrap(), profiles.to_str().unwrap());
        let output =
            call(stage, &["serve", "--listen", &socket, "--state-dir", state, "--profiles", profiles]);
        assert_broken(&output, 1);
        assert!(
            !stage.home().join("api.sock").exists(),
            "the socket goes with the daemon that did not start"
        );
    } else {
        let script = r#"mkdir -p "$HOME/.config/runtime/profiles"; echo 'extend = "default"' >"$HOME/.config/runtime/profiles/mine.toml""#;
        assert!(stage.command("/bin/sh").args(["-c", script]).status().unwrap().success());
        assert_broken(&call(stage, &["run", "--embedded", "--", "echo", "ran"]), 125);
    }
    assert_nothing_left(stage);
}

fn assert_broken(output: &std::process::Output, status: i32) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(status), 0), "{errors}");
    let line = errors.lines().find(|line| line.contains("mine.toml:1:1: "));
    let line = line.unwrap_or_else(|| panic!("no place in: {errors}"));
    assert!(
        line.starts_with("runtime: ") && line.contains("`extend`") && line.contains("`extends`"),
        "{line}"
    );
}

fn an_unknown_profile_is_shown_with_the_right_one(stage: &Stage) {
    assert_refused(
        stage,
        &["profile", "show", "pyton"],
        1,
        &["\"pyton\"", "did you mean `python`", "runtime profile list"],
    );
}
