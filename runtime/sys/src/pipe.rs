//! Pipes: the bytes of a job on their way to a file, without a stop in our memory.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags};

use crate::error::{Act, Result};

/// A new pipe: its reading end and its writing end. Both block.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).act("pipe2")
}

/// Asks for a capacity and returns the one that the kernel chose: at least `bytes`, a power of two pages.
///
/// # Errors
/// `EPERM` above `/proc/sys/fs/pipe-max-size` or over the user's total without `CAP_SYS_RESOURCE`; `EBUSY`
/// when more bytes wait in the pipe.
pub fn set_size(fd: BorrowedFd<'_>, bytes: usize) -> Result<usize> {
    rustix::pipe::fcntl_setpipe_size(fd, bytes).act("set pipe size")
}

/// Moves up to `max` bytes that wait in a pipe into a file at `offset`, without waiting for more. 0 means
/// that the pipe is empty and nobody can write to it any more.
///
/// # Errors
/// `EAGAIN` when the pipe is empty; `ENOSPC` and `EFBIG` leave the bytes in the pipe; `EINVAL` when the
/// file is open for appending.
pub fn splice_to_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, offset: u64, max: usize) -> Result<usize> {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    rustix::io::retry_on_intr(|| {
        let mut at = offset;
        rustix::pipe::splice(from, None, to, Some(&mut at), max, flags)
    })
    .act("splice")
}

/// Moves up to `max` bytes from a terminal's master side (or another pipe) into a pipe, without waiting. The kernel looks for
/// room in the pipe before it reads from the terminal (`copy_splice_read`, Linux 6.5; a buffer of its own before), so no byte
/// is taken that has no place. The terminal itself must be in nonblocking mode: it does not know the flag of splice(2).
///
/// # Errors
/// `EAGAIN` when nothing waits, and when the pipe is full; `EIO` when nobody has the terminal open any more and all is read.
pub fn splice_to_pipe(from: BorrowedFd<'_>, to: BorrowedFd<'_>, max: usize) -> Result<usize> {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    rustix::io::retry_on_intr(|| rustix::pipe::splice(from, None, to, None, max, flags)).act("splice")
}

/// Makes reads and writes of this open file answer `EAGAIN` instead of waiting, for everybody who has it (`FIONBIO`).
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<()> {
    rustix::io::ioctl_fionbio(fd, true).act("set nonblocking")
}

/// How many bytes wait in a pipe or socket (`FIONREAD`).
pub fn bytes_waiting(fd: BorrowedFd<'_>) -> Result<u64> {
    rustix::io::ioctl_fionread(fd).act("count waiting bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;
    use crate::file::write_fd;
    use crate::in_child::{self, expect};
    use std::os::fd::AsFd;

    #[test]
    fn bytes_go_from_pipe_to_file_at_the_place() {
        // In a child, so that no process of another test holds a copy of the writing end.
        in_child::run(|| {
            let (reader, writer) = pipe()?;
            let dir = tempfile::tempdir()?;
            let path = dir.path().join("out");
            std::fs::write(&path, "head ")?;
            let file = std::fs::OpenOptions::new().write(true).open(&path)?;
            let empty = splice_to_file(reader.as_fd(), file.as_fd(), 5, 100).map_err(|error| error.errno);
            expect("empty", empty == Err(Errno::EAGAIN))?;
            write_fd(writer.as_fd(), b"one two")?;
            expect("waiting", bytes_waiting(reader.as_fd())? == 7)?;
            expect("bounded", splice_to_file(reader.as_fd(), file.as_fd(), 5, 3)? == 3)?;
            expect("the rest", splice_to_file(reader.as_fd(), file.as_fd(), 8, 100)? == 4)?;
            drop(writer);
            expect("end", splice_to_file(reader.as_fd(), file.as_fd(), 12, 100)? == 0)?;
            expect("bytes", std::fs::read(&path)? == b"head one two")?;
            Ok(())
        });
    }

    #[test]
    fn an_appending_file_is_refused_and_the_bytes_stay() {
        let (reader, writer) = pipe().expect("pipe");
        write_fd(writer.as_fd(), b"x").expect("write");
        let dir = tempfile::tempdir().expect("a directory");
        let open = std::fs::OpenOptions::new().append(true).create(true).open(dir.path().join("out"));
        let file = open.expect("open");
        let refused = splice_to_file(reader.as_fd(), file.as_fd(), 0, 1).expect_err("appending");
        assert_eq!(refused.errno, Errno::EINVAL);
        assert_eq!(bytes_waiting(reader.as_fd()).expect("count"), 1);
    }

    #[test]
    fn a_terminal_goes_into_a_pipe_and_what_has_no_room_stays_in_the_terminal() {
        let pty = nix::pty::openpty(None, None).expect("a terminal");
        let (master, slave) = (pty.master, pty.slave);
        set_nonblocking(master.as_fd()).expect("nonblocking");
        let mut mode = rustix::termios::tcgetattr(&slave).expect("mode");
        mode.make_raw();
        rustix::termios::tcsetattr(&slave, rustix::termios::OptionalActions::Now, &mode).expect("raw");
        let (reader, writer) = pipe().expect("pipe");
        set_size(writer.as_fd(), 4096).expect("a small pipe");
        let splice = || splice_to_pipe(master.as_fd(), writer.as_fd(), 65_536).map_err(|error| error.errno);
        assert_eq!(splice(), Err(Errno::EAGAIN));
        write_fd(slave.as_fd(), b"seen ").expect("write");
        assert_eq!(splice(), Ok(5));
        // One slot of one page: the pipe is full now, and the rest waits in the terminal.
        write_fd(slave.as_fd(), b"kept").expect("write");
        drop(slave);
        assert_eq!(splice(), Err(Errno::EAGAIN));
        let mut bytes = [0; 16];
        assert_eq!(crate::file::read_fd(reader.as_fd(), &mut bytes).expect("read"), 5);
        assert_eq!(splice(), Ok(4));
        assert_eq!(crate::file::read_fd(reader.as_fd(), &mut bytes).expect("read"), 4);
        assert_eq!(&bytes[..4], b"kept");
        assert_eq!(splice(), Err(Errno::EIO));
    }

    #[test]
    fn a_size_is_rounded_up() {
        let (_reader, writer) = pipe().expect("pipe");
        assert_eq!(set_size(writer.as_fd(), 100_000).expect("size"), 131_072);
    }
}
