//! Descriptors that came with exec, known by their number only.
//!
//! It owns the step from a number to an [`OwnedFd`]. What the descriptor is, the caller checks.

use std::collections::BTreeSet;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use crate::error::{Errno, Error, Result, check};

/// Numbers 0 to 2 are the standard streams, which the standard library owns.
const FIRST: RawFd = 3;

/// The numbers that were taken already.
static TAKEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// Takes over a descriptor that this process was started with, and marks it close-on-exec. Each number can
/// be taken once. To be called while the process starts, before it opens anything of its own: then nobody
/// else can own the number.
///
/// # Errors
/// `EBADF` when the number is not open, or below 3; `EBUSY` when it was taken before.
pub fn adopt_fd(number: RawFd) -> Result<OwnedFd> {
    if number < FIRST {
        return Err(Error::new("adopt descriptor", Errno::EBADF));
    }
    // SAFETY: F_SETFD takes a number; a number that is not open is an error and nothing more.
    let answer = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    check("adopt descriptor", i64::from(answer))?;
    if !TAKEN.lock().unwrap_or_else(PoisonError::into_inner).insert(number) {
        return Err(Error::new("adopt descriptor", Errno::EBUSY));
    }
    // SAFETY: the number is open, as F_SETFD said, and the set above gives it out once; the caller does
    // this before anything else in the process opens descriptors, so no other value owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn a_number_is_taken_once_and_only_when_open() {
        let (reader, _writer) = crate::pipe::pipe().expect("pipe");
        // Far from the numbers that other tests get.
        let number = rustix::io::fcntl_dupfd_cloexec(&reader, 900).expect("dup").into_raw_fd();
        let _owned = adopt_fd(number).expect("open");
        assert_eq!(adopt_fd(number).expect_err("twice").errno, Errno::EBUSY);
        assert_eq!(adopt_fd(19_999).expect_err("closed").errno, Errno::EBADF);
        assert_eq!(adopt_fd(1).expect_err("stdout").errno, Errno::EBADF);
        assert_eq!(adopt_fd(-1).expect_err("negative").errno, Errno::EBADF);
    }
}
