//! Which launchers are dead, and their groups, processes and directories.

use super::{Found, Kind, View, processes, remove::Target};
use crate::launcher::places::{
    Owns, PlaceError,
    lock::{Absent, lock_file},
};
use runtime_sys::{cgroup, file};
use std::{
    collections::BTreeSet,
    fs, io,
    os::fd::{AsFd, AsRawFd},
    path::{Path, PathBuf},
    time::Duration,
};

/// Digits of an instance's name. What is called otherwise is not ours, or a test's.
const NAME_DIGITS: usize = 16;
/// A launcher that starts has a directory without a lock for a moment, one that ends likewise.
const MOMENT: Duration = Duration::from_millis(20);
/// Directories of jobs that are named, for each embedded run, which has one.
const JOBS_MAX: usize = 1_024;
/// Bytes of a job's id at most.
const JOB_BYTES_MAX: usize = 64;

/// Who lives and who does not.
#[derive(Debug, Default)]
pub struct Known {
    /// What the living have.
    pub living: Vec<Owns>,
    /// The dead: name, directory where there is one, and what they had.
    pub dead: Vec<(String, Option<PathBuf>, Owns)>,
}

/// Sorts the launchers into living and dead, and notes what the dead left in their names.
pub fn find(view: &View<'_>, found: &mut Found) -> Known {
    let mut known = Known::default();
    // Before the directories are looked at: a launcher has its directory before it has groups.
    let with_groups = match view.thorough {
        true => found.check(cgroup::instances(view.groups)).unwrap_or_default(),
        false => BTreeSet::new(),
    };
    let mut with_directory = BTreeSet::new();
    for path in directories(&view.run_dir.join("instances"), found) {
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_name(name));
        // Nothing else is a launcher's, and nothing that a link leads to.
        let Some(name) = name.map(str::to_owned).filter(|_| is_directory(&path)) else { continue };
        with_directory.insert(name.clone());
        match look(&path) {
            Ok(Seen::Living) => known.living.extend(found.check(Owns::read(&path))),
            Ok(Seen::Dead(lock)) => {
                found.locks.extend(lock);
                let owns = found.check(Owns::read(&path)).unwrap_or_default();
                known.dead.push((name, Some(path), owns));
            }
            Ok(Seen::Gone) => {}
            Err(error) => found.errors.push(error.to_string()),
        }
    }
    for name in with_groups.difference(&with_directory).filter(|name| is_name(name)) {
        // Without a lease that we can see, it may be a launcher's with another run directory.
        if found.check(cgroup::is_held(view.groups, name)) == Some(false) {
            known.dead.push((name.clone(), None, Owns::default()));
        }
    }
    for (name, path, _) in &known.dead {
        found.dead.insert(name.clone());
        find_groups(view, name, found);
        if let Some(path) = path {
            find_directories(name, path, found);
        }
    }
    known
}

/// What a directory of an instance says.
enum Seen {
    Living,
    /// With its lock, if there is one to hold.
    Dead(Option<fs::File>),
    Gone,
}

fn look(path: &Path) -> Result<Seen, PlaceError> {
    for again in [true, false] {
        // No lock is made here: it would keep a launcher that is on its way down from removing its directory.
        match lock_file(&path.join("lock"), Absent::Fail) {
            Ok(Some(lock)) => return Ok(Seen::Dead(Some(lock))),
            Ok(None) => return Ok(Seen::Living),
            Err(PlaceError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if !path.exists() {
            return Ok(Seen::Gone);
        }
        if again {
            std::thread::sleep(MOMENT);
        }
    }
    Ok(Seen::Dead(None))
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

fn is_name(name: &str) -> bool {
    name.len() == NAME_DIGITS
        && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn find_groups(view: &View<'_>, name: &str, found: &mut Found) {
    let Some(groups) = found.check(cgroup::groups_of(view.groups, name)) else { return };
    for group in groups {
        let owner = (Some(name), group.job.as_deref());
        for pid in found.check(cgroup::processes(&group.path)).unwrap_or_default() {
            processes::add(view, pid, owner, found);
        }
        let what = group.path.display().to_string();
        found.add(Kind::Cgroup, what, owner, Target::Group(group.path));
    }
}

/// The directory of an instance, and those of the jobs in it, which go with it.
fn find_directories(name: &str, path: &Path, found: &mut Found) {
    for job in jobs_in(&path.join("state")) {
        let what = path.join("state").join(&job.1).display().to_string();
        found.add(Kind::Directory, what, (Some(name), Some(&job.0)), Target::Within(path.to_owned()));
    }
    found.add(
        Kind::Directory,
        path.display().to_string(),
        (Some(name), None),
        Target::Directory(path.to_owned()),
    );
}

/// The jobs of a state directory: id, and path below it. The server may have written there what it liked: no link is
/// followed, and nothing is removed by these paths.
fn jobs_in(state: &Path) -> Vec<(String, PathBuf)> {
    let mut jobs = Vec::new();
    let Ok(logs) =
        file::open_dir_path(state).and_then(|state| file::open_beneath(state.as_fd(), c"logs", false, true))
    else {
        return jobs;
    };
    for shard in names(logs.as_raw_fd()) {
        let Ok(c_shard) = std::ffi::CString::new(shard.clone()) else { continue };
        let Ok(open) = file::open_beneath(logs.as_fd(), &c_shard, false, true) else { continue };
        for job in names(open.as_raw_fd()) {
            if jobs.len() == JOBS_MAX {
                return jobs;
            }
            let path = Path::new("logs").join(&shard).join(&job);
            jobs.push((job, path));
        }
    }
    jobs
}

/// Names in an open directory that could be a job's or a shard's, in order.
fn names(directory: i32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/self/fd/{directory}")).into_iter().flatten().flatten();
    let plain = |name: &String| {
        name.len() <= JOB_BYTES_MAX && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(plain)
        .take(JOBS_MAX)
        .collect();
    names.sort();
    names
}

/// The entries of a directory of leases, in order; none when it is not there.
pub fn directories(path: &Path, found: &mut Found) -> Vec<PathBuf> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        entries => {
            found.check(entries.map_err(|error| format!("failed to list {}: {error}", path.display())))
        }
    };
    let mut paths: Vec<PathBuf> = entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
