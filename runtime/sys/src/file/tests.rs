//! Tests on real directories, as whoever runs them.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::in_child::{self, expect, need_root};

fn scratch() -> (tempfile::TempDir, OwnedFd) {
    let dir = tempfile::tempdir().expect("a directory");
    let fd = open_dir_path(dir.path()).expect("open it");
    (dir, fd)
}

#[test]
fn new_entries_are_new_and_never_follow_a_link() {
    let (dir, fd) = scratch();
    create_file_at(fd.as_fd(), c"hosts", b"127.0.0.1 localhost\n", 0o644).expect("create");
    make_dir_at(fd.as_fd(), c"etc", 0o755).expect("mkdir");
    make_symlink_at(c"etc", fd.as_fd(), c"link").expect("symlink");
    assert_eq!(std::fs::read(dir.path().join("hosts")).expect("read"), b"127.0.0.1 localhost\n");
    assert_eq!(read_link_at(fd.as_fd(), c"link").expect("readlink"), Path::new("etc"));
    symlink(dir.path().join("elsewhere"), dir.path().join("trap")).expect("symlink");
    for name in [c"hosts", c"link", c"trap", c"etc"] {
        let refused = create_file_at(fd.as_fd(), name, b"x", 0o644).expect_err("exists");
        assert_eq!(refused.errno, Errno::EEXIST, "{name:?}");
    }
    assert!(!dir.path().join("elsewhere").exists());
}

#[test]
fn nothing_outside_the_directory_can_be_opened() {
    let (dir, fd) = scratch();
    std::fs::create_dir(dir.path().join("sub")).expect("mkdir");
    std::fs::write(dir.path().join("sub/file"), "x").expect("write");
    symlink("/etc/passwd", dir.path().join("out")).expect("symlink");
    symlink("file", dir.path().join("sub/in")).expect("symlink");
    nix::unistd::mkfifo(&dir.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    let open = |path: &CStr, write| open_beneath(fd.as_fd(), path, write, false);
    assert_eq!(stat_fd(open(c"sub/file", true).expect("open").as_fd()).expect("stat").size, 1);
    assert_eq!(open(c"../x", false).expect_err("above").errno, Errno::EXDEV);
    assert_eq!(open(c"/etc/passwd", false).expect_err("absolute").errno, Errno::EXDEV);
    assert_eq!(open(c"out", false).expect_err("link out").errno, Errno::ELOOP);
    assert_eq!(open(c"sub/in", false).expect_err("link inside").errno, Errno::ELOOP);
    assert_eq!(open(c"sub", true).expect_err("directory").errno, Errno::EISDIR);
    let fifo = open(c"fifo", false).expect("does not block");
    assert_eq!(stat_fd(fifo.as_fd()).expect("stat").kind, Kind::Fifo);
    let not_a_dir = open_beneath(fd.as_fd(), c"sub/file", false, true).expect_err("a file");
    assert_eq!(not_a_dir.errno, Errno::ENOTDIR);
}

#[test]
fn a_stat_tells_kind_owner_and_mode() {
    let (dir, fd) = scratch();
    let path = dir.path().join("file");
    std::fs::write(&path, "12345").expect("write");
    chmod_path(&path, 0o4751).expect("chmod");
    let own = stat_path(&path, true).expect("stat");
    let metadata = std::fs::metadata(&path).expect("metadata");
    assert_eq!((own.kind, own.mode, own.size, own.links), (Kind::File, 0o4751, 5, 1));
    assert_eq!((own.dev, own.inode), (metadata.dev(), metadata.ino()));
    assert_eq!(stat_fd(fd.as_fd()).expect("stat").kind, Kind::Dir);
    symlink("file", dir.path().join("link")).expect("symlink");
    let link = dir.path().join("link");
    assert_eq!(stat_path(&link, false).expect("stat").kind, Kind::Symlink);
    assert_eq!(stat_path(&link, true).expect("stat").kind, Kind::File);
    let null = stat_path("/dev/null".as_ref(), true).expect("stat");
    assert_eq!((null.kind, null.rdev), (Kind::CharDevice, (1, 3)));
    let file = File::open(&path).expect("open");
    change_mode_fd(file.as_fd(), 0o600).expect("chmod");
    assert_eq!(stat_path(&path, true).expect("stat").mode, 0o600);
}

#[test]
fn owners_change_through_a_place_and_not_through_a_link() {
    if !need_root("chown") {
        return;
    }
    let (dir, fd) = scratch();
    std::fs::write(dir.path().join("file"), "").expect("write");
    symlink("file", dir.path().join("link")).expect("symlink");
    change_owner_fd(fd.as_fd(), 5, 6).expect("chown the directory");
    chown_at(fd.as_fd(), c"link", 7, 8).expect("chown the link");
    let owner = |path: &Path| stat_path(path, false).map(|stat| (stat.uid, stat.gid)).expect("stat");
    assert_eq!(owner(dir.path()), (5, 6));
    assert_eq!(owner(&dir.path().join("link")), (7, 8));
    assert_eq!(owner(&dir.path().join("file")), (0, 0));
}

#[test]
fn the_null_device_is_checked_and_swallows() {
    let null = open_null().expect("open");
    write_fd(null.as_fd(), b"gone").expect("write");
    assert_eq!(read_fd(null.as_fd(), &mut [0; 4]).expect("read"), 0);
}

#[test]
fn reads_and_writes_keep_their_bounds() {
    let (dir, _fd) = scratch();
    let path = dir.path().join("file");
    assert_eq!(write_existing(&path, b"x").expect_err("missing").errno, Errno::ENOENT);
    std::fs::write(&path, "123456").expect("write");
    write_existing(&path, b"ab").expect("write");
    assert_eq!(read_all_bounded(&path, 6).expect("read"), b"ab3456");
    assert_eq!(read_all_bounded(&path, 5).expect_err("too big").errno, Errno::EFBIG);
    let file = File::open(&path).expect("open");
    let mut buffer = [0; 4];
    assert_eq!(pread(file.as_fd(), &mut buffer, 1).expect("pread"), 4);
    assert_eq!(&buffer, b"b345");
    assert_eq!(pread(file.as_fd(), &mut buffer, 5).expect("pread"), 1);
    assert_eq!(pread(file.as_fd(), &mut buffer, 99).expect("pread"), 0);
    assert_eq!(write_fd(file.as_fd(), b"x").expect_err("read only").errno, Errno::EBADF);
}

#[test]
fn a_lock_is_held_once() {
    let (dir, _fd) = scratch();
    let path = dir.path().join("lock");
    let first = File::create(&path).expect("create");
    let second = File::open(&path).expect("open");
    assert!(try_lock_exclusive(first.as_fd()).expect("lock"));
    assert!(!try_lock_exclusive(second.as_fd()).expect("busy"));
    drop(first);
    // A child that another test forked at this moment may hold a copy of the first one for a while.
    let free = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        try_lock_exclusive(second.as_fd()).expect("lock")
    });
    assert!(free, "a closed file is unlocked");
}

#[test]
fn an_extended_attribute_is_there_or_absent() {
    let (dir, _fd) = scratch();
    let path = dir.path().join("file");
    std::fs::write(&path, "").expect("write");
    if let Err(errno) = rustix::fs::setxattr(&path, "user.sys", b"yes", rustix::fs::XattrFlags::empty()) {
        in_child::skip(&format!("no extended attributes here: {errno}"));
        return;
    }
    assert_eq!(get_xattr(&path, "user.sys".as_ref()).expect("get"), Some(b"yes".to_vec()));
    assert_eq!(get_xattr(&path, "user.none".as_ref()).expect("get"), None);
}

#[test]
fn file_systems_are_told_apart() {
    assert_eq!(statfs_type("/proc".as_ref()).expect("statfs"), PROC_MAGIC);
    let (dir, _fd) = scratch();
    assert_ne!(statfs_type(dir.path()).expect("statfs"), PROC_MAGIC);
    assert!(free_bytes(dir.path()).expect("statvfs") > 0);
}

#[test]
fn a_tree_goes_whole_and_what_its_links_name_stays() {
    let (dir, fd) = scratch();
    let top = dir.path().join("top");
    for sub in 0..3 {
        let sub = top.join(sub.to_string()).join("deeper");
        std::fs::create_dir_all(&sub).expect("mkdir");
        for file in 0..300 {
            std::fs::write(sub.join(format!("a file with a long name to fill blocks {file}")), "")
                .expect("write");
        }
    }
    std::fs::write(dir.path().join("kept"), "").expect("write");
    symlink("../kept", top.join("link")).expect("symlink");
    symlink("..", top.join("0/up")).expect("symlink");
    remove_tree(fd.as_fd(), c"top").expect("remove");
    assert!(!top.exists());
    assert!(dir.path().join("kept").exists());
    assert_eq!(remove_tree(fd.as_fd(), c"top").expect_err("gone").errno, Errno::ENOENT);
    remove_tree(fd.as_fd(), c"kept").expect("a file goes too");
}

#[test]
fn a_tree_deeper_than_there_are_descriptors_goes() {
    in_child::run(|| {
        let (dir, fd) = scratch();
        make_dir_at(fd.as_fd(), c"0", 0o700)?;
        let mut at = open_beneath(fd.as_fd(), c"0", false, true)?;
        for _ in 0..300 {
            make_dir_at(at.as_fd(), c"d", 0o700)?;
            at = open_beneath(at.as_fd(), c"d", false, true)?;
        }
        drop(at);
        rustix::process::setrlimit(
            rustix::process::Resource::Nofile,
            rustix::process::Rlimit { current: Some(64), maximum: Some(64) },
        )?;
        remove_tree(fd.as_fd(), c"0")?;
        expect("gone", !dir.path().join("0").exists())
    });
}

#[test]
fn directories_that_forbid_everything_go_without_privilege() {
    in_child::run(|| {
        let (dir, fd) = scratch();
        if crate::process::effective_uid() == 0 {
            change_owner_fd(fd.as_fd(), 0x7000_0000, 0x7000_0000)?;
            crate::process::set_ids(0x7000_0000, 0x7000_0000)?;
            // The change of ids made our own /proc files root's.
            crate::process::set_dumpable(true)?;
        }
        std::fs::create_dir_all(dir.path().join("top/closed/inner"))?;
        std::fs::write(dir.path().join("top/closed/inner/file"), "")?;
        for path in ["top/closed/inner", "top/closed", "top"] {
            std::fs::set_permissions(dir.path().join(path), std::fs::Permissions::from_mode(0o000))?;
        }
        remove_tree(fd.as_fd(), c"top")?;
        expect("gone", !dir.path().join("top").exists())
    });
}

#[test]
fn a_mount_in_the_tree_stops_the_removal() {
    if !need_root("a mount") {
        return;
    }
    in_child::run(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
        crate::mount::set_private_recursive_root()?;
        let (dir, fd) = scratch();
        std::fs::create_dir_all(dir.path().join("top/mount"))?;
        let other = open_dir_path(&dir.path().join("top/mount"))?;
        let tmpfs = crate::mount::NewFilesystem::open(c"tmpfs")?.create(Default::default())?;
        crate::mount::attach(tmpfs.as_fd(), other.as_fd(), c"")?;
        std::fs::write(dir.path().join("top/mount/precious"), "")?;
        let refused = remove_tree(fd.as_fd(), c"top").map_err(|error| error.errno);
        expect("refused", matches!(refused, Err(Errno::EXDEV | Errno::EBUSY)))?;
        let kept = dir.path().join("top/mount/precious").exists();
        nix::mount::umount2(&dir.path().join("top/mount"), nix::mount::MntFlags::MNT_DETACH)?;
        expect("still there", kept)
    });
}

#[test]
fn a_tree_changes_hands_but_for_what_is_excepted_and_what_links_lead_to() {
    if !need_root("chown") {
        return;
    }
    let (dir, fd) = scratch();
    let outside = tempfile::tempdir().expect("a directory");
    std::fs::write(outside.path().join("secret"), "").expect("write");
    std::fs::create_dir_all(dir.path().join("logs/aa")).expect("mkdir");
    std::fs::write(dir.path().join("logs/aa/stdout.000"), "x").expect("write");
    std::fs::write(dir.path().join("kept"), "x").expect("write");
    symlink(outside.path(), dir.path().join("logs/out")).expect("symlink");
    chown_at(fd.as_fd(), c"kept", 77, 77).expect("chown");
    let changed = reown_tree(fd.as_fd(), 501, 502, &|stat| stat.uid == 0).expect("reown");
    assert_eq!(changed, 4, "logs, logs/aa, the file in it and the link itself");
    for path in ["logs", "logs/aa", "logs/aa/stdout.000", "logs/out"] {
        let stat = stat_path(&dir.path().join(path), false).expect("stat");
        assert_eq!((stat.uid, stat.gid), (501, 502), "{path}");
    }
    for path in [dir.path().join("kept"), outside.path().join("secret"), dir.path().to_owned()] {
        assert_ne!(stat_path(&path, false).expect("stat").uid, 501, "{path:?}");
    }
}

#[test]
fn a_tree_too_deep_to_change_hands_is_an_error() {
    let (dir, fd) = scratch();
    let mut deep = dir.path().to_owned();
    deep.extend(std::iter::repeat_n("d", 70));
    std::fs::create_dir_all(&deep).expect("mkdir");
    let refused = reown_tree(fd.as_fd(), 0, 0, &|_| false).expect_err("too deep");
    assert_eq!(refused.errno, Errno::ELOOP);
}

#[test]
fn what_a_program_reads_never_blocks_its_opening_and_is_no_directory() {
    let (dir, _fd) = scratch();
    let at = |name: &str| {
        let path = dir.path().join(name).into_os_string().into_encoded_bytes();
        std::ffi::CString::new(path).expect("no NUL")
    };
    std::fs::write(dir.path().join("file"), "line").expect("write");
    nix::unistd::mkfifo(&dir.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    let _listener = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).expect("bind");
    symlink("file", dir.path().join("link")).expect("symlink");
    let mut buffer = [0; 8];
    for (name, bytes) in [("file", b"line".as_slice()), ("link", b"line"), ("fifo", b"")] {
        let input = open_input(&at(name)).expect(name);
        // Reads wait, as programs expect; a FIFO that nobody writes is at its end.
        let flags = rustix::fs::fcntl_getfl(&input).expect("flags");
        assert!(!flags.contains(OFlags::NONBLOCK), "{name}");
        let length = read_fd(input.as_fd(), &mut buffer).expect("read");
        assert_eq!(&buffer[..length], bytes, "{name}");
    }
    let refused = |name: &str| open_input(&at(name)).expect_err("refused").errno;
    assert_eq!(refused("."), Errno::EISDIR);
    assert_eq!(refused("missing"), Errno::ENOENT);
    assert_eq!(refused("socket"), Errno(libc::ENXIO));
}
