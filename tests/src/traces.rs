//! What a run leaves on a host while it lives, noted so that it can be asked afterwards whether all of it is gone. Only what
//! belongs to the noted run is looked at, so tests may run side by side.

use crate::processes::{descendants, is_alive, try_fds_of};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Namespaces that a sandbox has for itself.
const NAMESPACES: [&str; 7] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

/// The traces of one run.
#[derive(Debug, Default)]
pub struct Traces {
    /// Pid and start time of each process.
    processes: BTreeSet<(u32, String)>,
    /// Directories of launchers.
    instances: BTreeSet<PathBuf>,
    /// Namespaces that are not ours.
    namespaces: BTreeSet<String>,
    /// Loop devices and mounts of the host when the run was noted.
    before: BTreeSet<String>,
}

impl Traces {
    /// What the host has before the run: mounts and loop devices.
    pub fn before() -> Traces {
        Traces { before: host_things(), ..Traces::default() }
    }

    /// Notes a process and everything below it.
    pub fn note(&mut self, pid: u32) {
        let own = namespaces_of(std::process::id());
        let below = descendants(pid).into_iter().map(|process| process.pid);
        for pid in std::iter::once(pid).chain(below) {
            let Some(start) = start_time(pid) else { continue };
            self.processes.insert((pid, start));
            self.namespaces.extend(namespaces_of(pid).difference(&own).cloned());
            // Those of an init are closed to an ordinary user; those of a launcher are not.
            for target in try_fds_of(pid).unwrap_or_default().into_values() {
                if let Some(instance) =
                    target.strip_suffix("/lock").filter(|path| path.contains("/instances/"))
                {
                    self.instances.insert(PathBuf::from(instance));
                }
            }
        }
    }

    /// How many processes, launchers and namespaces were noted.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.processes.len(), self.instances.len(), self.namespaces.len())
    }

    /// Leaves namespaces out: the kernel gives their numbers out again, and a run that has had hundreds of them would find its
    /// numbers at its neighbours. Without its processes a namespace does not last.
    pub fn without_namespaces(&mut self) {
        self.namespaces.clear();
    }

    /// What of it is still there.
    pub fn remaining(&self) -> Vec<String> {
        let mut remaining = Vec::new();
        for (pid, start) in &self.processes {
            if is_alive(*pid) && start_time(*pid).as_ref() == Some(start) {
                remaining.push(format!("process {pid}: {:?}", crate::cmdline(*pid)));
            }
        }
        for instance in &self.instances {
            if instance.exists() {
                remaining.push(format!("directory {}", instance.display()));
            }
            let name = instance.file_name().unwrap_or_default();
            let groups = cgroups_of_launchers().into_iter().filter(|group| group.file_name() == Some(name));
            remaining.extend(groups.map(|group| format!("cgroup {}", group.display())));
        }
        let living = all_namespaces();
        remaining
            .extend(self.namespaces.intersection(&living).map(|namespace| format!("namespace {namespace}")));
        // What others mount meanwhile is theirs: only what names this run or its launchers counts.
        for thing in host_things().difference(&self.before) {
            let names = |instance: &PathBuf| thing.contains(&*instance.to_string_lossy());
            if thing.contains("runtime-tests-") || self.instances.iter().any(names) {
                remaining.push(thing.clone());
            }
        }
        remaining
    }
}

fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Field 22 (proc(5)), counted from the end of the name, which may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

fn namespaces_of(pid: u32) -> BTreeSet<String> {
    let link = |name: &&str| fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
    NAMESPACES.iter().filter_map(link).map(|link| link.to_string_lossy().into_owned()).collect()
}

fn all_namespaces() -> BTreeSet<String> {
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.flat_map(namespaces_of).collect()
}

/// Mounts of our own mount namespace, and loop devices that have a file.
fn host_things() -> BTreeSet<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut things: BTreeSet<String> = mounts.lines().map(|line| format!("mount {line}")).collect();
    for device in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        if let Ok(file) = fs::read_to_string(device.path().join("loop/backing_file")) {
            things.insert(format!("loop device on {}", file.trim()));
        }
    }
    things
}

/// Directories of launchers in the cgroup trees: `…/runtime/<instance>`.
fn cgroups_of_launchers() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let root = Path::new("/sys/fs/cgroup");
    let trees = subdirectories(root);
    for tree in std::iter::once(root.to_owned()).chain(trees) {
        found.extend(subdirectories(&tree.join("runtime")));
    }
    found
}

fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Directories of launchers below a run directory that no living launcher holds.
pub fn orphaned_instances(run_dir: &Path) -> Vec<PathBuf> {
    // Seventh column: major:minor:inode (proc(5)).
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let held: BTreeSet<u64> = locks
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.matches(':').count() == 2))
        .filter_map(|word| word.rsplit(':').next()?.parse().ok())
        .collect();
    let is_held =
        |path: &PathBuf| fs::metadata(path.join("lock")).is_ok_and(|metadata| held.contains(&metadata.ino()));
    subdirectories(&run_dir.join("instances")).into_iter().filter(|path| !is_held(path)).collect()
}

/// Cgroups of launchers that have no directory below the run directory of root any more.
pub fn orphaned_cgroups() -> Vec<PathBuf> {
    let instances = Path::new("/run/runtime/instances");
    let has_launcher = |group: &PathBuf| group.file_name().is_some_and(|name| instances.join(name).exists());
    cgroups_of_launchers().into_iter().filter(|group| !has_launcher(group)).collect()
}
