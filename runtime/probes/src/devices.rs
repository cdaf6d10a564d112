//! Device nodes: what /dev holds, what else can be opened, and whether a job can make one.

use crate::{
    kernel::{self, Scratch, errno_name, text},
    sys,
    verdict::{Probe, Step, Tried, all_contained, breached_if, contained, refused},
};
use std::{
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::PathBuf,
};

pub const PROBES: &[Probe] = &[
    Probe::new("E12.char", "make a character device", "seccomp,capabilities,landlock,user,cgroup", make_node)
        .args(&[libc::S_IFCHR as i64, 1, 3])
        .note("CAP_MKNOD counts in the host's user namespace only; the devices controller of v1 refuses mknod besides"),
    Probe::new("E12.block", "make a block device", "seccomp,capabilities,landlock,user,cgroup", make_node).args(&[
        libc::S_IFBLK as i64,
        7,
        0,
    ]),
    Probe::new("E12.whiteout", "make a whiteout (0:0)", "seccomp,landlock", make_node)
        .args(&[libc::S_IFCHR as i64, 0, 0])
        .note("needs no capability"),
    Probe::new("E17.numbers", "/dev holds a node that is none of the seven", "mount", numbers),
    Probe::new("E17.fakes", "null, zero, full, random, urandom, tty, ptmx are not what they say", "-", fakes)
        .note("the launcher checks each node before it binds it; a host's own nodes are right too"),
    Probe::new("E33.foreign_nodes", "open a node that is none of the seven", "mount,cgroup", foreign_nodes)
        .note(
            "of the host's nodes that the job's uid may open; the devices controller of v1 refuses them too",
        ),
    Probe::new("E37.nodes", "kvm, vhost, fuse, tun, userfaultfd, kmsg, mem, loop", "mount", host_nodes),
    Probe::new("E28.node", "/dev/userfaultfd", "mount", userfaultfd_node)
        .note("a host without CONFIG_USERFAULTFD has no such node"),
];

fn make_node(args: &[i64]) -> Tried {
    let scratch = Scratch::new()?;
    let path = text(scratch.join("node"));
    let device = libc::makedev(args[1] as u32, args[2] as u32);
    let mode = args[0] as u32 | 0o600;
    let attempts: [(&str, kernel::Outcome); 2] = [
        ("mknod", sys!(libc::SYS_mknod, &path, mode, device)),
        ("mknodat", sys!(libc::SYS_mknodat, libc::AT_FDCWD, &text(scratch.join("other")), mode, device)),
    ];
    all_contained(attempts.map(|(act, outcome)| refused(act, outcome, &[libc::EPERM, libc::EACCES])))
}

/// The nodes that a job may see (mem(4), tty(4), pts(4)); slaves of its own devpts have majors 136 to 143.
const ALLOWED: [(u32, u32); 7] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];

/// Nodes below /dev, one level of directories deep, that are none of the seven.
fn foreign() -> Result<Vec<PathBuf>, crate::verdict::Broken> {
    let mut found = Vec::new();
    let mut todo = vec![(PathBuf::from("/dev"), 0)];
    while let Some((dir, depth)) = todo.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let facts = std::fs::symlink_metadata(entry.path()).step("stat below /dev")?;
            let (major, minor) = (libc::major(facts.rdev()), libc::minor(facts.rdev()));
            if facts.is_dir() && depth < 2 {
                todo.push((entry.path(), depth + 1));
            } else if facts.file_type().is_block_device()
                || facts.file_type().is_char_device()
                    && !ALLOWED.contains(&(major, minor))
                    && !(136..=143).contains(&major)
            {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

fn numbers(_: &[i64]) -> Tried {
    std::fs::read_dir("/dev").step("read /dev")?;
    let found = foreign()?;
    breached_if(!found.is_empty(), format!("{} other nodes, such as {:?}", found.len(), found.first()))
}

fn fakes(_: &[i64]) -> Tried {
    let wanted =
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
    let mut wrong = Vec::new();
    for (name, major, minor) in wanted {
        let facts = std::fs::symlink_metadata(format!("/dev/{name}")).step(name)?;
        if !facts.file_type().is_char_device() || facts.rdev() != libc::makedev(major, minor) {
            wrong.push(name);
        }
    }
    if let Ok(facts) = std::fs::metadata("/dev/ptmx")
        && facts.rdev() != libc::makedev(5, 2)
    {
        wrong.push("ptmx");
    }
    if std::fs::symlink_metadata("/dev").step("/dev")?.is_symlink() {
        wrong.push("/dev itself");
    }
    breached_if(!wrong.is_empty(), format!("not what they say: {wrong:?}"))
}

fn foreign_nodes(_: &[i64]) -> Tried {
    let mut open = Vec::new();
    for path in foreign()? {
        // O_NONBLOCK, and opened for reading only, so that a watchdog, a tape or a modem of a host is left alone.
        if path.to_string_lossy().contains("watchdog") {
            continue;
        }
        if kernel::open(&path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY, 0).is_ok() {
            open.push(path);
        }
    }
    breached_if(!open.is_empty(), format!("{} opened, such as {:?}", open.len(), open.first()))
}

const HOST_NODES: [&str; 14] = [
    "kvm",
    "vhost-net",
    "vhost-vsock",
    "vsock",
    "fuse",
    "cuse",
    "net/tun",
    "kmsg",
    "mem",
    "port",
    "loop-control",
    "cpu_dma_latency",
    "btrfs-control",
    "mapper/control",
];

fn host_nodes(_: &[i64]) -> Tried {
    let found: Vec<_> =
        HOST_NODES.iter().filter(|name| std::fs::symlink_metadata(format!("/dev/{name}")).is_ok()).collect();
    breached_if(!found.is_empty(), format!("of {} nodes, present: {found:?}", HOST_NODES.len()))
}

fn userfaultfd_node(_: &[i64]) -> Tried {
    match kernel::open("/dev/userfaultfd", libc::O_PATH, 0) {
        Ok(_) => breached_if(true, "/dev/userfaultfd is there"),
        Err(errno) => contained(format!("/dev/userfaultfd: {}", errno_name(errno))),
    }
}
