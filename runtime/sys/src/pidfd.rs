//! Processes as descriptors: signals that cannot hit a stranger, and the reaping of children.
//!
//! Signals are sent through a pidfd only. What a child used is read when it is reaped, because afterwards
//! the kernel forgets it. See pidfd_open(2), waitid(2) and wait4(2).

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::clone::Pid;
use crate::error::{Act, Errno, Error, Result, check};

/// Opens a process. Safe only for a child that is not reaped yet or for a pid that was just proved alive
/// by other means: numbers are used again.
///
/// # Errors
/// `ESRCH` when there is no such process, `EINVAL` for a number below 1. Linux 5.3.
pub fn open(pid: Pid) -> Result<OwnedFd> {
    // The conversion takes no negative number.
    let pid = rustix::process::Pid::from_raw(pid.0.max(0));
    let pid = pid.ok_or(Error::new("pidfd_open", Errno::EINVAL))?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).act("pidfd_open")
}

/// Sends a signal by its number; 0 only asks whether one could be sent.
///
/// # Errors
/// `ESRCH` when the process has ended and was reaped, `EPERM`, `EINVAL` for no signal. Linux 5.1.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: takes a descriptor, a number, and a null pointer for "as kill(2) would fill it in".
    let answer = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) };
    check("pidfd_send_signal", answer).map(drop)
}

/// Sends a signal to every process of the group that the process leads; to the process alone before Linux 6.9, where the
/// kernel cannot name a group without its number.
///
/// # Errors
/// As [`send_signal`].
pub fn send_signal_to_group(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    /// linux/pidfd.h: PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9.
    const PROCESS_GROUP: libc::c_uint = 1 << 2;
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: takes a descriptor, a number, a null pointer for "as kill(2) would fill it in", and flags.
    let answer = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, PROCESS_GROUP)
    };
    match check("pidfd_send_signal", answer) {
        Ok(_) => Ok(()),
        Err(error) if error.errno == Errno::EINVAL => send_signal(pidfd, signal),
        Err(error) => Err(error),
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitStatus {
    /// It left by itself.
    Exited {
        /// 0 to 255.
        code: i32,
    },
    /// A signal ended it.
    Signalled {
        /// The signal's number.
        signal: i32,
        /// Whether the kernel wrote a core file.
        core_dumped: bool,
    },
}

/// A child that has ended and is gone from the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// How it ended.
    pub status: WaitStatus,
    /// CPU time in user mode, of the child and of every descendant that was waited for.
    pub user_cpu: Duration,
    /// CPU time in the kernel, of the same.
    pub system_cpu: Duration,
    /// The largest resident set of any one of them, in bytes.
    pub max_rss_bytes: u64,
}

/// Reaps a child if it has ended; `None` while it runs.
///
/// # Errors
/// `ECHILD` when the process is not a child of ours or was reaped already. Linux 5.4.
pub fn reap(pidfd: BorrowedFd<'_>) -> Result<Option<Reaped>> {
    wait_on(pidfd, libc::WNOHANG)
}

/// Waits until a child has ended and reaps it. Signals do not cut the wait short.
///
/// # Errors
/// As [`reap`].
pub fn reap_blocking(pidfd: BorrowedFd<'_>) -> Result<Reaped> {
    wait_on(pidfd, 0)?.ok_or(Error::new("waitid", Errno::ECHILD))
}

/// Reaps any child that has ended; `None` when all still run.
///
/// # Errors
/// `ECHILD` when there are no children.
pub fn reap_any() -> Result<Option<(Pid, Reaped)>> {
    wait_any(libc::WNOHANG)
}

/// Waits until any child has ended and reaps it. Signals do not cut the wait short.
///
/// # Errors
/// `ECHILD` when there are no children.
pub fn reap_any_blocking() -> Result<(Pid, Reaped)> {
    wait_any(0)?.ok_or(Error::new("wait4", Errno::ECHILD))
}

/// `waitid(P_PIDFD)` by the raw call, for the C library's has no place for the usage.
fn wait_on(pidfd: BorrowedFd<'_>, option: i32) -> Result<Option<Reaped>> {
    // SAFETY: both are structs of integers, for which zero is a value.
    let (mut info, mut usage) =
        unsafe { (std::mem::zeroed::<libc::siginfo_t>(), std::mem::zeroed::<libc::rusage>()) };
    loop {
        // SAFETY: the kernel writes one siginfo_t and one rusage, which outlive the call. `__WALL` also
        // finds children whose exit signal is not SIGCHLD.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_waitid,
                libc::P_PIDFD,
                pidfd.as_raw_fd(),
                &raw mut info,
                libc::WEXITED | libc::__WALL | option,
                &raw mut usage,
            )
        };
        match check("waitid", answer) {
            Err(error) if error.errno == Errno::EINTR => {}
            Err(error) => return Err(error),
            Ok(_) => break,
        }
    }
    // SAFETY: waitid fills in these fields, or leaves the zeroes when no child has ended.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let status = match info.si_code {
        libc::CLD_EXITED => WaitStatus::Exited { code: status },
        code => WaitStatus::Signalled { signal: status, core_dumped: code == libc::CLD_DUMPED },
    };
    Ok(Some(reaped(status, &usage)))
}

fn wait_any(option: i32) -> Result<Option<(Pid, Reaped)>> {
    // SAFETY: a struct of integers, for which zero is a value.
    let mut usage = unsafe { std::mem::zeroed::<libc::rusage>() };
    let mut status: libc::c_int = 0;
    loop {
        // SAFETY: the kernel writes one int and one rusage, which outlive the call.
        let pid = unsafe { libc::wait4(-1, &raw mut status, libc::__WALL | option, &raw mut usage) };
        match check("wait4", i64::from(pid)) {
            Err(error) if error.errno == Errno::EINTR => {}
            Err(error) => return Err(error),
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some((Pid(pid), reaped(decode(status), &usage)))),
        }
    }
}

/// Reads a status word of wait(2). Without `WUNTRACED` a child has either exited or died.
fn decode(status: libc::c_int) -> WaitStatus {
    if libc::WIFEXITED(status) {
        WaitStatus::Exited { code: libc::WEXITSTATUS(status) }
    } else {
        WaitStatus::Signalled { signal: libc::WTERMSIG(status), core_dumped: libc::WCOREDUMP(status) }
    }
}

fn reaped(status: WaitStatus, usage: &libc::rusage) -> Reaped {
    Reaped {
        status,
        user_cpu: duration(usage.ru_utime),
        system_cpu: duration(usage.ru_stime),
        // getrusage(2): the kernel counts in kilobytes of 1024.
        max_rss_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024),
    }
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clone::{Cloned, SingleThreaded, fork};
    use crate::in_child::{self, expect};
    use crate::process::exit_now;
    use std::os::fd::AsFd;

    /// A child that waits for a signal.
    fn sleeper() -> Result<(Pid, OwnedFd)> {
        match fork(&SingleThreaded::prove()?)? {
            Cloned::Parent { pid, pidfd } => Ok((pid, pidfd)),
            Cloned::Child => loop {
                std::thread::sleep(Duration::from_secs(1));
            },
        }
    }

    #[test]
    fn a_signal_ends_a_child_and_the_status_says_which() {
        in_child::run(|| {
            let (pid, pidfd) = sleeper()?;
            expect("runs", reap(pidfd.as_fd())?.is_none())?;
            send_signal(pidfd.as_fd(), 0)?;
            send_signal(open(pid)?.as_fd(), libc::SIGKILL)?;
            let ended = reap_blocking(pidfd.as_fd())?;
            expect(
                "killed",
                ended.status == WaitStatus::Signalled { signal: libc::SIGKILL, core_dumped: false },
            )?;
            let gone = send_signal(pidfd.as_fd(), libc::SIGKILL).map_err(|error| error.errno);
            expect("no signal to a reaped child", gone == Err(Errno::ESRCH))?;
            let again = reap(pidfd.as_fd()).map_err(|error| error.errno);
            expect("reaped once", again == Err(Errno::ECHILD))
        });
    }

    #[test]
    fn any_child_is_reaped_with_its_usage() {
        in_child::run(|| {
            let none = reap_any().map_err(|error| error.errno);
            expect("no children", none == Err(Errno::ECHILD))?;
            let (_, sleeping) = sleeper()?;
            expect("nobody ended", reap_any()?.is_none())?;
            let Cloned::Parent { pid, .. } = fork(&SingleThreaded::prove()?)? else {
                let block = vec![1_u8; 8 << 20];
                exit_now(i32::from(block.iter().map(|byte| u32::from(*byte)).sum::<u32>() != 8 << 20));
            };
            let (ended, reaped) = reap_any_blocking()?;
            expect("the one that ended", ended == pid)?;
            expect("its code", reaped.status == WaitStatus::Exited { code: 0 })?;
            expect("its memory in bytes", reaped.max_rss_bytes >= 8 << 20)?;
            expect("its time", reaped.user_cpu + reaped.system_cpu > Duration::ZERO)?;
            send_signal(sleeping.as_fd(), libc::SIGKILL)?;
            reap_any_blocking()?;
            Ok(())
        });
    }

    #[test]
    fn numbers_that_name_no_process_are_refused() {
        assert_eq!(open(Pid(0)).expect_err("0 is no process").errno, Errno::EINVAL);
        assert_eq!(open(Pid(-1)).expect_err("-1 is no process").errno, Errno::EINVAL);
    }
}
