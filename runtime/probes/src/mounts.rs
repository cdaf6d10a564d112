//! Attacks on the mount tree: mount(2) in each variant, the calls of the new mount interface by number, file handles, chroot.
//!
//! On a bare host each runs in a mount namespace of its own, so that nothing stays.

use crate::{
    inside,
    kernel::{self, Arg, Outcome, Scratch, errno_name, text},
    sys,
    verdict::{Probe, Step, Tried, breached, breached_if, contained, refused, unreached},
};
use std::ffi::CStr;

/// mount(2) itself: refused by the filter, by the lack of CAP_SYS_ADMIN, and to every landlocked process.
const MOUNT: &str = "seccomp,capabilities,landlock";

pub const PROBES: &[Probe] = &[
    Probe::new("E05.tmpfs", "mount a tmpfs", MOUNT, tmpfs),
    Probe::new("E05.bind", "bind the root on a directory", MOUNT, bind),
    Probe::new("E05.overlay", "mount an overlay", MOUNT, overlay),
    Probe::new("E05.proc", "mount a /proc without masks", MOUNT, fresh_proc).note(
        "the masks are no wall here: the kernel heeds only those that were locked by an outer namespace",
    ),
    Probe::new("E05.sysfs", "mount sysfs", "seccomp,capabilities,landlock,user", sysfs)
        .note("in a user namespace the kernel wants to see a sysfs already"),
    Probe::new("E05.cgroup2", "mount cgroup2", MOUNT, cgroup2)
        .note("needs the cgroup namespace to stand: else it belongs to the host's user namespace"),
    Probe::new("E05.remount", "make the root writable by a remount", MOUNT, remount),
    Probe::new("E05.propagation", "make the root shared", MOUNT, propagation),
    Probe::new("E05.umount", "reach umount2", "seccomp,capabilities", umount).note(
        "a directory that is no mount point: EINVAL shows that a mask could go; landlock would refuse that",
    ),
    Probe::new("E05.pivot_root", "reach pivot_root", "seccomp,capabilities", pivot_root).note(
        "a path that does not exist: ENOENT shows that the caller may; landlock would refuse a real one",
    ),
    Probe::new("E06.open_tree", "open_tree, number 428", "seccomp", by_number).args(&[428]),
    Probe::new(
        "E06.open_tree_clone",
        "open_tree(OPEN_TREE_CLONE)",
        "seccomp,capabilities,user",
        open_tree_clone,
    )
    .note("user.max_mnt_namespaces=0 refuses the anonymous mount namespace with ENOSPC"),
    Probe::new("E06.move_mount", "move_mount, number 429", "seccomp,capabilities", by_number).args(&[429]),
    Probe::new("E06.fsopen", "fsopen, number 430", "seccomp,capabilities", fsopen),
    Probe::new("E06.fsconfig", "fsconfig, number 431", "seccomp", by_number).args(&[431]),
    Probe::new("E06.fsmount", "fsmount, number 432", "seccomp,capabilities", by_number).args(&[432]),
    Probe::new("E06.fspick", "fspick, number 433", "seccomp,capabilities", fspick),
    Probe::new("E06.mount_setattr", "mount_setattr, number 442", "seccomp,capabilities", mount_setattr),
    Probe::new("E06.statmount", "statmount, number 457", "seccomp", by_number).args(&[457]),
    Probe::new("E06.listmount", "listmount, number 458", "seccomp", by_number).args(&[458]),
    Probe::new("E06.open_tree_attr", "open_tree_attr, number 467", "seccomp", by_number).args(&[467]),
    Probe::new("E10.name_to_handle_at", "name_to_handle_at", "seccomp", name_to_handle),
    Probe::new(
        "E10.open_by_handle_at",
        "open_by_handle_at of the root",
        "seccomp,capabilities",
        open_by_handle,
    )
    .note("5.10 to 6.10 want the capability of the host: there also `user`"),
    Probe::new("E11.chroot", "chroot, and twice", "seccomp,capabilities", chroot)
        .note("landlock does not refuse chroot"),
];

const REFUSALS: &[i32] = &[libc::EPERM, libc::EACCES, libc::ENOSYS];

/// On a bare host: a private mount namespace. Where that is refused so are the attacks, and nothing can stay.
fn isolate() {
    if !inside() && sys!(libc::SYS_unshare, libc::CLONE_NEWNS).is_ok() {
        mount(None, c"/", None, libc::MS_REC | libc::MS_PRIVATE, None).ok();
    }
}

fn mount(
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: u64,
    data: Option<&CStr>,
) -> Outcome {
    fn or_null(text: Option<&CStr>) -> Arg<'_> {
        text.map_or_else(|| Arg::from(0), Arg::from)
    }
    let (source, kind, data) = (or_null(source), or_null(kind), or_null(data));
    kernel::call(libc::SYS_mount, &[source, target.into(), kind, flags.into(), data])
}

/// Mounts on a directory of our own and takes it off again.
fn mounted_on_scratch(source: &CStr, kind: Option<&CStr>, flags: u64, refusals: &[i32]) -> Tried {
    isolate();
    let scratch = Scratch::new()?;
    let target = text(&scratch.0);
    let outcome = mount(Some(source), &target, kind, flags, None);
    if outcome.is_ok() {
        sys!(libc::SYS_umount2, &target, libc::MNT_DETACH).step("umount of what was mounted")?;
    }
    refused("mount", outcome, refusals)
}

fn tmpfs(_: &[i64]) -> Tried {
    mounted_on_scratch(c"probe", Some(c"tmpfs"), 0, REFUSALS)
}

fn bind(_: &[i64]) -> Tried {
    // Not recursive: EINVAL would only say that the tree has locked children, so a place that has none is bound.
    let scratch = Scratch::new()?;
    let place = text(&scratch.0);
    mounted_in(&scratch, &place)
}

fn mounted_in(scratch: &Scratch, place: &CStr) -> Tried {
    isolate();
    let target = scratch.join("target");
    std::fs::create_dir(&target).step("mkdir")?;
    let target = text(&target);
    let outcome = mount(Some(place), &target, None, libc::MS_BIND, None);
    if outcome.is_ok() {
        sys!(libc::SYS_umount2, &target, libc::MNT_DETACH).step("umount of what was mounted")?;
    }
    refused("mount(MS_BIND)", outcome, REFUSALS)
}

fn overlay(_: &[i64]) -> Tried {
    isolate();
    let scratch = Scratch::in_place("/dev/shm".as_ref()).step("a directory in /dev/shm")?;
    for name in ["lower", "upper", "work", "merged"] {
        std::fs::create_dir(scratch.join(name)).step("mkdir")?;
    }
    let at = scratch.0.display();
    let options = text(format!("lowerdir={at}/lower,upperdir={at}/upper,workdir={at}/work"));
    let target = text(scratch.join("merged"));
    let outcome = mount(Some(c"overlay"), &target, Some(c"overlay"), 0, Some(&options));
    if outcome.is_ok() {
        sys!(libc::SYS_umount2, &target, libc::MNT_DETACH).step("umount of what was mounted")?;
    }
    refused("mount of an overlay", outcome, REFUSALS)
}

fn fresh_proc(_: &[i64]) -> Tried {
    mounted_on_scratch(c"proc", Some(c"proc"), 0, REFUSALS)
}

fn sysfs(_: &[i64]) -> Tried {
    mounted_on_scratch(c"sysfs", Some(c"sysfs"), libc::MS_RDONLY, REFUSALS)
}

fn cgroup2(_: &[i64]) -> Tried {
    mounted_on_scratch(c"cgroup2", Some(c"cgroup2"), libc::MS_RDONLY, REFUSALS)
}

fn remount(_: &[i64]) -> Tried {
    isolate();
    let flags = kernel::mount_flags("/").step("statvfs of /")?;
    let kept = flags & (libc::ST_NOSUID | libc::ST_NODEV | libc::ST_NOEXEC);
    let outcome = mount(None, c"/", None, libc::MS_REMOUNT | libc::MS_BIND | kept, None);
    if outcome.is_ok() && flags & libc::ST_RDONLY != 0 {
        mount(None, c"/", None, libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | kept, None)
            .step("remount back to read-only")?;
    }
    refused("mount(MS_REMOUNT)", outcome, REFUSALS)
}

fn propagation(_: &[i64]) -> Tried {
    isolate();
    let outcome = mount(None, c"/", None, libc::MS_SHARED, None);
    if outcome.is_ok() {
        mount(None, c"/", None, libc::MS_PRIVATE, None).step("back to private")?;
    }
    refused("mount(MS_SHARED)", outcome, REFUSALS)
}

fn umount(_: &[i64]) -> Tried {
    isolate();
    let scratch = Scratch::new()?;
    let target = text(&scratch.0);
    unreached("umount2", sys!(libc::SYS_umount2, &target, libc::MNT_DETACH), REFUSALS)
}

fn pivot_root(_: &[i64]) -> Tried {
    isolate();
    let nowhere = c"/nonexistent-probe";
    unreached("pivot_root", sys!(libc::SYS_pivot_root, nowhere, nowhere), REFUSALS)
}

fn by_number(args: &[i64]) -> Tried {
    isolate();
    // A bad fd and null addresses: EBADF, EFAULT or EINVAL come from the handler only.
    let outcome = sys!(args[0], -1, 0, 0, 0, 0, 0);
    unreached(&format!("system call {}", args[0]), outcome, REFUSALS)
}

fn open_tree_clone(_: &[i64]) -> Tried {
    isolate();
    let outcome = sys!(libc::SYS_open_tree, libc::AT_FDCWD, c"/dev", libc::OPEN_TREE_CLONE);
    refused("open_tree(OPEN_TREE_CLONE)", outcome, &[libc::EPERM, libc::ENOSYS, libc::ENOSPC])
}

fn fsopen(_: &[i64]) -> Tried {
    isolate();
    unreached("fsopen(tmpfs)", sys!(libc::SYS_fsopen, c"tmpfs", 0), REFUSALS)
}

fn fspick(_: &[i64]) -> Tried {
    isolate();
    unreached("fspick(/)", sys!(libc::SYS_fspick, libc::AT_FDCWD, c"/", 0), REFUSALS)
}

fn mount_setattr(_: &[i64]) -> Tried {
    isolate();
    // struct mount_attr, first version: attr_set, attr_clr, propagation, userns_fd.
    let mut attributes = [libc::MOUNT_ATTR_RDONLY, 0, 0, 0];
    let outcome = sys!(libc::SYS_mount_setattr, -1, c"", libc::AT_EMPTY_PATH, attributes.as_mut_slice(), 32);
    unreached("mount_setattr", outcome, REFUSALS)
}

/// struct file_handle with room for MAX_HANDLE_SZ bytes (open_by_handle_at(2)).
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    handle: [u8; 128],
}

fn handle_of_root() -> (Handle, Outcome) {
    let mut handle = Handle { bytes: 128, kind: 0, handle: [0; 128] };
    let mut mount_id = 0i32;
    let outcome = sys!(
        libc::SYS_name_to_handle_at,
        libc::AT_FDCWD,
        c"/",
        Arg::record(&mut handle),
        Arg::record(&mut mount_id),
        0
    );
    (handle, outcome)
}

fn name_to_handle(_: &[i64]) -> Tried {
    unreached("name_to_handle_at", handle_of_root().1, REFUSALS)
}

fn open_by_handle(_: &[i64]) -> Tried {
    let (mut handle, known) = handle_of_root();
    if known.is_err() {
        // Made up: 8 bytes of FILEID_INO32_GEN for inode 2, what the "shocker" tried. The permission is checked first.
        handle = Handle { bytes: 8, kind: 1, handle: [0; 128] };
        handle.handle[0] = 2;
    }
    let root = kernel::open("/", libc::O_RDONLY | libc::O_DIRECTORY, 0).step("open /")?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    unreached(
        "open_by_handle_at",
        sys!(libc::SYS_open_by_handle_at, &root, Arg::record(&mut handle), flags),
        REFUSALS,
    )
}

fn chroot(_: &[i64]) -> Tried {
    match sys!(libc::SYS_chroot, c"/") {
        Err(errno) if REFUSALS.contains(&errno) => contained(format!("chroot(/): {}", errno_name(errno))),
        Err(errno) => breached(format!("chroot(/): the kernel's handler answered {}", errno_name(errno))),
        Ok(_) => breached_if(
            true,
            format!("chroot(/) succeeded, a second one: {:?}", sys!(libc::SYS_chroot, c".")),
        ),
    }
}
