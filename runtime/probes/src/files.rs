//! Writes outside the workspace, links to what lies outside, project ids, programs where none may be.

use crate::{
    kernel::{self, Arg, Scratch, errno_name, text},
    sys,
    verdict::{Probe, Step, Tried, all_contained, breached, breached_if, broken, contained, unreached},
};
use std::{os::unix::fs::PermissionsExt, path::Path, process::Command};

pub const PROBES: &[Probe] = &[
    Probe::new("F09.root", "make a file in /", "read_only_root,landlock,capabilities", create_in)
        .args(&[0])
        .note(
            "/ belongs to init's uid: to write there takes CAP_DAC_OVERRIDE over the job's namespace as well",
        ),
    Probe::new("F09.elsewhere", "make files in the system's directories", "-", create_in)
        .args(&[1])
        .note("they belong to the host's root, whom no switch maps into the job"),
    Probe::new("F09.overwrite", "open programs and configuration for writing", "-", overwrite)
        .note("as F09.elsewhere, and what the runtime generated belongs to init"),
    Probe::new(
        "F09.read_only_mounts",
        "a mount outside the writable places is not read-only",
        "read_only_root",
        mounts,
    ),
    Probe::new("F09.proc_self", "write to its own /proc/self/comm", "landlock", proc_self)
        .note("harmless by itself: it is the write that landlock alone refuses"),
    Probe::new("F09.shm_exec", "execute from /dev/shm", "mount,landlock", shm_exec)
        .note("noexec, and no right to execute"),
    Probe::new("E40.shared_dirs", "leave a file where the next job would execute it", "-", create_in)
        .args(&[2])
        .note("as F09.elsewhere"),
    Probe::new("F06.hard_link", "link a file from outside into a writable place", "-", hard_link).note(
        "a link crosses no mount, landlock refuses it, and fs.protected_hardlinks does to all but the owner",
    ),
    Probe::new("F06.rename", "move a file of the system into a writable place", "-", rename)
        .note("as F09.elsewhere"),
    Probe::new("F12.project_id", "change a file's project id", "-", project_id).note(
        "the scratch has no project ids; on ext4 and xfs the user namespace refuses the change with EINVAL",
    ),
    Probe::new("F12.file_setattr", "file_setattr, number 469", "seccomp", file_setattr),
];

const PLACES: [&[&str]; 3] = [
    &["/"],
    &[
        "/bin",
        "/boot",
        "/dev",
        "/etc",
        "/home",
        "/lib",
        "/lib64",
        "/media",
        "/mnt",
        "/opt",
        "/proc",
        "/root",
        "/run",
        "/sbin",
        "/srv",
        "/sys",
        "/usr",
        "/usr/bin",
        "/usr/lib",
        "/usr/sbin",
        "/usr/share",
        "/var",
        "/var/cache",
        "/var/lib",
        "/var/log",
        "/var/spool",
    ],
    &[
        "/usr/local/bin",
        "/usr/local/lib",
        "/etc/profile.d",
        "/etc/ld.so.conf.d",
        "/var/cache",
        "/usr/lib/python3",
    ],
];

fn create_in(args: &[i64]) -> Tried {
    all_contained(PLACES[args[0] as usize].iter().map(|place| {
        let path = Path::new(place).join(".probe-outside");
        match kernel::open(&path, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, 0o600) {
            Ok(_) => {
                std::fs::remove_file(&path).step("remove what was made")?;
                breached(format!("a file was made in {place}"))
            }
            Err(libc::EEXIST) => broken(format!("{} is there already", path.display())),
            Err(errno) => contained(format!("{place} {}", errno_name(errno))),
        }
    }))
}

fn overwrite(_: &[i64]) -> Tried {
    // /bin/sh and the C library run on every host: opened for writing they say ETXTBSY at best.
    let paths = [
        "/bin/sh",
        "/usr/bin/env",
        "/lib64/ld-linux-x86-64.so.2",
        "/etc/passwd",
        "/etc/group",
        "/etc/hosts",
        "/etc/nsswitch.conf",
        "/etc/hostname",
        "/etc/ld.so.cache",
        "/etc/shadow",
        "/etc/ld.so.preload",
    ];
    all_contained(paths.map(|path| match kernel::open(path, libc::O_WRONLY, 0) {
        Ok(_) => breached(format!("{path} opened for writing")),
        Err(libc::ETXTBSY) => breached(format!("{path}: ETXTBSY, only because it runs")),
        Err(errno) => contained(format!("{path} {}", errno_name(errno))),
    }))
}

/// Mounts where a job may write, or that only hold objects of the kernel.
const WRITABLE: [&str; 5] = ["/workspace", "/tmp", "/dev/shm", "/dev/pts", "/proc"];

fn mounts(_: &[i64]) -> Tried {
    let table = std::fs::read_to_string("/proc/self/mountinfo").step("/proc/self/mountinfo")?;
    let points: Vec<&str> = table.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    let open: Vec<_> = points
        .iter()
        .filter(|point| !WRITABLE.contains(point))
        // A node is written through its own mount: what a device takes is not a matter of the mount.
        .filter(|point| std::fs::metadata(point).is_ok_and(|facts| facts.is_dir()))
        .filter(|point| kernel::mount_flags(point).is_ok_and(|flags| flags & libc::ST_RDONLY == 0))
        .collect();
    breached_if(!open.is_empty(), format!("of {} mounts, not read-only: {open:?}", points.len()))
}

fn proc_self(_: &[i64]) -> Tried {
    match kernel::open("/proc/self/comm", libc::O_WRONLY, 0) {
        Ok(_) => breached("/proc/self/comm opened for writing"),
        Err(errno) => contained(format!("/proc/self/comm: {}", errno_name(errno))),
    }
}

fn shm_exec(_: &[i64]) -> Tried {
    let scratch = Scratch::in_place("/dev/shm".as_ref()).step("a directory in /dev/shm")?;
    let program = scratch.join("program");
    std::fs::copy("/proc/self/exe", &program).step("copy of its own program")?;
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).step("chmod")?;
    match Command::new(&program).arg("list").output() {
        Ok(_) => breached("a program in /dev/shm was executed"),
        Err(error) => contained(format!("exec in /dev/shm: {error}")),
    }
}

/// A file of the system that is there in every sandbox and on every host.
fn outside_file() -> Result<&'static str, crate::verdict::Broken> {
    ["/usr/bin/env", "/bin/sh", "/etc/passwd"]
        .into_iter()
        .find(|path| std::fs::symlink_metadata(path).is_ok_and(|facts| facts.is_file()))
        .ok_or_else(|| "no file of the system is in sight".to_owned().into())
}

fn hard_link(_: &[i64]) -> Tried {
    let scratch = Scratch::new()?;
    let (from, to) = (text(outside_file()?), text(scratch.join("link")));
    match sys!(libc::SYS_linkat, libc::AT_FDCWD, &from, libc::AT_FDCWD, &to, 0) {
        Ok(_) => breached(format!("{from:?} has another name")),
        Err(errno @ (libc::EXDEV | libc::EPERM | libc::EACCES | libc::EROFS)) => {
            contained(format!("link of {from:?}: {}", errno_name(errno)))
        }
        Err(errno) => broken(format!("link of {from:?}: {}", errno_name(errno))),
    }
}

fn rename(_: &[i64]) -> Tried {
    let scratch = Scratch::new()?;
    // Onto a directory: EISDIR or ENOTDIR at best, so that a host's file stays where it is; rights are checked before.
    let (from, to) = (text(outside_file()?), text(&scratch.0));
    match sys!(libc::SYS_renameat2, libc::AT_FDCWD, &from, libc::AT_FDCWD, &to, 0) {
        Ok(_) => breached(format!("{from:?} was moved")),
        Err(errno @ (libc::EXDEV | libc::EPERM | libc::EACCES | libc::EROFS)) => {
            contained(format!("rename of {from:?}: {}", errno_name(errno)))
        }
        Err(errno) => breached(format!("rename of {from:?}: rights were given, then {}", errno_name(errno))),
    }
}

/// FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR (ioctl_xfs_fsgetxattr(2)): struct fsxattr of 28 bytes.
const FSGETXATTR: i64 = 0x801c_581f;
const FSSETXATTR: i64 = 0x401c_5820;

fn project_id(_: &[i64]) -> Tried {
    let scratch = Scratch::new()?;
    let file = kernel::open(scratch.join("file"), libc::O_RDWR | libc::O_CREAT, 0o600).step("make a file")?;
    // xflags, extsize, nextents, projid, cowextsize, 8 bytes of padding.
    let mut attributes = [0u32; 7];
    match sys!(libc::SYS_ioctl, &file, FSGETXATTR, Arg::record(&mut attributes)) {
        Err(errno) => return contained(format!("FS_IOC_FSGETXATTR: {}", errno_name(errno))),
        Ok(_) => attributes[3] = attributes[3].wrapping_add(1),
    }
    match sys!(libc::SYS_ioctl, &file, FSSETXATTR, Arg::record(&mut attributes)) {
        Ok(_) => breached(format!("the project id is {} now", attributes[3])),
        Err(errno) => contained(format!("FS_IOC_FSSETXATTR: {}", errno_name(errno))),
    }
}

fn file_setattr(_: &[i64]) -> Tried {
    unreached("file_setattr", sys!(469, -1, 0, 0, 0, 0), &[libc::EPERM, libc::ENOSYS])
}
