//! Tables for profiles: what a typo is answered, how `extends` merges, and that the shipped profiles are whole.

use crate::{
    library::Library,
    limit::LimitName,
    source::SourceFile,
    wall::{Requirement, Wall},
};

fn source(name: &str, text: &str) -> SourceFile {
    SourceFile { path: format!("/etc/runtime/profiles/{name}.toml"), text: text.to_owned() }
}

/// The errors of an operator's profile `mine` that extends `default`, without the directory of its path.
fn errors(text: &str) -> Vec<String> {
    let text = format!("description = \"d\"\nextends = \"default\"\n{text}\n");
    let errors = Library::load(vec![source("mine", &text)]).unwrap_err();
    errors.iter().map(|error| error.to_string().replace("/etc/runtime/profiles/", "")).collect()
}

#[test]
fn the_shipped_profiles_are_whole() {
    let library = Library::built_in().unwrap_or_else(|errors| panic!("{errors}"));
    let names: Vec<&str> = library.profiles().map(|profile| profile.name.as_str()).collect();
    assert_eq!(names, ["build", "debug", "default", "node", "python", "shell", "strict"]);
    for profile in library.profiles() {
        assert_eq!(profile.origin, "built-in");
        assert_eq!(profile.walls.len(), Wall::ALL.len());
        assert_eq!(profile.digest.len(), 64);
        assert!(profile.limits.scratch_bytes <= profile.limits.memory_bytes / 2, "{}", profile.name);
        assert!(profile.syscalls.entries.len() > 300, "{}", profile.name);
    }
    assert_eq!(library.suggest("pyton"), Some("python"));
    assert_eq!(library.summaries().len(), 7);
}

#[test]
fn the_defaults_are_those_that_are_promised() {
    let library = Library::built_in().unwrap();
    let limits = &library.profile("default").unwrap().limits;
    for (limit, value) in [
        (LimitName::WallTime, Some(600_000)),
        (LimitName::CpuTime, None),
        (LimitName::Memory, Some(1 << 30)),
        (LimitName::Swap, Some(0)),
        (LimitName::Cpu, Some(1_000)),
        (LimitName::Pids, Some(256)),
        (LimitName::Files, Some(1_024)),
        (LimitName::Output, Some(64 << 20)),
        (LimitName::Scratch, Some(500_000_000)),
        (LimitName::Inodes, Some(100_000)),
    ] {
        assert_eq!(limits.get(limit), value, "{limit}");
    }
    assert_eq!(limits.kill_grace_ms, 5_000);
}

#[test]
fn each_mistake_is_told_at_its_place_with_the_next_step() {
    for (text, expected) in [
        ("hostnme = \"x\"", "mine.toml:3:1: a profile has no key `hostnme`: did you mean `hostname`?"),
        ("hostname = 5", "mine.toml:3:12: `hostname` must be a string in quotes, and is of type integer"),
        (
            "hostname = \"My Host\"",
            "mine.toml:3:12: \"My Host\" is no host name: a-z, 0-9 and - between, at most 63",
        ),
        (
            "umask = 0o1777",
            "mine.toml:3:9: `umask` is 1023 and must be 0 to 511: write it in octal, for example 0o022",
        ),
        (
            "[walls]\nsecomp = \"optional\"",
            "mine.toml:4:1: there is no wall `secomp`: did you mean `seccomp`?",
        ),
        (
            "[walls]\nseccomp = \"optinal\"",
            "mine.toml:4:11: \"optinal\" is no requirement of a wall: did you mean `optional`?",
        ),
        (
            "[walls]\nuser = \"optional\"",
            "mine.toml:4:8: the wall `user` is always required: the others stand on it, and every kernel has it",
        ),
        ("[limits]\nmemroy = \"1GiB\"", "mine.toml:4:1: there is no limit `memroy`: did you mean `memory`?"),
        (
            "[limits]\nmemory = 512",
            "mine.toml:4:10: the size \"512\" has no unit: it could be 512 bytes or 512 MiB; write \"512B\" or \"512MiB\"",
        ),
        (
            "[limits]\nwall_time = 30",
            "mine.toml:4:13: the time \"30\" has no unit: it could be 30 seconds or 30 milliseconds; write \"30s\" or \"30ms\"",
        ),
        ("[limits]\npids = \"64\"", "mine.toml:4:8: pids is a bare number: write pids = 64"),
        ("[limits]\ncpu = \"x\"", "mine.toml:4:7: \"x\" is not a number of cores; write 1.5"),
        ("[limits]\npids = 1", "mine.toml:4:8: pids = 1 is below 2, the least that still runs a program"),
        (
            "[limits]\nmemory = true",
            "mine.toml:4:10: memory must be a number with its unit in quotes, or a bare number for counts and cpu",
        ),
        (
            "[limits]\nscratch = \"600MiB\"",
            "mine.toml:4:11: scratch is more than half of memory, which it counts against: the job would be killed before it hears ENOSPC",
        ),
        ("[limits]\nkill_grace = \"1h\"", "mine.toml:4:14: kill_grace must be at most 5min"),
        ("fixed_limits = [\"pid\"]", "mine.toml:3:17: there is no limit `pid`: did you mean `pids`?"),
        (
            "[[mounts]]\nsource = \"/opt/../etc\"",
            "mine.toml:4:10: the source \"/opt/../etc\" must be an absolute path other than /, without `.`, `..`, `//` or a slash at the end",
        ),
        (
            "[[mounts]]\nsource = \"/opt/x\"\ntarget = \"/proc/sys\"",
            "mine.toml:5:10: the target \"/proc/sys\" is in /proc, which the runtime keeps to itself",
        ),
        (
            "[[mounts]]\nsource = \"/opt/x\"\ntarget = \"/etc\"",
            "mine.toml:5:10: the target \"/etc\" is a directory of the sandbox's own: mount what is needed in it",
        ),
        ("[[mounts]]\nsurce = \"/opt\"", "mine.toml:4:1: a mount has no key `surce`: did you mean `source`?"),
        ("[env]\n\"A=B\" = \"x\"", "mine.toml:4:1: \"A=B\" cannot name a variable"),
        (
            "[syscalls]\nadd = [\"debugg\"]",
            "mine.toml:4:8: there is no syscall set `debugg`: did you mean `debug`?",
        ),
        ("[syscalls]\nadd = [\"base\"]", "mine.toml:4:8: the syscall set `base` is there already"),
        (
            "[syscalls]\nremove = [\"debug\"]",
            "mine.toml:4:11: the syscall set `debug` is not there to remove",
        ),
    ] {
        let found = errors(text);
        assert!(found.iter().any(|error| error == expected), "{text}\nexpected {expected}\nfound {found:#?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_order() {
    let found = errors("umsak = 0o22\n[walls]\nnett = \"required\"\n[limits]\npids = \"x\"\nmemory = 5");
    let places: Vec<&str> = found.iter().map(|error| error.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["mine.toml:3:1", "mine.toml:5:1", "mine.toml:7:8", "mine.toml:8:10"]);
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let found = errors("umask = = 3");
    assert!(found[0].starts_with("mine.toml:3:"), "{found:?}");
}

#[test]
fn a_profile_extends_one_that_exists_and_no_circle() {
    let unknown =
        Library::load(vec![source("mine", "description = \"d\"\nextends = \"defualt\"")]).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "/etc/runtime/profiles/mine.toml:2:11: there is no profile `defualt` to extend: did you mean `default`?"
    );
    let circle = Library::load(vec![
        source("one", "description = \"d\"\nextends = \"two\""),
        source("two", "description = \"d\"\nextends = \"one\""),
    ])
    .unwrap_err();
    assert_eq!(circle.len(), 2);
    assert!(circle.to_string().contains("in a circle: one -> two -> one"), "{circle}");
}

#[test]
fn a_profile_that_extends_none_must_say_everything() {
    let errors = Library::load(vec![source("mine", "description = \"d\"")]).unwrap_err().to_string();
    for key in [
        "umask",
        "hostname",
        "landlock_abi_min",
        "the limit memory",
        "the limit kill_grace",
        "[syscalls] sets",
    ] {
        assert!(errors.contains(&format!("the profile lacks {key}, ")), "{key}: {errors}");
    }
}

#[test]
fn extends_merges_key_by_key_and_the_nearest_wins() {
    let library = Library::load(vec![
        source(
            "parent",
            concat!(
                "description = \"p\"\nextends = \"default\"\nhostname = \"parent\"\n",
                "[walls]\nlandlock = \"optional\"\n[limits]\npids = 10\nfiles = 100\n[env]\nA = \"parent\"\nB = \"parent\"\n",
                "[[mounts]]\nsource = \"/opt/a\"\noptional = true\n",
            ),
        ),
        source(
            "child",
            concat!(
                "description = \"c\"\nextends = \"parent\"\n[limits]\npids = 20\n[env]\nB = \"child\"\n",
                "[[mounts]]\nsource = \"/opt/b\"\ntarget = \"/opt/a\"\nexec = true\n",
            ),
        ),
    ])
    .unwrap_or_else(|errors| panic!("{errors}"));
    let child = library.profile("child").unwrap();
    assert_eq!(child.extends, ["parent", "default"]);
    assert_eq!((child.limits.pids, child.limits.files, child.limits.memory_bytes), (20, 100, 1 << 30));
    assert_eq!(
        (child.env["A"].as_str(), child.env["B"].as_str(), child.env["HOME"].as_str()),
        ("parent", "child", "/workspace")
    );
    assert_eq!(child.hostname, "parent");
    assert_eq!(child.walls[&Wall::Landlock], Requirement::Optional);
    let at_a: Vec<_> = child.mounts.iter().filter(|mount| mount.target == "/opt/a").collect();
    assert_eq!((at_a.len(), at_a[0].source.as_str(), at_a[0].exec), (1, "/opt/b", true));
}

#[test]
fn an_operators_file_takes_the_place_of_the_built_in_one_for_its_children_too() {
    let text = include_str!("../../../sandbox-profiles/default.toml").replace("pids = 256", "pids = 99");
    let library = Library::load(vec![source("default", &text)]).unwrap();
    let default = library.profile("default").unwrap();
    assert_eq!((default.limits.pids, default.origin.as_str()), (99, "/etc/runtime/profiles/default.toml"));
    assert_eq!(library.profile("python").unwrap().limits.pids, 99);
    assert_ne!(default.digest, Library::built_in().unwrap().profile("default").unwrap().digest);
}

#[test]
fn an_operators_syscall_set_is_found_by_its_directory() {
    let set = "description = \"d\"\n[[entry]]\nnames = [\"ptrace\"]\nanswer = \"ENOSYS\"\nwhy = \"w\"\n";
    let profile = "description = \"d\"\nextends = \"default\"\n[syscalls]\nadd = [\"syscalls-of-ours\"]\n";
    let library =
        Library::load(vec![source("syscalls/syscalls-of-ours", set), source("mine", profile)]).unwrap();
    let entry = &library.profile("mine").unwrap().syscalls.entries[&101];
    assert_eq!((entry.name.as_str(), entry.answer), ("ptrace", crate::profile::Answer::Errno(38)));
}

#[test]
fn a_call_is_answered_by_one_set_unless_it_is_overridden() {
    let mine = |set: &str| {
        let profile = "description = \"d\"\nextends = \"default\"\n[syscalls]\nadd = [\"mine\"]\n";
        let set = format!("description = \"d\"\n[[entry]]\nwhy = \"w\"\n{set}\n");
        Library::load(vec![source("syscalls/mine", &set), source("mine", profile)])
    };
    let again = mine("names = [\"read\"]\nanswer = \"ENOSYS\"").unwrap_err().to_string();
    assert!(again.contains("syscalls/mine.toml:4:10: `read` is answered already at built-in:"), "{again}");
    let nothing = mine("names = [\"ptrace\"]\nanswer = \"allow\"\noverride = true").unwrap_err().to_string();
    assert!(nothing.contains("`ptrace` overrides nothing"), "{nothing}");
    let same = mine("names = [\"read\"]\nanswer = \"allow\"\noverride = true").unwrap_err().to_string();
    assert!(same.contains("`read` says what built-in:"), "{same}");
    assert!(mine("names = [\"read\"]\nanswer = \"ENOSYS\"\noverride = true").is_ok());
}

#[test]
fn two_files_of_one_name_and_bad_names_are_errors() {
    let text = "description = \"d\"\nextends = \"default\"";
    let twice = Library::load(vec![source("mine", text), source("sub/mine", text)]).unwrap_err().to_string();
    assert!(twice.contains("/etc/runtime/profiles/mine.toml has the same name"), "{twice}");
    let bad = Library::load(vec![source("My Profile", text)]).unwrap_err().to_string();
    assert!(bad.contains("\"My Profile\" cannot be a name"), "{bad}");
}
