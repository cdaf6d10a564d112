//! Attacks through a terminal: typing into it, selections, line disciplines, the console, in both encodings of the request;
//! the terminals of others, the other end of its own, and all that the host has.

use crate::{
    inside,
    kernel::{self, Arg, End, errno_name},
    sys,
    verdict::{Probe, Step, Tried, breached, broken, contained},
};
use std::os::{fd::OwnedFd, unix::fs::MetadataExt};

/// A request whose upper half is not zero: the kernel drops it, a filter that compares 64 bits does not.
const HIGH: i64 = 1 << 32;
const TIOCSTI: i64 = libc::TIOCSTI as i64;
const TIOCLINUX: i64 = libc::TIOCLINUX as i64;
const TIOCSETD: i64 = 0x5423;
const TIOCCONS: i64 = libc::TIOCCONS as i64;

pub const PROBES: &[Probe] = &[
    Probe::new("E30.tiocsti", "type into its terminal", "seccomp", request)
        .args(&[TIOCSTI])
        .note("where dev.tty.legacy_tiocsti is 0 the kernel refuses it besides"),
    Probe::new("E30.tiocsti_high", "type into its terminal, request with bit 32", "seccomp", request)
        .args(&[TIOCSTI | HIGH]),
    Probe::new("E30.tioclinux", "selection of a console", "seccomp", request).args(&[TIOCLINUX]),
    Probe::new("E30.tioclinux_high", "selection of a console, request with bit 32", "seccomp", request)
        .args(&[TIOCLINUX | HIGH]),
    Probe::new("E30.tiocsetd", "set a line discipline", "seccomp", request).args(&[TIOCSETD]),
    Probe::new("E30.tiocsetd_high", "set a line discipline, request with bit 32", "seccomp", request)
        .args(&[TIOCSETD | HIGH]),
    Probe::new("E30.tioccons", "redirect the console", "seccomp,capabilities,user", request)
        .args(&[TIOCCONS])
        .inside(),
    Probe::new("E30.host_tty", "a controlling terminal that is not of its own devpts", "-", host_terminal)
        .note("every job gets a session of its own and pipes, or a pty of its own"),
    Probe::new("E30.others", "open a terminal that is not its own for writing", "mount", others),
    Probe::new("E30.master", "the other end of its terminal", "-", master)
        .note("init hands it to the launcher and keeps none; while it has it, it is hidden, and no program may trace it"),
    Probe::new("R13.terminals", "more than 64 terminals", "mount", terminals)
        .inside()
        .note("max= of its own devpts; the host has one pool for all (kernel.pty.max)"),
];

/// Both ends of a new pty, master first.
fn pty() -> Result<(OwnedFd, OwnedFd), crate::verdict::Broken> {
    let flags = libc::O_RDWR | libc::O_NOCTTY;
    let master = match kernel::open("/dev/ptmx", flags, 0) {
        Ok(master) => master,
        Err(_) if !inside() => private_devpts()?,
        Err(errno) => return Err(format!("/dev/ptmx: {}", errno_name(errno)).into()),
    };
    let mut locked = 0i32;
    sys!(libc::SYS_ioctl, &master, libc::TIOCSPTLCK, Arg::record(&mut locked)).step("TIOCSPTLCK")?;
    let slave =
        sys!(libc::SYS_ioctl, &master, libc::TIOCGPTPEER, flags | libc::O_CLOEXEC).step("TIOCGPTPEER")?;
    Ok((master, kernel::owned(slave)))
}

/// A bare host may have no devpts: one of its own, in a mount namespace of its own.
fn private_devpts() -> Result<OwnedFd, crate::verdict::Broken> {
    let scratch = kernel::Scratch::new()?;
    sys!(libc::SYS_unshare, libc::CLONE_NEWNS).step("no devpts here, and unshare")?;
    sys!(libc::SYS_mount, 0, c"/", 0, libc::MS_REC | libc::MS_PRIVATE, 0).step("private mounts")?;
    let target = kernel::text(&scratch.0);
    sys!(libc::SYS_mount, c"devpts", &target, c"devpts", 0, c"newinstance,ptmxmode=0666")
        .step("mount of a devpts")?;
    let master = kernel::open(scratch.join("ptmx"), libc::O_RDWR | libc::O_NOCTTY, 0).step("ptmx");
    sys!(libc::SYS_umount2, &target, libc::MNT_DETACH).step("umount of the devpts")?;
    master
}

fn request(args: &[i64]) -> Tried {
    let (_master, slave) = pty()?;
    // A session of its own with this terminal as the controlling one: what TIOCSTI asks for.
    let end = kernel::run_child(|| {
        if sys!(libc::SYS_setsid).is_err() || sys!(libc::SYS_ioctl, &slave, libc::TIOCSCTTY, 0).is_err() {
            return 255;
        }
        // One byte to type, a selection code, or a line discipline: N_TTY is 0, and 0 is no selection code.
        let mut value = 0u32;
        match sys!(libc::SYS_ioctl, &slave, args[0], Arg::record(&mut value)) {
            Ok(_) => 0,
            Err(errno) => errno.clamp(1, 254),
        }
    });
    let act = format!("ioctl({:#x})", args[0]);
    match end.step("fork")? {
        End::Exited(0) => breached(format!("{act} succeeded")),
        End::Exited(255) => broken("no controlling terminal could be made"),
        // EIO is what dev.tty.legacy_tiocsti=0 answers.
        End::Exited(errno @ (libc::EPERM | libc::EIO)) => contained(format!("{act}: {}", errno_name(errno))),
        End::Exited(errno) => breached(format!("{act}: the kernel's handler answered {}", errno_name(errno))),
        End::Signalled(signal) => broken(format!("{act}: signal {signal}")),
    }
}

fn host_terminal(_: &[i64]) -> Tried {
    match kernel::open("/dev/tty", libc::O_RDWR | libc::O_NOCTTY, 0) {
        Err(errno) => contained(format!("/dev/tty: {}", errno_name(errno))),
        Ok(tty) => {
            let mut number = 0u32;
            match sys!(libc::SYS_ioctl, &tty, libc::TIOCGPTN, Arg::record(&mut number)) {
                Err(_) => match std::fs::metadata("/dev/pts/0") {
                    Ok(_) => contained("its terminal is a pty of its own devpts"),
                    Err(error) => breached(format!("it has a terminal that is not in its devpts: {error}")),
                },
                Ok(_) => breached("/dev/tty is the master of a pty"),
            }
        }
    }
}

/// What fd 0, 1 and 2 are, if terminals: a job may write there.
fn own_terminals() -> Vec<(u64, u64)> {
    let metadata = |fd: i32| std::fs::metadata(format!("/proc/self/fd/{fd}")).ok();
    (0..3).filter_map(metadata).map(|facts| (facts.dev(), facts.ino())).collect()
}

fn others(_: &[i64]) -> Tried {
    let own = own_terminals();
    let entries = match std::fs::read_dir("/dev/pts") {
        Ok(entries) => entries,
        Err(error) => return contained(format!("/dev/pts: {error}")),
    };
    let mut refused = 0;
    for entry in entries {
        let path = entry.step("read /dev/pts")?.path();
        let is_own = std::fs::metadata(&path).is_ok_and(|facts| own.contains(&(facts.dev(), facts.ino())));
        if is_own || path.file_name().is_some_and(|name| name == "ptmx") {
            continue;
        }
        // Nothing is written: somebody may sit there.
        match kernel::open(&path, libc::O_WRONLY | libc::O_NOCTTY | libc::O_NONBLOCK, 0) {
            Ok(_) => return breached(format!("{} is open for writing", path.display())),
            Err(_) => refused += 1,
        }
    }
    contained(format!("{refused} terminals of others in /dev/pts, none opens"))
}

fn master(_: &[i64]) -> Tried {
    let mut seen = 0;
    for process in std::fs::read_dir("/proc").step("read /proc")? {
        let Ok(fds) = std::fs::read_dir(process.step("read /proc")?.path().join("fd")) else { continue };
        for fd in fds.flatten() {
            let Ok(link) = std::fs::read_link(fd.path()) else { continue };
            seen += 1;
            if link.ends_with("ptmx") {
                return breached(format!("{} is {}", fd.path().display(), link.display()));
            }
        }
    }
    let mut number = 0u32;
    let is_master = |fd: &i32| sys!(libc::SYS_ioctl, *fd, libc::TIOCGPTN, Arg::record(&mut number)).is_ok();
    match (0..1_024).find(is_master) {
        Some(fd) => breached(format!("fd {fd} is the master of terminal {number}")),
        None if seen == 0 => broken("no descriptor can be seen in /proc"),
        None => contained(format!("{seen} descriptors in /proc, none is a master")),
    }
}

fn terminals(_: &[i64]) -> Tried {
    let mut fds = Vec::new();
    for _ in 0..65 {
        match kernel::open("/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY, 0) {
            Ok(fd) => fds.push(fd),
            Err(errno @ (libc::ENOSPC | libc::ENOENT | libc::ENODEV | libc::EACCES)) => {
                return contained(format!("{} after {} terminals", errno_name(errno), fds.len()));
            }
            Err(errno) => return broken(format!("/dev/ptmx: {}", errno_name(errno))),
        }
    }
    breached(format!("{} terminals are open", fds.len()))
}
