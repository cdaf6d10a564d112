//! Takes away what an instance left behind: its own end, or the remains of one that died.
//!
//! It must be called only by whoever holds the lease on the instance's name: it kills.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::directory::{self, Directory, read_optional};
use super::{Facts, check_name};
use crate::error::{Errno, Error, Result, from_io};

/// How often and how long the processes of a group are waited for: about a second in all.
const KILL_TRIES: u32 = 200;
const KILL_PAUSE: Duration = Duration::from_millis(5);

/// Kills and removes everything below an instance whose holder is dead, in all trees. Answers how many
/// directories of jobs were removed; 0 when there was nothing.
///
/// # Errors
/// `EBUSY` when a process does not die or a directory cannot go; `EINVAL` for a bad name.
pub fn sweep(facts: &Facts, instance_name: &str) -> Result<usize> {
    check_name(instance_name)?;
    let directories = facts.instance_directories(instance_name);
    // First everybody is killed, in the unified tree at one blow; then no tree has a process any more.
    let mut jobs = Vec::new();
    for directory in &directories {
        jobs.extend(list(directory)?);
    }
    for job in jobs.iter().chain(&directories) {
        kill_all(job)?;
    }
    directory::remove_all(&jobs)?;
    remove_instance(&directories)?;
    Ok(jobs.len())
}

/// Removes empty instance directories, and `runtime` above each unless another instance is in it.
pub(super) fn remove_instance(directories: &[PathBuf]) -> Result<()> {
    directory::remove_all(directories)?;
    for directory in directories {
        let Some(ours) = directory.parent() else { continue };
        match fs::remove_dir(ours) {
            Ok(()) => {}
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::ENOTEMPTY | libc::ENOENT)) => {}
            Err(error) => return Err(from_io("rmdir cgroup", &error)),
        }
    }
    Ok(())
}

/// The directories in a directory; none when it is not there.
fn list(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(from_io("read cgroup", &error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| from_io("read cgroup", &error))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Kills the processes of one group until there is none.
fn kill_all(group: &Path) -> Result<()> {
    for _ in 0..KILL_TRIES {
        let Some(text) = read_optional(&group.join("cgroup.procs"))? else { return Ok(()) };
        if text.trim().is_empty() {
            return Ok(());
        }
        if !Directory::open(group.to_path_buf())?.kill()? {
            // 0 stands for a process that our pid namespace does not show.
            for pid in text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0) {
                match kill(Pid::from_raw(pid), Signal::SIGKILL) {
                    Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
                    Err(errno) => return Err(Error::new("kill", errno.into())),
                }
            }
        }
        std::thread::sleep(KILL_PAUSE);
    }
    Err(Error::new("kill cgroup", Errno::EBUSY))
}
