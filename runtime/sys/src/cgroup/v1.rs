//! Control groups of the first generation, and of hybrid hosts.
//!
//! Limits are set and counters read through cgroups-rs, whose hierarchy here is a list of our own
//! directories: it never looks for mounts and never makes a group in a controller that is not used. Its
//! ways to move or kill tasks are not called. The unified tree of a hybrid host has no controllers; it
//! gives a kill of the whole group, a freeze, and a place to be cloned into.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::cpuacct::CpuAcctController;
use cgroups_rs::fs::devices::{DevicePermissions, DeviceType, DevicesController};
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{Cgroup, MaxValue, Subsystem};

use super::directory::{self, Directory, parse_keyed, read_optional};
use super::discover::UNIFIED;
use super::watch::Watch;
use super::{Applied, CPU_PERIOD_US, Events, Facts, Group, Hierarchy, Limits, OURS, Usage};
use crate::error::{Errno, Error, Result, from_io};

/// The character devices that a job may open, as in its /dev; -1 stands for every minor number.
const DEVICES: [(i64, i64); 8] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, -1)];

/// The directories of an instance, by controller, as cgroups-rs wants to know them.
#[derive(Clone, Debug)]
struct Places(BTreeMap<String, PathBuf>);

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
        Cgroup::load(Box::new(self.clone()), "")
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
            if controller == UNIFIED {
                unified = Some(instance);
            } else {
                places.insert(controller.clone(), instance);
            }
        }
        Ok(Trees { places: Places(places), unified, controllers: facts.controllers.clone() })
    }

    fn fill(&self, name: &str, limits: &Limits, cgroup: Cgroup) -> Result<Job> {
        cgroup.create().map_err(|error| convert("mkdir cgroup", &error))?;
        let unified = match &self.unified {
            Some(instance) => Some(Directory::create(instance.join(name))?),
            None => None,
        };
        let applied = apply(&cgroup, limits, self.controllers.contains("swap"))?;
        let mut tasks = Vec::new();
        let mut directories: Vec<PathBuf> = Vec::new();
        for directory in self.places.0.values().map(|place| place.join(name)) {
            // Two controllers may share a tree under two names.
            let real = directory.canonicalize().map_err(|error| from_io("open cgroup", &error))?;
            if directories.contains(&real) {
                continue;
            }
            let file = OpenOptions::new().write(true).open(real.join("tasks"));
            tasks.push(file.map_err(|error| from_io("open cgroup tasks", &error))?.into());
            directories.push(real);
        }
        let memory = self.places.0.get("memory").map(|place| place.join(name));
        let pids = self.places.0.get("pids").map(|place| place.join(name));
        Ok(Job {
            cgroup,
            directories,
            memory,
            pids,
            unified,
            tasks,
            applied,
            watch: OnceCell::new(),
            oom_kills_seen: Cell::new(0),
        })
    }
}

impl Hierarchy for Trees {
    fn create(&self, name: &str, limits: &Limits) -> Result<Box<dyn Group>> {
        let directories: Vec<PathBuf> =
            self.directories().iter().map(|instance| instance.join(name)).collect();
        if directories.iter().any(|directory| directory.exists()) {
            return Err(Error::new("mkdir cgroup", Errno::EEXIST));
        }
        let controllers = self.places.0.keys().cloned().collect();
        let cgroup =
            Cgroup::load_with_specified_controllers(Box::new(self.places.clone()), name, controllers);
        match self.fill(name, limits, cgroup) {
            Ok(job) => Ok(Box::new(job)),
            Err(error) => {
                // The first error is the one to report; a directory that stays is found by the next sweep.
                for directory in &directories {
                    directory::remove(directory).ok();
                }
                Err(error)
            }
        }
    }

    fn controllers(&self) -> &BTreeSet<String> {
        &self.controllers
    }

    fn directories(&self) -> Vec<PathBuf> {
        self.unified.iter().chain(self.places.0.values()).cloned().collect()
    }
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
    if let Some(devices) = cgroup.controller_of::<DevicesController>() {
        devices
            .deny_device(DeviceType::All, -1, -1, &DevicePermissions::all())
            .map_err(|error| convert("write devices.deny", &error))?;
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
        applied.devices = true;
    }
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

/// A job's group.
#[derive(Debug)]
struct Job {
    cgroup: Cgroup,
    directories: Vec<PathBuf>,
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
    unified: Option<Directory>,
    tasks: Vec<OwnedFd>,
    applied: Applied,
    watch: OnceCell<Watch>,
    oom_kills_seen: Cell<u64>,
}

impl Job {
    /// The crate reads 0 where a file is gone; a group that is gone is an error here.
    fn check_alive(&self) -> Result<()> {
        if self.directories.iter().all(|directory| directory.exists()) {
            Ok(())
        } else {
            Err(Error::new("read cgroup", Errno::ENOENT))
        }
    }
}

impl Group for Job {
    fn applied(&self) -> Applied {
        self.applied
    }

    fn clone_target(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(AsFd::as_fd)
    }

    fn attach_files(&self) -> &[OwnedFd] {
        &self.tasks
    }

    fn kill(&self) -> Result<bool> {
        self.unified.as_ref().map_or(Ok(false), Directory::kill)
    }

    fn usage(&self) -> Result<Usage> {
        self.check_alive()?;
        let mut usage = Usage::default();
        if let Some(memory) = self.cgroup.controller_of::<MemController>() {
            usage.memory_peak_bytes = Some(memory.memory_stat().max_usage_in_bytes);
        }
        if let Some(accounting) = self.cgroup.controller_of::<CpuAcctController>() {
            let time = accounting.cpuacct();
            let (user, system) = split_time(time.usage, time.usage_user, time.usage_sys);
            usage.cpu_user = Some(Duration::from_nanos(user));
            usage.cpu_system = Some(Duration::from_nanos(system));
        }
        if let Some(cpu) = self.cgroup.controller_of::<CpuController>() {
            usage.cpu_throttled = parse_keyed(&cpu.cpu().stat, "throttled_time").map(Duration::from_nanos);
        }
        if let Some(pids) = &self.pids {
            usage.pids_peak =
                read_optional(&pids.join("pids.peak"))?.and_then(|text| text.trim().parse().ok());
        }
        Ok(usage)
    }

    fn events(&self) -> Result<Events> {
        self.check_alive()?;
        if let Some(watch) = self.watch.get() {
            watch.acknowledge()?;
        }
        let mut events = Events::default();
        if let Some(memory) = self.cgroup.controller_of::<MemController>() {
            let stat = memory.memory_stat();
            events.oom_kills = stat.oom_control.oom_kill;
            // Without swap both bounds are the same, and the one over both is met first. Linux 6.18 was seen
            // to leave both counts at 0; a kill implies at least one hit.
            let with_swap = if self.applied.swap { memory.memswap().fail_cnt } else { 0 };
            events.memory_max_hits = stat.fail_cnt.saturating_add(with_swap).max(events.oom_kills);
        }
        if let Some(pids) = self.cgroup.controller_of::<PidController>() {
            events.pids_max_hits =
                pids.get_pid_events().map_err(|error| convert("read pids.events", &error))?;
        }
        if self.oom_kills_seen.replace(events.oom_kills) < events.oom_kills
            && let Some(watch) = self.watch.get()
        {
            watch.settle();
        }
        Ok(events)
    }

    fn event_fds(&self) -> Result<Vec<OwnedFd>> {
        let watch = match self.watch.get() {
            Some(watch) => watch,
            None => {
                let file = self.pids.as_ref().map(|pids| pids.join("pids.events"));
                let files: Vec<&Path> = file.iter().map(PathBuf::as_path).collect();
                let mut watch = Watch::new(&files)?;
                if let Some(memory) = &self.memory {
                    watch.add_oom_notices(memory)?;
                }
                self.watch.get_or_init(|| watch)
            }
        };
        Ok(vec![watch.fd()?])
    }

    fn cpu_used(&self) -> Result<Option<Duration>> {
        self.check_alive()?;
        Ok(self
            .cgroup
            .controller_of::<CpuAcctController>()
            .map(|accounting| Duration::from_nanos(accounting.cpuacct().usage)))
    }

    fn pids_current(&self) -> Result<u64> {
        match self.cgroup.controller_of::<PidController>() {
            Some(pids) => pids.get_pid_current().map_err(|error| convert("read pids.current", &error)),
            None => count_tasks(&self.directories),
        }
    }

    fn populated(&self) -> Result<bool> {
        // A job is in all trees or on its way into them, so any of them that has a process will do.
        let unified = self.unified.as_ref().map_or(Ok(false), Directory::populated)?;
        Ok(unified || count_tasks(&self.directories)? > 0)
    }

    fn set_frozen(&self, frozen: bool) -> Result<()> {
        match &self.unified {
            Some(unified) => unified.set_frozen(frozen),
            None => Err(Error::new("write cgroup.freeze", Errno::EOPNOTSUPP)),
        }
    }

    fn remove(&self) -> Result<()> {
        let mut first = Ok(());
        for path in
            self.unified.iter().map(Directory::path).chain(self.directories.iter().map(PathBuf::as_path))
        {
            first = first.and(directory::remove(path));
        }
        first
    }
}

/// The most threads that any of the trees has.
fn count_tasks(directories: &[PathBuf]) -> Result<u64> {
    let mut most = 0;
    for directory in directories {
        let text =
            read_optional(&directory.join("tasks"))?.ok_or(Error::new("read cgroup tasks", Errno::ENOENT))?;
        most = most.max(text.lines().count() as u64);
    }
    Ok(most)
}

/// Splits the exact total by the sampled parts: a short job may have no sample at all. The kernel does the
/// same for /proc (`cputime_adjust`).
fn split_time(total: u64, user: u64, system: u64) -> (u64, u64) {
    if system == 0 {
        return (total, 0);
    }
    let sampled = u128::from(user) + u128::from(system);
    let system = (u128::from(total) * u128::from(system) / sampled) as u64;
    (total - system, system)
}

#[cfg(test)]
mod tests {
    use super::split_time;

    #[test]
    fn the_split_keeps_the_total() {
        assert_eq!(split_time(900, 0, 0), (900, 0));
        assert_eq!(split_time(900, 10, 0), (900, 0));
        assert_eq!(split_time(900, 0, 10), (0, 900));
        assert_eq!(split_time(900, 20, 10), (600, 300));
        assert_eq!(split_time(u64::MAX, u64::MAX, u64::MAX), (u64::MAX - u64::MAX / 2, u64::MAX / 2));
    }
}
