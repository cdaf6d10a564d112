//! Removes what was found, in the order in which one thing holds on to the next.

use super::{Fate, Found, Kind, View, processes, sockets};
use crate::launcher::places::instance::remove_instance;
use runtime_sys::{Errno, cgroup, clone::Pid, loop_device, mount};
use std::{
    ffi::CString,
    fs, io,
    ops::Range,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How often a group is tried whose last process has just ended.
const PAUSE: Duration = Duration::from_millis(2);

/// How a leftover is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// SIGKILL.
    Process(Pid),
    /// The device lets go of its file.
    LoopDevice(PathBuf),
    /// It is detached.
    Mount(PathBuf),
    /// rmdir(2).
    Group(PathBuf),
    /// unlink(2), unless somebody listens.
    Socket(PathBuf),
    /// With the directory of an instance that it is in.
    Within(PathBuf),
    /// An instance's directory, with all that is in it.
    Directory(PathBuf),
    /// unlink(2), unless a process has one of the ids.
    Lease {
        /// The file.
        path: PathBuf,
        /// What it leases.
        ids: Range<u32>,
    },
}

impl Target {
    /// Whether it stays as long as something else of its launcher does.
    pub fn waits(&self) -> bool {
        matches!(self, Target::Within(_) | Target::Directory(_) | Target::Lease { .. })
    }
}

/// Removes all that can be removed. What cannot says why; it keeps its instance's directory, so that the next sweep finds
/// it, and the host ids of its processes, so that nobody else gets them.
pub fn remove(view: &View<'_>, found: &mut Found, patience: Duration) {
    if found.leftovers.is_empty() {
        return;
    }
    processes::kill(view, found, patience);
    // Processes may have been added.
    found.leftovers.sort_by_key(|leftover| leftover.kind);
    let deadline = Instant::now() + patience;
    for at in 0..found.leftovers.len() {
        let Some(leftover) = found.leftovers.get(at).filter(|leftover| leftover.kind != Kind::Process) else {
            continue;
        };
        let fate = match keeper(found, at) {
            Some(keeper) => Fate::Stuck(format!("it stays as long as {keeper}")),
            None => match act(view, &leftover.target, deadline) {
                Ok(()) => Fate::Removed,
                Err(why) => Fate::Stuck(why),
            },
        };
        if let Some(leftover) = found.leftovers.get_mut(at) {
            leftover.fate = fate;
        }
    }
    for leftover in &mut found.leftovers {
        if let Target::Within(directory) = &leftover.target
            && directory.exists()
        {
            leftover.fate = Fate::Stuck(format!("it stays as long as directory {}", directory.display()));
        }
    }
    found.check(cgroup::tidy(view.groups));
}

/// What keeps a leftover from being removed: something else that is stuck.
fn keeper(found: &Found, at: usize) -> Option<String> {
    let leftover = found.leftovers.get(at)?;
    let before = found.leftovers.iter().take(at).filter(|other| matches!(other.fate, Fate::Stuck(_)));
    let keeps = |other: &&super::Leftover| match &leftover.target {
        Target::Directory(_) => other.instance == leftover.instance,
        Target::Group(path) => match &other.target {
            Target::Process(pid) => cgroup::processes(path).is_ok_and(|members| members.contains(&pid.0)),
            Target::Group(below) => below.parent() == Some(path),
            _ => false,
        },
        _ => false,
    };
    before.filter(keeps).map(|other| format!("{} {}", other.kind.name(), other.what)).next()
}

fn act(view: &View<'_>, target: &Target, deadline: Instant) -> Result<(), String> {
    match target {
        // Killed before, all together; directories of jobs go with that of their instance.
        Target::Process(_) | Target::Within(_) => Ok(()),
        Target::LoopDevice(path) => loop_device::detach(path).map_err(|error| error.to_string()),
        Target::Mount(path) => detach(path),
        Target::Group(path) => remove_group(path, deadline),
        // Looked at once more: somebody may listen there by now.
        Target::Socket(path) => match sockets::look(path, view.thorough) {
            sockets::Seen::Dead => gone(fs::remove_file(path)),
            sockets::Seen::Young => Err("it is so new that its daemon may be about to listen".to_owned()),
            sockets::Seen::NotOurs => Ok(()),
        },
        Target::Directory(path) => remove_instance(path).map_err(|error| error.to_string()),
        // While its lock is held, so nobody can hold a lock on a file that is not there.
        Target::Lease { path, ids } => match processes::with_ids(view, std::slice::from_ref(ids))?.first() {
            None => gone(fs::remove_file(path)),
            Some(pid) => Err(format!("process {} has an id of it", pid.0)),
        },
    }
}

fn gone(removed: io::Result<()>) -> Result<(), String> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn detach(path: &Path) -> Result<(), String> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    mount::detach(&path).map_err(|error| error.to_string())
}

/// With patience for processes that are still on their way out.
fn remove_group(path: &Path, deadline: Instant) -> Result<(), String> {
    loop {
        match cgroup::remove_group(path) {
            Err(error) if error.errno == Errno::EBUSY && Instant::now() < deadline => {
                std::thread::sleep(PAUSE)
            }
            other => return other.map_err(|error| error.to_string()),
        }
    }
}
