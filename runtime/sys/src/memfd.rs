//! Bytes in a file without a name, sealed so that nobody can change them any more: for messages that are
//! too large for a socket, and for what outlives an exec.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};

use crate::error::{Act, Errno, Error, Result};
use crate::file::{Kind, pread, stat_fd, write_fd};

/// The seals without which a sender could change the contents, or their size, while they are read.
const UNCHANGEABLE: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW);

/// Makes a sealed file of these bytes, which cannot be executed either (where the kernel can say so: Linux
/// 6.3). The name, at most 249 bytes, shows in /proc only.
///
/// # Errors
/// `ENFILE` and `EMFILE` at the limits of open files, `EFBIG` at the caller's file size limit.
pub fn create_sealed(name: &CStr, bytes: &[u8]) -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        other => other,
    };
    let file = file.act("memfd_create")?;
    write_fd(file.as_fd(), bytes)?;
    rustix::fs::fcntl_add_seals(&file, UNCHANGEABLE | SealFlags::SEAL).act("seal memfd")?;
    Ok(file)
}

/// Reads all of a sealed file that a stranger may have sent, whatever its position is.
///
/// # Errors
/// `EINVAL` for anything that is not a file in memory sealed against writing, growing and shrinking; it is
/// not read at all then. `EFBIG` when it has more than `max` bytes.
pub fn read_sealed(fd: BorrowedFd<'_>, max: usize) -> Result<Vec<u8>> {
    let seals = rustix::fs::fcntl_get_seals(fd).act("get seals")?;
    let stat = stat_fd(fd)?;
    if !seals.contains(UNCHANGEABLE) || stat.kind != Kind::File {
        return Err(Error::new("check seals", Errno::EINVAL));
    }
    let size = usize::try_from(stat.size).ok().filter(|size| *size <= max);
    let size = size.ok_or(Error::new("read sealed memfd", Errno::EFBIG))?;
    let mut bytes = vec![0; size];
    if pread(fd, &mut bytes, 0)? != size {
        return Err(Error::new("read sealed memfd", Errno::EIO));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_bytes_come_back_and_cannot_change() {
        let file = create_sealed(c"test", b"hello").expect("create");
        assert_eq!(read_sealed(file.as_fd(), 5).expect("read"), b"hello");
        assert_eq!(read_sealed(file.as_fd(), 5).expect("read again"), b"hello");
        assert_eq!(read_sealed(file.as_fd(), 4).expect_err("too big").errno, Errno::EFBIG);
        let write = rustix::io::pwrite(&file, b"J", 0).expect_err("sealed");
        assert_eq!(write, rustix::io::Errno::PERM);
        rustix::fs::ftruncate(&file, 1).expect_err("sealed");
        rustix::fs::fcntl_add_seals(&file, SealFlags::FUTURE_WRITE).expect_err("sealed");
        let empty = create_sealed(c"empty", b"").expect("create");
        assert_eq!(read_sealed(empty.as_fd(), 0).expect("read"), b"");
    }

    #[test]
    fn what_could_still_change_is_not_read() {
        let refused = |fd: BorrowedFd<'_>| read_sealed(fd, 100).expect_err("not sealed").errno;
        let open = rustix::fs::memfd_create(c"open", MemfdFlags::ALLOW_SEALING).expect("create");
        assert_eq!(refused(open.as_fd()), Errno::EINVAL);
        rustix::fs::fcntl_add_seals(&open, SealFlags::WRITE | SealFlags::SHRINK).expect("seal");
        assert_eq!(refused(open.as_fd()), Errno::EINVAL, "it can still grow");
        rustix::fs::fcntl_add_seals(&open, SealFlags::GROW).expect("seal");
        assert_eq!(read_sealed(open.as_fd(), 100).expect("now it is sealed"), b"");
        let disk = tempfile::tempfile().expect("a file");
        assert_eq!(refused(disk.as_fd()), Errno::EINVAL);
        let (reader, _writer) = crate::pipe::pipe().expect("pipe");
        assert_eq!(refused(reader.as_fd()), Errno::EINVAL);
        let directory = crate::file::open_dir_path("/".as_ref()).expect("open");
        read_sealed(directory.as_fd(), 100).expect_err("a place");
    }
}
