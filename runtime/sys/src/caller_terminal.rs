//! The terminal of whoever called us: its size, and raw mode for as long as a value lives.
//!
//! It owns the way back: the settings that it found are set again when the value is dropped. Terminals of jobs are not its matter.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::error::{Errno, Error, Result};

/// Lines and columns.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Size {
    /// Lines; 0 when nobody has told the kernel.
    pub rows: u16,
    /// Columns; 0 when nobody has told the kernel.
    pub columns: u16,
}

/// The size of a terminal (`TIOCGWINSZ`, ioctl_tty(2)). `ENOTTY` when it is none.
pub fn size(fd: BorrowedFd<'_>) -> Result<Size> {
    use std::os::fd::AsRawFd;
    let mut found = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one `winsize` to the address, which is that of a live one; the descriptor is open while borrowed.
    let answer = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut found) };
    crate::error::check("read the terminal's size", i64::from(answer))?;
    Ok(Size { rows: found.ws_row, columns: found.ws_col })
}

/// A terminal in raw mode: every byte that is typed comes as it is, nothing is echoed, no key sends a signal, and output is not
/// touched (termios(3)). Dropped, also by a panic, it gives the terminal back as it was.
#[derive(Debug)]
pub struct Raw {
    terminal: OwnedFd,
    before: Termios,
}

impl Raw {
    /// Makes a terminal raw. `ENOTTY` when it is none.
    pub fn enter(terminal: BorrowedFd<'_>) -> Result<Raw> {
        let terminal = terminal.try_clone_to_owned().map_err(|error| {
            Error::new("duplicate the terminal", Errno(error.raw_os_error().unwrap_or(libc::EIO)))
        })?;
        let before = tcgetattr(&terminal).map_err(|errno| failed("read the terminal's settings", errno))?;
        let raw = Raw { terminal, before };
        raw.again()?;
        Ok(raw)
    }

    /// Makes it raw once more: a shell that had the terminal meanwhile (stop and continue) has set its own.
    pub fn again(&self) -> Result<()> {
        let mut settings = self.before.clone();
        cfmakeraw(&mut settings);
        tcsetattr(self.terminal.as_fd(), SetArg::TCSADRAIN, &settings)
            .map_err(|errno| failed("make the terminal raw", errno))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone (hang-up) has no settings to restore; nobody could be told of anything else.
        tcsetattr(self.terminal.as_fd(), SetArg::TCSADRAIN, &self.before).ok();
    }
}

fn failed(act: &'static str, errno: nix::errno::Errno) -> Error {
    #[expect(clippy::as_conversions, reason = "the enum's values are the kernel's numbers")]
    Error::new(act, Errno(errno as i32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::termios::{LocalFlags, OutputFlags};

    fn terminal() -> (OwnedFd, OwnedFd) {
        let size = libc::winsize { ws_row: 40, ws_col: 132, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = nix::pty::openpty(Some(&size), None).expect("openpty");
        (pair.master, pair.slave)
    }

    fn flags(terminal: &OwnedFd) -> (LocalFlags, OutputFlags) {
        let settings = tcgetattr(terminal).expect("tcgetattr");
        (settings.local_flags, settings.output_flags)
    }

    #[test]
    fn a_terminal_tells_its_size_and_a_pipe_has_none() {
        let (_master, slave) = terminal();
        assert_eq!(size(slave.as_fd()).expect("size"), Size { rows: 40, columns: 132 });
        let (reader, _writer) = crate::pipe::pipe().expect("pipe");
        assert_eq!(size(reader.as_fd()).expect_err("a pipe").errno, Errno(libc::ENOTTY));
        assert_eq!(Raw::enter(reader.as_fd()).expect_err("a pipe").errno, Errno(libc::ENOTTY));
    }

    #[test]
    fn raw_mode_ends_with_the_value() {
        let (_master, slave) = terminal();
        let before = flags(&slave);
        assert!(before.0.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG));
        let raw = Raw::enter(slave.as_fd()).expect("raw");
        assert!(!flags(&slave).0.intersects(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG));
        assert!(!flags(&slave).1.contains(OutputFlags::OPOST));
        drop(raw);
        assert_eq!(flags(&slave), before);
    }

    #[test]
    fn a_panic_gives_the_terminal_back() {
        let (_master, slave) = terminal();
        let before = flags(&slave);
        let in_panic = slave.try_clone().expect("dup");
        let ended = std::thread::spawn(move || {
            let _raw = Raw::enter(in_panic.as_fd()).expect("raw");
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        assert!(ended.join().is_err());
        assert_eq!(flags(&slave), before);
    }

    #[test]
    fn after_a_stop_it_is_made_raw_again() {
        let (_master, slave) = terminal();
        let raw = Raw::enter(slave.as_fd()).expect("raw");
        tcsetattr(&slave, SetArg::TCSANOW, &raw.before).expect("as a shell does");
        raw.again().expect("again");
        assert!(!flags(&slave).0.contains(LocalFlags::ICANON));
    }
}
