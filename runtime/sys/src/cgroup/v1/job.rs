//! One job's group in the trees of v1: counters through cgroups-rs, kill and freeze through the unified tree.
//!
//! It must not make a group or set a limit.

use std::cell::{Cell, OnceCell};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cgroups_rs::fs::Cgroup;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::cpuacct::CpuAcctController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;

use super::{bound, convert};
use crate::cgroup::directory::{self, Directory, parse_keyed, read_optional};
use crate::cgroup::leftover;
use crate::cgroup::watch::Watch;
use crate::cgroup::{Applied, Events, Group, Usage};
use crate::error::{Errno, Error, Result};

/// A job's group.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) cgroup: Cgroup,
    pub(super) directories: Vec<PathBuf>,
    pub(super) memory: Option<PathBuf>,
    pub(super) pids: Option<PathBuf>,
    pub(super) unified: Option<Directory>,
    pub(super) attach: Vec<OwnedFd>,
    pub(super) applied: Applied,
    pub(super) watch: OnceCell<Watch>,
    pub(super) oom_kills_seen: Cell<u64>,
}

impl Job {
    /// The crate reads 0 where a file is gone; a group that is gone is an error here. All its directories
    /// come and go together, so one stands for all.
    fn check_alive(&self) -> Result<()> {
        match self.directories.last() {
            Some(directory) if directory.exists() => Ok(()),
            _ => Err(Error::new("read cgroup", Errno::ENOENT)),
        }
    }

    /// The most threads that any of the v1 trees has.
    fn count_tasks(&self) -> Result<u64> {
        let mut most = 0;
        let unified = self.unified.as_ref().map(Directory::path);
        for directory in self.directories.iter().filter(|directory| Some(directory.as_path()) != unified) {
            let text = read_optional(&directory.join("tasks"))?;
            let text = text.ok_or(Error::new("read cgroup tasks", Errno::ENOENT))?;
            most = most.max(text.lines().count() as u64);
        }
        Ok(most)
    }
}

impl Group for Job {
    fn name(&self) -> String {
        self.directories.first().map(|path| directory::name(path)).unwrap_or_default()
    }

    fn applied(&self) -> Applied {
        self.applied
    }

    fn clone_target(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(AsFd::as_fd)
    }

    fn attach_files(&self) -> &[OwnedFd] {
        &self.attach
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
            // to leave both counts at 0. A kill implies no hit: the host's own killer counts here, too.
            let with_swap = if self.applied.swap { memory.memswap().fail_cnt } else { 0 };
            events.memory_max_hits = stat.fail_cnt.saturating_add(with_swap);
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
            None => self.count_tasks(),
        }
    }

    fn populated(&self) -> Result<bool> {
        // A job is in all trees or on its way into them, so any of them that has a process will do.
        let unified = self.unified.as_ref().map_or(Ok(false), Directory::populated)?;
        Ok(unified || self.count_tasks()? > 0)
    }

    /// A job is in all trees or on its way into them: whoever is in one is of it.
    fn processes(&self) -> Result<Vec<i32>> {
        let mut found = Vec::new();
        for directory in &self.directories {
            found.extend(leftover::processes(directory)?);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn memory_current(&self) -> Result<Option<u64>> {
        let memory = self.cgroup.controller_of::<MemController>();
        Ok(memory.map(|memory| memory.memory_stat().usage_in_bytes))
    }

    /// The bound over memory and swap stays above the one over memory: it is lowered after it.
    fn set_memory_max(&self, bytes: u64) -> Result<bool> {
        let Some(memory) = self.cgroup.controller_of::<MemController>() else { return Ok(false) };
        memory.set_limit(bound(bytes)).map_err(|error| convert("write memory.limit_in_bytes", &error))?;
        if self.applied.swap {
            memory
                .set_memswap_limit(bound(bytes))
                .map_err(|error| convert("write memory.memsw.limit_in_bytes", &error))?;
        }
        Ok(true)
    }

    fn set_frozen(&self, frozen: bool) -> Result<()> {
        match &self.unified {
            Some(unified) => unified.set_frozen(frozen),
            None => Err(Error::new("write cgroup.freeze", Errno::EOPNOTSUPP)),
        }
    }

    fn remove(&self) -> Result<()> {
        directory::remove_all(&self.directories)
    }
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
