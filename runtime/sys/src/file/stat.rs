//! What a file is, who owns it, who may use it, and on what kind of file system it lies.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid};

use crate::error::{Act, Result};
use crate::file::empty_path_flag;

// statfs(2) and include/uapi/linux/magic.h.
/// File system type of cgroup version 2.
pub const CGROUP2_MAGIC: u64 = 0x6367_7270;
/// File system type of cgroup version 1.
pub const CGROUP_MAGIC: u64 = 0x0027_e0eb;
/// File system type of tmpfs.
pub const TMPFS_MAGIC: u64 = 0x0102_1994;
/// File system type of 9p.
pub const V9FS_MAGIC: u64 = 0x0102_1997;
/// File system type of overlayfs.
pub const OVERLAY_MAGIC: u64 = 0x794c_7630;
/// File system type of procfs.
pub const PROC_MAGIC: u64 = 0x9fa0;

/// What kind of thing a path names.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named or anonymous pipe.
    Fifo,
    /// A socket.
    Socket,
    /// An object of the kernel without a type in its mode, such as an eventfd.
    Anonymous,
}

/// The parts of stat(2) that somebody asks for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: at most 0o7777.
    pub mode: u32,
    /// Owner, as mapped here.
    pub uid: u32,
    /// Group, as mapped here.
    pub gid: u32,
    /// The device of the file system; with `inode` it identifies the file.
    pub dev: u64,
    /// The inode's number.
    pub inode: u64,
    /// Major and minor number of the device that it stands for, (0, 0) for none.
    pub rdev: (u32, u32),
    /// Number of hard links.
    pub links: u64,
    /// Size in bytes.
    pub size: u64,
}

/// What an open file is. Works with `O_PATH` too.
pub fn stat_fd(fd: BorrowedFd<'_>) -> Result<Stat> {
    Ok(convert(&rustix::fs::fstat(fd).act("fstat")?))
}

/// What a path names: without `follow` a symbolic link at its end is itself the answer.
pub fn stat_path(path: &Path, follow: bool) -> Result<Stat> {
    let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
    Ok(convert(&rustix::fs::statat(CWD, path, flags).act("stat")?))
}

fn convert(stat: &rustix::fs::Stat) -> Stat {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink,
        FileType::CharacterDevice => Kind::CharDevice,
        FileType::BlockDevice => Kind::BlockDevice,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::Unknown => Kind::Anonymous,
    };
    Stat {
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        dev: stat.st_dev,
        inode: stat.st_ino,
        rdev: (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
        // One word on x86-64, half a word on arm64.
        #[expect(clippy::useless_conversion, reason = "the type differs by architecture")]
        links: u64::from(stat.st_nlink),
        // The kernel never gives a negative size.
        size: u64::try_from(stat.st_size).unwrap_or(0),
    }
}

/// Changes the owner and group of an open file, also of one that is open as a place only (`O_PATH`). The
/// kernel clears setuid and setgid bits of programs.
pub fn change_owner_fd(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<()> {
    chown_at(fd, c"", uid, gid)
}

/// Changes the permission bits of an open file. `EBADF` for `O_PATH`. Bits over 0o7777 are ignored.
pub fn change_mode_fd(fd: BorrowedFd<'_>, mode: u32) -> Result<()> {
    rustix::fs::fchmod(fd, Mode::from_raw_mode(mode & 0o7777)).act("fchmod")
}

/// Changes owner and group of a path, of a symbolic link itself where it ends in one. An empty path means
/// `dir` itself.
pub fn chown_at(dir: BorrowedFd<'_>, path: &CStr, uid: u32, gid: u32) -> Result<()> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | empty_path_flag(path);
    rustix::fs::chownat(dir, path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags).act("chown")
}

/// Changes the permission bits of a path. Symbolic links are followed: for paths of our own.
pub fn chmod_path(path: &Path, mode: u32) -> Result<()> {
    rustix::fs::chmod(path, Mode::from_raw_mode(mode & 0o7777)).act("chmod")
}

/// Changes the permission bits of a path of our own. Symbolic links are followed. Bits over 0o7777 are ignored.
pub fn chmod_at(dir: BorrowedFd<'_>, path: &CStr, mode: u32) -> Result<()> {
    rustix::fs::chmodat(dir, path, Mode::from_raw_mode(mode & 0o7777), AtFlags::empty()).act("chmod")
}

/// How many bytes and how many inodes are free on the file system of an open file. *No heap.*
pub fn filesystem_room(fd: BorrowedFd<'_>) -> Result<(u64, u64)> {
    let statfs = rustix::fs::fstatvfs(fd).act("fstatvfs")?;
    Ok((statfs.f_bfree.saturating_mul(statfs.f_frsize), statfs.f_ffree))
}

/// The type number of the file system on which a path lies: compare with the constants of this module.
pub fn statfs_type(path: &Path) -> Result<u64> {
    let statfs = rustix::fs::statfs(path).act("statfs")?;
    // A type that fits 32 bits sits in a signed word: without this the high bit would be spread.
    Ok(u64::from(statfs.f_type as u32))
}

/// How many bytes an unprivileged user may still write to the file system on which a path lies.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let statfs = rustix::fs::statvfs(path).act("statvfs")?;
    Ok(statfs.f_bavail.saturating_mul(statfs.f_frsize))
}
