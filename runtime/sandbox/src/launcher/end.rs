//! Ends of jobs: by limit, cancel or their own doing.
//!
//! A job is over when its init is reaped: the kernel reaps the init of a pid namespace only after every process in it is
//! gone. Only then are its numbers read, its group removed and its host ids given back.

use crate::launcher::{
    Launcher, POLL_INTERVAL,
    ended::Ended,
    job::{Ending, Job},
    verdict,
};
use runtime_plan::{
    launch::{LaunchPlan, TreeLimits},
    limit::LimitName,
    link::{self, JobId, MeasuredLimit, ToServer},
    outcome::{ExitReport, Usage},
};
use runtime_sys::{Errno, Error, cgroup, pidfd, proc, time};
use std::{os::fd::AsFd, time::Duration};

/// signal(7).
const SIGHUP: i32 = 1;
/// signal(7).
const SIGCONT: i32 = 18;
/// signal(7).
const SIGTERM: i32 = 15;
/// signal(7).
const SIGKILL: i32 = 9;
impl Launcher {
    /// Somebody asks for the end of a job: TERM, grace, KILL, or KILL at once.
    pub fn cancel(&mut self, serial: u64, by: String, reason: String, kill: bool) {
        self.end(serial, Ending::Cancelled { by, reason }, kill);
    }

    /// The server says that the job ran into a limit that the server measures. It could lie, and would end its own job.
    pub fn limit_reached(&mut self, id: &JobId, limit: MeasuredLimit, used: u64) {
        let Some(serial) = self.by_id.get(id).copied() else { return };
        let Some(job) = self.jobs.get(&serial) else { return };
        let limits = &job.plan.limits;
        let (ending, kill) = match limit {
            MeasuredLimit::Output => {
                let evidence = format!("the log writer counted {used} bytes");
                (Job::limit_hit(LimitName::Output, limits.output_bytes, Some(used), evidence), true)
            }
            MeasuredLimit::IdleTime => {
                // A job without such a limit has none to run into.
                let Some(allowed) = limits.idle_time_ms else { return };
                let evidence = format!("the log writer saw no byte of input or output for {used} ms");
                (Job::limit_hit(LimitName::IdleTime, allowed, Some(used), evidence), false)
            }
        };
        self.end(serial, ending, kill);
    }

    /// A signal for the job's first process, or for all. Numbers that are none are dropped.
    pub fn signal(&mut self, id: &JobId, signal: i32, _all: bool) {
        let Some(job) = self.by_id.get(id).and_then(|serial| self.jobs.get_mut(serial)) else { return };
        let Some(leader) = &job.leader else { return };
        if !(1..=64).contains(&signal) {
            return;
        }
        job.signals_asked |= verdict::signal_bit(signal);
        let sent = pidfd::send_signal(leader.as_fd(), signal);
        self.report_unless_gone(sent);
    }

    /// Ends a job. The first reason stays; a later, harder end only hurries it.
    fn end(&mut self, serial: u64, ending: Ending, kill: bool) {
        let now = time::monotonic_now();
        let Some(job) = self.jobs.get_mut(&serial) else { return };
        if job.exit.is_none() {
            job.ending.get_or_insert(ending);
        }
        match &job.leader {
            Some(leader) if !kill => {
                if job.times.kill.is_none() {
                    job.times.kill = Some(now + Duration::from_millis(job.plan.limits.kill_grace_ms));
                    let send = |signal: &i32| pidfd::send_signal_to_group(leader.as_fd(), *signal);
                    let sent = polite_signals(&job.plan).iter().try_for_each(send);
                    self.report_unless_gone(sent);
                }
            }
            // There is no program yet that a TERM could ask.
            _ => self.kill(serial),
        }
    }

    /// Kills the whole tree: the group at one blow where the host can, and pid 1, with which the kernel ends the namespace.
    fn kill(&mut self, serial: u64) {
        let Some(job) = self.jobs.get_mut(&serial) else { return };
        job.times.kill = None;
        let group = job.group.as_ref().map_or(Ok(()), |group| group.kill().map(drop));
        let init = pidfd::send_signal(job.init_pidfd.as_fd(), SIGKILL);
        self.report_cleanup(group);
        self.report_unless_gone(init);
    }

    /// A process that is gone already is what was wanted.
    fn report_unless_gone(&self, sent: Result<(), Error>) {
        match sent {
            Err(error) if error.errno == Errno::ESRCH => {}
            other => self.report_cleanup(other),
        }
    }

    /// A deadline of a job has come.
    pub fn job_is_due(&mut self, serial: u64, now: Duration) {
        let Some(job) = self.jobs.get(&serial) else { return };
        let is_due = |deadline: Option<Duration>| deadline.is_some_and(|deadline| deadline <= now);
        let (kill, wall, poll) =
            (is_due(job.times.kill), is_due(job.wall_deadline()), is_due(job.times.poll));
        if kill {
            self.kill(serial);
        }
        if wall {
            let Some(job) = self.jobs.get(&serial) else { return };
            let allowed = job.plan.limits.wall_time_ms.unwrap_or(0);
            let since = job.times.started.unwrap_or(job.times.taken);
            let used = now.saturating_sub(since).as_millis() as u64;
            let ending =
                Job::limit_hit(LimitName::WallTime, allowed, Some(used), "the launcher's timer".to_owned());
            self.end(serial, ending, false);
        }
        if poll {
            self.poll(serial, now);
        }
    }

    /// Limits of which no event tells: cpu time everywhere, memory and processes where there is no cgroup.
    fn poll(&mut self, serial: u64, now: Duration) {
        let Some(job) = self.jobs.get_mut(&serial) else { return };
        if job.polled.is_none() || job.ending.is_some() {
            job.times.poll = None;
            return;
        }
        let (cpu, source) = match &job.group {
            Some(group) => (group.cpu_used().ok().flatten(), "the cgroup's cpu time"),
            None => (poll_tree(job), "polled cpu time of the tree"),
        };
        let mut next = POLL_INTERVAL;
        if let (Some(allowed), Some(used)) = (job.plan.limits.cpu_time_ms, cpu) {
            let used = used.as_millis() as u64;
            if used >= allowed {
                let ending = Job::limit_hit(LimitName::CpuTime, allowed, Some(used), source.to_owned());
                return self.end(serial, ending, true);
            }
            if job.group.is_some() {
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

    /// The job's cgroup has news. On v1 the kernel kills one process; the job as a whole ends here, as it does on v2 by
    /// memory.oom.group: a tree with a hole in it is no result.
    pub fn look_at_group(&mut self, serial: u64) {
        let Some(job) = self.jobs.get_mut(&serial) else { return };
        let Some(group) = &job.group else { return };
        let Ok(events) = group.events() else { return };
        if events.oom_kills == 0 {
            return;
        }
        let peak = group.usage().ok().and_then(|usage| usage.memory_peak_bytes);
        if verdict::met_memory_limit(&job.plan, events, peak) {
            let hit = verdict::memory_hit(&job.plan, events, peak);
            self.end(serial, Ending::Limit(hit), true);
        }
    }

    /// The job is over: its numbers, its report, its things.
    pub fn finish(&mut self, serial: u64) {
        let Some(mut job) = self.jobs.remove(&serial) else { return };
        self.retry_quarantined();
        let now = time::monotonic_now();
        let mut cleanup_errors = Vec::new();
        for fd in job.group_events.iter().chain(&job.socket).chain([&job.init_pidfd]) {
            note(&mut cleanup_errors, self.epoll.remove(fd.as_fd()));
        }
        let (usage, events) = measure(&job, now);
        let (outcome, limits_hit) = verdict::judge(&verdict::Evidence {
            plan: &job.plan,
            ending: job.ending.as_ref(),
            events,
            memory_peak_bytes: usage.memory_peak_bytes,
            failure: job.failure,
            exit: job.exit,
            signals_asked: job.signals_asked,
            scratch_full: job.scratch_full,
        });
        for error in self.give_back(job.group.take(), job.slot) {
            cleanup_errors.push(error.to_string());
        }
        let report = ExitReport { outcome, limits_hit, usage, cleanup_errors };
        let message = ToServer::Finished {
            job: job.id.clone(),
            time_us: job.times.ended_wall.unwrap_or_else(time::realtime_now).as_micros() as u64,
            report: Box::new(report),
            enforcement: Box::new(job.enforcement.clone()),
        };
        let started = job.times.started.is_some().then(|| job.started_message());
        let pipes = job.stdio.pipes(&job.plan);
        let encode = |message: &ToServer| link::encode(message).unwrap_or_default();
        let (started, finished) = (started.as_ref().map(encode), encode(&message));
        self.tell_encoded_of(serial, finished.clone());
        let ended = Ended { id: job.id, record: job.record, pipes, stdio: job.stdio, started, finished };
        self.ended.insert(serial, ended);
    }

    /// Tries again to remove what could not be removed before.
    pub fn retry_quarantined(&mut self) {
        for (group, slot) in std::mem::take(&mut self.quarantine) {
            // What still cannot be removed is quarantined again, and was reported with its job.
            self.give_back(Some(group), slot);
        }
    }

    /// Ends a job now, and waits for that: when there is no loop any more.
    pub fn end_for_good(&mut self, serial: u64) {
        self.kill(serial);
        if let Some(job) = self.jobs.get(&serial) {
            let reaped = pidfd::reap_blocking(job.init_pidfd.as_fd()).map(drop);
            self.report_cleanup(reaped);
        }
        self.finish(serial);
    }
}

/// An interactive shell ignores TERM, and what it runs is in another process group: it hands HUP on to its jobs, once they are continued.
fn polite_signals(plan: &LaunchPlan) -> &'static [i32] {
    if plan.command.terminal.is_some() { &[SIGTERM, SIGHUP, SIGCONT] } else { &[SIGTERM] }
}

fn note(errors: &mut Vec<String>, result: Result<(), Error>) {
    if let Err(error) = result {
        errors.push(error.to_string());
    }
}

/// Adds up the processes below init, and keeps the highest. Returns their cpu time. A process that ends between two looks is
/// missed: what is polled is reported as polled.
fn poll_tree(job: &mut Job) -> Option<Duration> {
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
fn measure(job: &Job, now: Duration) -> (Usage, Option<cgroup::Events>) {
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
