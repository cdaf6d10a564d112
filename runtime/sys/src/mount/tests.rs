//! Tests in a mount namespace of their own, in a child: nothing is left on the host.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::clone::{Cloned, SingleThreaded, fork};
use crate::error::Errno;
use crate::file::{
    Kind, V9FS_MAGIC, create_file_at, make_dir_at, open_dir_path, stat_fd, stat_path, write_fd,
};
use crate::in_child::{self, expect, need_root};
use crate::pidfd::{WaitStatus, reap_blocking};
use crate::process::exit_now;
use crate::userns::{IdMap, mapping_namespace};

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

/// A private mount namespace.
fn enter_namespace() -> Outcome {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    set_private_recursive_root()?;
    Ok(())
}

fn tmpfs(attrs: Attrs) -> Result<OwnedFd> {
    let new = NewFilesystem::open(c"tmpfs")?;
    new.set(c"size", c"1m")?;
    new.set(c"nr_inodes", c"64")?;
    new.set(c"mode", c"0755")?;
    new.create(attrs)
}

fn create_errno(dir: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    create_file_at(dir, c"new", b"x", 0o644).map_err(|error| error.errno)
}

#[test]
fn a_detached_tmpfs_is_bounded_and_seen_by_nobody() {
    if !need_root("mounts") {
        return;
    }
    in_child::run(|| {
        enter_namespace()?;
        let tree = tmpfs(Attrs { nosuid: true, nodev: true, ..Attrs::default() })?;
        make_dir_at(tree.as_fd(), c"sub", 0o755)?;
        let path = format!("/proc/self/fd/{}/big", tree.as_raw_fd());
        let file = std::fs::File::create(path)?;
        let full = write_fd(file.as_fd(), &vec![0; 2 << 20]).map_err(|error| error.errno);
        expect("size", full == Err(Errno::ENOSPC))?;
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        expect("not attached", !mounts.contains("size=1024k,nr_inodes=64"))?;
        let unknown = NewFilesystem::open(c"tmpfs")?.set(c"no-such-key", c"1");
        expect("unknown key", unknown.is_err_and(|error| error.errno == Errno::EINVAL))?;
        let no_type = NewFilesystem::open(c"no-such-type").map_err(|error| error.errno);
        expect("unknown type", matches!(no_type, Err(Errno::ENODEV)))
    });
}

#[test]
fn a_clone_is_read_only_while_its_source_is_not() {
    if !need_root("mounts") {
        return;
    }
    in_child::run(|| {
        enter_namespace()?;
        let place = open_dir_path("/tmp".as_ref())?;
        attach(tmpfs(Attrs::default())?.as_fd(), place.as_fd(), c"")?;
        let source = open_dir_path("/tmp".as_ref())?;
        let clone = clone_tree(source.as_fd(), c"", true)?;
        let attrs = Attrs { read_only: true, nosuid: true, nodev: true, noexec: true, nosymfollow: true };
        set_attrs(clone.as_fd(), true, attrs)?;
        expect("clone", create_errno(clone.as_fd()) == Err(Errno::EROFS))?;
        expect("source", create_errno(source.as_fd()) == Ok(()))?;
        make_dir_at(source.as_fd(), c"copy", 0o755)?;
        attach(clone.as_fd(), source.as_fd(), c"copy")?;
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let line = mounts.lines().find(|line| line.contains(" /tmp/copy ")).unwrap_or_default();
        let flags = ["ro", "nosuid", "nodev", "noexec", "nosymfollow"];
        let options: Vec<&str> = line.split(' ').nth(5).unwrap_or_default().split(',').collect();
        expect("all attributes", flags.iter().all(|flag| options.contains(flag)))?;
        let file_on_dir = clone_tree(source.as_fd(), c"new", false)?;
        let refused = attach(file_on_dir.as_fd(), source.as_fd(), c"copy");
        expect("a file is no directory", refused.is_err())
    });
}

#[test]
fn what_is_mounted_on_the_source_later_stays_out_of_the_clone() {
    if !need_root("mounts") {
        return;
    }
    in_child::run(|| {
        enter_namespace()?;
        attach(tmpfs(Attrs::default())?.as_fd(), open_dir_path("/tmp".as_ref())?.as_fd(), c"")?;
        let source = open_dir_path("/tmp".as_ref())?;
        // As / is on most hosts: what appears on one of its mounts appears on all copies of it.
        let shared = Change { propagation: libc::MS_SHARED, ..Change::default() };
        set_attributes(source.as_fd(), c"", true, &shared)?;
        for place in [c"below", c"kept", c"shared"] {
            make_dir_at(source.as_fd(), place, 0o755)?;
        }
        let kept = clone_tree(source.as_fd(), c"", true)?;
        set_attrs(kept.as_fd(), true, Attrs { read_only: true, ..Attrs::default() })?;
        attach(kept.as_fd(), source.as_fd(), c"kept")?;
        attach(clone_tree(source.as_fd(), c"", false)?.as_fd(), source.as_fd(), c"shared")?;
        let late = tmpfs(Attrs::default())?;
        create_file_at(late.as_fd(), c"late", b"", 0o644)?;
        attach(late.as_fd(), source.as_fd(), c"below")?;
        let there = |path: &str| stat_path(path.as_ref(), false).is_ok();
        expect("a plain clone gets it", there("/tmp/below/late") && there("/tmp/shared/below/late"))?;
        expect("ours does not", there("/tmp/kept/below") && !there("/tmp/kept/below/late"))
    });
}

#[test]
fn a_link_at_the_end_is_not_followed() {
    if !need_root("mounts") {
        return;
    }
    in_child::run(|| {
        enter_namespace()?;
        let tree = tmpfs(Attrs::default())?;
        crate::file::make_symlink_at(c"/etc", tree.as_fd(), c"link")?;
        // Attached, for a kernel before 6.15 clones nothing out of a detached tree.
        let place = tempfile::tempdir()?;
        attach(tree.as_fd(), open_dir_path(place.path())?.as_fd(), c"")?;
        let clone = clone_tree(tree.as_fd(), c"link", false)?;
        let bytes = std::os::unix::ffi::OsStrExt::as_bytes(place.path().as_os_str());
        detach(&std::ffi::CString::new(bytes)?)?;
        expect("the link itself", stat_fd(clone.as_fd())?.kind == Kind::Symlink)?;
        let nofollow = open_path(Some(tree.as_fd()), c"link", true)?;
        expect("opened as a link", stat_fd(nofollow.as_fd())?.kind == Kind::Symlink)?;
        let followed = open_path(Some(tree.as_fd()), c"link", false)?;
        expect("followed on demand", stat_fd(followed.as_fd())?.kind == Kind::Dir)
    });
}

#[test]
fn an_idmapped_mount_shows_other_owners_and_stores_the_real_ones() {
    if !need_root("mounts") {
        return;
    }
    if crate::file::statfs_type(&std::env::temp_dir()) == Ok(V9FS_MAGIC) {
        in_child::skip("9p has no id maps");
        return;
    }
    in_child::run(|| {
        enter_namespace()?;
        let dir = tempfile::tempdir()?;
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700))?;
        let real = open_dir_path(dir.path())?;
        crate::file::change_owner_fd(real.as_fd(), 5000, 5000)?;
        let map = [IdMap { inside: 5000, outside: 0x7000_0000, count: 1 }];
        let proof = SingleThreaded::prove()?;
        let namespace = mapping_namespace(&proof, &map, &map)?;
        let clone = clone_tree(real.as_fd(), c"", false)?;
        set_idmap(clone.as_fd(), namespace.as_fd())?;
        let shown = stat_fd(clone.as_fd())?;
        expect("shown", (shown.uid, shown.gid) == (0x7000_0000, 0x7000_0000))?;
        // Root is an id that the map does not know: what it makes could not be stored.
        expect("unmapped", create_errno(clone.as_fd()) == Err(Errno::EOVERFLOW))?;
        let Cloned::Parent { pidfd, .. } = fork(&proof)? else {
            let became = crate::process::set_ids(0x7000_0000, 0x7000_0000).is_ok();
            let created = create_errno(clone.as_fd()) == Ok(());
            let round = stat_path(&dir.path().join("new"), false).map_err(|error| error.errno);
            // The directory is private to uid 5000, which the child is only through the mount.
            exit_now(if became && created && round == Err(Errno::EACCES) { 0 } else { 1 });
        };
        let status = reap_blocking(pidfd.as_fd())?.status;
        expect("through the mount only", status == WaitStatus::Exited { code: 0 })?;
        let stored = stat_path(&dir.path().join("new"), false)?;
        expect("stored", (stored.uid, stored.gid) == (5000, 5000))
    });
}

#[test]
fn after_the_pivot_only_the_new_root_is_there() {
    if !need_root("mounts") {
        return;
    }
    in_child::run(|| {
        enter_namespace()?;
        let root = tmpfs(Attrs::default())?;
        create_file_at(root.as_fd(), c"marker", b"", 0o644)?;
        attach(root.as_fd(), open_dir_path("/tmp".as_ref())?.as_fd(), c"")?;
        pivot_into(root.as_fd())?;
        expect("marker", stat_path("/marker".as_ref(), false)?.kind == Kind::File)?;
        let old = stat_path("/etc".as_ref(), false).map_err(|error| error.errno);
        expect("nothing of the old root", old == Err(Errno::ENOENT))?;
        expect("at the root", crate::process::current_dir()? == std::path::Path::new("/"))?;
        expect("writable", create_errno(root.as_fd()) == Ok(()))?;
        remount_root_read_only()?;
        let after = make_dir_at(root.as_fd(), c"late", 0o755).map_err(|error| error.errno);
        expect("read-only", after == Err(Errno::EROFS))
    });
}
