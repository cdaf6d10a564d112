//! What a job uses: looked at now and then where no event tells, and added up at its end.

use crate::launcher::{Launcher, POLL_INTERVAL, job::Job};
use runtime_plan::{launch::TreeLimits, limit::LimitName, outcome::Usage};
use runtime_sys::{cgroup, proc};
use std::time::Duration;

impl Launcher {
    /// Limits of which no event tells: cpu time everywhere, memory and processes where there is no cgroup.
    pub fn poll(&mut self, serial: u64, now: Duration) {
        let Some(job) = self.jobs.get_mut(&serial) else { return };
        if job.polled.is_none() || job.ending.is_some() {
            job.times.poll = None;
            return;
        }
        let counted = job.group.as_ref().and_then(|group| group.cpu_used().ok().flatten());
        let (cpu, source) = match counted {
            Some(cpu) => (Some(cpu), "the cgroup's cpu time"),
            // It has no group, or nothing of the group counts.
            None => (poll_tree(job), "polled cpu time of the tree"),
        };
        let mut next = POLL_INTERVAL;
        if let (Some(allowed), Some(used)) = (job.plan.limits.cpu_time_ms, cpu) {
            let used = used.as_millis() as u64;
            if used >= allowed {
                let ending = Job::limit_hit(LimitName::CpuTime, allowed, Some(used), source.to_owned());
                return self.end(serial, ending, true);
            }
            if counted.is_some() {
                // With every cpu at full speed the limit is not met before: a job that rests costs nothing.
                let soonest = Duration::from_millis((allowed - used) / u64::from(job.plan.cpus.max(1)));
                next = next.max(soonest);
            }
        }
        job.times.poll = Some(now + next);
        let allowed = job.plan.limits.memory_bytes;
        let used = job.polled.and_then(|polled| polled.memory_peak_bytes);
        if matches!(job.plan.tree_limits, TreeLimits::Fallback { .. })
            && used.is_some_and(|used| used > allowed)
        {
            let evidence = "polled resident memory of the tree".to_owned();
            self.end(serial, Job::limit_hit(LimitName::Memory, allowed, used, evidence), true);
        }
    }
}

/// Adds up the processes below init, and keeps the highest. Returns their cpu time. A process that ends between two looks is
/// missed: what is polled is reported as polled.
pub fn poll_tree(job: &mut Job) -> Option<Duration> {
    let root = Launcher::proc_root();
    let pids = proc::children_of(root, job.init).ok()?;
    let mut memory = 0;
    let mut cpu = Duration::ZERO;
    for pid in &pids {
        // Gone meanwhile: nothing to add.
        memory += proc::resident_bytes(root, *pid).unwrap_or(0);
        cpu += proc::cpu_time(root, *pid).unwrap_or_default();
    }
    let polled = job.polled.get_or_insert_default();
    polled.memory_peak_bytes = polled.memory_peak_bytes.max(Some(memory));
    polled.pids_peak = polled.pids_peak.max(Some(pids.len() as u64));
    Some(cpu)
}

/// What the job used: from its cgroup where there is one, else from what init counted and polling saw.
pub fn measure(job: &Job, now: Duration) -> (Usage, Option<cgroup::Events>) {
    let us = |duration: Duration| duration.as_micros() as u64;
    let mut usage = Usage {
        cpu_user_us: job.init_cpu_us.map(|(user, _)| user),
        cpu_system_us: job.init_cpu_us.map(|(_, system)| system),
        memory_peak_bytes: job.polled.and_then(|polled| polled.memory_peak_bytes),
        pids_peak: job.polled.and_then(|polled| polled.pids_peak),
        spawn_us: job.times.started.map(|started| us(started.saturating_sub(job.times.taken))),
        run_us: job.times.started.map(|started| us(job.times.ended.unwrap_or(now).saturating_sub(started))),
        ..Usage::default()
    };
    let Some(group) = &job.group else { return (usage, None) };
    if let Ok(used) = group.usage() {
        usage.cpu_user_us = used.cpu_user.map(us).or(usage.cpu_user_us);
        usage.cpu_system_us = used.cpu_system.map(us).or(usage.cpu_system_us);
        usage.cpu_throttled_us = used.cpu_throttled.map(us);
        usage.memory_peak_bytes = used.memory_peak_bytes;
        usage.pids_peak = used.pids_peak;
        usage.io_read_bytes = used.io_read_bytes;
        usage.io_write_bytes = used.io_write_bytes;
    }
    (usage, group.events().ok())
}
