//! Control groups of the first generation, and of hybrid hosts.
//!
//! Limits are set and counters read through cgroups-rs, whose hierarchy here is a list of our own
//! directories: it never looks for mounts and never makes a group in a controller that is not used. Its
//! ways to move or kill tasks are not called. The unified tree of a hybrid host has no controllers; it
//! gives a kill of the whole group, a freeze, and a place to be cloned into.

mod job;

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::cpuacct::CpuAcctController;
use cgroups_rs::fs::devices::{DevicePermissions, DeviceType, DevicesController};
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{Cgroup, MaxValue, Subsystem};

use self::job::Job;
use super::directory::{self, Directory};
use super::discover::UNIFIED;
use super::{Applied, CPU_PERIOD_US, Facts, Group, Hierarchy, Limits, OURS};
use crate::error::{Errno, Error, Result, from_io};

/// The character devices that a job may open, as in its /dev; -1 stands for every minor number.
const DEVICES: [(i64, i64); 8] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, -1)];

/// The directories of an instance, by controller, as cgroups-rs wants to know them.
#[derive(Clone, Debug)]
struct Places(BTreeMap<String, PathBuf>);

impl Places {
    /// A handle on the groups of this name; the empty one stands for the instance itself.
    fn load(&self, name: &str) -> Cgroup {
        Cgroup::load(Box::new(self.clone()), name)
    }
}

impl cgroups_rs::fs::Hierarchy for Places {
    fn subsystems(&self) -> Vec<Subsystem> {
        self.0
            .iter()
            .filter_map(|(controller, directory)| {
                let (path, base) = (directory.clone(), directory.clone());
                Some(match controller.as_str() {
                    "memory" => Subsystem::Mem(MemController::new(path, base, false)),
                    "pids" => Subsystem::Pid(PidController::new(path, base, false)),
                    "cpu" => Subsystem::Cpu(CpuController::new(path, base, false)),
                    "cpuacct" => Subsystem::CpuAcct(CpuAcctController::new(path, base)),
                    "devices" => Subsystem::Devices(DevicesController::new(path, base)),
                    _ => return None,
                })
            })
            .collect()
    }

    fn root(&self) -> PathBuf {
        self.0.values().next().cloned().unwrap_or_default()
    }

    // Both stay inside the instance: nothing that cgroups-rs could do leads a task out of it.
    fn root_control_group(&self) -> Cgroup {
        self.load("")
    }

    fn parent_control_group(&self, _path: &str) -> Cgroup {
        self.root_control_group()
    }

    fn v2(&self) -> bool {
        false
    }
}

/// An instance's directories in the trees of v1, and in the unified one of a hybrid host.
#[derive(Debug)]
pub(super) struct Trees {
    places: Places,
    unified: Option<PathBuf>,
    controllers: BTreeSet<String>,
}

impl Trees {
    pub(super) fn open(facts: &Facts, instance_name: &str) -> Result<Trees> {
        let mut places = BTreeMap::new();
        let mut unified = None;
        for (controller, place) in &facts.places {
            let ours = place.join(OURS);
            directory::ensure(&ours)?;
            let instance = ours.join(instance_name);
            directory::ensure(&instance)?;
            // Two controllers may share a tree under two names.
            let instance = instance.canonicalize().map_err(|error| from_io("open cgroup", &error))?;
            if controller == UNIFIED {
                unified = Some(instance);
            } else {
                places.insert(controller.clone(), instance);
            }
        }
        let places = Places(places);
        // Groups made below inherit the list of devices, so that it is not written for each job.
        if let Some(devices) = places.load("").controller_of::<DevicesController>() {
            allow_devices(devices)?;
        }
        Ok(Trees { places, unified, controllers: facts.controllers.clone() })
    }

    /// Makes and fills a job's directories; says in `made` which ones there are, also when it fails.
    fn fill(&self, name: &str, limits: &Limits, made: &mut Vec<PathBuf>) -> Result<Job> {
        for directory in self.directories().into_iter().map(|instance| instance.join(name)) {
            directory::create(&directory)?;
            made.push(directory);
        }
        let mut attach = Vec::new();
        // Into the shadow in the unified tree a child is born: a write to its `cgroup.procs` waits 10 to 20 ms for a grace
        // period, a thread that writes itself into `tasks` does not.
        for directory in made.iter().filter(|directory| self.unified.as_deref() != directory.parent()) {
            attach.push(directory::open_for_writing(&directory.join("tasks"))?);
        }
        let applied = apply(&self.places.load(name), limits, self.controllers.contains("swap"))?;
        self.job(name, made.clone(), attach, applied)
    }

    /// A job whose directories are there.
    fn job(
        &self,
        name: &str,
        directories: Vec<PathBuf>,
        attach: Vec<OwnedFd>,
        applied: Applied,
    ) -> Result<Job> {
        let unified = self.unified.as_ref().map(|instance| Directory::open(instance.join(name)));
        Ok(Job {
            cgroup: self.places.load(name),
            directories,
            memory: self.places.0.get("memory").map(|place| place.join(name)),
            pids: self.places.0.get("pids").map(|place| place.join(name)),
            unified: unified.transpose()?,
            attach,
            applied,
            watch: OnceCell::new(),
            oom_kills_seen: Cell::new(0),
        })
    }
}

impl Hierarchy for Trees {
    fn create(&self, name: &str, limits: &Limits) -> Result<Box<dyn Group>> {
        let mut made = Vec::new();
        match self.fill(name, limits, &mut made) {
            Ok(job) => Ok(Box::new(job)),
            Err(error) => {
                // The first error is the one to report; a directory that stays is found by the next sweep.
                directory::remove_all(&made).ok();
                Err(error)
            }
        }
    }

    fn open(&self, name: &str, applied: Applied) -> Result<Box<dyn Group>> {
        let directories: Vec<PathBuf> =
            self.directories().into_iter().map(|instance| instance.join(name)).collect();
        if directories.iter().any(|directory| !directory.exists()) {
            return Err(Error::new("open cgroup", Errno::ENOENT));
        }
        Ok(Box::new(self.job(name, directories, Vec::new(), applied)?))
    }

    fn controllers(&self) -> &BTreeSet<String> {
        &self.controllers
    }

    fn directories(&self) -> Vec<PathBuf> {
        let mut directories: Vec<PathBuf> = self.unified.iter().cloned().collect();
        for place in self.places.0.values() {
            if !directories.contains(place) {
                directories.push(place.clone());
            }
        }
        directories
    }
}

/// Shuts every device but those of a job's /dev.
fn allow_devices(devices: &DevicesController) -> Result<()> {
    let allowed = devices.allowed_devices().map_err(|error| convert("read devices.list", &error))?;
    // An instance that is taken over with its jobs is shut already, and the kernel would refuse.
    if allowed.iter().any(|device| device.devtype == DeviceType::All) {
        devices
            .deny_device(DeviceType::All, -1, -1, &DevicePermissions::all())
            .map_err(|error| convert("write devices.deny", &error))?;
    }
    for (major, minor) in DEVICES {
        devices
            .allow_device(
                DeviceType::Char,
                major,
                minor,
                &[DevicePermissions::Read, DevicePermissions::Write],
            )
            .map_err(|error| convert("write devices.allow", &error))?;
    }
    Ok(())
}

/// Sets the limits. Each through its own call: the crate's `apply` swallows errors of the memory group.
fn apply(cgroup: &Cgroup, limits: &Limits, can_swap: bool) -> Result<Applied> {
    let mut applied = Applied::default();
    if let Some(memory) = cgroup.controller_of::<MemController>() {
        let bytes = bound(limits.memory_bytes_max);
        memory.set_limit(bytes).map_err(|error| convert("write memory.limit_in_bytes", &error))?;
        applied.memory = true;
        if can_swap {
            let both = bound(limits.memory_bytes_max.saturating_add(limits.swap_bytes_max));
            memory
                .set_memswap_limit(both)
                .map_err(|error| convert("write memory.memsw.limit_in_bytes", &error))?;
            applied.swap = true;
        }
    }
    if let Some(pids) = cgroup.controller_of::<PidController>() {
        let max = match bound(limits.pids_max) {
            -1 => MaxValue::Max,
            number => MaxValue::Value(number),
        };
        pids.set_pid_max(max).map_err(|error| convert("write pids.max", &error))?;
        applied.pids = true;
    }
    if let Some(cpu) = cgroup.controller_of::<CpuController>() {
        if let Some(quota) = limits.cpu_quota_us_per_100ms {
            cpu.set_cfs_period(CPU_PERIOD_US).map_err(|error| convert("write cpu.cfs_period_us", &error))?;
            cpu.set_cfs_quota(bound(quota)).map_err(|error| convert("write cpu.cfs_quota_us", &error))?;
        }
        applied.cpu = true;
    }
    applied.devices = cgroup.controller_of::<DevicesController>().is_some();
    Ok(applied)
}

/// The kernel's signed number, in which -1 is no bound.
fn bound(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(-1)
}

/// The number behind an error of the crate; it hides it in the cause.
fn convert(act: &'static str, error: &cgroups_rs::fs::error::Error) -> Error {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.map_or(Error::new(act, Errno::EIO), |cause| from_io(act, cause))
}
