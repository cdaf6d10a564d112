//! Terminals of jobs: how a pair is made (pty(7)), and what its holder does with it. Reading the master into a pipe is in
//! `pipe.rs`; the terminal of whoever called us is in `caller_terminal.rs`.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{InputModes, OptionalActions, Winsize};

use crate::error::{Act, Result};

/// Makes a pair in the devpts that this `ptmx` belongs to, and returns the master, unlocked. The slave belongs to our
/// file system ids. It becomes nobody's controlling terminal.
///
/// # Errors
/// `ENOSPC` when that devpts has as many as its `max=` says, or the host as many as `kernel.pty.max`; `ENODEV` when the
/// path leads to no devpts.
pub fn open_master(ptmx: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::open(ptmx, flags, Mode::empty()).act("open ptmx")?;
    rustix::pty::unlockpt(&master).act("unlock terminal")?;
    Ok(master)
}

/// The other end of a master, without a path (`TIOCGPTPEER`, Linux 4.13).
///
/// # Errors
/// `EIO` while it is locked, `ENOTTY` for what is no master.
pub fn open_slave(master: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    rustix::pty::ioctl_tiocgptpeer(master, flags).act("open terminal")
}

/// Makes the terminal the controlling one of our session, and our process group the one in the foreground (`TIOCSCTTY`).
/// *No heap.*
///
/// # Errors
/// `EPERM` when we lead no session, have a terminal already, or the terminal has a session already.
pub fn take_as_controlling(slave: BorrowedFd<'_>) -> Result<()> {
    rustix::process::ioctl_tiocsctty(slave).act("take terminal")
}

/// In line editing, erase takes away whole UTF-8 characters (`IUTF8` of termios(3)); the kernel's default is bytes.
pub fn set_utf8(slave: BorrowedFd<'_>) -> Result<()> {
    let mut settings = rustix::termios::tcgetattr(slave).act("get terminal settings")?;
    settings.input_modes |= InputModes::IUTF8;
    rustix::termios::tcsetattr(slave, OptionalActions::Now, &settings).act("set terminal settings")
}

/// Sets lines and columns; the processes in the foreground get SIGWINCH when that is a change (`TIOCSWINSZ`,
/// ioctl_tty(2)). Works on either side of the terminal.
///
/// # Errors
/// `ENOTTY` for what is no terminal.
pub fn set_size(fd: BorrowedFd<'_>, rows: u16, columns: u16) -> Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(fd, size).act("set terminal size")
}

#[cfg(test)]
#[path = "terminal/tests.rs"]
mod tests;
