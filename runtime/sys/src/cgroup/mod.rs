//! Control groups: cgroups(7). What a job may use, what it did use, and the means to end it as a whole.
//!
//! Two implementations stand behind two traits: `v1` (limits through cgroups-rs, with the unified tree of
//! a hybrid host as plain files beside it) and `v2` (plain files). A group lives at
//! `<place>/runtime/<instance>/<job>` in every tree that is used, and nothing outside a directory named
//! `runtime` is ever made or removed, but for the leaf that `v2` moves our own processes into.
//! This module must not choose a limit or decide what a missing controller means.

mod directory;
mod discover;
mod leftover;
mod v1;
mod v2;
mod watch;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::ops::Deref;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

pub use discover::{Facts, Version, discover};
pub use leftover::{Found, groups_of, instances, is_held, kill_group, processes, remove_group, tidy};

use crate::error::{Errno, Error, Result};

/// The directory under which everything of ours lives.
const OURS: &str = "runtime";
/// Bytes of an instance's or a job's name at most.
const NAME_BYTES_MAX: usize = 64;
/// How often the way down to an instance is made.
const OPEN_TRIES: u32 = 8;
/// The period of processor quotas in microseconds.
const CPU_PERIOD_US: u64 = 100_000;

/// What a job may use. `u64::MAX` means no bound.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes, page cache and tmpfs included.
    pub memory_bytes_max: u64,
    /// Swap in bytes, on top of the memory.
    pub swap_bytes_max: u64,
    /// Processes and threads.
    pub pids_max: u64,
    /// Processor time in microseconds for each 100 ms, at least 1000: 150 000 is one and a half cores.
    pub cpu_quota_us_per_100ms: Option<u64>,
    /// Share of disk time against sibling groups, 1 to 10 000, default 100. v2 only.
    pub io_weight: Option<u64>,
}

/// Which limits a group really carries: the controller is up and took what was asked.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The memory limit.
    pub memory: bool,
    /// The swap limit.
    pub swap: bool,
    /// The limit of processes and threads.
    pub pids: bool,
    /// The processor quota.
    pub cpu: bool,
    /// The share of disk time.
    pub io: bool,
    /// Only null, zero, full, random, urandom, tty, ptmx and pts can be opened. v1 as root only.
    pub devices: bool,
}

/// What a job has used so far. None is what this host does not measure.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The most memory ever held at once, in bytes. v2: Linux 5.19.
    pub memory_peak_bytes: Option<u64>,
    /// Processor time in user mode.
    pub cpu_user: Option<Duration>,
    /// Processor time in the kernel.
    pub cpu_system: Option<Duration>,
    /// Time in which the quota kept the job waiting.
    pub cpu_throttled: Option<Duration>,
    /// The most processes and threads ever alive at once. Linux 6.11.
    pub pids_peak: Option<u64>,
    /// Bytes read from block devices. v2 only.
    pub io_read_bytes: Option<u64>,
    /// Bytes written to block devices. v2 only.
    pub io_write_bytes: Option<u64>,
}

/// How often a job ran into a limit. A controller that is not up counts 0: see [`Applied`].
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Processes that the out-of-memory killer ended.
    pub oom_kills: u64,
    /// Times that it ended the group as a whole; always 0 on v1, which cannot.
    pub oom_group_kills: u64,
    /// Forks that were refused.
    pub pids_max_hits: u64,
    /// Allocations that met the memory limit; most are satisfied after reclaim. A lower bound on v1.
    pub memory_max_hits: u64,
}

/// One way to make groups: v1 with or without the unified tree, or v2.
pub(crate) trait Hierarchy: Debug + Send {
    /// Makes a group that did not exist and limits it.
    fn create(&self, name: &str, limits: &Limits) -> Result<Box<dyn Group>>;

    /// A group that is there, as somebody else made and limited it.
    fn open(&self, name: &str, applied: Applied) -> Result<Box<dyn Group>>;

    /// The controllers that groups made here have.
    fn controllers(&self) -> &BTreeSet<String>;

    /// The instance's directory in each tree.
    fn directories(&self) -> Vec<PathBuf>;
}

/// The group of one job, in all trees at once.
pub trait Group: Debug + Send {
    /// The name that it was made with.
    fn name(&self) -> String;

    /// Which limits are in force.
    fn applied(&self) -> Applied;

    /// The directory for `CLONE_INTO_CGROUP` (Linux 5.7): the group itself on v2, its shadow in the unified
    /// tree on a hybrid host, none on v1. The cloning task needs write permission on `cgroup.procs` of the
    /// group and of the common ancestor, by its effective uid or by `CAP_DAC_OVERRIDE`.
    fn clone_target(&self) -> Option<BorrowedFd<'_>>;

    /// The `tasks` files of v1, open for writing: a child that writes `0` to each is in the group. It must
    /// have one thread. The permission is that of whoever opened them, which is us, not the child's
    /// (Linux 5.16). Empty on v2.
    fn attach_files(&self) -> &[OwnedFd];

    /// Kills every process of the group at one blow. Linux 5.14.
    ///
    /// # Errors
    /// What the write says. `Ok(false)` means that this host has no such means: kill pid 1 instead.
    fn kill(&self) -> Result<bool>;

    /// What was used so far.
    ///
    /// # Errors
    /// `ENOENT` and the like once the group is gone.
    fn usage(&self) -> Result<Usage>;

    /// How often limits were met so far. Also silences the descriptors of [`Group::event_fds`] until
    /// something happens again.
    ///
    /// # Errors
    /// `ENOENT` and the like once the group is gone.
    fn events(&self) -> Result<Events>;

    /// Descriptors that become readable when [`Group::events`] is worth calling. Poll them for input and
    /// do not read them. On v1 the kernel speaks up *before* it kills, so they may wake a caller a few
    /// times for nothing.
    ///
    /// # Errors
    /// What the kernel says; `EMFILE` without free descriptors.
    fn event_fds(&self) -> Result<Vec<OwnedFd>>;

    /// Processor time so far, user and system together: cheaper than [`Group::usage`].
    ///
    /// # Errors
    /// As for [`Group::usage`].
    fn cpu_used(&self) -> Result<Option<Duration>>;

    /// How many processes and threads there are now.
    ///
    /// # Errors
    /// As for [`Group::usage`].
    fn pids_current(&self) -> Result<u64>;

    /// Whether there is any process in the group.
    ///
    /// # Errors
    /// As for [`Group::usage`].
    fn populated(&self) -> Result<bool>;

    /// The processes that are in the group now, by number. 0 stands for one that our pid namespace does not show.
    ///
    /// # Errors
    /// As for [`Group::usage`].
    fn processes(&self) -> Result<Vec<i32>>;

    /// Memory that is held now, in bytes. None is what this host does not measure.
    ///
    /// # Errors
    /// As for [`Group::usage`].
    fn memory_current(&self) -> Result<Option<u64>>;

    /// Sets another limit of memory. On v1 there is no swap then. `Ok(false)` without the controller.
    ///
    /// # Errors
    /// What the write says: on v1 `EBUSY` when more is held and cannot be freed.
    fn set_memory_max(&self, bytes: u64) -> Result<bool>;

    /// Stops or continues all processes through `cgroup.freeze`; a frozen group can still be killed.
    /// Linux 5.2. The v1 freezer is never used: what it holds ignores SIGKILL.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where there is no unified tree.
    fn set_frozen(&self, frozen: bool) -> Result<()>;

    /// Removes the group's directories. Waits up to about 100 ms for dying processes.
    ///
    /// # Errors
    /// `EBUSY` when processes are still there; what could be removed is gone.
    fn remove(&self) -> Result<()>;
}

/// The group of one job. See [`Group`] for what it can do. Dropping it does not remove it.
#[derive(Debug)]
pub struct JobGroup(Box<dyn Group>);

impl JobGroup {
    /// The directory for `CLONE_INTO_CGROUP`: see [`Group::clone_target`]. (By this name here, because
    /// through `Deref` it would be mistaken for `ToOwned::clone_into`.)
    pub fn clone_into(&self) -> Option<BorrowedFd<'_>> {
        self.0.clone_target()
    }
}

impl Deref for JobGroup {
    type Target = dyn Group;

    fn deref(&self) -> &(dyn Group + 'static) {
        &*self.0
    }
}

/// The groups of one launcher: a directory in each tree, under which its jobs' groups are made.
#[derive(Debug)]
pub struct Instance {
    trees: Box<dyn Hierarchy>,
    /// A lock on the instance's directories, as long as we live: see [`is_held`].
    _held: Vec<OwnedFd>,
}

impl Instance {
    /// Makes the instance's directories, and on v2 enables the controllers on the way down. On a delegated
    /// v2 group it first moves every process of that group into its leaf `supervisor`.
    ///
    /// An instance that is there already is taken over: the name is leased by the caller.
    ///
    /// # Errors
    /// `EOPNOTSUPP` when [`Facts`] name no place; `EINVAL` for a name that is not 1 to 64 letters, digits,
    /// `-` or `_`; else what the kernel says.
    pub fn open(facts: &Facts, instance_name: &str) -> Result<Instance> {
        check_name(instance_name)?;
        let mut tries = 1;
        loop {
            let opened = open_hierarchy(facts, instance_name);
            match opened {
                // Another instance has just removed the empty `runtime` under our hands.
                Err(error) if error.errno == Errno::ENOENT && tries < OPEN_TRIES => tries += 1,
                opened => return Instance::hold(opened?),
            }
        }
    }

    /// Who takes an instance over that another part of this process holds has no lock of its own, and needs none.
    fn hold(trees: Box<dyn Hierarchy>) -> Result<Instance> {
        let mut held = Vec::new();
        for directory in trees.directories() {
            held.extend(leftover::hold(&directory)?);
        }
        Ok(Instance { trees, _held: held })
    }

    /// The controllers that jobs get here. Fewer than [`Facts`] said when one could not be enabled.
    pub fn controllers(&self) -> &BTreeSet<String> {
        self.trees.controllers()
    }

    /// Makes a job's group with its limits, before any process is in it.
    ///
    /// # Errors
    /// `EEXIST` when there is such a group; `EINVAL` for a bad name or a limit that the kernel does not
    /// take. Nothing stays behind then.
    pub fn create_job(&self, name: &str, limits: &Limits) -> Result<JobGroup> {
        check_name(name)?;
        Ok(JobGroup(self.trees.create(name, limits)?))
    }

    /// Takes over a job's group that an earlier program of this process made, with what that applied: see
    /// [`Group::applied`]. No process can be attached to it any more, for its `tasks` files are not opened.
    ///
    /// # Errors
    /// `ENOENT` when there is no such group; `EINVAL` for a bad name.
    pub fn open_job(&self, name: &str, applied: Applied) -> Result<JobGroup> {
        check_name(name)?;
        Ok(JobGroup(self.trees.open(name, applied)?))
    }

    /// Removes the instance's directories, and `runtime` above them when nobody else uses it.
    ///
    /// # Errors
    /// `EBUSY` while a job's group is there.
    pub fn remove(self) -> Result<()> {
        leftover::remove_instance(&self.trees.directories())
    }
}

fn open_hierarchy(facts: &Facts, instance_name: &str) -> Result<Box<dyn Hierarchy>> {
    match facts.version {
        Some(Version::V2) => Ok(Box::new(v2::Tree::open(facts, instance_name)?)),
        Some(_) if !facts.places.is_empty() => Ok(Box::new(v1::Trees::open(facts, instance_name)?)),
        _ => Err(Error::new("cgroup", Errno::EOPNOTSUPP)),
    }
}

/// A name becomes a directory's: it must not leave its place nor look like a kernel file.
fn check_name(name: &str) -> Result<()> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !plain {
        return Err(Error::new("cgroup name", Errno::EINVAL));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
