//! Tables for policies.

use super::*;

const WHOLE: &str = "jobs_running_max = 4\njobs_queued_max = 0\nhost_directory = false\n";

fn policy(text: &str) -> Result<Policy, String> {
    let file = SourceFile { path: "/etc/runtime/policies/local.toml".to_owned(), text: text.to_owned() };
    parse(&file).map_err(|errors| errors.to_string().replace("/etc/runtime/policies/", ""))
}

#[test]
fn the_shipped_policy_is_whole() {
    let policy = Policy::built_in().unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((policy.name.as_str(), policy.origin.as_str()), ("local", "built-in"));
    assert!(policy.allows_profile("default") && policy.host_directory);
    assert!(LimitName::ALL.into_iter().all(|limit| policy.ceilings.get(limit).is_some()));
}

#[test]
fn a_policy_is_read() {
    let policy = policy(&format!(
        "profiles = [\"strict\"]\nmust_set = [\"wall_time\"]\n{WHOLE}[ceilings]\nmemory = \"1GiB\"\ncpu = 1.5\n"
    ))
    .unwrap();
    assert!(policy.allows_profile("strict") && !policy.allows_profile("default"));
    assert_eq!((policy.jobs_running_max, policy.jobs_queued_max, policy.host_directory), (4, 0, false));
    assert_eq!(policy.ceilings.memory_bytes, Some(1 << 30));
    assert_eq!(policy.ceilings.cpu_millicores, Some(1_500));
    assert_eq!(policy.must_set, [LimitName::WallTime]);
}

#[test]
fn each_mistake_is_told_at_its_place() {
    for (text, expected) in [
        (
            "",
            "local.toml:1:1: a policy lacks `host_directory`: whether `--dir` of the embedded form is allowed, true or false",
        ),
        ("", "local.toml:1:1: a policy lacks `jobs_running_max`: a whole number, 1 to 16384"),
        (
            "jobs_runing_max = 4",
            "local.toml:1:1: a policy has no key `jobs_runing_max`: did you mean `jobs_running_max`?",
        ),
        ("jobs_running_max = 0", "local.toml:1:20: `jobs_running_max` is 0 and must be 1 to 16384"),
        (
            "[ceilings]\nmemroy = \"1GiB\"",
            "local.toml:2:1: there is no limit `memroy`: did you mean `memory`?",
        ),
        (
            "[ceilings]\nmemory = \"1MiB\"",
            "local.toml:2:10: memory = 1MiB is below 4MiB, the least that still runs a program",
        ),
        (
            "must_set = [\"pids\"]",
            "local.toml:1:13: `pids` need not be listed: it always has a value; wall_time and cpu_time may be none",
        ),
        ("profiles = [\"No Name\"]", "local.toml:1:13: \"No Name\" cannot name a profile"),
    ] {
        let found = policy(text).unwrap_err();
        assert!(found.lines().any(|line| line == expected), "{text}\nexpected {expected}\nfound\n{found}");
    }
}
