//! Set-user-id and set-group-id bits: a job that shares a directory with the host could leave its caller a set-id file.

use crate::{
    kernel::{self, Arg, Outcome, Scratch, text},
    sys,
    verdict::{Probe, Step, Tried, refused},
};

const SECCOMP: &str = "seccomp";
/// fchmodat2(2), Linux 6.6.
const FCHMODAT2: i64 = 452;
/// openat2(2), Linux 5.6: its mode is in memory, where no filter looks.
const OPENAT2: i64 = libc::SYS_openat2;

const fn bits(id: &'static str, name: &'static str, args: &'static [i64]) -> Probe {
    Probe::new(id, name, SECCOMP, attempt).args(args)
}

const UID: i64 = libc::S_ISUID as i64;
const GID: i64 = libc::S_ISGID as i64;

pub const PROBES: &[Probe] = &[
    bits("F10.chmod_suid", "chmod u+s", &[libc::SYS_chmod, UID]),
    bits("F10.chmod_sgid", "chmod g+s", &[libc::SYS_chmod, GID]),
    bits("F10.fchmod_suid", "fchmod u+s", &[libc::SYS_fchmod, UID]),
    bits("F10.fchmod_sgid", "fchmod g+s", &[libc::SYS_fchmod, GID]),
    bits("F10.fchmodat_suid", "fchmodat u+s", &[libc::SYS_fchmodat, UID]),
    bits("F10.fchmodat_sgid", "fchmodat g+s", &[libc::SYS_fchmodat, GID]),
    bits("F10.fchmodat2_suid", "fchmodat2 u+s", &[FCHMODAT2, UID]),
    bits("F10.fchmodat2_sgid", "fchmodat2 g+s", &[FCHMODAT2, GID]),
    bits("F10.open_suid", "open a new file u+s", &[libc::SYS_open, UID]),
    bits("F10.openat_suid", "openat a new file u+s", &[libc::SYS_openat, UID]),
    bits("F10.openat_sgid", "openat a new file g+s", &[libc::SYS_openat, GID]),
    bits("F10.openat2_suid", "openat2 a new file u+s", &[OPENAT2, UID])
        .note("a filter cannot see the mode of openat2: it can only refuse the call"),
    bits("F10.openat2_sgid", "openat2 a new file g+s", &[OPENAT2, GID]),
    bits("F10.tmpfile_suid", "openat(O_TMPFILE) u+s", &[-1, UID]),
    bits("F10.creat_suid", "creat u+s", &[libc::SYS_creat, UID]),
    bits("F10.creat_sgid", "creat g+s", &[libc::SYS_creat, GID]),
    bits("F10.mknod_suid", "mknod of a file u+s", &[libc::SYS_mknod, UID]),
    bits("F10.mknodat_suid", "mknodat of a file u+s", &[libc::SYS_mknodat, UID]),
    bits("F10.mknodat_sgid", "mknodat of a file g+s", &[libc::SYS_mknodat, GID]),
    bits("F10.chmod_high", "chmod u+s with bit 32", &[libc::SYS_chmod, UID | 1 << 32]),
    // mkdir itself never gives these bits to a directory (the kernel masks the mode with 01777): the filter refuses them
    // all the same, and nothing shows when it does not.
    Probe::new("F10.mkdir_sgid", "mkdir g+s", "-", directory).args(&[libc::SYS_mkdir]).note(
        "the kernel drops the bits of mkdir's mode: without the filter the call succeeds and the bit is gone",
    ),
    Probe::new("F10.mkdirat_sgid", "mkdirat g+s", "-", directory)
        .args(&[libc::SYS_mkdirat])
        .note("as F10.mkdir_sgid"),
];

const CREATE: i32 = libc::O_CREAT | libc::O_WRONLY | libc::O_EXCL;
const AT: i32 = libc::AT_FDCWD;

/// Does the call and says whether a file has the bit afterwards: `Ok` only then.
fn attempt(args: &[i64]) -> Tried {
    // An umask leaves these bits alone.
    let (number, bit) = (args[0], args[1]);
    let mode = 0o755 | bit;
    let scratch = Scratch::new()?;
    let (old, new) = (text(scratch.join("old")), text(scratch.join("new")));
    let file = kernel::open(scratch.join("old"), CREATE, 0o644).step("make a file")?;
    let mut made = None;
    let mut keep = |outcome: Outcome| outcome.map(|fd| made = Some(kernel::owned(fd)));
    let outcome: Result<(), i32> = match number {
        libc::SYS_chmod => sys!(number, &old, mode).map(|_| ()),
        libc::SYS_fchmod => sys!(number, &file, mode).map(|_| ()),
        libc::SYS_fchmodat | FCHMODAT2 => sys!(number, AT, &old, mode, 0).map(|_| ()),
        libc::SYS_open => keep(sys!(number, &new, CREATE, mode)),
        libc::SYS_openat => keep(sys!(number, AT, &new, CREATE, mode)),
        libc::SYS_creat => keep(sys!(number, &new, mode)),
        OPENAT2 => {
            // struct open_how: flags, mode, resolve.
            let mut how = [CREATE as u64, mode as u64, 0];
            keep(sys!(number, AT, &new, how.as_mut_slice(), 24))
        }
        libc::SYS_mknod => sys!(number, &new, i64::from(libc::S_IFREG) | mode, 0).map(|_| ()),
        libc::SYS_mknodat => sys!(number, AT, &new, i64::from(libc::S_IFREG) | mode, 0).map(|_| ()),
        _ => keep(sys!(libc::SYS_openat, AT, &text(&scratch.0), libc::O_TMPFILE | libc::O_WRONLY, mode)),
    };
    let bits = match (&made, number) {
        (Some(fd), _) => mode_of_fd(fd)?,
        (None, libc::SYS_mknod | libc::SYS_mknodat) => mode_of(&scratch, "new"),
        (None, _) => mode_of(&scratch, "old"),
    };
    let has_bit = i64::from(bits) & bit & 0o6000 != 0;
    match outcome {
        Ok(()) if !has_bit => {
            Err(format!("the call succeeded and the mode is {bits:o}: the bit was dropped").into())
        }
        outcome => refused("a set-id bit", outcome.map(|()| i64::from(bits)), &[libc::EPERM, libc::ENOSYS]),
    }
}

fn mode_of(scratch: &Scratch, name: &str) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(scratch.join(name)).map_or(0, |facts| facts.mode())
}

fn mode_of_fd(fd: &std::os::fd::OwnedFd) -> Result<u32, crate::verdict::Broken> {
    // SAFETY: an all-zero stat is a valid value.
    let mut facts: libc::stat = unsafe { std::mem::zeroed() };
    sys!(libc::SYS_fstat, fd, Arg::record(&mut facts)).step("fstat")?;
    Ok(facts.st_mode)
}

fn directory(args: &[i64]) -> Tried {
    let scratch = Scratch::new()?;
    let path = text(scratch.join("directory"));
    let mode = 0o755 | GID;
    let outcome =
        if args[0] == libc::SYS_mkdir { sys!(args[0], &path, mode) } else { sys!(args[0], AT, &path, mode) };
    let bits = mode_of(&scratch, "directory");
    match outcome {
        Ok(_) if bits & libc::S_ISGID == 0 => {
            crate::verdict::contained(format!("made with mode {bits:o}: no bit"))
        }
        outcome => refused("mkdir g+s", outcome, &[libc::EPERM]),
    }
}
