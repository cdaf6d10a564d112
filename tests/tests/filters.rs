//! The truth table of the system call filters: for every number of x86_64 and every argument rule, what the compiled programs
//! answer is what the profile says. The programs run in an interpreter here; a live test of `runtime-sys` holds that to the
//! kernel.

use runtime_plan::{
    library::Library,
    profile::{Answer, ArgumentCondition, Compare, Profile, SyscallEntry, SyscallPolicy},
};
use runtime_sandbox::launcher::filters;
use runtime_sys::seccomp::{
    self, Program,
    interpret::{Data, verdict},
};
use std::collections::BTreeSet;

/// errno(3).
const EPERM: u16 = 1;
/// errno(3).
const ENOSYS: u16 = 38;
/// Numbers of calls are looked at up to here: far beyond the newest.
const NUMBERS_END: u32 = 1_024;
/// The bit of x32 numbers.
const X32_BIT: u32 = 0x4000_0000;
/// AUDIT_ARCH values of linux/audit.h.
const FOREIGN_ARCHES: [u32; 4] = [0x4000_0003, 0x4000_0028, 0xc000_00b7, 0];

fn profiles() -> Vec<Profile> {
    let library = Library::built_in().unwrap();
    let profiles: Vec<Profile> = library.profiles().cloned().collect();
    assert!(profiles.len() >= 7, "default, strict, python, node, shell, build, debug");
    profiles
}

/// The layers as an init installs them: after their way through bytes.
fn compiled(policy: &SyscallPolicy) -> Vec<Program> {
    let programs = filters::compile(policy).unwrap();
    programs.iter().map(|program| Program::from_bytes(&program.to_bytes()).unwrap()).collect()
}

/// What the profile says, read naively.
fn said(policy: &SyscallPolicy, number: u32, args: &[u64; 6]) -> Answer {
    if number > policy.highest_known {
        return Answer::Errno(ENOSYS);
    }
    let Some(entry) = policy.entries.get(&number) else { return Answer::Errno(EPERM) };
    let rule = entry.rules.iter().find(|rule| rule.when.iter().all(|condition| holds(condition, args)));
    rule.map_or(entry.answer, |rule| rule.answer)
}

fn holds(condition: &ArgumentCondition, args: &[u64; 6]) -> bool {
    let narrow = |number: u64| if condition.dword { number & u64::from(u32::MAX) } else { number };
    let argument = narrow(args[usize::from(condition.argument)]);
    let value = narrow(condition.value);
    match condition.compare {
        Compare::Equal => argument == value,
        Compare::NotEqual => argument != value,
        Compare::Greater => argument > value,
        Compare::GreaterOrEqual => argument >= value,
        Compare::Less => argument < value,
        Compare::LessOrEqual => argument <= value,
        Compare::MaskedEqual(mask) => argument & narrow(mask) == value,
        Compare::AnyBit => argument & value != 0,
    }
}

fn same(answer: Answer, given: seccomp::Answer) -> bool {
    match answer {
        Answer::Allow => given == seccomp::Answer::Allow,
        Answer::Errno(errno) => given == seccomp::Answer::Errno(errno),
    }
}

/// Values at which a comparison could go wrong: its own, its neighbours, and the same with high bits set.
fn telling_values(condition: &ArgumentCondition) -> BTreeSet<u64> {
    let mask = match condition.compare {
        Compare::MaskedEqual(mask) => mask,
        _ => condition.value,
    };
    let value = condition.value;
    let mut values = BTreeSet::from([0, 1, u64::MAX, value, mask, !mask, value | !mask, value ^ 1]);
    values.extend([value.wrapping_sub(1), value.wrapping_add(1), value | 0xdead_beef << 32, value | 1 << 32]);
    values
}

/// The same with each single bit changed.
fn every_bit(condition: &ArgumentCondition) -> BTreeSet<u64> {
    let changed = (0..64).map(|bit| condition.value ^ 1 << bit);
    telling_values(condition).into_iter().chain(changed).chain((0..64).map(|bit| 1 << bit)).collect()
}

/// Argument lists that reach every rule of an entry, and what lies next to it.
fn telling_args(entry: Option<&SyscallEntry>) -> BTreeSet<[u64; 6]> {
    let mut all = BTreeSet::from([[0; 6], [u64::MAX; 6], [1, 2, 3, 4, 5, 6], [1 << 32; 6]]);
    let with = |args: &[u64; 6], condition: &ArgumentCondition, value: u64| {
        let mut args = *args;
        args[usize::from(condition.argument)] = value;
        args
    };
    for rule in entry.map_or(&[][..], |entry| &entry.rules) {
        // All conditions at once, at the values that make or break them.
        let mut product = vec![[0; 6]];
        for condition in &rule.when {
            let values = telling_values(condition);
            let next = |args: &[u64; 6]| {
                values.iter().map(|value| with(args, condition, *value)).collect::<Vec<_>>()
            };
            product = product.iter().flat_map(next).collect();
        }
        // One at a time bit by bit, while the others hold as they are written.
        let written =
            rule.when.iter().fold([0; 6], |args, condition| with(&args, condition, condition.value));
        for condition in &rule.when {
            all.extend(every_bit(condition).into_iter().map(|value| with(&written, condition, value)));
        }
        all.extend(product);
    }
    all
}

#[test]
fn every_call_is_answered_as_its_profile_says() {
    for profile in profiles() {
        let policy = &profile.syscalls;
        let programs = compiled(policy);
        let mut asked = 0_u64;
        for number in 0..NUMBERS_END {
            for args in telling_args(policy.entries.get(&number)) {
                let answer = said(policy, number, &args);
                let given = verdict(&programs, &Data::native(number, args));
                assert!(
                    same(answer, given),
                    "profile {}, call {number}, arguments {args:x?}: the profile says {answer:?}, the filter {given:?}",
                    profile.name
                );
                asked += 1;
            }
        }
        println!("profile {}: {asked} calls", profile.name);
    }
}

#[test]
fn calls_by_an_x32_number_end_the_process() {
    for profile in profiles() {
        let programs = compiled(&profile.syscalls);
        for number in (0..NUMBERS_END).map(|number| number | X32_BIT) {
            let given = verdict(&programs, &Data::native(number, [0; 6]));
            assert_eq!(given, seccomp::Answer::KillProcess, "profile {}, call {number:#x}", profile.name);
        }
    }
}

#[test]
fn numbers_that_no_kernel_has_are_unknown() {
    for profile in profiles() {
        let programs = compiled(&profile.syscalls);
        // The last is what a tracer that cancels a call puts in its place.
        for number in [profile.syscalls.highest_known + 1, 100_000, 1 << 29, 1 << 31, u32::MAX] {
            let given = verdict(&programs, &Data::native(number, [0; 6]));
            assert_eq!(given, seccomp::Answer::Errno(ENOSYS), "profile {}, call {number:#x}", profile.name);
        }
    }
}

#[test]
fn calls_of_another_architecture_end_the_process() {
    for profile in profiles() {
        let programs = compiled(&profile.syscalls);
        for number in 0..NUMBERS_END {
            for arch in FOREIGN_ARCHES {
                let data = Data { arch, ..Data::native(number, [0; 6]) };
                assert_eq!(
                    verdict(&programs, &data),
                    seccomp::Answer::KillProcess,
                    "call {number}, arch {arch:#x}"
                );
            }
        }
    }
}

#[test]
fn every_rule_decides_something() {
    for profile in profiles() {
        let policy = &profile.syscalls;
        for (number, entry) in &policy.entries {
            let args = telling_args(Some(entry));
            for (place, rule) in entry.rules.iter().enumerate() {
                let first = |args: &&[u64; 6]| {
                    entry
                        .rules
                        .iter()
                        .position(|rule| rule.when.iter().all(|condition| holds(condition, args)))
                        == Some(place)
                };
                let decides = args.iter().find(first).is_some();
                assert!(
                    decides,
                    "profile {}, {} ({number}): rule {place} is never reached",
                    profile.name, entry.name
                );
                assert_ne!(
                    rule.answer, entry.answer,
                    "profile {}, {}: rule {place} is redundant",
                    profile.name, entry.name
                );
            }
        }
    }
}

#[test]
fn no_profile_says_less_than_the_table_needs() {
    for profile in profiles() {
        let policy = &profile.syscalls;
        assert!(policy.highest_known >= 469, "profile {}: {}", profile.name, policy.highest_known);
        assert!(policy.entries.keys().all(|number| *number <= policy.highest_known));
        let allowed = policy.entries.values().filter(|entry| entry.answer == Answer::Allow).count();
        assert!((100..400).contains(&allowed), "profile {}: {allowed} calls are allowed", profile.name);
        assert!(policy.entries.values().any(|entry| !entry.rules.is_empty()), "profile {}", profile.name);
    }
}

/// Init only waits, writes a record and exits: it opens nothing, starts nothing, mounts nothing.
#[test]
fn an_init_may_do_little_and_no_opening_or_starting() {
    let programs = filters::compile_for_init(469).unwrap();
    let allowed: Vec<u32> = (0..NUMBERS_END)
        .filter(|number| verdict(&programs, &Data::native(*number, [0; 6])) == seccomp::Answer::Allow)
        .collect();
    assert!(allowed.len() <= 24, "{allowed:?}");
    // open, socket, connect, clone, fork, vfork, execve, ptrace, mount, openat, unshare, execveat, setns, openat2, clone3.
    for number in [2, 41, 42, 56, 57, 58, 59, 101, 165, 257, 272, 322, 308, 437, 435] {
        assert!(!allowed.contains(&number), "call {number}");
    }
}
