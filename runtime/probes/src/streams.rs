//! The fds that the job was given: three, pipes, none a file that could be truncated or a socket that could carry fds.

use crate::{
    kernel::{Arg, errno_name},
    sys,
    verdict::{Broken, Probe, Tried, all_contained, breached, breached_if, broken, contained},
};
use std::sync::OnceLock;

/// Each is prepared in the same way whatever walls stand.
const NO_WALL: &str = "no wall: the launcher makes the pipes and closes the rest before any of them";

pub const PROBES: &[Probe] = &[
    Probe::new("E02.fds", "an fd other than 0, 1, 2 was inherited", "-", fds).note(NO_WALL),
    Probe::new("L04.stdout", "stdin, stdout or stderr is a regular file", "-", kinds)
        .args(&[libc::S_IFREG as i64])
        .note(NO_WALL),
    Probe::new("L04.directory", "stdin, stdout or stderr is a directory or a block device", "-", kinds)
        .args(&[libc::S_IFDIR as i64, libc::S_IFBLK as i64])
        .note(NO_WALL),
    Probe::new("L04.truncate", "truncate stdout", "-", truncate).note(NO_WALL),
    Probe::new("L05.socket", "stdin, stdout or stderr is a socket", "-", kinds)
        .args(&[libc::S_IFSOCK as i64])
        .note(NO_WALL),
    Probe::new("L05.read_stdout", "read back what others write to stdout", "-", read_stdout).note(NO_WALL),
];

static OPEN_AT_START: OnceLock<Vec<i32>> = OnceLock::new();

/// To be called before the program opens anything.
pub fn remember_open_fds() {
    // RLIMIT_NOFILE bounds new fds only, so look well above it.
    let open = (0..65_536).filter(|fd| sys!(libc::SYS_fcntl, *fd, libc::F_GETFD).is_ok()).collect();
    OPEN_AT_START.get_or_init(|| open);
}

fn fds(_: &[i64]) -> Tried {
    let open = OPEN_AT_START.get().ok_or_else(|| Broken("nothing was remembered".to_owned()))?;
    let foreign: Vec<_> = open
        .iter()
        .filter(|fd| **fd > 2)
        .map(|fd| {
            let link =
                std::fs::read_link(format!("/proc/{}/fd/{fd}", std::process::id())).unwrap_or_default();
            format!("{fd} {}", link.display())
        })
        .collect();
    breached_if(!foreign.is_empty(), format!("open at the start: {open:?} {foreign:?}"))
}

fn kind_of(fd: i32) -> Result<u32, i32> {
    // SAFETY: an all-zero stat is a valid value.
    let mut facts: libc::stat = unsafe { std::mem::zeroed() };
    sys!(libc::SYS_fstat, fd, Arg::record(&mut facts))?;
    Ok(facts.st_mode & libc::S_IFMT)
}

fn kinds(args: &[i64]) -> Tried {
    all_contained([0, 1, 2].map(|fd| match kind_of(fd) {
        Ok(kind) => breached_if(args.contains(&i64::from(kind)), format!("fd {fd} has type {kind:o}")),
        Err(errno) => contained(format!("fd {fd}: {}", errno_name(errno))),
    }))
}

fn truncate(_: &[i64]) -> Tried {
    // A file that is there would lose its contents: then the answer is known without trying.
    match kind_of(1) {
        Ok(libc::S_IFREG) => breached("stdout is a regular file"),
        Ok(_) => match sys!(libc::SYS_ftruncate, 1, 0) {
            Ok(_) => breached("ftruncate of stdout succeeded"),
            Err(errno) => contained(format!("ftruncate of stdout: {}", errno_name(errno))),
        },
        Err(errno) => broken(format!("stdout: {}", errno_name(errno))),
    }
}

fn read_stdout(_: &[i64]) -> Tried {
    match (kind_of(1), sys!(libc::SYS_fcntl, 1, libc::F_GETFL)) {
        (Ok(libc::S_IFIFO), Ok(flags)) => breached_if(
            flags as i32 & libc::O_ACCMODE != libc::O_WRONLY,
            format!("stdout is a pipe with flags {flags:#o}"),
        ),
        (Ok(kind), _) => {
            breached_if(kind == libc::S_IFSOCK || kind == libc::S_IFREG, format!("stdout has type {kind:o}"))
        }
        (Err(errno), _) => broken(format!("stdout: {}", errno_name(errno))),
    }
}
