//! Attacks that ask for a namespace, new or another's: unshare, clone, clone3, setns.

use crate::{
    kernel::{self, Outcome, errno_name},
    sys,
    verdict::{Probe, Step, Tried, all_contained, breached, contained, refused, unreached},
};

/// A namespace other than a user one needs CAP_SYS_ADMIN, and with it still room in user.max_*_namespaces.
const NESTED: &str = "seccomp,capabilities,user";
/// A user namespace needs no capability.
const NESTED_USER: &str = "seccomp,user";

const USER: i64 = libc::CLONE_NEWUSER as i64;
const MNT: i64 = libc::CLONE_NEWNS as i64;
const NET: i64 = libc::CLONE_NEWNET as i64;
const PID: i64 = libc::CLONE_NEWPID as i64;
const IPC: i64 = libc::CLONE_NEWIPC as i64;
const UTS: i64 = libc::CLONE_NEWUTS as i64;
const CGROUP: i64 = libc::CLONE_NEWCGROUP as i64;
/// CLONE_NEWTIME (clone(2)): shares bits with the exit signal, so clone(2) cannot ask for it.
const TIME: i64 = 0x80;

pub const PROBES: &[Probe] = &[
    Probe::new("E07.unshare_user", "unshare a user namespace", NESTED_USER, unshare)
        .args(&[USER])
        .note("with the filter off user.max_user_namespaces=0 refuses it with ENOSPC"),
    Probe::new("E07.unshare_mnt", "unshare a mount namespace", NESTED, unshare).args(&[MNT]),
    Probe::new("E07.unshare_net", "unshare a network namespace", NESTED, unshare).args(&[NET]),
    Probe::new("E07.unshare_pid", "unshare a pid namespace", NESTED, unshare).args(&[PID]),
    Probe::new("E07.unshare_ipc", "unshare an ipc namespace", NESTED, unshare).args(&[IPC]),
    Probe::new("E07.unshare_uts", "unshare a uts namespace", NESTED, unshare).args(&[UTS]),
    Probe::new("E07.unshare_cgroup", "unshare a cgroup namespace", NESTED, unshare).args(&[CGROUP]),
    Probe::new("E07.unshare_time", "unshare a time namespace", NESTED, unshare).args(&[TIME]),
    Probe::new("E07.unshare_user_net", "unshare user and network at once", NESTED_USER, unshare)
        .args(&[USER | NET]),
    Probe::new("E07.clone_user", "clone into a user namespace", NESTED_USER, clone).args(&[USER]),
    Probe::new("E07.clone_mnt", "clone into a mount namespace", NESTED, clone).args(&[MNT]),
    Probe::new("E07.clone_net", "clone into a network namespace", NESTED, clone).args(&[NET]),
    Probe::new("E07.clone_pid", "clone into a pid namespace", NESTED, clone).args(&[PID]),
    Probe::new("E07.clone_ipc", "clone into an ipc namespace", NESTED, clone).args(&[IPC]),
    Probe::new("E07.clone_uts", "clone into a uts namespace", NESTED, clone).args(&[UTS]),
    Probe::new("E07.clone_cgroup", "clone into a cgroup namespace", NESTED, clone).args(&[CGROUP]),
    Probe::new("E07.clone_user_mnt", "clone into user and mount at once", NESTED_USER, clone)
        .args(&[USER | MNT]),
    Probe::new("E08.clone3", "clone3, whose flags a filter cannot see", "seccomp", clone3),
    Probe::new("E08.clone3_user", "clone3 into a user namespace", NESTED_USER, clone3_user),
    Probe::new("E09.own", "setns into namespaces that it is in", "seccomp,capabilities", setns_own),
    Probe::new("E09.own_pidfd", "setns through a pidfd of its own", "seccomp,capabilities", setns_pidfd),
    Probe::new("E09.pid1", "setns into namespaces of pid 1, by link and by pidfd", "-", setns_pid1).note(
        "pid 1 is not dumpable and its memory belongs to the outer user namespace: no switch changes that",
    ),
];

/// ENOSPC is the answer of user.max_*_namespaces.
const REFUSALS: &[i32] = &[libc::EPERM, libc::EACCES, libc::ENOSYS, libc::ENOSPC];

fn unshare(args: &[i64]) -> Tried {
    // This child is thrown away, with the namespace.
    refused(&format!("unshare({:#x})", args[0]), sys!(libc::SYS_unshare, args[0]), REFUSALS)
}

fn clone(args: &[i64]) -> Tried {
    // SAFETY: clone without CLONE_VM and with a null stack is fork(2); the child only leaves.
    let outcome =
        match unsafe { libc::syscall(libc::SYS_clone, args[0] | i64::from(libc::SIGCHLD), 0, 0, 0, 0) } {
            -1 => Err(kernel::last_errno()),
            // SAFETY: _exit(2) does not return.
            0 => unsafe { libc::_exit(0) },
            pid => {
                kernel::wait(pid as i32).step("wait for the clone")?;
                Ok(pid)
            }
        };
    refused(&format!("clone({:#x})", args[0]), outcome, REFUSALS)
}

fn clone3(_: &[i64]) -> Tried {
    unreached("clone3", sys!(libc::SYS_clone3, 0, 0), &[libc::ENOSYS, libc::EPERM])
}

fn clone3_user(_: &[i64]) -> Tried {
    // struct clone_args, first version, 8 words: flags first, exit_signal fifth.
    let mut args = [USER as u64, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
    // SAFETY: a zero stack and no CLONE_VM: the child is a fork and only leaves.
    let outcome = match unsafe { libc::syscall(libc::SYS_clone3, args.as_mut_ptr(), size_of_val(&args)) } {
        -1 => Err(kernel::last_errno()),
        // SAFETY: _exit(2) does not return.
        0 => unsafe { libc::_exit(0) },
        pid => {
            kernel::wait(pid as i32).step("wait for the clone")?;
            Ok(pid)
        }
    };
    refused("clone3(CLONE_NEWUSER)", outcome, REFUSALS)
}

const OWN: [&str; 7] = ["mnt", "net", "pid", "ipc", "uts", "cgroup", "user"];

fn setns_own(_: &[i64]) -> Tried {
    all_contained(OWN.iter().map(|name| {
        let fd = kernel::open(format!("/proc/self/ns/{name}"), libc::O_RDONLY, 0).step("open the link")?;
        // EINVAL for one's own user namespace is setns(2)'s answer to everybody.
        let refusals: &[i32] = if *name == "user" { &[libc::EPERM, libc::EINVAL] } else { &[libc::EPERM] };
        let outcome = kernel::outcome_in_child(|| sys!(libc::SYS_setns, &fd, 0)).step("fork")?;
        unreached(&format!("setns({name})"), outcome, refusals)
    }))
}

fn setns_pidfd(_: &[i64]) -> Tried {
    let pidfd = sys!(libc::SYS_pidfd_open, std::process::id(), 0).map(kernel::owned).step("pidfd_open")?;
    let outcome = kernel::outcome_in_child(|| sys!(libc::SYS_setns, &pidfd, UTS | IPC)).step("fork")?;
    unreached("setns(pidfd, UTS|IPC)", outcome, &[libc::EPERM, libc::ENOSYS])
}

fn setns_pid1(_: &[i64]) -> Tried {
    let enter = |what: String, fd: Outcome, flags: i64| match fd.map(kernel::owned) {
        Err(errno) => contained(format!("{what}: {}", errno_name(errno))),
        Ok(fd) => match kernel::outcome_in_child(|| sys!(libc::SYS_setns, &fd, flags)).step("fork")? {
            Ok(_) => breached(format!("{what}: entered")),
            Err(errno) => contained(format!("{what}: setns {}", errno_name(errno))),
        },
    };
    let links = OWN.iter().map(|name| {
        let path = kernel::text(format!("/proc/1/ns/{name}"));
        let fd = sys!(libc::SYS_openat, libc::AT_FDCWD, &path, libc::O_RDONLY | libc::O_CLOEXEC);
        enter(format!("/proc/1/ns/{name}"), fd, 0)
    });
    let by_pidfd = enter("pidfd of pid 1".to_owned(), sys!(libc::SYS_pidfd_open, 1, 0), NET | UTS);
    all_contained(links.chain([by_pidfd]))
}
