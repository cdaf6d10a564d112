//! What dead launchers left on the host: found, named, and removed. The start of every launcher and `runtime gc` do the same
//! thing here.
//!
//! ```text
//! find    who is dead (a lock that nobody holds), and what is theirs   [find, instances, leases, sockets, host]
//! remove  processes first, then what they held on to, leases last      [remove, processes]
//! ```
//!
//! It must not touch anything of a launcher that lives, nor wait long for what does not go: that is named, with the process
//! that keeps it and the state of that process, and stays for the next time. A state directory is no leftover: it is kept.

mod find;
mod host;
mod instances;
mod leases;
mod processes;
mod remove;
mod sockets;

use crate::{
    host::root::HostRoot,
    launcher::{LauncherError, places, settings},
};
pub use find::Found;
use runtime_sys::cgroup;
use std::{path::Path, time::Duration};

/// How long the start of a launcher waits for dying processes: they take a few milliseconds.
const PATIENCE_AT_START: Duration = Duration::from_millis(500);
/// How long somebody waits who asked for the removal.
const PATIENCE_WHEN_ASKED: Duration = Duration::from_secs(3);

/// What kind of thing was left, in the order in which they are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A process.
    Process,
    /// A loop device whose file lies in a directory of ours.
    LoopDevice,
    /// A mount of the host in a directory of ours.
    Mount,
    /// A network namespace, kept by a mount.
    NetworkNamespace,
    /// A control group, in one tree.
    Cgroup,
    /// A unix socket that nobody listens at.
    Socket,
    /// A directory.
    Directory,
    /// The lease of a block of host ids, or of a server's uid.
    Lease,
}

impl Kind {
    /// Its name for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Process => "process",
            Kind::LoopDevice => "loop_device",
            Kind::Mount => "mount",
            Kind::NetworkNamespace => "network_namespace",
            Kind::Cgroup => "cgroup",
            Kind::Socket => "socket",
            Kind::Directory => "directory",
            Kind::Lease => "lease",
        }
    }
}

/// What became of a leftover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Nothing was tried.
    Left,
    /// It is gone.
    Removed,
    /// It cannot be removed now: why, and who keeps it.
    Stuck(String),
}

/// One thing that a dead launcher left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// What it is.
    pub kind: Kind,
    /// Which: a path, or a process's number, name and state.
    pub what: String,
    /// The launcher's instance, where it is known.
    pub instance: Option<String>,
    /// The job that it belonged to, where it is known.
    pub job: Option<String>,
    /// What became of it.
    pub fate: Fate,
    target: remove::Target,
}

/// Where to look.
#[derive(Debug)]
pub struct View<'a> {
    /// The directory of leases.
    pub run_dir: &'a Path,
    /// The control groups.
    pub groups: &'a cgroup::Facts,
    /// The root of /proc and /sys.
    pub host: HostRoot,
    /// Looks for groups without a lease, and for mounts and loop devices even when no dead launcher is known. The start of
    /// a launcher does not: it would pay for it each time.
    pub thorough: bool,
}

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// Names of the instances of which nothing is left.
    pub removed: Vec<String>,
    /// What could not be removed or looked at now, in words; the next sweep tries again.
    pub failed: Vec<String>,
}

/// Removes what dead launchers left. It never fails: another's remains are no reason not to start.
pub fn sweep(run_dir: &Path, groups: &cgroup::Facts) -> Swept {
    let view = View { run_dir, groups, host: HostRoot::default(), thorough: false };
    let mut found = find::find(&view);
    remove::remove(&view, &mut found, PATIENCE_AT_START);
    let stuck = found.leftovers.iter().filter_map(|leftover| match &leftover.fate {
        // Of what stays because of something else, that is what is told.
        Fate::Stuck(why) if !leftover.target.waits() => {
            Some(format!("{} {}: {why}", leftover.kind.name(), leftover.what))
        }
        _ => None,
    });
    let mut failed: Vec<String> = stuck.collect();
    failed.append(&mut found.errors);
    Swept { removed: found.gone(), failed }
}

/// Looks for what dead launchers left, as `runtime gc` does it, and removes it when `removes` says so.
///
/// # Errors
/// When the run directory is another user's, for it could lead into our own files, or the host's control groups cannot be
/// read. What cannot be looked at is in [`Found::errors`].
pub fn collect(removes: bool) -> Result<Found, LauncherError> {
    let (run_dir, groups) = (places::run_dir(), settings::discover_cgroups()?);
    places::has_run_dir(&run_dir)?;
    let view = View { run_dir: &run_dir, groups: &groups, host: HostRoot::default(), thorough: true };
    let mut found = find::find(&view);
    if removes {
        remove::remove(&view, &mut found, PATIENCE_WHEN_ASKED);
        if let Err(error) = places::tidy(&run_dir) {
            found.errors.push(error.to_string());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
