//! Files and directories: made, opened, read and written through descriptors where a stranger may have
//! had a hand in the path.
//!
//! Who may touch what is decided elsewhere. Kinds, owners and modes are in `file/stat.rs`, removal of a
//! tree in `file/tree.rs`, a change of its owner in `file/owner.rs`. Modes of new files are subject to the caller's umask.

mod owner;
mod stat;
mod tree;

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, ResolveFlags};

use crate::error::{Act, Errno, Error, Result, from_io};

pub use owner::reown_tree;
pub use stat::{
    CGROUP_MAGIC, CGROUP2_MAGIC, Kind, OVERLAY_MAGIC, PROC_MAGIC, Stat, TMPFS_MAGIC, V9FS_MAGIC,
    change_mode_fd, change_owner_fd, chmod_at, chmod_path, chown_at, filesystem_room, free_bytes, stat_fd,
    stat_path, statfs_type,
};
pub use tree::remove_tree;

/// How often openat2 is asked again when a rename on the way made its answer uncertain (`EAGAIN`).
const OPEN_ATTEMPTS_MAX: u32 = 32;
/// The longest value of an extended attribute: XATTR_SIZE_MAX of xattr(7).
const XATTR_BYTES_MAX: usize = 64 * 1024;

/// Makes a directory. `EEXIST` for anything that is there already, a symbolic link included.
pub fn make_dir_at(dir: BorrowedFd<'_>, path: &CStr, mode: u32) -> Result<()> {
    rustix::fs::mkdirat(dir, path, Mode::from_raw_mode(mode)).act("mkdir")
}

/// Makes a symbolic link at `path` that says `target`.
pub fn make_symlink_at(target: &CStr, dir: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    rustix::fs::symlinkat(target, dir, path).act("symlink")
}

/// Makes a new file with these contents; with none it is a place to mount a file on.
///
/// # Errors
/// `EEXIST` for anything that is there already, a symbolic link included.
pub fn create_file_at(dir: BorrowedFd<'_>, path: &CStr, contents: &[u8], mode: u32) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, path, flags, Mode::from_raw_mode(mode)).act("create file")?;
    write_fd(file.as_fd(), contents)
}

/// Opens a file of our own for reading.
pub fn open_read(path: &CStr) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).act("open")
}

/// Opens what a program is to read, whatever kind of file a stranger put there: a FIFO that nobody writes does not block and
/// is at its end, a terminal does not become ours. Symbolic links are followed. *No heap.*
///
/// # Errors
/// `EISDIR` for a directory, `ENXIO` for a socket.
pub fn open_input(path: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let input = rustix::fs::open(path, flags, Mode::empty()).act("open input")?;
    if rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&input).act("fstat")?.st_mode).is_dir() {
        return Err(Error::new("open input", Errno::EISDIR));
    }
    // Programs expect reads that wait.
    rustix::fs::fcntl_setfl(&input, OFlags::empty()).act("set file flags")?;
    Ok(input)
}

/// Opens /dev/null for reading and writing.
pub fn open_null() -> Result<OwnedFd> {
    rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).act("open /dev/null")
}

/// Whether a path leads to something; any error counts as no. *No heap.*
pub fn exists(path: &CStr) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXISTS).is_ok()
}

/// Removes an empty directory of our own.
pub fn remove_dir(path: &CStr) -> Result<()> {
    rustix::fs::rmdir(path).act("rmdir")
}

/// Opens a path that a stranger may have shaped: nothing above `dir` and no symbolic link is followed, and
/// a FIFO does not block. The caller checks by [`stat_fd`] what it got. openat2(2), Linux 5.6.
///
/// # Errors
/// `EXDEV` for a way out of `dir`, `ELOOP` for a symbolic link, `ENXIO` for a FIFO to write that nobody
/// reads, `EAGAIN` when renames kept interfering, `EISDIR` for a directory to write.
pub fn open_beneath(dir: BorrowedFd<'_>, path: &CStr, write: bool, directory: bool) -> Result<OwnedFd> {
    let access = if write { OFlags::WRONLY } else { OFlags::RDONLY };
    let kind = if directory { OFlags::DIRECTORY } else { OFlags::empty() };
    let flags = access | kind | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let mut attempts = 1;
    loop {
        match rustix::fs::openat2(dir, path, flags, Mode::empty(), resolve) {
            Err(rustix::io::Errno::AGAIN) if attempts < OPEN_ATTEMPTS_MAX => attempts += 1,
            other => return other.act("openat2"),
        }
    }
}

/// Opens a directory only as a place (`O_PATH`). Symbolic links are followed: for paths of our own.
pub fn open_dir_path(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).act("open directory")
}

/// Where a symbolic link points to; an empty path reads the link that `dir` itself is open on.
pub fn read_link_at(dir: BorrowedFd<'_>, path: &CStr) -> Result<PathBuf> {
    let target = rustix::fs::readlinkat(dir, path, Vec::new()).act("readlink")?;
    Ok(PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes())))
}

/// Writes to a file that exists, in one write(2), as files of /proc and of cgroups want it. What the file
/// held beyond these bytes stays. A write that is cut short is `EIO`.
pub fn write_existing(path: &Path, bytes: &[u8]) -> Result<()> {
    let file =
        rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).act("open for writing")?;
    match rustix::io::retry_on_intr(|| rustix::io::write(&file, bytes)).act("write")? {
        written if written == bytes.len() => Ok(()),
        _ => Err(Error::new("write", Errno::EIO)),
    }
}

/// Writes all bytes, in as many writes as it takes. *No heap.*
///
/// # Errors
/// What write(2) says; some bytes may be written then.
pub fn write_fd(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes)).act("write")?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// Reads once, from where the descriptor stands; 0 at the end. *No heap.*
pub fn read_fd(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut *buffer)).act("read")
}

/// Reads from a place in the file, until the buffer is full or the file ends. *No heap.*
pub fn pread(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = offset + filled as u64;
        match rustix::io::retry_on_intr(|| rustix::io::pread(fd, &mut *rest, at)).act("pread")? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// Reads a whole file of at most `max` bytes. `EFBIG` when it has more.
pub fn read_all_bounded(path: &Path, max: usize) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|error| from_io("open for reading", &error))?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(|error| from_io("read", &error))?;
    if bytes.len() > max { Err(Error::new("read", Errno::EFBIG)) } else { Ok(bytes) }
}

/// Takes the exclusive flock(2) of an open file; `false` when somebody else has one. It lasts until every
/// copy of the descriptor is closed, in children too.
pub fn try_lock_exclusive(fd: BorrowedFd<'_>) -> Result<bool> {
    match rustix::fs::flock(fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(Error::new("flock", errno.into())),
    }
}

/// An extended attribute, at most 64 KiB; `None` when the file has no such one. Symbolic links are
/// followed. `EOPNOTSUPP` where the file system has none at all.
pub fn get_xattr(path: &Path, name: &OsStr) -> Result<Option<Vec<u8>>> {
    let mut value = vec![0_u8; XATTR_BYTES_MAX];
    match rustix::fs::getxattr(path, name, &mut value) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(rustix::io::Errno::NODATA) => Ok(None),
        Err(errno) => Err(Error::new("getxattr", errno.into())),
    }
}

/// `AT_EMPTY_PATH` for an empty path, which then means the descriptor itself.
pub(crate) fn empty_path_flag(path: &CStr) -> AtFlags {
    if path.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::empty() }
}

#[cfg(test)]
mod tests;
