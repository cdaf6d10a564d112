//! The system calls of the server, each with its reason. What is not here is answered EPERM: no exec, no new
//! process, no new socket to the outside, no mount, no ptrace, no namespace.
//!
//! Names that an architecture lacks are left out there.

use runtime_sys::seccomp::{Compare, Condition, Rule};
use syscalls::Sysno;

/// What is allowed whatever its arguments are.
#[rustfmt::skip]
const PLAIN: &[(&str, &str)] = &[
    // Memory and threads.
    ("brk", "the allocator"),
    ("munmap", "the allocator, ended threads"),
    ("mremap", "the allocator grows a large block"),
    ("madvise", "the allocator gives memory back; ended threads"),
    ("futex", "locks; waiting for a thread"),
    ("set_robust_list", "start of a thread"),
    ("rseq", "start of a thread in glibc 2.35 and later"),
    ("sched_getaffinity", "the size of a thread's stack guard and counts of processors"),
    ("sched_yield", "contended locks"),
    ("gettid", "names of threads, abort"),
    ("getpid", "abort"),
    ("exit", "end of a thread"),
    ("exit_group", "end of the process"),
    ("sigaltstack", "the stack overflow handler of each thread"),
    ("rt_sigaction", "the handlers of TERM and INT"),
    ("rt_sigprocmask", "start of a thread, abort"),
    ("rt_sigreturn", "end of a handler"),
    ("restart_syscall", "the kernel puts it in place of an interrupted wait"),
    ("seccomp", "the filters after this one are loaded through it; a filter can only take away"),
    // Time and chance.
    ("clock_gettime", "where the vDSO has no clock"),
    ("clock_nanosleep", "a thread waits"),
    ("nanosleep", "a thread waits"),
    ("gettimeofday", "where the vDSO has no clock"),
    ("getrandom", "ids and hash seeds"),
    // Waiting.
    ("epoll_create1", "tokio's driver"),
    ("epoll_ctl", "tokio's driver"),
    ("epoll_wait", "tokio's driver"),
    ("epoll_pwait", "tokio's driver where epoll_wait is absent"),
    ("eventfd2", "tokio's driver is woken through it"),
    ("poll", "blocking sends and receives on the link"),
    ("ppoll", "the same"),
    // Descriptors.
    ("read", "signal pipe, sockets, pipes, log files"),
    ("readv", "sockets"),
    ("write", "sockets, pipes, wake-ups, our log on stderr"),
    ("writev", "sockets"),
    ("close", "descriptors"),
    ("fcntl", "O_NONBLOCK, close-on-exec, copies of descriptors, seals"),
    ("dup", "copies of descriptors"),
    ("lseek", "log files"),
    ("splice", "output goes from the pipe to the file"),
    // Sockets that exist.
    ("accept4", "clients come"),
    ("recvmsg", "the link, with the pipes of jobs"),
    ("sendmsg", "the link, with large messages"),
    ("recvfrom", "clients"),
    ("sendto", "clients"),
    ("getsockopt", "credentials of the peer, errors of a connection"),
    ("setsockopt", "no delay on TCP"),
    ("getsockname", "the address that a listener has"),
    ("getpeername", "who connected"),
    ("shutdown", "the end of a connection"),
    // Files: landlock keeps them beneath the state directory.
    ("openat", "log files"),
    ("mkdir", "a job's directory of logs"),
    ("mkdirat", "the same"),
    ("unlink", "removal of old logs"),
    ("unlinkat", "the same"),
    ("rmdir", "the same"),
    ("getdents64", "removal of old logs"),
    ("fstat", "sizes and kinds"),
    ("newfstatat", "the same"),
    ("statx", "the same"),
    ("pread64", "readers of logs, pages of the store"),
    ("pwrite64", "the index of a log, pages of the store"),
    ("access", "SQLite looks whether its log is there"),
    ("faccessat", "the same where access is absent"),
    ("ftruncate", "the end of the store's log and of its shared index"),
    ("fdatasync", "what is acknowledged is on disk"),
    ("fsync", "the same, and new names in directories"),
    ("geteuid", "SQLite gives its files away only as root"),
    ("readlink", "SQLite resolves the path of the state directory"),
    ("getcwd", "SQLite makes its paths absolute"),
    ("flock", "one server for one state directory"),
    ("memfd_create", "messages to the launcher above 64 KiB"),
];

/// What a program tests for and does without.
#[rustfmt::skip]
const ABSENT: &[(&str, &str)] = &[
    ("clone3", "its flags lie in memory, where a filter cannot look: glibc falls back to clone"),
    ("io_uring_setup", "a second way into the kernel; nothing here uses it"),
];

/// linux/sched.h
const CLONE_THREAD: u64 = 0x0001_0000;
/// linux/sched.h: the flags that make namespaces, CLONE_NEWTIME aside, which clone cannot.
const CLONE_NAMESPACES: u64 = 0x7E02_0000;
/// asm-generic/mman-common.h
const PROT_EXEC: u64 = 4;
/// linux/prctl.h
const PR_SET_NAME: u64 = 15;
/// linux/prctl.h: glibc and Rust name their memory with it.
const PR_SET_VMA: u64 = 0x5356_4d41;
/// asm-generic/ioctls.h: O_NONBLOCK on a socket, as the standard library sets it.
const FIONBIO: u64 = 0x5421;
/// asm-generic/ioctls.h: whether stderr is a terminal.
const TCGETS: u64 = 0x5401;
/// asm-generic/ioctls.h: how many bytes wait in a pipe.
const FIONREAD: u64 = 0x541B;
/// asm-generic/ioctls.h: the size of a job's terminal.
const TIOCSWINSZ: u64 = 0x5414;
/// linux/socket.h
const AF_UNIX: u64 = 1;

fn equal(argument: u8, value: u64) -> Condition {
    Condition { argument, dword: true, compare: Compare::Equal, value }
}

fn masked(argument: u8, mask: u64, value: u64) -> Condition {
    Condition { argument, dword: true, compare: Compare::MaskedEqual(mask), value }
}

/// Calls of which some arguments are meant, by name.
fn by_argument(pid: u32) -> Vec<(&'static str, Vec<Vec<Condition>>)> {
    vec![
        // Threads, and no processes.
        ("clone", vec![vec![masked(0, CLONE_THREAD | CLONE_NAMESPACES, CLONE_THREAD)]]),
        // Nothing that was written becomes code.
        ("mmap", vec![vec![masked(2, PROT_EXEC, 0)]]),
        ("mprotect", vec![vec![masked(2, PROT_EXEC, 0)]]),
        ("prctl", vec![vec![equal(0, PR_SET_NAME)], vec![equal(0, PR_SET_VMA)]]),
        ("ioctl", [FIONBIO, TCGETS, FIONREAD, TIOCSWINSZ].map(|request| vec![equal(1, request)]).to_vec()),
        // tokio wakes itself for signals through a pair; it reaches nobody else.
        ("socketpair", vec![vec![equal(0, AF_UNIX)]]),
        // Only itself: abort after a failed check of the allocator or a panic while panicking.
        ("tgkill", vec![vec![equal(0, u64::from(pid))]]),
    ]
}

fn number(name: &str) -> Option<u32> {
    name.parse::<Sysno>().ok().and_then(|sysno| u32::try_from(sysno.id()).ok())
}

/// The rules of the allow-list, for the process of this pid.
pub(super) fn allowed(pid: u32) -> Vec<Rule> {
    let plain = PLAIN.iter().map(|(name, _)| (*name, Vec::new()));
    plain
        .chain(by_argument(pid))
        .filter_map(|(name, any_of)| Some(Rule { number: number(name)?, any_of }))
        .collect()
}

/// The rules of what is answered ENOSYS.
pub(super) fn absent() -> Vec<Rule> {
    let numbers = ABSENT.iter().filter_map(|(name, _)| number(name));
    numbers.map(|number| Rule { number, any_of: Vec::new() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_is_a_system_call_has_a_reason_and_stands_once() {
        let mut seen = BTreeSet::new();
        for (name, why) in PLAIN.iter().chain(ABSENT) {
            assert!(cfg!(not(target_arch = "x86_64")) || number(name).is_some(), "{name}");
            assert!(!why.is_empty() && seen.insert(*name), "{name}");
        }
        for (name, conditions) in by_argument(7) {
            assert!(number(name).is_some() && !conditions.is_empty() && seen.insert(name), "{name}");
        }
    }

    #[test]
    fn nothing_that_starts_a_program_or_reaches_out_is_allowed() {
        let allowed: BTreeSet<u32> = allowed(7).into_iter().map(|rule| rule.number).collect();
        for name in [
            "execve",
            "execveat",
            "fork",
            "vfork",
            "socket",
            "connect",
            "bind",
            "listen",
            "ptrace",
            "mount",
            "unshare",
            "setns",
            "kill",
            "tkill",
            "process_vm_writev",
            "pidfd_getfd",
            "bpf",
            "setuid",
            "chmod",
            "symlink",
            "link",
            "rename",
            "mknod",
            "pidfd_open",
            "pidfd_send_signal",
            "add_key",
            "keyctl",
        ] {
            let Some(number) = number(name) else { continue };
            assert!(!allowed.contains(&number), "{name}");
        }
    }
}
