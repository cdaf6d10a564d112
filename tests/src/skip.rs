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
        assert!(is_expected(name, reason), "{name} must run here, and did not: {reason}");
    }
}

/// Whether the list of this environment has the test: its name, a tab, the reason. A name between two `*` stands for every test
/// whose name contains it and that skips for that very reason.
fn is_expected(name: &str, reason: &str) -> bool {
    let Ok(path) = env::var("RUNTIME_TESTS_EXPECTED_SKIPS") else { return false };
    let list = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    list.lines()
        .filter_map(|line| line.split_once('\t'))
        .any(|(listed, why)| is_listed(listed, why, name, reason))
}

fn is_listed(listed: &str, why: &str, name: &str, reason: &str) -> bool {
    match listed.strip_prefix('*').and_then(|rest| rest.strip_suffix('*')) {
        Some(part) => !part.is_empty() && name.contains(part) && why == reason,
        None => listed == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_name_stands_for_all_that_skip_for_its_reason() {
        assert!(is_listed("a::b", "needs root", "a::b", "another reason"));
        assert!(!is_listed("a::b", "needs root", "a::b::c", "needs root"));
        assert!(is_listed("*rootful*", "needs root", "a::rootful::b", "needs root"));
        assert!(!is_listed("*rootful*", "needs root", "a::rootful::b", "needs a network"));
        assert!(!is_listed("**", "needs root", "a::b", "needs root"));
    }
}
