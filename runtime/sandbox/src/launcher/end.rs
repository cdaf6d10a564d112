//! Ends of jobs: by limit, cancel or their own doing.
//!
//! What comes after the end is in `finish`, for what does not end in `quarantine`.

use crate::launcher::{
    Launcher,
    job::{Ending, Job},
    quarantine::STUCK_AFTER,
    verdict,
};
use runtime_plan::{
    launch::LaunchPlan,
    limit::LimitName,
    link::{JobId, MeasuredLimit},
};
use runtime_sys::{Errno, Error, pidfd, time};
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

    /// Ends a job. The first reason stays; a later, harder end only hurries it.
    pub fn end(&mut self, serial: u64, ending: Ending, kill: bool) {
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
    pub fn kill(&mut self, serial: u64) {
        let Some(job) = self.jobs.get_mut(&serial) else { return };
        job.times.kill = None;
        job.times.stuck.get_or_insert(time::monotonic_now() + STUCK_AFTER);
        let group = job.group.as_ref().map_or(Ok(()), |group| group.kill().map(drop));
        let init = pidfd::send_signal(job.init_pidfd.as_fd(), SIGKILL);
        self.report_cleanup(group);
        self.report_unless_gone(init);
    }

    /// A process that is gone already is what was wanted.
    pub fn report_unless_gone(&self, sent: Result<(), Error>) {
        match sent {
            Err(error) if error.errno == Errno::ESRCH => {}
            other => self.report_cleanup(other),
        }
    }

    /// A deadline of a job has come.
    pub fn job_is_due(&mut self, serial: u64, now: Duration) {
        let Some(job) = self.jobs.get(&serial) else { return };
        let is_due = |deadline: Option<Duration>| deadline.is_some_and(|deadline| deadline <= now);
        if is_due(job.times.stuck) {
            self.finish_stuck(serial);
            return;
        }
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
}

/// An interactive shell ignores TERM, and what it runs is in another process group: it hands HUP on to its jobs, once they are continued.
fn polite_signals(plan: &LaunchPlan) -> &'static [i32] {
    if plan.command.terminal.is_some() { &[SIGTERM, SIGHUP, SIGCONT] } else { &[SIGTERM] }
}
