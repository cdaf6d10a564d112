//! A whole tree changes hands. A stranger may have shaped it: nothing is followed but directories.
//!
//! Which entries may change is the caller's to say. Mounts below are entered: only root makes them.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, RawDir};

use crate::error::{Act, Errno, Error, Result};
use crate::file::{Kind, Stat, change_owner_fd, stat_fd};

/// Bytes of directory entries that are looked at in one go.
const ENTRIES_BYTES: usize = 16 * 1024;
/// Levels of directories. Each costs a descriptor and a buffer while the tree is walked.
const DEPTH_MAX: usize = 64;

/// Gives everything below `dir` for which `changes` holds to `uid` and `gid`, symbolic links themselves included, and
/// answers how much that was. `dir` itself stays as it is. Nobody may write to the tree meanwhile.
///
/// # Errors
/// `ELOOP` when the tree has more than 64 levels; else what the kernel says of the first entry that cannot be changed.
pub fn reown_tree(dir: BorrowedFd<'_>, uid: u32, gid: u32, changes: &dyn Fn(&Stat) -> bool) -> Result<u64> {
    reown_entries(dir, uid, gid, changes, DEPTH_MAX)
}

fn reown_entries(
    dir: BorrowedFd<'_>,
    uid: u32,
    gid: u32,
    changes: &dyn Fn(&Stat) -> bool,
    levels: usize,
) -> Result<u64> {
    let Some(levels) = levels.checked_sub(1) else { return Err(Error::new("change owners", Errno::ELOOP)) };
    // A descriptor of our own: the caller's may be a place only, and its position is the caller's.
    let listed = open(dir, c".", OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut buffer: Vec<u8> = Vec::with_capacity(ENTRIES_BYTES);
    let space: &mut [MaybeUninit<u8>] = buffer.spare_capacity_mut();
    let mut entries = RawDir::new(&listed, space);
    let mut changed = 0;
    while let Some(entry) = entries.next() {
        let entry = entry.act("read directory")?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        // What was looked at is what is changed.
        let place = open(listed.as_fd(), name, OFlags::PATH)?;
        let stat = stat_fd(place.as_fd())?;
        if stat.kind == Kind::Dir {
            changed += reown_entries(place.as_fd(), uid, gid, changes, levels)?;
        }
        if changes(&stat) {
            change_owner_fd(place.as_fd(), uid, gid)?;
            changed += 1;
        }
    }
    Ok(changed)
}

fn open(dir: BorrowedFd<'_>, name: &std::ffi::CStr, flags: OFlags) -> Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty()).act("open entry")
}
