//! The groups of an instance as anybody finds them: its own end, or the remains of one that died.
//!
//! It must not decide whose end has come: whoever kills or removes here holds the lease on the instance's name.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::directory::{self, Directory, read_optional};
use super::{Facts, OURS, check_name};
use crate::error::{Error, Result, from_io};
use crate::file::try_lock_exclusive;

/// Levels of groups below an instance: a job's, and what a future version may put beneath it.
const LEVELS_MAX: usize = 4;

/// A group that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The tree: a controller of v1, or `unified`.
    pub tree: String,
    /// The job whose group it is; none for the instance itself.
    pub job: Option<String>,
    /// Its directory.
    pub path: PathBuf,
}

/// Names of all instances that have a directory in any tree, dead or alive.
///
/// # Errors
/// What the kernel says when a tree cannot be listed.
pub fn instances(facts: &Facts) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for place in facts.places.values() {
        let found = list(&place.join(OURS))?;
        names.extend(found.iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned)));
    }
    Ok(names)
}

/// The groups of an instance in all trees, the unified one first, each before the one that it is in.
///
/// # Errors
/// `EINVAL` for a bad name; what the kernel says when a group cannot be listed.
pub fn groups_of(facts: &Facts, instance_name: &str) -> Result<Vec<Found>> {
    check_name(instance_name)?;
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (tree, directory) in facts.instance_trees(instance_name) {
        // Two controllers may share a tree under two names.
        let Ok(directory) = directory.canonicalize() else { continue };
        if seen.insert(directory.clone()) {
            collect(tree, None, &directory, LEVELS_MAX, &mut found)?;
        }
    }
    Ok(found)
}

fn collect(
    tree: &str,
    job: Option<&str>,
    directory: &Path,
    levels: usize,
    found: &mut Vec<Found>,
) -> Result<()> {
    for child in list(directory)? {
        let name = child.file_name().and_then(|name| name.to_str());
        if levels > 1 {
            collect(tree, job.or(name), &child, levels - 1, found)?;
        }
    }
    found.push(Found { tree: tree.to_owned(), job: job.map(str::to_owned), path: directory.to_path_buf() });
    Ok(())
}

/// The processes of one group, without those of groups below. 0 stands for one that our pid namespace does not show.
///
/// # Errors
/// What the kernel says; a group that is gone has none.
pub fn processes(group: &Path) -> Result<Vec<i32>> {
    let text = read_optional(&group.join("cgroup.procs"))?.unwrap_or_default();
    Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect())
}

/// Sends SIGKILL to the processes of one group: in the unified tree at one blow, elsewhere to those that are listed, so
/// that a caller looks again.
///
/// # Errors
/// What the kernel says; a group or a process that is gone is none.
pub fn kill_group(group: &Path) -> Result<()> {
    let listed = processes(group)?;
    if listed.is_empty() || Directory::open(group.to_path_buf())?.kill()? {
        return Ok(());
    }
    for pid in listed.into_iter().filter(|pid| *pid > 0) {
        match kill(Pid::from_raw(pid), Signal::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(errno) => return Err(Error::new("kill", errno.into())),
        }
    }
    Ok(())
}

/// Removes one group, once: a caller with patience calls again. One that is gone already is fine.
///
/// # Errors
/// `EBUSY` while a process or a group is in it.
pub fn remove_group(group: &Path) -> Result<()> {
    match fs::remove_dir(group) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(from_io("rmdir cgroup", &error)),
        _ => Ok(()),
    }
}

/// Removes `runtime` in all trees where nobody uses it.
///
/// # Errors
/// What the kernel says, but for a directory in use or gone.
pub fn tidy(facts: &Facts) -> Result<()> {
    facts.places.values().try_for_each(|place| remove_unused(&place.join(OURS)))
}

/// Removes empty instance directories, and `runtime` above each unless another instance is in it.
pub(super) fn remove_instance(directories: &[PathBuf]) -> Result<()> {
    directory::remove_all(directories)?;
    directories.iter().filter_map(|directory| directory.parent()).try_for_each(remove_unused)
}

fn remove_unused(ours: &Path) -> Result<()> {
    match fs::remove_dir(ours) {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::ENOTEMPTY | libc::ENOENT)) => {
            Ok(())
        }
        Err(error) => Err(from_io("rmdir cgroup", &error)),
    }
}

/// Holds an instance's groups, so that others see that their launcher lives even when they do not see its lease: it may
/// have another run directory. `None` when somebody else holds them.
///
/// # Errors
/// What the kernel says when the directory cannot be opened or locked.
pub(super) fn hold(directory: &Path) -> Result<Option<OwnedFd>> {
    let open = fs::File::open(directory).map_err(|error| from_io("open cgroup", &error))?;
    Ok(try_lock_exclusive(open.as_fd())?.then(|| open.into()))
}

/// Whether a living launcher holds these groups.
///
/// # Errors
/// What the kernel says when a directory that is there cannot be opened or locked.
pub fn is_held(facts: &Facts, instance_name: &str) -> Result<bool> {
    check_name(instance_name)?;
    for directory in facts.instance_directories(instance_name).iter().filter(|path| path.exists()) {
        if hold(directory)?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
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
    found.sort();
    Ok(found)
}
