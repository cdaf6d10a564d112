//! The caller's descriptor table: which numbers stay open, which survive exec.
//!
//! These calls go by number and close what Rust values may still own: they are for a process that is about
//! to exec, or that starts by throwing away what it inherited. *No heap.*

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use crate::error::{Errno, Error, Result, check};

/// Closes every descriptor from `first` on. close_range(2), Linux 5.9.
pub fn close_range_from(first: u32) -> Result<()> {
    close_range(first, u32::MAX, 0)
}

/// Marks every descriptor from `first` on close-on-exec. Linux 5.11.
pub fn cloexec_range_from(first: u32) -> Result<()> {
    close_range(first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor but these, which may come in any order; negative ones count as absent. The cost
/// grows with the square of the number kept.
pub fn close_all_except(kept: &[RawFd]) -> Result<()> {
    let mut first = 0_u32;
    // The lowest kept number from `first` on splits what is to be closed.
    while let Some(keep) =
        kept.iter().filter_map(|fd| u32::try_from(*fd).ok()).filter(|fd| *fd >= first).min()
    {
        if keep > first {
            close_range(first, keep - 1, 0)?;
        }
        first = keep + 1;
    }
    close_range(first, u32::MAX, 0)
}

/// Makes the number `target` name the same open file as `fd`, and keeps it open over exec.
///
/// # Errors
/// `EBADF` for a negative or too large target.
pub fn dup_onto(fd: BorrowedFd<'_>, target: RawFd) -> Result<()> {
    let fd = fd.as_raw_fd();
    if target < 0 {
        return Err(Error::new("dup2", Errno::EBADF));
    }
    if fd == target {
        // dup2 would leave the flag as it is.
        // SAFETY: F_SETFD takes a number.
        let answer = unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
        return check("keep over exec", i64::from(answer)).map(drop);
    }
    loop {
        // SAFETY: takes two numbers; the caller asked for the loss of whatever `target` was.
        let answer = unsafe { libc::dup2(fd, target) };
        match check("dup2", i64::from(answer)) {
            Err(error) if error.errno == Errno::EINTR || error.errno == Errno::EBUSY => {}
            other => return other.map(drop),
        }
    }
}

fn close_range(first: u32, last: u32, flags: u32) -> Result<()> {
    // SAFETY: takes numbers only. Values that own one of these descriptors must not be used any more; that
    // is the caller's part, told in the description of the module.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    check("close_range", answer).map(drop)
}
