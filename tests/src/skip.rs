//! Tests that this host cannot run: said aloud, and a failure where every test must run.

use std::{env, fs};

/// Prints `SKIP name: reason`. `path` is the test's path with its crate, as `concat!(module_path!(), "::the_test")` gives it.
///
/// # Panics
/// With `RUNTIME_TESTS_MUST_RUN=1`, unless the file of `RUNTIME_TESTS_EXPECTED_SKIPS` lists the test.
pub fn skip(path: &str, reason: &str) {
    let name = path.split_once("::").map_or(path, |(_crate, name)| name);
    println!("SKIP {name}: {reason}");
    if env::var("RUNTIME_TESTS_MUST_RUN").as_deref() == Ok("1") {
        assert!(is_expected(name), "{name} must run here, and did not: {reason}");
    }
}

/// Whether the list of this environment has the test: its name, a tab, the reason.
fn is_expected(name: &str) -> bool {
    let Ok(path) = env::var("RUNTIME_TESTS_EXPECTED_SKIPS") else { return false };
    let list = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    list.lines().any(|line| line.split_once('\t').is_some_and(|(listed, _)| listed == name))
}
