//! Processes that outlived their launcher: found by group or by host id, killed, waited for, and named when they stay.
//!
//! The kernel kills every child of a launcher that dies, and all processes of a sandbox with its init. What is found here was
//! on its way, or hangs in the kernel. Without root and without groups there is no mark by which to know such a process.

use super::{Fate, Found, Kind, View, remove::Target};
use runtime_sys::{cgroup, clone::Pid, pidfd, proc};
use std::{
    collections::BTreeMap,
    ops::Range,
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// signal(7).
const SIGKILL: i32 = 9;
/// How often a dying process is looked at.
const PAUSE: Duration = Duration::from_millis(2);
/// A process that did not follow a SIGKILL of earlier is waited for only this part of the time.
const STUBBORN_PART: u32 = 20;
/// The name that a launcher gives itself.
const LAUNCHER: &str = "runtime";
/// The most steps from a process up to the first.
const ANCESTORS_MAX: usize = 64;

fn proc_root(view: &View<'_>) -> PathBuf {
    view.host.path("/proc")
}

/// Notes a process, once.
pub fn add(view: &View<'_>, pid: i32, owner: (Option<&str>, Option<&str>), found: &mut Found) {
    let target = Target::Process(Pid(pid));
    if found.leftovers.iter().any(|leftover| leftover.target == target) {
        return;
    }
    let what = describe(view, Pid(pid));
    found.add(Kind::Process, what, owner, target);
}

fn describe(view: &View<'_>, pid: Pid) -> String {
    match proc::status(&proc_root(view), pid) {
        // Group files show 0 for a process of a pid namespace that is not below ours.
        _ if pid.0 == 0 => "of another pid namespace".to_owned(),
        Ok(status) => format!("{} {} (state {})", pid.0, status.name, status.state),
        Err(_ended) => pid.0.to_string(),
    }
}

/// Notes processes with host ids of leases that nobody holds.
pub fn find_with_ids(view: &View<'_>, leases: &[Range<u32>], found: &mut Found) {
    for pid in found.check(with_ids(view, leases)).unwrap_or_default() {
        add(view, pid.0, (None, None), found);
    }
}

/// The processes that have an id of a lease, but for those below a launcher: one that has another run directory leases
/// without our knowing.
pub fn with_ids(view: &View<'_>, leases: &[Range<u32>]) -> Result<Vec<Pid>, String> {
    let root = proc_root(view);
    let mut pids = proc::all(&root).map_err(|error| error.to_string())?;
    pids.retain(|pid| {
        let Ok(status) = proc::status(&root, *pid) else { return false };
        let leased = leases.iter().any(|ids| status.uids.iter().any(|uid| ids.contains(uid)));
        leased && !status.is_over() && !has_launcher(&root, &status)
    });
    Ok(pids)
}

fn has_launcher(root: &Path, process: &proc::Status) -> bool {
    let mut parent = process.parent;
    for _ in 0..ANCESTORS_MAX {
        let Ok(status) = proc::status(root, parent) else { return false };
        // A job can call itself what it likes, but it is not root.
        if status.uids == [0; 4] && status.name == LAUNCHER {
            return true;
        }
        parent = status.parent;
    }
    false
}

/// Finds out whose the processes are that were found by their ids: their groups tell.
pub fn name_jobs(view: &View<'_>, found: &mut Found) {
    for leftover in found.leftovers.iter_mut().filter(|leftover| leftover.instance.is_none()) {
        let Target::Process(pid) = leftover.target else { continue };
        let groups = view.host.text(&format!("/proc/{}/cgroup", pid.0)).unwrap_or_default();
        // `4:memory:/runtime/INSTANCE/JOB`, in a container with something before.
        let owner = groups.lines().find_map(|line| {
            let (_, below) = line.split_once("/runtime/")?;
            let (instance, job) = below.split_once('/')?;
            Some((instance.to_owned(), job.split('/').next().unwrap_or_default().to_owned()))
        });
        if let Some((instance, job)) = owner {
            (leftover.instance, leftover.job) = (Some(instance), Some(job));
        }
    }
}

/// Kills the processes that were found, with all that appear in their groups meanwhile, and waits until they are gone, but
/// not longer than `patience`.
pub fn kill(view: &View<'_>, found: &mut Found, patience: Duration) {
    let start = Instant::now();
    let root = proc_root(view);
    let groups: Vec<(PathBuf, Option<String>, Option<String>)> = found
        .leftovers
        .iter()
        .filter_map(|leftover| match &leftover.target {
            Target::Group(path) => Some((path.clone(), leftover.instance.clone(), leftover.job.clone())),
            _ => None,
        })
        .collect();
    let mut stubborn = BTreeMap::new();
    loop {
        let mut members = Vec::new();
        for (group, instance, job) in &groups {
            for pid in cgroup::processes(group).unwrap_or_default() {
                add(view, pid, (instance.as_deref(), job.as_deref()), found);
                members.push(pid);
            }
        }
        let mut waiting = Vec::new();
        for leftover in found.leftovers.iter_mut().filter(|leftover| leftover.fate != Fate::Removed) {
            let Target::Process(pid) = leftover.target else { continue };
            match proc::status(&root, pid) {
                Ok(status) if !status.is_over() || members.contains(&pid.0) => {
                    stubborn.entry(pid.0).or_insert(status.kill_pending && status.state == 'D');
                    leftover.fate = Fate::Stuck(why(pid, &status));
                    waiting.push(pid);
                }
                _ if members.contains(&pid.0) => {
                    leftover.fate = Fate::Stuck("it does not leave its group upon SIGKILL".to_owned());
                    waiting.push(pid);
                }
                _ => leftover.fate = Fate::Removed,
            }
        }
        if waiting.is_empty() {
            return;
        }
        let hopeless = waiting.iter().all(|pid| stubborn.get(&pid.0) == Some(&true));
        if start.elapsed() >= if hopeless { patience / STUBBORN_PART } else { patience } {
            return;
        }
        for (group, _, _) in &groups {
            found.check(cgroup::kill_group(group));
        }
        for pid in waiting.into_iter().filter(|pid| pid.0 > 0 && !members.contains(&pid.0)) {
            // Found by its ids. One that is gone by now is fine.
            if let Ok(pidfd) = pidfd::open(pid)
                && proc::status(&root, pid).is_ok()
            {
                found.check(pidfd::send_signal(pidfd.as_fd(), SIGKILL));
            }
        }
        std::thread::sleep(PAUSE);
    }
}

fn why(pid: Pid, status: &proc::Status) -> String {
    let state = match status.state {
        'D' => "D (it waits in the kernel for a device or a file system)".to_owned(),
        state => state.to_string(),
    };
    format!("process {} ({}) does not end upon SIGKILL, its state is {state}", pid.0, status.name)
}
