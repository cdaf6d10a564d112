//! Control groups of the second generation: plain files under one tree.
//!
//! It owns the way down to a job: moving our own processes out of a group that was handed to us (no
//! process may be in an inner group), enabling controllers, writing limits. What a kernel lacks is left
//! out and shows in [`Applied`].

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::directory::{self, Directory, parse_keyed, read_optional, sum_nested};
use super::discover::{LEAF, UNIFIED};
use super::leftover;
use super::watch::Watch;
use super::{Applied, CPU_PERIOD_US, Events, Facts, Group, Hierarchy, Limits, OURS, Usage};
use crate::error::{Errno, Error, Result};

/// How often the processes of a delegated group are moved: each round catches those forked in the last.
const MOVE_ROUNDS: u32 = 32;

/// An instance's directory.
#[derive(Debug)]
pub(super) struct Tree {
    instance: PathBuf,
    controllers: BTreeSet<String>,
}

impl Tree {
    pub(super) fn open(facts: &Facts, instance_name: &str) -> Result<Tree> {
        let place = facts.places.get(UNIFIED).ok_or(Error::new("cgroup", Errno::EOPNOTSUPP))?;
        if facts.delegated {
            move_into_leaf(place)?;
        }
        open_below(place, instance_name, &facts.controllers)
    }
}

/// Makes the directories down to the instance; controllers come down with them.
fn open_below(place: &Path, instance_name: &str, wanted: &BTreeSet<String>) -> Result<Tree> {
    let ours = place.join(OURS);
    let instance = ours.join(instance_name);
    enable(place, wanted)?;
    directory::ensure(&ours)?;
    enable(&ours, wanted)?;
    directory::ensure(&instance)?;
    let mut controllers = enable(&instance, wanted)?;
    if controllers.contains("memory") && wanted.contains("swap") {
        controllers.insert("swap".to_owned());
    }
    Ok(Tree { instance, controllers })
}

/// Enables each wanted controller for the children of a group, and answers which of them are. One that
/// cannot be enabled (processor quotas beside real-time processes) does not hold up the others.
fn enable(group: &Path, wanted: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let control = group.join("cgroup.subtree_control");
    let read = || -> Result<BTreeSet<String>> {
        let text =
            read_optional(&control)?.ok_or(Error::new("read cgroup.subtree_control", Errno::ENOENT))?;
        Ok(text.split_whitespace().map(str::to_owned).filter(|name| wanted.contains(name)).collect())
    };
    let before = read()?;
    for controller in wanted.iter().filter(|name| *name != "swap" && !before.contains(*name)) {
        // Whether it worked is read back below: the group's own file is the truth.
        directory::write(&control, &format!("+{controller}")).ok();
    }
    read()
}

/// Moves every process of a group into its leaf.
fn move_into_leaf(place: &Path) -> Result<()> {
    let leaf = place.join(LEAF);
    for _ in 0..MOVE_ROUNDS {
        let procs = read_optional(&place.join("cgroup.procs"))?.unwrap_or_default();
        if procs.trim().is_empty() {
            return Ok(());
        }
        directory::ensure(&leaf)?;
        for pid in procs.lines() {
            match directory::write(&leaf.join("cgroup.procs"), pid) {
                // It ended in between.
                Err(error) if error.errno != Errno::ESRCH => return Err(error),
                _ => {}
            }
        }
    }
    Err(Error::new("move into leaf cgroup", Errno::EBUSY))
}

impl Hierarchy for Tree {
    fn create(&self, name: &str, limits: &Limits) -> Result<Box<dyn Group>> {
        let directory = Directory::create(self.instance.join(name))?;
        match apply(&directory, limits) {
            Ok(applied) => Ok(Box::new(Job { directory, applied, watch: OnceCell::new() })),
            Err(error) => {
                // The first error is the one to report; a directory that stays is found by the next sweep.
                directory::remove(directory.path()).ok();
                Err(error)
            }
        }
    }

    fn open(&self, name: &str, applied: Applied) -> Result<Box<dyn Group>> {
        let directory = Directory::open(self.instance.join(name))?;
        Ok(Box::new(Job { directory, applied, watch: OnceCell::new() }))
    }

    fn controllers(&self) -> &BTreeSet<String> {
        &self.controllers
    }

    fn directories(&self) -> Vec<PathBuf> {
        vec![self.instance.clone()]
    }
}

/// Writes the limits into the files that are there; a file is there when its controller is up.
fn apply(directory: &Directory, limits: &Limits) -> Result<Applied> {
    let set = |name: &str, text: &str| -> Result<bool> {
        let there = directory.file(name).exists();
        if there {
            directory.write(name, text)?;
        }
        Ok(there)
    };
    let quota = limits.cpu_quota_us_per_100ms.unwrap_or(u64::MAX);
    let applied = Applied {
        memory: set("memory.max", &bound(limits.memory_bytes_max))?,
        swap: set("memory.swap.max", &bound(limits.swap_bytes_max))?,
        pids: set("pids.max", &bound(limits.pids_max))?,
        cpu: set("cpu.max", &format!("{} {CPU_PERIOD_US}", bound(quota)))?,
        io: match limits.io_weight {
            Some(weight) => set("io.weight", &format!("default {weight}"))?,
            None => directory.file("io.stat").exists(),
        },
        devices: false,
    };
    // The out-of-memory killer takes the job as a whole. Linux 4.19, older than all that we run on.
    set("memory.oom.group", "1")?;
    Ok(applied)
}

fn bound(value: u64) -> String {
    if value == u64::MAX { "max".to_owned() } else { value.to_string() }
}

/// A job's group.
#[derive(Debug)]
struct Job {
    directory: Directory,
    applied: Applied,
    watch: OnceCell<Watch>,
}

impl Group for Job {
    fn name(&self) -> String {
        directory::name(self.directory.path())
    }

    fn applied(&self) -> Applied {
        self.applied
    }

    fn clone_target(&self) -> Option<BorrowedFd<'_>> {
        Some(self.directory.as_fd())
    }

    fn attach_files(&self) -> &[OwnedFd] {
        &[]
    }

    fn kill(&self) -> Result<bool> {
        self.directory.kill()
    }

    fn usage(&self) -> Result<Usage> {
        let stat = read_cpu_stat(&self.directory)?;
        let time = |key| parse_keyed(&stat, key).map(Duration::from_micros);
        let io = self.directory.read_optional("io.stat")?;
        Ok(Usage {
            memory_peak_bytes: self.directory.number("memory.peak")?,
            cpu_user: time("user_usec"),
            cpu_system: time("system_usec"),
            cpu_throttled: time("throttled_usec"),
            pids_peak: self.directory.number("pids.peak")?,
            io_read_bytes: io.as_deref().map(|text| sum_nested(text, "rbytes")),
            io_write_bytes: io.as_deref().map(|text| sum_nested(text, "wbytes")),
        })
    }

    fn events(&self) -> Result<Events> {
        if let Some(watch) = self.watch.get() {
            watch.acknowledge()?;
        }
        if !self.directory.path().exists() {
            return Err(Error::new("read cgroup", Errno::ENOENT));
        }
        let memory = self.directory.read_optional("memory.events")?.unwrap_or_default();
        let count = |key| parse_keyed(&memory, key).unwrap_or(0);
        Ok(Events {
            oom_kills: count("oom_kill"),
            oom_group_kills: count("oom_group_kill"),
            pids_max_hits: self.directory.keyed("pids.events", "max")?.unwrap_or(0),
            memory_max_hits: count("max"),
        })
    }

    fn event_fds(&self) -> Result<Vec<OwnedFd>> {
        let watch = match self.watch.get() {
            Some(watch) => watch,
            None => {
                let files = [self.directory.file("memory.events"), self.directory.file("pids.events")];
                let watch = Watch::new(&files.each_ref().map(PathBuf::as_path))?;
                self.watch.get_or_init(|| watch)
            }
        };
        Ok(vec![watch.fd()?])
    }

    fn cpu_used(&self) -> Result<Option<Duration>> {
        Ok(parse_keyed(&read_cpu_stat(&self.directory)?, "usage_usec").map(Duration::from_micros))
    }

    fn pids_current(&self) -> Result<u64> {
        match self.directory.number("pids.current")? {
            Some(number) => Ok(number),
            None => {
                let threads = self.directory.read_optional("cgroup.threads")?;
                let threads = threads.ok_or(Error::new("read cgroup.threads", Errno::ENOENT))?;
                Ok(threads.lines().count() as u64)
            }
        }
    }

    fn populated(&self) -> Result<bool> {
        self.directory.populated()
    }

    fn processes(&self) -> Result<Vec<i32>> {
        leftover::processes(self.directory.path())
    }

    fn memory_current(&self) -> Result<Option<u64>> {
        self.directory.number("memory.current")
    }

    fn set_memory_max(&self, bytes: u64) -> Result<bool> {
        if self.applied.memory {
            self.directory.write("memory.max", &bound(bytes))?;
        }
        Ok(self.applied.memory)
    }

    fn set_frozen(&self, frozen: bool) -> Result<()> {
        self.directory.set_frozen(frozen)
    }

    fn remove(&self) -> Result<()> {
        directory::remove(self.directory.path())
    }
}

/// `cpu.stat` is in every group but the root, with or without the controller.
fn read_cpu_stat(directory: &Directory) -> Result<String> {
    directory.read_optional("cpu.stat")?.ok_or(Error::new("read cpu.stat", Errno::ENOENT))
}

#[cfg(test)]
#[path = "v2/tests.rs"]
mod tests;
