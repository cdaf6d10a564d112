//! What is inside that is not the host's: device nodes by number, files in /etc that we write, what of /proc is hidden.

use crate::launch::{Identity, RootEntry};

/// A device node that a job has.
pub(super) struct Device {
    pub(super) name: &'static str,
    major: u32,
    minor: u32,
    /// A job may use ioctls on it.
    pub(super) terminal: bool,
}

/// All device nodes; /dev/ptmx (5:2) is devpts' own. Numbers: admin-guide/devices.txt.
pub(super) const DEVICES: [Device; 6] = [
    Device { name: "full", major: 1, minor: 7, terminal: false },
    Device { name: "null", major: 1, minor: 3, terminal: false },
    Device { name: "random", major: 1, minor: 8, terminal: false },
    Device { name: "tty", major: 5, minor: 0, terminal: true },
    Device { name: "urandom", major: 1, minor: 9, terminal: false },
    Device { name: "zero", major: 1, minor: 5, terminal: false },
];

/// Terminals of one job, its own included. The kernel leaves 3 072 to all devpts but the host's own (kernel.pty.max less
/// kernel.pty.reserve), and the built-in policy runs 64 jobs: together they stay far below.
const TERMINALS_MAX: u32 = 16;

/// Links in /dev that programs and shells use.
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/ptmx", "pts/ptmx"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
];

/// Hidden below /proc: they tell of the host's memory, hardware, disks, interrupts, boot parameters and keys, or take commands.
pub(super) const PROC_MASKED: &[&str] = &[
    "acpi",
    "allocinfo",
    "asound",
    "bootconfig",
    "buddyinfo",
    "cmdline",
    "config.gz",
    "consoles",
    "crypto",
    "diskstats",
    "driver",
    "dynamic_debug",
    "fs",
    "interrupts",
    "iomem",
    "ioports",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "locks",
    "misc",
    "modules",
    "mtrr",
    "pagetypeinfo",
    "partitions",
    "pressure",
    "sched_debug",
    "schedstat",
    "scsi",
    "slabinfo",
    "softirqs",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
    "zoneinfo",
];

/// Read-only below /proc: settings of the host's kernel.
pub(super) const PROC_READ_ONLY: &[&str] = &["bus", "irq", "sys", "sysrq-trigger"];

/// /dev: nodes, links and terminals of the job's own.
pub(super) fn devices() -> Vec<RootEntry> {
    let mut entries = vec![directory("/dev")];
    entries.extend(DEVICES.iter().map(|device| RootEntry::Device {
        name: device.name.to_owned(),
        major: device.major,
        minor: device.minor,
    }));
    entries.extend(DEVICE_LINKS.map(|(target, text)| symlink(target, text)));
    entries.push(RootEntry::DevPts { terminals_max: TERMINALS_MAX });
    entries
}

/// Directories and links that programs take for granted.
pub(super) fn directories() -> Vec<RootEntry> {
    vec![
        directory("/etc"),
        directory("/run"),
        directory("/var"),
        symlink("/var/run", "/run"),
        symlink("/var/tmp", "/tmp"),
    ]
}

/// Files in /etc that would tell of the host if they were the host's.
pub(super) fn files(hostname: &str, identity: Identity, home: &str) -> Vec<RootEntry> {
    let Identity { uid, gid, .. } = identity;
    let hosts = format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    let contents = [
        ("/etc/group", format!("root:x:0:\njob:x:{gid}:\nnogroup:x:65534:\n")),
        ("/etc/hostname", format!("{hostname}\n")),
        ("/etc/hosts", hosts),
        (
            "/etc/nsswitch.conf",
            "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n"
                .to_owned(),
        ),
        (
            "/etc/passwd",
            format!(
                "root:x:0:0:root:/:/usr/sbin/nologin\njob:x:{uid}:{gid}:job:{home}:/bin/sh\n\
                 nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
            ),
        ),
        // Empty: there is no network to resolve over, and an absent file makes resolvers wait for localhost.
        ("/etc/resolv.conf", String::new()),
    ];
    let file = |(target, text): (&str, String)| RootEntry::File {
        target: target.to_owned(),
        contents: text.into_bytes(),
        mode: 0o644,
    };
    contents.into_iter().map(file).collect()
}

fn directory(target: &str) -> RootEntry {
    RootEntry::Directory { target: target.to_owned(), mode: 0o755 }
}

fn symlink(target: &str, text: &str) -> RootEntry {
    RootEntry::Symlink { target: target.to_owned(), text: text.to_owned() }
}
