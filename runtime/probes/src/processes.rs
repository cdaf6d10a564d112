//! Attacks on other processes: tracing, their memory and fds, signals.

use crate::{
    kernel::{self, Arg, End, Outcome, errno_name},
    sys,
    verdict::{Mode, Probe, Step, Tried, all_contained, breached, broken, contained, refused, unreached},
};

const PID1: &str =
    "pid 1 has another uid, is not dumpable and its memory belongs to the outer user namespace";
const SECCOMP: &str = "seccomp";

pub const PROBES: &[Probe] = &[
    Probe::new("E38.ptrace_child", "trace a child", SECCOMP, on_child).args(&[0]),
    Probe::new("E38.vm_readv_child", "process_vm_readv of a child", SECCOMP, on_child).args(&[1]),
    Probe::new("E38.vm_writev_child", "process_vm_writev of a child", SECCOMP, on_child).args(&[2]),
    Probe::new("E38.pidfd_getfd_child", "pidfd_getfd from a child", SECCOMP, on_child).args(&[3]),
    Probe::new("E38.kcmp_child", "kcmp with a child", SECCOMP, on_child).args(&[4]),
    Probe::new("E38.ptrace_pid1", "trace pid 1", "-", on_pid1).args(&[0]).note(PID1),
    Probe::new("E38.vm_readv_pid1", "process_vm_readv of pid 1", "-", on_pid1).args(&[1]).note(PID1),
    Probe::new("E38.vm_writev_pid1", "process_vm_writev of pid 1", "-", on_pid1).args(&[2]).note(PID1),
    Probe::new("E38.pidfd_getfd_pid1", "pidfd_getfd from pid 1", "-", on_pid1).args(&[3]).note(PID1),
    Probe::new("E38.kcmp_pid1", "kcmp with pid 1", "-", on_pid1).args(&[4]).note(PID1),
    Probe::new("E38.mem_pid1", "open mem, maps, fd, root, cwd of pid 1", "-", files_of_pid1).note(PID1),
    Probe::new("E39.signal_pid1", "signal pid 1", "landlock,capabilities", signal_pid1)
        .inside()
        .note("rootless pid 1 has the job's uid, and landlock alone refuses it; the kernel drops what pid 1 does not handle"),
    Probe::new("E39.pidfd_pid1", "signal pid 1 through a pidfd", "landlock,capabilities", pidfd_signal_pid1).inside(),
    Probe::new("E39.kill_all", "kill(-1, SIGKILL)", "-", kill_all)
        .inside()
        .mode(Mode::Solo)
        .note("contained when the job dies without a line and everything else lives: the harness looks"),
];

/// What is tried on a process, by number.
fn act(which: i64, pid: i32, address: u64) -> (&'static str, Outcome) {
    let mut word = 0u64;
    let mut local = libc::iovec { iov_base: std::ptr::from_mut(&mut word).cast(), iov_len: 8 };
    let mut remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: 8 };
    match which {
        0 => {
            let outcome = sys!(libc::SYS_ptrace, libc::PTRACE_SEIZE, pid, 0, 0);
            if outcome.is_ok() {
                // The tracer ends at once, and that detaches.
                sys!(libc::SYS_ptrace, libc::PTRACE_INTERRUPT, pid, 0, 0).ok();
            }
            ("ptrace(PTRACE_SEIZE)", outcome)
        }
        1 | 2 => {
            let (name, number) = if which == 1 {
                ("process_vm_readv", libc::SYS_process_vm_readv)
            } else {
                ("process_vm_writev", libc::SYS_process_vm_writev)
            };
            (name, sys!(number, pid, Arg::record(&mut local), 1, Arg::record(&mut remote), 1, 0))
        }
        3 => {
            let outcome = sys!(libc::SYS_pidfd_open, pid, 0)
                .map(kernel::owned)
                .and_then(|pidfd| sys!(438, &pidfd, 0, 0).map(|fd| drop(kernel::owned(fd))))
                .map(|()| 0);
            ("pidfd_getfd", outcome)
        }
        // KCMP_VM is 1 (kcmp(2)).
        _ => ("kcmp", sys!(libc::SYS_kcmp, std::process::id(), pid, 1, 0, 0)),
    }
}

const REFUSALS: &[i32] = &[libc::EPERM, libc::EACCES, libc::ENOSYS];

fn on_child(args: &[i64]) -> Tried {
    // The child is a copy: this variable has the same address in it.
    let target = 42u64;
    let pid = kernel::fork_child(|| {
        // SAFETY: pause(2) takes nothing.
        unsafe { libc::pause() }
    })
    .step("fork")?;
    let (name, outcome) = act(args[0], pid, std::ptr::from_ref(&target) as u64);
    sys!(libc::SYS_kill, pid, libc::SIGKILL).step("kill of the child")?;
    kernel::wait(pid).step("wait for the child")?;
    refused(&format!("{name} of a child"), outcome, REFUSALS)
}

fn on_pid1(args: &[i64]) -> Tried {
    // An address that is never mapped: EFAULT would show that access was given, and nothing is written.
    let (name, outcome) = act(args[0], 1, 16);
    match outcome {
        Err(libc::ESRCH) => broken(format!("{name}: there is no pid 1")),
        outcome => unreached(&format!("{name} of pid 1"), outcome, REFUSALS),
    }
}

fn files_of_pid1(_: &[i64]) -> Tried {
    all_contained(["mem", "maps", "fd/0", "root", "cwd", "ns/mnt", "auxv", "stack", "syscall"].map(|name| {
        let path = format!("/proc/1/{name}");
        match kernel::open(&path, libc::O_RDONLY, 0) {
            Err(errno) => contained(format!("{path}: {}", errno_name(errno))),
            Ok(fd) => {
                // Some open for everybody and say nothing: read one byte.
                let mut byte = [0u8; 1];
                match sys!(libc::SYS_read, &fd, byte.as_mut_slice(), 1) {
                    Err(errno) if REFUSALS.contains(&errno) => {
                        contained(format!("{path}: read {}", errno_name(errno)))
                    }
                    _ => breached(format!("{path} was opened")),
                }
            }
        }
    }))
}

/// Signals that a pid 1 ignores from inside unless it handles them, the harmless ones first.
const SIGNALS: [i32; 4] = [0, libc::SIGCONT, libc::SIGSTOP, libc::SIGKILL];

fn signal_pid1(_: &[i64]) -> Tried {
    all_contained(SIGNALS.map(|signal| {
        refused(&format!("kill(1, {signal})"), sys!(libc::SYS_kill, 1, signal), &[libc::EPERM])
    }))
}

fn pidfd_signal_pid1(_: &[i64]) -> Tried {
    let pidfd = match sys!(libc::SYS_pidfd_open, 1, 0) {
        Ok(fd) => kernel::owned(fd),
        Err(errno) => return contained(format!("pidfd_open(1): {}", errno_name(errno))),
    };
    all_contained(SIGNALS.map(|signal| {
        let outcome = sys!(libc::SYS_pidfd_send_signal, &pidfd, signal, 0, 0);
        refused(&format!("pidfd_send_signal({signal})"), outcome, &[libc::EPERM])
    }))
}

fn kill_all(_: &[i64]) -> Tried {
    // From a grandchild: kill(-1) spares its caller. The program that started this one is killed too, so no line follows.
    let end = kernel::run_child(|| match sys!(libc::SYS_kill, -1, libc::SIGKILL) {
        Ok(_) => 0,
        Err(errno) => errno,
    });
    match end.step("fork")? {
        End::Exited(libc::EPERM) => contained("kill(-1): EPERM"),
        end => broken(format!("kill(-1, SIGKILL) was done and this process lives: {end:?}")),
    }
}
