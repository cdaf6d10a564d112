//! Builds the root that a job sees, from the plan's entries: a small tmpfs, read-only binds, devices, /proc, scratch.
//!
//! Everything goes through the fd of the new root: no path of the job's making exists yet, and no path of the host is
//! followed once the sources are open.

use crate::inside::{
    order::{Order, OrderFds},
    step::{Failure, Step},
};
use runtime_plan::{launch::RootEntry, wall::Wall};
use runtime_sys::{
    Errno, Error,
    file::{self, Kind},
    mount::{self, Attrs, NewFilesystem},
};
use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Bytes of the root itself: directories, links and a few small files.
const ROOT_BYTES_MAX: &CStr = c"2m";
/// Inodes of the root itself.
const ROOT_INODES_MAX: &CStr = c"1k";
/// Where the scratch file system stands while its parts are being attached.
const SCRATCH_BASE: &CStr = c".scratch";
/// Where the root is attached for the moment before the pivot: it is there on every host, and nothing is looked up below
/// it any more.
const STAGE: &CStr = c"/usr";

/// The new root, attached but not yet entered.
#[derive(Debug)]
pub struct NewRoot {
    /// Its mount.
    pub tree: OwnedFd,
    /// /proc/sys/user of the new /proc, while that is still writable.
    pub user_sysctls: Option<OwnedFd>,
    /// The scratch file system.
    pub scratch: OwnedFd,
}

/// For each entry of the plan: the detached tree that will be attached there.
#[derive(Debug)]
pub struct Sources(Vec<Option<OwnedFd>>);

/// A path without NUL as the kernel wants it.
pub fn c_path(path: &str) -> Result<CString, Error> {
    CString::new(path).map_err(|_nul| Error { act: "path with NUL", errno: Errno::EINVAL })
}

fn fails_at(item: usize) -> impl Fn(Error) -> Failure {
    move |error| Failure { step: Step::RootEntry, item: item as u32, errno: error.errno.0 }
}

/// Opens what comes from the host, checks that it is what the plan says, and takes away what a job must not have there.
pub fn open_sources(order: &Order, fds: &mut OrderFds) -> Result<Sources, Failure> {
    order.begin(Step::RootEntry)?;
    let mut sources = Vec::with_capacity(order.plan.root.len());
    for (item, entry) in order.plan.root.iter().enumerate() {
        sources.push(open_source(order, fds, item, entry).map_err(fails_at(item))?);
    }
    Ok(Sources(sources))
}

fn open_source(
    order: &Order,
    fds: &mut OrderFds,
    item: usize,
    entry: &RootEntry,
) -> Result<Option<OwnedFd>, Error> {
    let read_only = order.raises(Wall::ReadOnlyRoot);
    match entry {
        // The launcher opened it with its own rights and has set its attributes: its mount belongs to the launcher.
        RootEntry::Bind { private: true, .. } => take_tree(fds, item).map(Some),
        RootEntry::Bind { source, directory, exec, .. } => {
            let expected = if *directory { Kind::Dir } else { Kind::File };
            let opened = mount::open_path(None, c_path(source)?.as_c_str(), false)?;
            if file::stat_fd(opened.as_fd())?.kind != expected {
                return Err(Error { act: "a mount's source changed its kind", errno: Errno::EINVAL });
            }
            let tree = mount::clone_tree(opened.as_fd(), c"", true)?;
            let attrs = Attrs { read_only, nosuid: true, nodev: true, noexec: !exec, ..Attrs::default() };
            mount::set_attrs(tree.as_fd(), true, attrs)?;
            Ok(Some(tree))
        }
        RootEntry::HostDirectory { read_only, exec, .. } => {
            let tree = take_tree(fds, item)?;
            let Some(path) = order.reopened.get(&item) else { return Ok(Some(tree)) };
            let attrs =
                Attrs { read_only: *read_only, nosuid: true, nodev: true, noexec: !exec, ..Attrs::default() };
            reopen(path, &tree, attrs).map(Some)
        }
        RootEntry::Device { name, major, minor } => open_device(name, (*major, *minor)).map(Some),
        RootEntry::Proc if !order.raises(Wall::Pid) => {
            let proc = mount::open_path(None, c"/proc", true)?;
            mount::clone_tree(proc.as_fd(), c"", true).map(Some)
        }
        RootEntry::Proc
        | RootEntry::Directory { .. }
        | RootEntry::Symlink { .. }
        | RootEntry::File { .. }
        | RootEntry::DevPts { .. }
        | RootEntry::Scratch { .. } => Ok(None),
    }
}

fn take_tree(fds: &mut OrderFds, item: usize) -> Result<OwnedFd, Error> {
    fds.trees.remove(&item).ok_or(Error { act: "a tree that did not come", errno: Errno::EBADF })
}

/// The launcher of an ordinary user may not clone mounts, and its fd is of another mount namespace. So the path is opened
/// again here, and must lead to the very directory that the caller opened.
fn reopen(path: &str, expected: &OwnedFd, attrs: Attrs) -> Result<OwnedFd, Error> {
    let opened = mount::open_path(None, c_path(path)?.as_c_str(), false)?;
    let (here, there) = (file::stat_fd(opened.as_fd())?, file::stat_fd(expected.as_fd())?);
    if (here.dev, here.inode, here.kind) != (there.dev, there.inode, there.kind) {
        return Err(Error { act: "the directory was replaced", errno: Errno::ESTALE });
    }
    let tree = mount::clone_tree(opened.as_fd(), c"", true)?;
    mount::set_attrs(tree.as_fd(), true, attrs)?;
    Ok(tree)
}

/// mknod(2) is impossible in a user namespace, so the host's node is bound; it must be the one that it claims to be, for a
/// file in its place would be written by every job.
fn open_device(name: &str, number: (u32, u32)) -> Result<OwnedFd, Error> {
    let node = mount::open_path(None, c_path(&format!("/dev/{name}"))?.as_c_str(), true)?;
    let stat = file::stat_fd(node.as_fd())?;
    if stat.kind != Kind::CharDevice || stat.rdev != number {
        return Err(Error { act: "a device node of the host is another one", errno: Errno::EINVAL });
    }
    let tree = mount::clone_tree(node.as_fd(), c"", false)?;
    let attrs = Attrs { nosuid: true, noexec: true, ..Attrs::default() };
    mount::set_attrs(tree.as_fd(), false, attrs)?;
    Ok(tree)
}

/// Makes the root and everything in it.
pub fn make(order: &Order, mut sources: Sources) -> Result<NewRoot, Failure> {
    order.begin(Step::MakeRoot)?;
    let failed = |error: Error| Failure { step: Step::MakeRoot, item: 0, errno: error.errno.0 };
    let tree = make_base().map_err(failed)?;
    let stage = mount::open_path(None, STAGE, false).map_err(failed)?;
    mount::attach(tree.as_fd(), stage.as_fd(), c"").map_err(failed)?;
    let scratch = make_scratch(order, tree.as_fd()).map_err(failed)?;
    let mut root = NewRoot { tree, user_sysctls: None, scratch };
    for (item, entry) in order.plan.root.iter().enumerate() {
        let source = sources.0.get_mut(item).and_then(Option::take);
        make_entry(order, &mut root, entry, source).map_err(fails_at(item))?;
    }
    Ok(root)
}

fn make_base() -> Result<OwnedFd, Error> {
    let tmpfs = NewFilesystem::open(c"tmpfs")?;
    tmpfs.set(c"size", ROOT_BYTES_MAX)?;
    tmpfs.set(c"nr_inodes", ROOT_INODES_MAX)?;
    tmpfs.set(c"mode", c"0755")?;
    tmpfs.create(Attrs { nosuid: true, nodev: true, ..Attrs::default() })
}

/// One tmpfs for workspace, /tmp and /dev/shm, so that its size bounds all three together. It is attached for a moment:
/// kernels before 6.15 clone no part of a detached tree.
fn make_scratch(order: &Order, root: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let tmpfs = NewFilesystem::open(c"tmpfs")?;
    tmpfs.set(c"size", &c_path(&order.plan.scratch.bytes.to_string())?)?;
    tmpfs.set(c"nr_inodes", &c_path(&order.plan.scratch.inodes.to_string())?)?;
    tmpfs.set(c"mode", c"0755")?;
    let tree = tmpfs.create(Attrs { nosuid: true, nodev: true, ..Attrs::default() })?;
    file::make_dir_at(root, SCRATCH_BASE, 0o700)?;
    let base = file::open_beneath(root, SCRATCH_BASE, false, true)?;
    mount::attach(tree.as_fd(), base.as_fd(), c"")?;
    Ok(tree)
}

fn make_entry(
    order: &Order,
    root: &mut NewRoot,
    entry: &RootEntry,
    source: Option<OwnedFd>,
) -> Result<(), Error> {
    let (tree, scratch) = (root.tree.as_fd(), root.scratch.as_fd());
    match entry {
        RootEntry::Directory { target, mode } => {
            make_directories(tree, target)?;
            let path = beneath(target)?;
            file::chmod_at(tree, &path, *mode)
        }
        RootEntry::Symlink { target, text } => {
            make_parents(tree, target)?;
            file::make_symlink_at(&c_path(text)?, tree, &beneath(target)?)
        }
        RootEntry::File { target, contents, mode } => {
            make_parents(tree, target)?;
            file::create_file_at(tree, &beneath(target)?, contents, *mode)
        }
        RootEntry::Bind { target, directory: false, .. } => {
            make_parents(tree, target)?;
            make_mount_point(tree, target)?;
            attach(tree, target, false, source)
        }
        RootEntry::Bind { target, .. } | RootEntry::HostDirectory { target, .. } => {
            make_directories(tree, target)?;
            attach(tree, target, true, source)
        }
        RootEntry::Device { name, .. } => {
            let target = format!("/dev/{name}");
            make_parents(tree, &target)?;
            make_mount_point(tree, &target)?;
            attach(tree, &target, false, source)
        }
        RootEntry::DevPts { terminals_max } => {
            let devpts = NewFilesystem::open(c"devpts")?;
            devpts.flag(c"newinstance")?;
            devpts.set(c"max", &c_path(&terminals_max.to_string())?)?;
            devpts.set(c"ptmxmode", c"0666")?;
            devpts.set(c"mode", c"0620")?;
            let devpts = devpts.create(Attrs { nosuid: true, noexec: true, ..Attrs::default() })?;
            make_directories(tree, "/dev/pts")?;
            attach(tree, "/dev/pts", true, Some(devpts))
        }
        RootEntry::Proc => make_proc(order, root, source),
        RootEntry::Scratch { target, part, mode, owned_by_job, exec } => {
            let part = c_path(part)?;
            file::make_dir_at(scratch, &part, *mode)?;
            file::chmod_at(scratch, &part, *mode)?;
            if *owned_by_job && order.plan.identity.init_has_own_id {
                let identity = order.plan.identity;
                file::chown_at(scratch, &part, identity.uid, identity.gid)?;
            }
            let mounted = mount::clone_tree(scratch, &part, false)?;
            let attrs = Attrs { nosuid: true, nodev: true, noexec: !exec, ..Attrs::default() };
            mount::set_attrs(mounted.as_fd(), false, attrs)?;
            make_directories(tree, target)?;
            attach(tree, target, true, Some(mounted))
        }
    }
}

/// A /proc of this pid namespace: other jobs and the host are not in it. `hidepid=invisible` also hides init from the job.
fn make_proc(order: &Order, root: &mut NewRoot, source: Option<OwnedFd>) -> Result<(), Error> {
    let proc = match source {
        Some(tree) => tree,
        None => {
            let proc = NewFilesystem::open(c"proc")?;
            proc.set(c"hidepid", c"invisible")?;
            if order.plan.proc_subset_pid {
                proc.set(c"subset", c"pid")?;
            }
            proc.create(Attrs { nosuid: true, nodev: true, noexec: true, ..Attrs::default() })?
        }
    };
    make_directories(root.tree.as_fd(), "/proc")?;
    attach(root.tree.as_fd(), "/proc", true, Some(proc))?;
    let sysctls = file::open_beneath(root.tree.as_fd(), c"proc/sys/user", false, true);
    match sysctls {
        Ok(directory) => root.user_sysctls = Some(directory),
        // With `subset=pid` there is no /proc/sys: a second, whole /proc is mounted for the moment of writing.
        Err(error) if error.errno == Errno::ENOENT && order.plan.proc_subset_pid => {
            let whole = NewFilesystem::open(c"proc")?;
            let whole =
                whole.create(Attrs { nosuid: true, nodev: true, noexec: true, ..Attrs::default() })?;
            root.user_sysctls = Some(file::open_beneath(whole.as_fd(), c"sys/user", false, true)?);
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Read-only and hidden parts of /proc. Runs inside the new root, so that absolute paths are the job's.
pub fn guard_proc(order: &Order) -> Result<(), Failure> {
    order.begin(Step::ProcReadOnly)?;
    order.begin(Step::ProcMasked)?;
    if !order.raises(Wall::MaskedProc) {
        return Ok(());
    }
    for (item, path) in order.plan.proc_read_only.iter().enumerate() {
        let failed =
            |error: Error| Failure { step: Step::ProcReadOnly, item: item as u32, errno: error.errno.0 };
        if let Some(opened) = open_if_there(path).map_err(failed)? {
            make_read_only(&opened).map_err(failed)?;
        }
    }
    for (item, path) in order.plan.proc_masked.iter().enumerate() {
        let failed =
            |error: Error| Failure { step: Step::ProcMasked, item: item as u32, errno: error.errno.0 };
        if let Some(opened) = open_if_there(path).map_err(failed)? {
            mask(&opened).map_err(failed)?;
        }
    }
    Ok(())
}

/// A kernel without the file has nothing to hide there; every other error is fatal.
fn open_if_there(path: &str) -> Result<Option<OwnedFd>, Error> {
    match mount::open_path(None, &c_path(path)?, true) {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.errno == Errno::ENOENT => Ok(None),
        Err(error) => Err(error),
    }
}

fn make_read_only(opened: &OwnedFd) -> Result<(), Error> {
    let tree = mount::clone_tree(opened.as_fd(), c"", true)?;
    let attrs = Attrs { read_only: true, nosuid: true, nodev: true, noexec: true, ..Attrs::default() };
    mount::set_attrs(tree.as_fd(), true, attrs)?;
    mount::attach(tree.as_fd(), opened.as_fd(), c"")
}

fn mask(opened: &OwnedFd) -> Result<(), Error> {
    let cover = if file::stat_fd(opened.as_fd())?.kind == Kind::Dir {
        let empty = NewFilesystem::open(c"tmpfs")?;
        empty.set(c"size", c"4k")?;
        empty.set(c"nr_inodes", c"1")?;
        empty.set(c"mode", c"0555")?;
        empty.create(Attrs {
            read_only: true,
            nosuid: true,
            nodev: true,
            noexec: true,
            ..Attrs::default()
        })?
    } else {
        // The node was checked to be the null device when it was bound.
        let null = mount::open_path(None, c"/dev/null", true)?;
        mount::clone_tree(null.as_fd(), c"", false)?
    };
    mount::attach(cover.as_fd(), opened.as_fd(), c"")
}

/// Takes the scratch file system's own mount away (its parts stay) and makes the root read-only.
pub fn finish(order: &Order) -> Result<(), Failure> {
    order.begin(Step::ReadOnlyRoot)?;
    let failed = |error: Error| Failure { step: Step::ReadOnlyRoot, item: 0, errno: error.errno.0 };
    mount::detach(c"/.scratch").map_err(failed)?;
    file::remove_dir(c"/.scratch").map_err(failed)?;
    if order.raises(Wall::ReadOnlyRoot) {
        mount::remount_root_read_only().map_err(failed)?;
    }
    Ok(())
}

/// `/a/b` as `a/b`: relative to the new root.
fn beneath(target: &str) -> Result<CString, Error> {
    c_path(target.trim_start_matches('/'))
}

fn make_parents(root: BorrowedFd<'_>, target: &str) -> Result<(), Error> {
    match target.rsplit_once('/') {
        Some((parent, _)) if !parent.is_empty() => make_directories(root, parent),
        _ => Ok(()),
    }
}

fn make_directories(root: BorrowedFd<'_>, target: &str) -> Result<(), Error> {
    let mut path = String::new();
    for part in target.split('/').filter(|part| !part.is_empty()) {
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(part);
        match file::make_dir_at(root, &c_path(&path)?, 0o755) {
            Ok(()) => {}
            Err(error) if error.errno == Errno::EEXIST => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// An empty file to mount on; one that is there already (beneath a bound directory) will do.
fn make_mount_point(root: BorrowedFd<'_>, target: &str) -> Result<(), Error> {
    match file::create_file_at(root, &beneath(target)?, b"", 0o444) {
        Err(error) if error.errno == Errno::EEXIST => Ok(()),
        other => other,
    }
}

/// Attaches a tree. The target is opened without following links: a link in the new root would be followed from the old.
fn attach(root: BorrowedFd<'_>, target: &str, directory: bool, tree: Option<OwnedFd>) -> Result<(), Error> {
    let tree = tree.ok_or(Error { act: "a mount without a source", errno: Errno::EBADF })?;
    let point = file::open_beneath(root, &beneath(target)?, false, directory)?;
    mount::attach(tree.as_fd(), point.as_fd(), c"")
}
