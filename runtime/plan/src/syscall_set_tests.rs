//! Tables for the syscall sets: what is refused, where and with which words; and what the shipped sets answer.

use super::*;
use crate::library::Library;

fn set(text: &str) -> Result<SyscallSet, Vec<String>> {
    let text = format!("description = \"d\"\n{text}");
    let file = SourceFile { path: "s.toml".to_owned(), text };
    parse(&file).map_err(|errors| errors.into_iter().map(|error| error.to_string()).collect())
}

fn errors(text: &str) -> Vec<String> {
    set(text).unwrap_err()
}

#[test]
fn an_entry_is_read_with_its_rules() {
    let set = set(concat!(
        "[[entry]]\nnames = [\"clone\", \"ioctl\"]\nanswer = \"allow\"\nwhy = \"w\"\n",
        "[[entry.rule]]\nanswer = \"EPERM\"\nwhy = \"w\"\n",
        "when = [{ argument = 0, any_bit = 0x7e020000 }, { argument = 2, not_equal = 0, bits = 64 }]\n",
        "[[entry.rule]]\nanswer = \"ENOSYS\"\nwhy = \"w\"\nwhen = [{ argument = 1, mask = 0xf, equal = 2 }]\n",
    ))
    .unwrap();
    assert_eq!(set.entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), [56, 16]);
    let first = &set.entries[0].rules[0];
    assert_eq!(
        first.when[0],
        ArgumentCondition { argument: 0, dword: true, compare: Compare::AnyBit, value: 0x7e02_0000 }
    );
    assert_eq!(
        first.when[1],
        ArgumentCondition { argument: 2, dword: false, compare: Compare::NotEqual, value: 0 }
    );
    assert_eq!(set.entries[0].rules[1].when[0].compare, Compare::MaskedEqual(0xf));
    assert_eq!(set.entries[0].rules[1].answer, Answer::Errno(38));
}

#[test]
fn every_mistake_of_an_entry_is_found_at_its_place() {
    for (text, expected) in [
        (
            "[[entry]]\nnames = [\"opennat\"]\nanswer = \"allow\"\nwhy = \"w\"",
            "s.toml:3:10: there is no system call `opennat` on x86_64: did you mean `openat`?",
        ),
        (
            "[[entry]]\nnames = [\"read\"]\nanswer = \"EPREM\"\nwhy = \"w\"",
            "s.toml:4:10: `EPREM` is no answer: write \"allow\" or an errno such as \"EPERM\"",
        ),
        (
            "[[entry]]\nnames = [\"read\"]\nanswer = \"EPERM\"\nwhy = \"w\"",
            "s.toml:2:1: the entry is redundant: EPERM is what every call hears that no set names",
        ),
        (
            "[[entry]]\nnames = [\"read\"]\nanswer = \"allow\"",
            "s.toml:2:1: an entry lacks `why`: every answer has its reason",
        ),
        (
            "[[entry]]\nnames = [\"read\", \"read\"]\nanswer = \"allow\"\nwhy = \"w\"",
            "s.toml:2:1: `read` is named twice: here and at s.toml:3:10",
        ),
        (
            "[[entry]]\nnames = [\"read\"]\nanswer = \"allow\"\nwhy = \"w\"\noveride = true",
            "s.toml:6:1: an entry has no key `overide`: did you mean `override`?",
        ),
        (
            "[[entry]]\nname = \"read\"\nnumber = 0\nanswer = \"allow\"\nwhy = \"w\"",
            "s.toml:4:10: `read` is known by name: leave `number` out",
        ),
        (
            "[[entry]]\nname = \"newer\"\nnumber = 470\nanswer = \"allow\"\nwhy = \"w\"",
            "s.toml:4:10: 470 is above 469, the newest call of this build: such calls are answered ENOSYS",
        ),
    ] {
        assert_eq!(errors(text), [expected], "{text}");
    }
}

#[test]
fn every_mistake_of_a_rule_is_found() {
    let entry = "[[entry]]\nnames = [\"clone\"]\nanswer = \"allow\"\nwhy = \"w\"\n[[entry.rule]]\nanswer = \"EPERM\"\nwhy = \"w\"\n";
    for (when, expected) in [
        (
            "when = []",
            "a rule lacks `when`: a rule without a condition always holds; write it as the entry's answer",
        ),
        ("when = [{ argument = 6, equal = 1 }]", "argument 6 does not exist: they are 0 to 5"),
        (
            "when = [{ argument = 0, equal = 0x100000000 }]",
            "the number has more than 32 bits: add `bits = 64`",
        ),
        ("when = [{ argument = 0, any_bit = 0 }]", "the condition can never hold"),
        ("when = [{ argument = 0, mask = 1, equal = 2 }]", "the condition can never hold"),
        ("when = [{ argument = 0, less = 0 }]", "the condition can never hold"),
        ("when = [{ argument = 0, mask = 1, less = 2 }]", "`mask` goes with `equal` only"),
        ("when = [{ argument = 0, equal = 1, bits = 16 }]", "`bits` is 32 (the default) or 64"),
        (
            "when = [{ argument = 0 }]",
            "a condition has exactly one of equal, not_equal, greater, greater_or_equal, less, less_or_equal, any_bit",
        ),
    ] {
        let found = errors(&format!("{entry}{when}\n"));
        assert_eq!(found.len(), 1, "{when}: {found:?}");
        assert!(found[0].ends_with(expected), "{when}: {found:?}");
    }
    let redundant =
        errors(&format!("{}when = [{{ argument = 0, equal = 1 }}]", entry.replace("EPERM", "allow")));
    assert!(
        redundant[0].ends_with("the last rule is redundant: the entry answers allow anyway"),
        "{redundant:?}"
    );
}

#[test]
fn a_set_without_entries_is_an_error() {
    assert_eq!(errors(""), ["s.toml:1:1: a syscall set lacks `entry`: a set has at least one [[entry]]"]);
}

/// What a profile's filter answers to a call with these arguments, by the data alone.
fn answer(profile: &str, name: &str, arguments: [u64; 6]) -> String {
    let library = Library::built_in().unwrap();
    let policy = &library.profile(profile).unwrap().syscalls;
    let number = syscall_name::number(name).unwrap();
    let Some(entry) = policy.entries.get(&number) else { return "EPERM".to_owned() };
    let holds = |condition: &ArgumentCondition| {
        let whole = arguments[usize::from(condition.argument)];
        let value = if condition.dword { whole & u64::from(u32::MAX) } else { whole };
        match condition.compare {
            Compare::Equal => value == condition.value,
            Compare::NotEqual => value != condition.value,
            Compare::Greater => value > condition.value,
            Compare::GreaterOrEqual => value >= condition.value,
            Compare::Less => value < condition.value,
            Compare::LessOrEqual => value <= condition.value,
            Compare::MaskedEqual(mask) => value & mask == condition.value,
            Compare::AnyBit => value & condition.value != 0,
        }
    };
    let rule = entry.rules.iter().find(|rule| rule.when.iter().all(holds));
    syscall_name::answer_name(rule.map_or(entry.answer, |rule| rule.answer))
}

#[test]
fn the_default_filter_answers_as_documented() {
    let high = 1 << 32;
    for (name, a, b, c, d, expected) in [
        ("read", 0, 0, 0, 0, "allow"),
        ("mount", 0, 0, 0, 0, "EPERM"),
        ("unshare", 0, 0, 0, 0, "EPERM"),
        ("ptrace", 0, 0, 0, 0, "EPERM"),
        ("open_by_handle_at", 0, 0, 0, 0, "EPERM"),
        ("clone3", 0, 0, 0, 0, "ENOSYS"),
        ("io_uring_setup", 0, 0, 0, 0, "ENOSYS"),
        ("splice", 0, 0, 0, 0, "EINVAL"),
        ("clone", 0x11, 0, 0, 0, "allow"),
        ("clone", 0x1000_0011, 0, 0, 0, "EPERM"),
        ("clone", 0x0002_0000, 0, 0, 0, "EPERM"),
        ("ioctl", 0, 0x5401, 0, 0, "allow"),
        ("ioctl", 0, 0x5412, 0, 0, "EPERM"),
        ("ioctl", 0, high | 0x5412, 0, 0, "EPERM"),
        ("personality", 0, 0, 0, 0, "allow"),
        ("personality", 0xffff_ffff, 0, 0, 0, "allow"),
        ("personality", 0x0004_0000, 0, 0, 0, "allow"),
        ("personality", 0x0040_0000, 0, 0, 0, "EPERM"),
        ("prlimit64", 0, 4, 0, 1, "allow"),
        ("prlimit64", 0, 4, high, 0, "EPERM"),
        ("prlimit64", 0, 7, high, 0, "allow"),
        ("setrlimit", 4, 1, 0, 0, "EPERM"),
        ("socket", 1, 5, 0, 0, "allow"),
        ("socket", 2, 1 | 0o2004000, 6, 0, "allow"),
        ("socket", 2, 2, 17, 0, "allow"),
        ("socket", 2, 3, 1, 0, "EAFNOSUPPORT"),
        ("socket", 2, 1, 132, 0, "EAFNOSUPPORT"),
        ("socket", 10, 2, 0, 0, "allow"),
        ("socket", 16, 3, 0, 0, "allow"),
        ("socket", 16, 3, 6, 0, "EAFNOSUPPORT"),
        ("socket", 38, 5, 0, 0, "EAFNOSUPPORT"),
        ("socketpair", 1, 1, 0, 0, "allow"),
        ("socketpair", 33, 2, 0, 0, "EAFNOSUPPORT"),
        ("setsockopt", 3, 17, 100, 0, "ENOPROTOOPT"),
        ("setsockopt", 3, 6, 31, 0, "ENOPROTOOPT"),
        ("setsockopt", 3, 1, 26, 0, "ENOPROTOOPT"),
        ("setsockopt", 3, 1, 2, 0, "allow"),
        ("chmod", 0, 0o755, 0, 0, "allow"),
        ("chmod", 0, 0o4755, 0, 0, "EPERM"),
        ("fchmodat", 3, 0, 0o2755, 0, "EPERM"),
        ("mkdir", 0, 0o2755, 0, 0, "EPERM"),
        ("openat", 3, 0, 0o100, 0o644, "allow"),
        ("openat", 3, 0, 0o100, 0o4644, "EPERM"),
        ("openat", 3, 0, 0o20200000, 0o4644, "EPERM"),
        ("openat", 3, 0, 0, 0o4644, "allow"),
        ("open", 0, 0o101, 0o2644, 0, "EPERM"),
        ("openat2", 0, 0, 0, 0, "ENOSYS"),
        ("mknod", 0, 0o010644, 0, 0, "allow"),
        ("mknod", 0, 0o644, 0, 0, "allow"),
        ("mknod", 0, 0o020644, 0, 0, "EPERM"),
        ("mknod", 0, 0o060644, 0, 0, "EPERM"),
        ("mknod", 0, 0o104755, 0, 0, "EPERM"),
        ("mknodat", 3, 0, 0o020644, 0, "EPERM"),
        ("mknodat", 3, 0, 0o140644, 0, "allow"),
    ] {
        assert_eq!(
            answer("default", name, [a, b, c, d, 0, 0]),
            expected,
            "{name} {a:#x} {b:#x} {c:#x} {d:#x}"
        );
    }
}

#[test]
fn other_profiles_differ_where_they_say() {
    for (profile, name, a, b, expected) in [
        ("strict", "socket", 2, 1, "EAFNOSUPPORT"),
        ("strict", "socket", 1, 1, "allow"),
        ("strict", "flock", 0, 0, "ENOSYS"),
        ("strict", "memfd_create", 0, 0, "ENOSYS"),
        ("debug", "ptrace", 0, 0, "allow"),
        ("debug", "process_vm_readv", 0, 0, "allow"),
        ("debug", "personality", 0x0040_0000, 0, "allow"),
        ("debug", "mount", 0, 0, "EPERM"),
        ("build", "flock", 0, 0, "allow"),
    ] {
        assert_eq!(answer(profile, name, [a, b, 0, 0, 0, 0]), expected, "{profile} {name}");
    }
}
