//! Removal of a tree that a stranger shaped: any depth, any mode, any number of entries.
//!
//! There is one open directory at a time, so the depth costs no descriptors, and one small record for each
//! level, so it costs no stack. The way back up goes through `..` and is checked against the directory that
//! we came from. Nothing is followed out of the tree: no symbolic link, no mount.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, ResolveFlags, SeekFrom};
use rustix::io::Errno as Raw;

use crate::error::{Act, Errno, Error, Result};
use crate::file::{Stat, stat_fd};

/// Bytes of directory entries that are looked at in one go.
const ENTRIES_BYTES: usize = 16 * 1024;
/// What the owner needs to empty a directory.
const OWNER_ALL: u32 = 0o700;

/// The directory above the one that is open, and the name by which the open one is removed from it.
struct Above {
    dev: u64,
    inode: u64,
    name: CString,
}

/// What one look at a directory led to.
enum Look {
    /// All its entries are gone.
    Empty,
    /// This entry is a directory that is not empty.
    Filled(CString),
}

/// Removes `name` in `parent`, a file or a directory with all that is in it. All processes that could write
/// there must have ended: against one that goes on creating entries this goes on removing them.
///
/// # Errors
/// The first entry that cannot be removed ends the work: `EBUSY` or `EXDEV` at a mount point, `EPERM` at an immutable
/// file, `ESTALE` when a directory was moved meanwhile, `ENOENT` when there is no such name.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    if !remove_entry(parent, name)? {
        return Ok(());
    }
    let top = stat_fd(parent)?;
    let mut above = vec![Above { dev: top.dev, inode: top.inode, name: name.to_owned() }];
    let mut open = enter(parent, name)?;
    loop {
        match remove_entries(open.as_fd())? {
            Look::Filled(child) => {
                let Stat { dev, inode, .. } = stat_fd(open.as_fd())?;
                let below = enter(open.as_fd(), &child)?;
                above.push(Above { dev, inode, name: child });
                open = below;
            }
            Look::Empty => {
                let Some(Above { dev, inode, name }) = above.pop() else { return Ok(()) };
                if above.is_empty() {
                    return rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR).act("rmdir");
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let up = rustix::fs::openat(&open, c"..", flags, Mode::empty()).act("open parent")?;
                let found = stat_fd(up.as_fd())?;
                if (found.dev, found.inode) != (dev, inode) {
                    return Err(Error::new("open parent", Errno::ESTALE));
                }
                rustix::fs::unlinkat(&up, name, AtFlags::REMOVEDIR).act("rmdir")?;
                open = up;
            }
        }
    }
}

/// Removes an entry that is no directory or an empty one; `true` when it is a directory with entries.
fn remove_entry(dir: BorrowedFd<'_>, name: &CStr) -> Result<bool> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) => return Ok(false),
        Err(Raw::ISDIR) => {}
        Err(errno) => return Err(Error::new("unlink", errno.into())),
    }
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(false),
        Err(Raw::NOTEMPTY | Raw::EXIST) => Ok(true),
        Err(errno) => Err(Error::new("rmdir", errno.into())),
    }
}

/// Removes what can be removed directly, up to the first directory that has entries.
fn remove_entries(dir: BorrowedFd<'_>) -> Result<Look> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); ENTRIES_BYTES];
    loop {
        // Entries went away since the last look: start over until nothing is left.
        rustix::fs::seek(dir, SeekFrom::Start(0)).act("rewind directory")?;
        let mut removed = false;
        let mut entries = RawDir::new(dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.act("read directory")?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if remove_entry(dir, name)? {
                return Ok(Look::Filled(name.to_owned()));
            }
            removed = true;
        }
        if !removed {
            return Ok(Look::Empty);
        }
    }
}

/// Opens a directory in `dir` to empty it, and gives its owner the right to when it lacks that.
fn enter(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let open = |access: OFlags| {
        let flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat2(dir, name, flags, Mode::empty(), resolve)
    };
    let place = open(OFlags::PATH).act("open directory")?;
    let mode = stat_fd(place.as_fd())?.mode;
    if mode & OWNER_ALL != OWNER_ALL {
        // A descriptor that is only a place has no fchmod before Linux 6.6; its name in /proc has chmod,
        // and cannot be turned into a link to somewhere else.
        let path = format!("/proc/self/fd/{}", place.as_raw_fd());
        rustix::fs::chmod(path, Mode::from_raw_mode(mode | OWNER_ALL)).act("chmod directory")?;
    }
    open(OFlags::RDONLY).act("open directory")
}
