//! What the kernel answered: an act (ours, fixed text) and an errno (the kernel's).
//!
//! Both are plain data without a heap, so that a process between clone and exec can make one and pass
//! it on. This module must not log, retry, or guess whose fault an error is: the callers know that.

use std::fmt;

/// The result of every call in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// One kernel act that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{act}: {errno}")]
pub struct Error {
    /// What was tried, in the kernel's words: `"mount_setattr"`, `"write uid_map"`.
    pub act: &'static str,
    /// The kernel's answer, or `EINVAL` and the like where we refused before we asked.
    pub errno: Errno,
}

impl Error {
    /// An act with the answer it got.
    pub const fn new(act: &'static str, errno: Errno) -> Error {
        Error { act, errno }
    }

    /// An act whose answer is in this thread's `errno`.
    pub fn last(act: &'static str) -> Error {
        Error { act, errno: Errno::last() }
    }
}

/// A kernel error number, as in errno(3). Any value can be held; 0 never comes from a kernel.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Hash)]
pub struct Errno(pub i32);

macro_rules! errnos {
    (public: $($public:ident)*; named: $($named:ident)*;) => {
        impl Errno {
            $(
                #[doc = concat!("`", stringify!($public), "`, see errno(3).")]
                pub const $public: Errno = Errno(libc::$public);
            )*

            /// The symbol of errno(3), such as `"EPERM"`; `"E?"` for a number that is not in the table.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $(libc::$public => stringify!($public),)*
                    $(libc::$named => stringify!($named),)*
                    _ => "E?",
                }
            }
        }
    };
}

errnos! {
    public: EPERM ENOENT ESRCH EINTR EIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EBUSY EEXIST EXDEV
        ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ETXTBSY EFBIG ENOSPC EROFS EPIPE ENAMETOOLONG ENOSYS ENOTEMPTY
        ELOOP ENODATA EOVERFLOW EMSGSIZE EOPNOTSUPP EAFNOSUPPORT EADDRINUSE ECONNRESET ETIMEDOUT ECONNREFUSED ERANGE ESTALE ENOTCONN;
    named: ENXIO EFAULT ENOTBLK ENOTTY ESPIPE EMLINK EDOM EDEADLK ENOLCK ENOSTR ETIME ENOLINK EPROTO
        EBADMSG EILSEQ EUSERS ENOTSOCK EDESTADDRREQ EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT
        EADDRNOTAVAIL ENETDOWN ENETUNREACH ECONNABORTED ENOBUFS EISCONN EHOSTUNREACH EALREADY
        EINPROGRESS EUCLEAN EDQUOT ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EBADFD;
}

impl Errno {
    /// What the last failed libc call of this thread left in `errno`.
    pub fn last() -> Errno {
        Errno(nix::errno::Errno::last_raw())
    }
}

impl fmt::Display for Errno {
    /// `EPERM (Operation not permitted)`; `E? (errno 4095)` when the number is unknown.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "E?" => write!(out, "E? (errno {})", self.0),
            name => write!(out, "{name} ({})", nix::errno::Errno::from_raw(self.0).desc()),
        }
    }
}

impl From<Error> for std::io::Error {
    /// Keeps the error number, so that `kind()` and `raw_os_error()` go on working; the act is lost.
    fn from(error: Error) -> std::io::Error {
        std::io::Error::from_raw_os_error(error.errno.0)
    }
}

impl From<nix::errno::Errno> for Errno {
    fn from(errno: nix::errno::Errno) -> Errno {
        Errno(errno as i32)
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Errno {
        Errno(errno.raw_os_error())
    }
}

/// Names the act of a nix or rustix call that failed.
pub(crate) trait Act<T> {
    /// Turns the foreign error into ours.
    fn act(self, act: &'static str) -> Result<T>;
}

impl<T, E: Into<Errno>> Act<T> for std::result::Result<T, E> {
    fn act(self, act: &'static str) -> Result<T> {
        self.map_err(|errno| Error { act, errno: errno.into() })
    }
}

/// Names the act of a standard library call that failed; an error without a number counts as `EIO`.
pub(crate) fn from_io(act: &'static str, error: &std::io::Error) -> Error {
    Error { act, errno: error.raw_os_error().map_or(Errno::EIO, Errno) }
}

/// Checks the answer of a raw libc call, where -1 means "see errno".
pub(crate) fn check(act: &'static str, answer: i64) -> Result<i64> {
    if answer == -1 { Err(Error::last(act)) } else { Ok(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_errno_prints_its_symbol_and_its_meaning() {
        assert_eq!(Errno::EPERM.to_string(), "EPERM (Operation not permitted)");
        let error = Error::new("mount_setattr", Errno::EINVAL);
        assert_eq!(error.to_string(), "mount_setattr: EINVAL (Invalid argument)");
    }

    #[test]
    fn an_unknown_errno_prints_its_number() {
        assert_eq!(Errno(4095).name(), "E?");
        assert_eq!(Errno(4095).to_string(), "E? (errno 4095)");
    }

    #[test]
    fn an_io_error_keeps_the_number() {
        let error: std::io::Error = Error::new("openat2", Errno::ENOENT).into();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        assert_eq!(error.raw_os_error(), Some(Errno::ENOENT.0));
    }

    #[test]
    fn every_number_that_the_c_library_can_describe_has_a_name() {
        // 41 and 58 are unused on Linux; STREAMS and XENIX leftovers are never returned by a call of ours.
        let unnamed: Vec<i32> = (1..=40).filter(|number| Errno(*number).name() == "E?").collect();
        assert!(unnamed.is_empty(), "{unnamed:?}");
    }
}
