//! New processes: `clone3(2)` as a fork with chosen namespaces, and the proof that a fork is safe here.
//!
//! The child of a process with several threads may call only what a signal handler may call: another
//! thread can have held the allocator's lock. So every fork asks for a [`SingleThreaded`] token. The raw
//! call skips the C library's `fork`: its at-fork handlers do not run, and its idea of the thread id in
//! the child is the parent's (it keeps no cached process id since glibc 2.25). Nothing in this workspace
//! registers such handlers, uses robust mutexes, or asks for a thread id after a fork.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::error::{Act, Errno, Error, Result, check, from_io};

/// A process id as this process's own pid namespace numbers it. Never use it to send a signal: see `pidfd`.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Pid(pub i32);

// The C library's crate types these two as `c_int`, in which they overflow to 0.
/// clone3(2), Linux 5.5: every handled signal goes back to its default, ignored ones stay ignored.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
/// clone3(2), Linux 5.7: the child starts in the version 2 cgroup of `clone_args.cgroup`.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The status file has a few kilobytes; one that exceeds this is not what we think it is.
const STATUS_BYTES_MAX: usize = 64 * 1024;

/// Proof that this process had one thread when it was asked. Whoever holds it must not start another.
#[derive(Debug)]
pub struct SingleThreaded(());

impl SingleThreaded {
    /// Reads the number of threads in `/proc/self/status`.
    ///
    /// # Errors
    /// `EBUSY` when there is more than one thread; what reading said when /proc cannot be read, and
    /// `EINVAL` when it has no such line: what cannot be proved is not assumed.
    pub fn prove() -> Result<SingleThreaded> {
        let status = crate::file::read_all_bounded("/proc/self/status".as_ref(), STATUS_BYTES_MAX)?;
        match thread_count(&status) {
            Some(1) => Ok(SingleThreaded(())),
            Some(_) => Err(Error::new("count own threads", Errno::EBUSY)),
            None => Err(Error::new("count own threads", Errno::EINVAL)),
        }
    }
}

/// The number in the `Threads:` line of a `/proc/PID/status`.
fn thread_count(status: &[u8]) -> Option<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Threads:"))?;
    std::str::from_utf8(line).ok()?.trim().parse().ok()
}

/// Which namespaces a child gets new. A cgroup namespace is not among them: see
/// [`unshare_cgroup_namespace`].
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub struct Namespaces {
    /// user_namespaces(7); made first, it owns the others.
    pub user: bool,
    /// mount_namespaces(7).
    pub mount: bool,
    /// pid_namespaces(7): the child is its pid 1.
    pub pid: bool,
    /// network_namespaces(7): nothing but a loopback interface that is down.
    pub net: bool,
    /// ipc_namespaces(7).
    pub ipc: bool,
    /// uts_namespaces(7): host name and domain name.
    pub uts: bool,
}

impl Namespaces {
    fn flags(self) -> u64 {
        [
            (self.user, libc::CLONE_NEWUSER),
            (self.mount, libc::CLONE_NEWNS),
            (self.pid, libc::CLONE_NEWPID),
            (self.net, libc::CLONE_NEWNET),
            (self.ipc, libc::CLONE_NEWIPC),
            (self.uts, libc::CLONE_NEWUTS),
        ]
        .iter()
        .filter(|(wanted, _)| *wanted)
        .fold(0, |flags, (_, flag)| flags | u64::from(flag.cast_unsigned()))
    }
}

/// What kind of child to make.
#[derive(Copy, Clone, Default, Debug)]
pub struct CloneRequest<'a> {
    /// The child's new namespaces.
    pub namespaces: Namespaces,
    /// `CLONE_PARENT`: the child's parent is the caller's parent, which reaps it. The exit signal is then
    /// the one with which the caller itself was made. Refused by the kernel (`EINVAL`) for a caller that
    /// is pid 1 of its namespace.
    pub parent_of_caller: bool,
    /// `CLONE_INTO_CGROUP`: an open directory of the version 2 hierarchy in which the child starts.
    /// `EACCES` when the caller may not write its `cgroup.procs`, `EOPNOTSUPP` for a threaded cgroup,
    /// `EBUSY` for an inner one with controllers.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// Which of the two processes we are after a clone.
#[derive(Debug)]
pub enum Cloned {
    /// The caller.
    Parent {
        /// The child's number, for files in /proc only.
        pid: Pid,
        /// The child itself: readable when it has ended.
        pidfd: OwnedFd,
    },
    /// The new process: a copy of the caller's memory, its descriptors, and nothing of its threads.
    Child,
}

/// Makes a child process as fork(2) does, in the namespaces and the cgroup of the request.
///
/// The child's handled signals are back at their defaults, its signal mask is the caller's. Its exit is
/// told by `SIGCHLD`.
///
/// # Errors
/// As clone(2): `EPERM` without the privilege or in a chroot, `ENOSPC` at the namespace limits of
/// `/proc/sys/user`, `EAGAIN` at the process limits, `ENOSYS` before Linux 5.3.
pub fn clone_process(_proof: &SingleThreaded, request: &CloneRequest<'_>) -> Result<Cloned> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: `clone_args` is a struct of integers for which zero means "not used".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags =
        u64::from(libc::CLONE_PIDFD.cast_unsigned()) | CLONE_CLEAR_SIGHAND | request.namespaces.flags();
    arguments.pidfd = (&raw mut pidfd) as u64;
    if request.parent_of_caller {
        // The kernel wants no exit signal here: the child takes that of its sibling, the caller.
        arguments.flags |= u64::from(libc::CLONE_PARENT.cast_unsigned());
    } else {
        arguments.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    }
    if let Some(cgroup) = request.cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: the kernel reads `size` bytes of `arguments` and writes one int to `pidfd`; both outlive the
    // call. Without CLONE_VM and with no stack given the child runs on its own copy of this stack, as after
    // fork(2). The token says that no other thread held a lock that the copy would keep for ever.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    if check("clone3", pid)? == 0 {
        return Ok(Cloned::Child);
    }
    // SAFETY: on success the kernel stored a new descriptor that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let pid = i32::try_from(pid).map_err(|_| Error::new("clone3", Errno::EOVERFLOW))?;
    Ok(Cloned::Parent { pid: Pid(pid), pidfd })
}

/// Makes a plain child: [`clone_process`] with nothing asked.
pub fn fork(proof: &SingleThreaded) -> Result<Cloned> {
    clone_process(proof, &CloneRequest::default())
}

/// Moves this process into a new cgroup namespace whose roots are the cgroups it is in at this moment, so
/// it must be called after the move into the job's cgroups. Needs `CAP_SYS_ADMIN` in its user namespace.
pub fn unshare_cgroup_namespace() -> Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP).act("unshare cgroup namespace")
}

/// Opens a namespace file of a process: `kind` is a name in `/proc/PID/ns`.
pub(crate) fn open_namespace(pid: Pid, kind: &str) -> Result<OwnedFd> {
    let file = std::fs::File::open(format!("/proc/{}/ns/{kind}", pid.0));
    file.map(OwnedFd::from).map_err(|error| from_io("open namespace", &error))
}

#[cfg(test)]
mod tests;
