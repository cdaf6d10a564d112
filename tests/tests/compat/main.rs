//! Real programs run unchanged: each story runs the same absolute binary inside and outside, as the same user, and compares
//! what they print. What a host has not, is skipped with the reason.

mod build;
mod cargo;
mod node;
mod python;
mod shell;
mod terminal;

use runtime_tests::{Request, Stage, Who, skip};
use std::{fs, path::Path};

/// The first of these places that has the program.
fn find(name: &str) -> Option<String> {
    ["/usr/local/bin", "/usr/bin", "/bin"]
        .map(|place| format!("{place}/{name}"))
        .into_iter()
        .find(|path| Path::new(path).exists())
}

/// Where a program is, or a skip of the story that needs it; `story` is `module::name`.
fn need(stage: &Stage, story: &str, name: &str) -> Option<String> {
    let found = find(name);
    if found.is_none() {
        skip_story(stage, story, &format!("this host has no {name} below /usr"));
    }
    found
}

fn skip_story(stage: &Stage, story: &str, reason: &str) {
    let (module, name) = story.split_once("::").unwrap();
    let who = if stage.who() == Who::Root { "rootful" } else { "rootless" };
    skip(&format!("compat::{module}::{who}::{name}"), reason);
}

/// Runs a command inside under a profile, and outside in an empty directory; asserts that both print the same and end with 0.
/// Returns what they print.
fn assert_same(stage: &Stage, profile: &str, command: &[&str]) -> String {
    let place = stage.home().join("outside");
    let made = stage.command("/bin/mkdir").args(["-p", "tmp"]).current_dir(stage.home()).status().unwrap();
    assert!(made.success());
    fs::create_dir(&place).unwrap();
    if stage.uid() != runtime_sys::process::effective_uid() {
        std::os::unix::fs::chown(&place, Some(stage.uid()), Some(stage.uid())).unwrap();
    }
    let mut outside = stage.command(command[0]);
    outside
        .args(&command[1..])
        .current_dir(&place)
        .env("HOME", &place)
        .env("TMPDIR", stage.home().join("tmp"));
    outside.env("PYTHONDONTWRITEBYTECODE", "1").env("LC_ALL", "C.UTF-8");
    let outside = outside.output().unwrap();
    let said = String::from_utf8_lossy(&outside.stdout).into_owned();
    assert!(outside.status.success(), "outside: {said}{}", String::from_utf8_lossy(&outside.stderr));
    assert!(!said.is_empty(), "a command that says nothing compares nothing");
    let flags = ["--profile", profile, "--env", "LC_ALL=C.UTF-8", "--"];
    let inside = stage.run(&Request::new([&flags, command].concat()));
    assert_eq!(inside.text(), said, "inside, then outside; stderr inside: {}", inside.errors());
    assert_eq!(inside.status.code(), Some(0), "{}", inside.errors());
    said
}
