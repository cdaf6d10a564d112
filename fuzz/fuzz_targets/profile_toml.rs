//! The files that an operator writes: a profile, a syscall set, a policy. No text panics the readers; what they refuse is
//! placed in the file; what they accept keeps its bounds, and reads the same a second time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime_plan::{
    library::Library,
    limit::LimitName,
    policy,
    profile::Profile,
    source::{ParseErrors, SourceFile},
    wall::{Requirement, Wall},
};

/// A profile that uses the set under test, so that the set is merged too.
const USER_OF_THE_SET: &str = "description = \"d\"\nextends = \"default\"\n[syscalls]\nadd = [\"fuzz\"]\n";

fuzz_target!(|data: &[u8]| {
    let Some((kind, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    match kind % 3 {
        0 => check_profile(vec![file("profiles/fuzz.toml", text)], text),
        1 => {
            let files =
                vec![file("profiles/syscalls/fuzz.toml", text), file("profiles/user.toml", USER_OF_THE_SET)];
            check_profile(files, text);
        }
        _ => check_policy(text),
    }
});

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: format!("/etc/runtime/{path}"), text: text.to_owned() }
}

fn check_profile(files: Vec<SourceFile>, text: &str) {
    match Library::load(files.clone()) {
        Ok(library) => {
            library.profiles().for_each(check_bounds);
            assert_eq!(Library::load(files).as_ref(), Ok(&library));
        }
        Err(errors) => check_errors(&errors, text),
    }
}

fn check_bounds(profile: &Profile) {
    for wall in [Wall::User, Wall::Mount, Wall::Pid, Wall::Net, Wall::NoNewPrivs, Wall::Capabilities] {
        assert_eq!(profile.walls[&wall], Requirement::Required, "{wall}");
    }
    assert_eq!(profile.walls.len(), Wall::ALL.len());
    for limit in LimitName::ALL {
        assert!(profile.limits.get(limit).is_none_or(|value| value >= limit.floor()), "{limit}");
    }
    assert!(profile.limits.scratch_bytes <= profile.limits.memory_bytes / 2);
    for mount in &profile.mounts {
        for path in [&mount.source, &mount.target] {
            assert!(
                path.starts_with('/') && path.len() > 1 && !path.split('/').any(|part| part == ".."),
                "{path}"
            );
        }
        for closed in ["/proc", "/dev", "/tmp", "/workspace"] {
            assert!(
                mount.target != closed && !mount.target.starts_with(&format!("{closed}/")),
                "{}",
                mount.target
            );
        }
    }
    assert!(!profile.syscalls.entries.is_empty());
    assert!(profile.syscalls.entries.keys().all(|number| *number <= profile.syscalls.highest_known));
    assert!(profile.umask <= 0o777);
}

fn check_policy(text: &str) {
    match policy::parse(file("policies/fuzz.toml", text)) {
        Ok(policy) => {
            assert!(policy.jobs_running_max > 0);
            for limit in LimitName::ALL {
                assert!(policy.ceilings.get(limit).is_none_or(|ceiling| ceiling >= limit.floor()), "{limit}");
            }
            assert_eq!(policy::parse(file("policies/fuzz.toml", text)), Ok(policy));
        }
        Err(errors) => check_errors(&errors, text),
    }
}

/// Each error says something, at a line that the file has.
fn check_errors(errors: &ParseErrors, text: &str) {
    assert!(errors.len() > 0);
    for error in errors.iter() {
        assert!(!error.message.is_empty() && error.line >= 1 && error.column >= 1, "{error}");
        if error.file.ends_with("/fuzz.toml") {
            assert!(error.line <= text.matches('\n').count() + 1, "{error}");
        }
    }
}
