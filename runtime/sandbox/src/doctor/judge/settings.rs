//! Settings of the host that a single look judges: a table for those that are a comparison.

use runtime_plan::doctor::Finding;
use runtime_plan::wall::Wall;

use super::{of, of_host, set};
use crate::doctor::Needs;
use crate::doctor::observe::Observations;

/// 2025-01-01: this program is newer.
const CLOCK_MIN_SECONDS: u64 = 1_735_689_600;

/// A number that is compared, and warns.
struct Compared {
    name: &'static str,
    wall: Option<Wall>,
    path: &'static str,
    /// Its name for sysctl(8), or the path when it is no sysctl.
    key: &'static str,
    good: fn(i64) -> bool,
    /// What it means that the kernel has no such setting; that is never bad.
    absent: &'static str,
    breaks: &'static str,
    /// The value that mends it.
    value: &'static str,
}

const FILTER_ALONE: &str = "the filter, which refuses it, is all that stands between a job and this code";

const COMPARED: [Compared; 10] = [
    Compared {
        name: "unprivileged_bpf",
        wall: Some(Wall::Seccomp),
        path: "/proc/sys/kernel/unprivileged_bpf_disabled",
        key: "kernel.unprivileged_bpf_disabled",
        good: |value| value >= 1,
        absent: "the kernel has no bpf(2)",
        breaks: FILTER_ALONE,
        value: "2",
    },
    Compared {
        name: "io_uring",
        wall: Some(Wall::Seccomp),
        path: "/proc/sys/kernel/io_uring_disabled",
        key: "kernel.io_uring_disabled",
        good: |value| value >= 1,
        absent: "the kernel has no switch for io_uring (Linux 6.6); the filter refuses it",
        breaks: FILTER_ALONE,
        value: "1",
    },
    Compared {
        name: "userfaultfd",
        wall: Some(Wall::Seccomp),
        path: "/proc/sys/vm/unprivileged_userfaultfd",
        key: "vm.unprivileged_userfaultfd",
        good: |value| value == 0,
        absent: "the kernel has no userfaultfd(2)",
        breaks: FILTER_ALONE,
        value: "0",
    },
    Compared {
        name: "perf_event",
        wall: Some(Wall::Seccomp),
        path: "/proc/sys/kernel/perf_event_paranoid",
        key: "kernel.perf_event_paranoid",
        good: |value| value >= 2,
        absent: "the kernel has no perf_event_open(2)",
        breaks: FILTER_ALONE,
        value: "2",
    },
    Compared {
        name: "legacy_tiocsti",
        wall: Some(Wall::Seccomp),
        path: "/proc/sys/dev/tty/legacy_tiocsti",
        key: "dev.tty.legacy_tiocsti",
        good: |value| value == 0,
        absent: "the kernel has no switch for TIOCSTI (Linux 6.2); the filter refuses it",
        breaks: FILTER_ALONE,
        value: "0",
    },
    Compared {
        name: "pid_max",
        wall: Some(Wall::Cgroup),
        path: "/proc/sys/kernel/pid_max",
        key: "kernel.pid_max",
        good: |value| value >= 32_768,
        absent: "the kernel shows no bound",
        breaks: "jobs at their limit of processes use up the host's process numbers",
        value: "4194304",
    },
    Compared {
        name: "pty_max",
        wall: Some(Wall::Mount),
        path: "/proc/sys/kernel/pty/max",
        key: "kernel.pty.max",
        good: |value| value >= 256,
        absent: "the kernel has no pseudo-terminals of the Unix 98 kind",
        breaks: "jobs that open terminals use up those of the host",
        value: "4096",
    },
    Compared {
        name: "inotify",
        wall: Some(Wall::User),
        path: "/proc/sys/fs/inotify/max_user_instances",
        key: "fs.inotify.max_user_instances",
        good: |value| value >= 128,
        absent: "the kernel has no inotify",
        breaks: "programs that watch files fail with EMFILE when a few run",
        value: "1024",
    },
    Compared {
        name: "smt",
        wall: None,
        path: "/sys/devices/system/cpu/smt/active",
        key: "/sys/devices/system/cpu/smt/active",
        good: |value| value == 0,
        absent: "the kernel does not tell",
        breaks: "jobs on two threads of one core can measure each other",
        value: "echo off >/sys/devices/system/cpu/smt/control; for good boot with `nosmt`",
    },
    Compared {
        name: "ksm",
        wall: None,
        path: "/sys/kernel/mm/ksm/run",
        key: "/sys/kernel/mm/ksm/run",
        good: |value| value != 1,
        absent: "the kernel does not merge memory",
        breaks: "equal pages of different jobs are merged, and the time of a write tells of it",
        value: "echo 2 >/sys/kernel/mm/ksm/run",
    },
];

/// One finding for each line of the table.
pub fn compared(seen: &Observations) -> Vec<Finding> {
    let judge = |line: &Compared| {
        let subject = super::Subject { name: line.name, wall: line.wall };
        match seen.number(line.path) {
            None => subject.ok(line.absent),
            Some(value) if (line.good)(value) => subject.ok(format!("{} is {value}", line.key)),
            Some(value) => {
                let sysctl = line.path.starts_with("/proc/sys/");
                let mend = if sysctl { set(line.key, line.value) } else { line.value.to_owned() };
                subject.warning(format!("{} is {value}", line.key), line.breaks, mend)
            }
        }
    };
    COMPARED.iter().map(judge).collect()
}

/// A pipe to a program that the kernel starts as root of the host when a job crashes.
pub fn core_pattern(seen: &Observations, _needs: &Needs) -> Finding {
    let subject = of(Wall::Rlimits, "core_pattern");
    match seen.setting("/proc/sys/kernel/core_pattern") {
        None => subject.ok("the kernel writes no core files"),
        Some(pattern) if pattern.starts_with('|') => subject.warning(
            format!("'{pattern}'"),
            "the kernel starts this program as root of the host for a process that crashes; for jobs only their \
             core limit of 1 keeps it from that",
            set("kernel.core_pattern", "core"),
        ),
        Some(pattern) => subject.ok(format!("'{pattern}', a file")),
    }
}

/// Whether processes of one user may trace each other. Jobs of root have uids of their own.
pub fn ptrace_scope(seen: &Observations, _needs: &Needs) -> Finding {
    let subject = of(Wall::Pid, "ptrace_scope");
    let scope = seen.number("/proc/sys/kernel/yama/ptrace_scope");
    let text = scope
        .map_or("Yama is not in the kernel".into(), |scope| format!("kernel.yama.ptrace_scope is {scope}"));
    if seen.facts.rootful || scope.is_some_and(|scope| scope >= 1) {
        return subject.ok(text);
    }
    let mend = match scope {
        Some(_) => set("kernel.yama.ptrace_scope", "1"),
        None => "run a kernel with CONFIG_SECURITY_YAMA".into(),
    };
    let breaks =
        "other programs of this user can trace the launcher; a job cannot, for it sees no process of theirs";
    subject.warning(text, breaks, mend)
}

/// Weaknesses of the processor that the kernel does not close.
pub fn cpu_vulnerabilities(seen: &Observations, _needs: &Needs) -> Finding {
    let subject = of_host("cpu_vulnerabilities");
    let directory = "/sys/devices/system/cpu/vulnerabilities/";
    let open: Vec<String> = seen
        .settings
        .iter()
        .filter(|(_, text)| text.starts_with("Vulnerable"))
        .filter_map(|(path, text)| Some(format!("{} ({text})", path.strip_prefix(directory)?)))
        .collect();
    if open.is_empty() {
        return subject.ok("none of those that leak between processes is said to be open");
    }
    subject.warning(
        open.join(", "),
        "a job may be able to read memory of other jobs or of the host",
        "update kernel and microcode, and boot without `mitigations=off`; in a virtual machine this is its host's part",
    )
}

/// A clock that is wrong by years makes certificates and records wrong.
pub fn clock(seen: &Observations, _needs: &Needs) -> Finding {
    let subject = of_host("clock");
    if seen.now_seconds >= CLOCK_MIN_SECONDS {
        return subject.ok(format!("{} seconds since 1970", seen.now_seconds));
    }
    subject.warning(
        format!("{} seconds since 1970, which is before this program was made", seen.now_seconds),
        "certificates look invalid inside jobs, and times of records are wrong",
        "timedatectl set-ntp true",
    )
}
