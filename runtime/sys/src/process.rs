//! The calling process itself: its tie to its parent, its session, signals, place and program.
//!
//! Everything here changes the caller only. What is marked *no heap* may run between clone and exec.
//! User and group ids are in `process/ids.rs`, descriptors in `process/descriptors.rs`, exec in
//! `process/program.rs`, processors in `process/processors.rs`.

mod descriptors;
mod ids;
mod processors;
mod program;

use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use crate::clone::Pid;
use crate::error::{Act, Errno, Error, Result, check, from_io};

pub use descriptors::{cloexec_range_from, close_all_except, close_range_from, dup_onto};
pub use ids::{
    drop_supplementary_groups, effective_gid, effective_uid, groups, real_uid, restore_effective_root,
    set_effective_uid_keeping_caps, set_groups, set_ids,
};
pub use processors::{allowed_cpus, set_affinity_count};
pub use program::{ExecStrings, exec, exit_now, kill_self};

/// The highest signal number: `_NSIG` of every Linux architecture but MIPS.
const SIGNAL_MAX: i32 = 64;

/// Asks the kernel to send us SIGKILL when the thread that made us ends (prctl(2)). *No heap.*
///
/// A parent that ended before this call is not noticed: afterwards check that a pipe or pidfd of the
/// parent is still alive, and leave when it is not. Any change of the effective ids clears the request.
pub fn set_parent_death_signal_kill() -> Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).act("set parent death signal")
}

/// The parent's number; 0 when it lives outside our pid namespace. *No heap.*
pub fn parent_pid() -> Pid {
    Pid(nix::unistd::getppid().as_raw())
}

/// Whether this process writes core files, can be traced by its own user, and owns its /proc files.
///
/// It must stay on until the parent has written the maps of a new user namespace, or an unprivileged
/// parent gets `EACCES`. Any change of the effective ids, and exec of a file that we cannot read, turn it
/// off. *No heap.*
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    nix::sys::prctl::set_dumpable(dumpable).act("set dumpable")
}

/// No exec from here on gives a privilege: setuid bits and file capabilities count no more. Cannot be taken
/// back. *No heap.*
pub fn set_no_new_privs() -> Result<()> {
    nix::sys::prctl::set_no_new_privs().act("set no_new_privs")
}

/// Locks the secure bits of capabilities(7) for ever: uid 0 means nothing to exec, leaving uid 0 drops the
/// capabilities, none are kept over that, and none can become ambient. Needs `CAP_SETPCAP`. *No heap.*
pub fn lock_securebits() -> Result<()> {
    let bits = libc::SECBIT_NOROOT
        | libc::SECBIT_NOROOT_LOCKED
        | libc::SECBIT_NO_SETUID_FIXUP_LOCKED
        | libc::SECBIT_KEEP_CAPS_LOCKED
        | libc::SECBIT_NO_CAP_AMBIENT_RAISE
        | libc::SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    let bits = libc::c_ulong::from(bits.cast_unsigned());
    // SAFETY: PR_SET_SECUREBITS takes one number and no pointer.
    let answer = unsafe { libc::prctl(libc::PR_SET_SECUREBITS, bits, 0, 0, 0) };
    check("lock securebits", i64::from(answer)).map(drop)
}

/// Becomes the leader of a new session and process group, without a terminal. `EPERM` when we lead a
/// process group already. *No heap.*
pub fn new_session() -> Result<()> {
    nix::unistd::setsid().map(drop).act("setsid")
}

/// Leaves the parent's session keyring for a new, empty one. `false` when the kernel has no keyrings or a
/// filter says so (`ENOSYS`). *No heap.*
pub fn join_new_session_keyring() -> Result<bool> {
    /// keyctl(2): KEYCTL_JOIN_SESSION_KEYRING.
    const JOIN: libc::c_int = 1;
    // SAFETY: the name is null, which asks for an anonymous keyring; no memory is passed.
    let answer = unsafe { libc::syscall(libc::SYS_keyctl, JOIN, std::ptr::null::<libc::c_char>(), 0, 0, 0) };
    match check("join session keyring", answer) {
        Ok(_) => Ok(true),
        Err(error) if error.errno == Errno::ENOSYS => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sets the bits that new files do not get. umask(2) cannot fail; bits over 0777 are ignored. *No heap.*
pub fn set_umask(mask: u32) -> Result<()> {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
    Ok(())
}

/// Changes the working directory. *No heap.*
pub fn chdir(path: &CStr) -> Result<()> {
    rustix::process::chdir(path).act("chdir")
}

/// Changes the working directory to an open one. *No heap.*
pub fn fchdir(directory: BorrowedFd<'_>) -> Result<()> {
    rustix::process::fchdir(directory).act("fchdir")
}

/// The working directory. It starts with `/` unless it lies outside our root: the kernel then says
/// `(unreachable)`, which is an error here (`ENOENT`).
pub fn current_dir() -> Result<PathBuf> {
    let path = std::env::current_dir().map_err(|error| from_io("getcwd", &error))?;
    if path.is_absolute() { Ok(path) } else { Err(Error::new("getcwd", Errno::ENOENT)) }
}

/// Puts every signal, the real-time ones and the C library's two included, back to its default action and
/// blocks none. `CLONE_CLEAR_SIGHAND` leaves ignored ones ignored, and Rust ignores SIGPIPE. *No heap.*
pub fn reset_signals() -> Result<()> {
    // The kernel's struct sigaction, with or without a restorer, is at most four words: all zero is SIG_DFL
    // without flags and with an empty mask.
    let default = [0_u64; 4];
    let empty_mask = 0_u64;
    let no_old = std::ptr::null_mut::<u64>();
    for signal in (1..=SIGNAL_MAX).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        // SAFETY: the kernel reads one struct sigaction, of at most the size given here, and writes nothing;
        // a default action runs no code of ours. The raw call is needed for the signals 32 and 33.
        let answer = unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, no_old, size_of::<u64>())
        };
        check("rt_sigaction", answer)?;
    }
    // SAFETY: the kernel reads one signal set of eight bytes and writes nothing.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const empty_mask,
            no_old,
            size_of::<u64>(),
        )
    };
    check("rt_sigprocmask", answer).map(drop)
}

/// Sets the host name of our UTS namespace, at most 64 bytes. Needs `CAP_SYS_ADMIN` there. *No heap.*
pub fn set_hostname(name: &[u8]) -> Result<()> {
    // SAFETY: the kernel reads `len` bytes from the slice.
    let answer = unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) };
    check("sethostname", i64::from(answer)).map(drop)
}

/// Sets the NIS domain name of our UTS namespace, at most 64 bytes. Needs `CAP_SYS_ADMIN` there. *No heap.*
pub fn set_domainname(name: &[u8]) -> Result<()> {
    // SAFETY: the kernel reads `len` bytes from the slice.
    let answer = unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) };
    check("setdomainname", i64::from(answer)).map(drop)
}

/// Names this thread for ps(1) and /proc; the kernel keeps the first 15 bytes. *No heap.*
pub fn set_name(name: &CStr) -> Result<()> {
    nix::sys::prctl::set_name(name).act("set thread name")
}

/// Sets how likely the kernel is to kill a process for memory, -1000 (never) to 1000 (first); `None` is
/// the caller.
///
/// # Errors
/// `EACCES` for a value below the present one without `CAP_SYS_RESOURCE`, or for a process that is not
/// dumpable; `EINVAL` outside the range; `ENOENT` when the process is gone.
pub fn set_oom_score_adj(pid: Option<Pid>, value: i32) -> Result<()> {
    let path = match pid {
        Some(pid) => format!("/proc/{}/oom_score_adj", pid.0),
        None => String::from("/proc/self/oom_score_adj"),
    };
    crate::file::write_existing(path.as_ref(), value.to_string().as_bytes())
        .map_err(|error| Error::new("write oom_score_adj", error.errno))
}

#[cfg(test)]
mod tests;
