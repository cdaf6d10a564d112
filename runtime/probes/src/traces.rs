//! What one job leaves for the next: `R20.plant` in the first, `R20.look_…` in the second.

use crate::{
    kernel::{Outcome, errno_name},
    sys,
    verdict::{Mode, Probe, Step, Tried, breached_if, broken, contained},
};
use std::os::unix::fs::PermissionsExt;

/// The key of the SysV objects, for a harness that wants to clean a host up: "R20P".
const KEY: i64 = 0x5232_3050;
const FILES: [&str; 3] = ["/tmp/.probe-marker", "/dev/shm/.probe-marker", "/workspace/.probe-marker"];

pub const PROBES: &[Probe] = &[
    Probe::new("R20.plant", "leave markers in files and SysV objects", "-", plant)
        .inside()
        .mode(Mode::Half)
        .note("contained means planted; without the mount or ipc wall remove .probe-marker and SysV key 0x52323050 after"),
    Probe::new("R20.look_files", "find a marker in /tmp or /dev/shm", "mount", look_files).inside().mode(Mode::Half),
    Probe::new("R20.look_sysv", "find a SysV segment, queue or semaphore", "ipc", look_sysv).inside().mode(Mode::Half),
];

fn plant(_: &[i64]) -> Tried {
    let mut planted = Vec::new();
    for path in FILES {
        if std::fs::write(path, "marker").is_ok() {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o666)).step("chmod of a marker")?;
            planted.push(path);
        }
    }
    let flags = 0o666 | libc::IPC_CREAT;
    // Where nothing but polling bounds memory, the first two are answered ENOSYS: there is nothing to plant then.
    unless_absent(sys!(libc::SYS_shmget, KEY, 4096, flags)).step("shmget")?;
    unless_absent(sys!(libc::SYS_msgget, KEY, flags)).step("msgget")?;
    sys!(libc::SYS_semget, KEY, 1, flags).step("semget")?;
    if planted.is_empty() {
        broken("no marker file could be made")
    } else {
        contained(format!("planted {planted:?}"))
    }
}

fn unless_absent(outcome: Outcome) -> Outcome {
    match outcome {
        Err(libc::ENOSYS) => Ok(0),
        other => other,
    }
}

fn look_files(_: &[i64]) -> Tried {
    // The workspace is meant to be kept; these two are not.
    let found: Vec<_> = FILES[..2].iter().filter(|path| std::fs::symlink_metadata(path).is_ok()).collect();
    breached_if(!found.is_empty(), format!("markers found: {found:?}"))
}

fn look_sysv(_: &[i64]) -> Tried {
    let answers = [
        ("segment", sys!(libc::SYS_shmget, KEY, 0, 0)),
        ("queue", sys!(libc::SYS_msgget, KEY, 0)),
        ("semaphore", sys!(libc::SYS_semget, KEY, 0, 0)),
    ];
    let mut found = Vec::new();
    for (name, outcome) in answers {
        match outcome {
            // EACCES: it is there and belongs to somebody.
            Ok(_) | Err(libc::EACCES) => found.push(name),
            Err(libc::ENOENT | libc::ENOSYS) => {}
            Err(errno) => return broken(format!("{name}: {}", errno_name(errno))),
        }
    }
    breached_if(!found.is_empty(), format!("SysV objects found: {found:?}"))
}
