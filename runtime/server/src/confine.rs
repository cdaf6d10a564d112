//! The server's own walls: it parses what strangers send, so it gives up what it does not need before it reads
//! the first byte and before its first thread exists.
//!
//! Left are: files beneath the state directory, the sockets and pipes that it is given, threads. It must not be
//! called from a process with more than one thread: landlock and the filter hold the calling thread and those that
//! it starts.

mod syscalls;

use runtime_sys::error::{Errno, Error};
use runtime_sys::landlock::{self, Access, Request, Restricted};
use runtime_sys::seccomp::{self, Answer, Layer};
use runtime_sys::{file, process};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// The newest system call that this list was made for: file_setattr of Linux 6.17, on every architecture; what comes
/// after it is answered ENOSYS.
const HIGHEST_KNOWN: u32 = 469;

/// A wall that could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The one place that stays open cannot be reached.
    #[error(
        "failed to open the state directory {path:?} as uid {uid}: {source}; choose one whose parent directories this uid may enter"
    )]
    StateDir {
        /// Where it should be.
        path: PathBuf,
        /// Who we are.
        uid: u32,
        /// The kernel's answer.
        source: Error,
    },
    /// The kernel refused.
    #[error("failed to confine the server: {act}: {source}")]
    Wall {
        /// Which wall.
        act: &'static str,
        /// The kernel's answer.
        source: Error,
    },
}

/// Raises the walls, for good. Returns what landlock enforces; `None` on a kernel without it.
///
/// # Errors
/// Whatever the kernel refuses, other than having no landlock at all: the caller must not go on.
pub fn confine(state_dir: &Path) -> Result<Option<Restricted>, ConfineError> {
    let failed = |act| move |source| ConfineError::Wall { act, source };
    process::set_no_new_privs().map_err(failed("no_new_privs"))?;
    let restricted = if landlock::abi() == 0 {
        None
    } else {
        let place = file::open_dir_path(state_dir).map_err(|source| {
            let (path, uid) = (state_dir.to_owned(), process::effective_uid());
            ConfineError::StateDir { path, uid, source }
        })?;
        let request = Request {
            floor_abi: 1,
            rules: &[(place.as_fd(), Access::ReadWriteNoExec)],
            deny_tcp: true,
            scope_signals: true,
            scope_abstract_sockets: true,
        };
        Some(landlock::restrict(&request).map_err(failed("landlock"))?)
    };
    install_filter().map_err(failed("system call filter"))?;
    Ok(restricted)
}

fn install_filter() -> Result<(), Error> {
    let rules = syscalls::allowed(std::process::id());
    let refused = Answer::Errno(errno(Errno::EPERM));
    let allow = Layer { matched: Answer::Allow, otherwise: refused, rules };
    let absent = Layer {
        matched: Answer::Errno(errno(Errno::ENOSYS)),
        otherwise: Answer::Allow,
        rules: syscalls::absent(),
    };
    // Of equal answers the last one installed wins: ENOSYS must come after EPERM.
    seccomp::install(&seccomp::compile(&allow)?)?;
    seccomp::install(&seccomp::compile(&absent)?)?;
    seccomp::install(&seccomp::prologue(HIGHEST_KNOWN))
}

/// Error numbers are 1 to 4095.
fn errno(errno: Errno) -> u16 {
    u16::try_from(errno.0).unwrap_or(1)
}

#[cfg(test)]
mod tests;
