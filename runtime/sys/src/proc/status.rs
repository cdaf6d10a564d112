//! Who a process is, and what it waits for: /proc/PID/status of proc_pid_status(5).

use std::path::Path;

use super::{parse, place, read_text};
use crate::clone::Pid;
use crate::error::{Errno, Error, Result, from_io};

/// The bit of SIGKILL in the masks of /proc/PID/status: signal 9, counted from 1.
const KILL_BIT: u64 = 1 << 8;

/// The parts of a process's status that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its name, at most 15 bytes, chosen by itself: not to be trusted.
    pub name: String,
    /// `R` running, `S` sleeping, `D` in uninterruptible sleep, `Z` a zombie and so on.
    pub state: char,
    /// Its parent.
    pub parent: Pid,
    /// Real, effective, saved and file system uid, as mapped here.
    pub uids: [u32; 4],
    /// SIGKILL was sent and has not taken effect yet.
    pub kill_pending: bool,
    /// Signals that it blocks: signal N is bit N - 1.
    pub blocked: u64,
}

impl Status {
    /// Whether it is gone but for its exit status.
    pub fn is_over(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    /// Whether a signal waits until it is asked for.
    pub fn blocks(&self, signal: i32) -> bool {
        u32::try_from(signal)
            .is_ok_and(|signal| (1..=64).contains(&signal) && self.blocked >> (signal - 1) & 1 == 1)
    }
}

/// The status of a process.
///
/// # Errors
/// `ENOENT` or `ESRCH` when there is no such process, `EINVAL` when the file is not as proc(5) says.
pub fn status(proc_root: &Path, pid: Pid) -> Result<Status> {
    let text = read_text(&place(proc_root, pid, "status"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim).ok_or(Error::new("read status", Errno::EINVAL))
    };
    let mask = |name: &str| {
        u64::from_str_radix(field(name)?, 16).map_err(|_not_hex| Error::new("read status", Errno::EINVAL))
    };
    let mut uids = [0; 4];
    let mut words = field("Uid")?.split_ascii_whitespace();
    for uid in &mut uids {
        *uid = parse("read status", words.next())?;
    }
    Ok(Status {
        name: field("Name")?.to_owned(),
        state: field("State")?.chars().next().unwrap_or('?'),
        parent: Pid(parse("read status", Some(field("PPid")?))?),
        uids,
        kill_pending: (mask("SigPnd")? | mask("ShdPnd")?) & KILL_BIT != 0,
        blocked: mask("SigBlk")?,
    })
}

/// The numbers of all processes that our pid namespace shows, in order.
///
/// # Errors
/// What the kernel says when /proc cannot be listed.
pub fn all(proc_root: &Path) -> Result<Vec<Pid>> {
    let failed = |error: std::io::Error| from_io("list processes", &error);
    let mut pids = Vec::new();
    for entry in std::fs::read_dir(proc_root).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    pids.sort_unstable();
    Ok(pids.into_iter().map(Pid).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Name:\tkworker (x)\nUmask:\t0022\nState:\tD (disk sleep)\nTgid:\t7\nPPid:\t2\n\
        Uid:\t1\t2\t3\t4\nGid:\t5\t5\t5\t5\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\n\
        SigBlk:\t8000000000000800\n";

    #[test]
    fn a_status_is_read_from_its_lines() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("7")).unwrap();
        std::fs::create_dir(root.path().join("sys")).unwrap();
        std::fs::write(root.path().join("7/status"), TEXT).unwrap();
        let read = status(root.path(), Pid(7)).unwrap();
        assert_eq!((read.name.as_str(), read.state, read.parent), ("kworker (x)", 'D', Pid(2)));
        assert!(read.blocks(12) && read.blocks(64) && !read.blocks(13) && !read.blocks(0));
        assert_eq!((read.uids, read.kill_pending, read.is_over()), ([1, 2, 3, 4], true, false));
        assert_eq!(all(root.path()).unwrap(), [Pid(7)]);
        assert_eq!(status(root.path(), Pid(8)).unwrap_err().errno, Errno::ENOENT);
        std::fs::write(root.path().join("7/status"), "Name:\tx\n").unwrap();
        assert_eq!(status(root.path(), Pid(7)).unwrap_err().errno, Errno::EINVAL);
    }

    #[test]
    fn our_own_status_is_ours() {
        let own = Pid(i32::try_from(std::process::id()).unwrap());
        let read = status(Path::new("/proc"), own).unwrap();
        assert_eq!(read.uids[1], crate::process::effective_uid());
        assert!(!read.kill_pending && all(Path::new("/proc")).unwrap().contains(&own));
    }
}
