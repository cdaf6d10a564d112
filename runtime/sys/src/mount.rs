//! Mounts by descriptor: trees are cloned or made detached, given their attributes, and only then attached.
//!
//! What is mounted where is decided elsewhere. Everything here acts on the caller's mount namespace and
//! uses the calls of Linux 5.2 and 5.12 (open_tree(2), move_mount(2), fsopen(2), mount_setattr(2)); no
//! mount is ever reachable by a path before its attributes are set. *No heap* anywhere.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use crate::error::{Act, Result, check};

/// What processes may not do through a mount. Every attribute is off by default, and calls only switch on:
/// what a mount already forbids stays forbidden.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub struct Attrs {
    /// No writes.
    pub read_only: bool,
    /// Setuid and setgid bits and file capabilities do not count.
    pub nosuid: bool,
    /// Device files cannot be opened.
    pub nodev: bool,
    /// Programs cannot be executed.
    pub noexec: bool,
    /// Symbolic links are not followed.
    pub nosymfollow: bool,
}

impl Attrs {
    fn flags(self) -> MountAttrFlags {
        [
            (self.read_only, MountAttrFlags::MOUNT_ATTR_RDONLY),
            (self.nosuid, MountAttrFlags::MOUNT_ATTR_NOSUID),
            (self.nodev, MountAttrFlags::MOUNT_ATTR_NODEV),
            (self.noexec, MountAttrFlags::MOUNT_ATTR_NOEXEC),
            (self.nosymfollow, MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW),
        ]
        .iter()
        .filter(|(wanted, _)| *wanted)
        .fold(MountAttrFlags::empty(), |flags, (_, flag)| flags | *flag)
    }
}

/// Makes a detached copy of the mount at a path, with the mounts below it when `recursive`. An empty path
/// means `dir` itself, which may also be a file; a symbolic link at the end of the path is not followed.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`; `EINVAL` for a copy without the mounts below in a user namespace that
/// did not make them; `ENOSPC` at `max_mnt_namespaces` or the limit of mounts.
pub fn clone_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_NO_AUTOMOUNT
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if path.is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    rustix::mount::open_tree(dir, path, flags).act("open_tree")
}

/// Opens anything as a place only (`O_PATH`): no device is touched and no permission on it needed. `None`
/// starts at the working directory; with `nofollow` a symbolic link at the end is itself opened.
pub fn open_path(dir: Option<BorrowedFd<'_>>, path: &CStr, nofollow: bool) -> Result<OwnedFd> {
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    if nofollow {
        flags |= OFlags::NOFOLLOW;
    }
    rustix::fs::openat(dir.unwrap_or(CWD), path, flags, Mode::empty()).act("open path")
}

/// Switches attributes on for a mount, with those below it when `recursive`: all or none. mount_setattr(2).
///
/// It is also cut off from the mounts that it was cloned from: what is mounted beneath those later would
/// appear here too, without any of these attributes.
pub fn set_attrs(tree: BorrowedFd<'_>, recursive: bool, attrs: Attrs) -> Result<()> {
    let set = u64::from(attrs.flags().bits());
    let change = Change { set, propagation: libc::MS_PRIVATE, ..Change::default() };
    set_attributes(tree, c"", recursive, &change)
}

/// Shows the files of a detached mount with other owners: an id that is *inside* in the namespace's map is
/// shown as the one *outside* it. One id map for each mount, and only before it is attached.
///
/// # Errors
/// `EINVAL` when the file system cannot be idmapped, or the mount is attached or has an id map; `EPERM`
/// without `CAP_SYS_ADMIN` over the file system. Linux 5.12; tmpfs 6.3.
pub fn set_idmap(tree: BorrowedFd<'_>, userns: BorrowedFd<'_>) -> Result<()> {
    let userns = u64::from(userns.as_raw_fd().cast_unsigned());
    set_attributes(tree, c"", false, &Change { set: libc::MOUNT_ATTR_IDMAP, userns, ..Change::default() })
}

/// Gives the calling thread, and the children that it makes from now on, a mount namespace of its own, cut off from others.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`; `ENOSPC` at `max_mnt_namespaces`.
pub fn enter_own_namespace() -> Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).act("unshare mount namespace")?;
    set_private_recursive_root()
}

/// Moves this process into a mount namespace of its own that follows the old one: what is unmounted there is unmounted here, and no mount made here
/// shows there.
///
/// # Errors
/// As [`enter_own_namespace`].
pub fn enter_following_namespace() -> Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).act("unshare mount namespace")?;
    let change = Change { propagation: libc::MS_SLAVE, ..Change::default() };
    set_attributes(CWD, c"/", true, &change)
}

/// Cuts our mount namespace off from others: no mount made here shows elsewhere, nor the other way round.
pub fn set_private_recursive_root() -> Result<()> {
    let change = Change { propagation: libc::MS_PRIVATE, ..Change::default() };
    set_attributes(CWD, c"/", true, &change)
}

/// Makes the root read-only, without setuid programs and devices. Mounts below keep what they have.
pub fn remount_root_read_only() -> Result<()> {
    let attrs = Attrs { read_only: true, nosuid: true, nodev: true, ..Attrs::default() };
    let change = Change { set: u64::from(attrs.flags().bits()), ..Change::default() };
    set_attributes(CWD, c"/", false, &change)
}

/// `struct mount_attr` of mount_setattr(2) in its first version, 32 bytes.
#[derive(Default)]
#[repr(C)]
struct Change {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

fn set_attributes(dir: BorrowedFd<'_>, path: &CStr, recursive: bool, change: &Change) -> Result<()> {
    let empty = if path.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    let below = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the kernel reads a string that ends in a null and as many bytes of the struct as it has, and
    // writes nothing.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir.as_raw_fd(),
            path.as_ptr(),
            empty | below,
            std::ptr::from_ref(change),
            size_of::<Change>(),
        )
    };
    check("mount_setattr", answer).map(drop)
}

/// A file system that is being configured: nothing is mounted before [`NewFilesystem::create`].
#[derive(Debug)]
pub struct NewFilesystem(OwnedFd);

impl NewFilesystem {
    /// Starts one of a type such as `tmpfs`, `proc` or `devpts`.
    ///
    /// # Errors
    /// `ENODEV` when the kernel has no such type, `EPERM` without `CAP_SYS_ADMIN`.
    pub fn open(kind: &CStr) -> Result<NewFilesystem> {
        rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).act("fsopen").map(NewFilesystem)
    }

    /// Sets an option to a value, as `size` to `1m`. `EINVAL` for what the type does not know.
    pub fn set(&self, key: &CStr, value: &CStr) -> Result<()> {
        rustix::mount::fsconfig_set_string(self.0.as_fd(), key, value).act("fsconfig set")
    }

    /// Switches on an option without a value, as `newinstance`.
    pub fn flag(&self, key: &CStr) -> Result<()> {
        rustix::mount::fsconfig_set_flag(self.0.as_fd(), key).act("fsconfig flag")
    }

    /// Makes the file system and a detached mount of it.
    ///
    /// # Errors
    /// `EPERM` for a proc where the one outside is partly covered, or without `CAP_SYS_ADMIN` over the pid
    /// namespace; `ENOSPC` at `max_mnt_namespaces`.
    pub fn create(self, attrs: Attrs) -> Result<OwnedFd> {
        rustix::mount::fsconfig_create(self.0.as_fd()).act("fsconfig create")?;
        rustix::mount::fsmount(self.0.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attrs.flags()).act("fsmount")
    }
}

/// Attaches a detached tree at a path, which names a directory or a file as the tree's root does; an empty
/// path means `dir` itself. A symbolic link at the end of the path is not followed, one on the way is: `dir`
/// must be of our own making.
///
/// # Errors
/// `ENOTDIR` when one is a directory and the other is not; `EINVAL` for a place in somebody else's
/// namespace; `ELOOP` for a mount in itself.
pub fn attach(tree: BorrowedFd<'_>, dir: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if path.is_empty() {
        flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    }
    rustix::mount::move_mount(tree, c"", dir, path, flags).act("move_mount")
}

/// Makes an attached mount the root of this namespace and drops the old root with all below it; the working
/// directory is the new root afterwards.
///
/// # Errors
/// `EINVAL` when `root` is not a mount point or propagates to other namespaces.
pub fn pivot_into(root: BorrowedFd<'_>) -> Result<()> {
    rustix::process::fchdir(root).act("enter new root")?;
    // Both in one place: the old root comes to lie on the new one, and is the first that "." finds there.
    rustix::process::pivot_root(c".", c".").act("pivot_root")?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH).act("drop old root")?;
    rustix::process::chdir(c"/").act("enter new root")
}

/// Takes the mount at a path of our own out of this namespace; what was cloned from it stays.
///
/// # Errors
/// `EINVAL` when nothing is mounted there.
pub fn detach(path: &CStr) -> Result<()> {
    rustix::mount::unmount(path, UnmountFlags::DETACH).act("detach")
}

#[cfg(test)]
mod tests;
