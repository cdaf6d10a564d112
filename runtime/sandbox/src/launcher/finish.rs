//! What comes after the end of a job: its numbers, its outcome, its report, and everything that it had.
//!
//! A job is over when its init is reaped: the kernel reaps the init of a pid namespace only after every process in it is
//! gone. Only then are its numbers read, its group removed and its host ids given back. The one exception is a job that does not go away when it
//! is killed: nobody waits for it.

use crate::launcher::{Launcher, ended::Ended, job::Job, quarantine::Held, say::say, usage, verdict};
use runtime_plan::{
    link::{self, ToServer},
    outcome::{ExitReport, LimitHit, Outcome, Usage},
};
use runtime_sys::{Error, pidfd, poll, proc, time};
use std::{
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

/// How long an init may take to end when there is no loop any more.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// What a job came to.
struct Judged {
    outcome: Outcome,
    limits_hit: Vec<LimitHit>,
    usage: Usage,
}

impl Launcher {
    /// The job is over, and its init is reaped: its numbers, its report, its things.
    pub fn finish(&mut self, serial: u64) {
        let Some(mut job) = self.jobs.remove(&serial) else { return };
        let mut cleanup_errors = Vec::new();
        for fd in job.group_events.iter().chain(&job.socket).chain([&job.init_pidfd]) {
            note(&mut cleanup_errors, self.epoll.remove(fd.as_fd()));
        }
        let judged = judge(&job);
        cleanup_errors.extend(self.give_back(&job.id, job.group.take(), job.slot));
        self.report(job, judged, cleanup_errors);
    }

    /// The job does not go away: it is reported with what is known, and what it holds is kept from everybody else until it does.
    pub fn finish_stuck(&mut self, serial: u64) {
        self.kill(serial);
        let Some(mut job) = self.jobs.remove(&serial) else { return };
        let mut cleanup_errors = Vec::new();
        // Its init stays watched: the end may come any time.
        for fd in job.group_events.iter().chain(&job.socket) {
            note(&mut cleanup_errors, self.epoll.remove(fd.as_fd()));
        }
        let judged = judge(&job);
        let state =
            proc::state(Launcher::proc_root(), job.init).map_or_else(|error| error.to_string(), String::from);
        let text = format!(
            "job {}: its init (pid {}, state {state}) does not end; its cgroup and host ids stay with it until it does",
            job.id, job.init.0
        );
        say(&text);
        cleanup_errors.push(text);
        let (id, group, slot) = (job.id.clone(), job.group.take(), job.slot);
        let init = self.report(job, judged, cleanup_errors);
        self.quarantine.insert(Held::new(id, Some((serial, init)), group, slot));
    }

    /// Tells how a job ended, and keeps that until it is acknowledged. Gives its init back.
    fn report(&mut self, job: Job, judged: Judged, cleanup_errors: Vec<String>) -> OwnedFd {
        let Judged { outcome, limits_hit, usage } = judged;
        let serial = job.serial;
        let report = ExitReport { outcome, limits_hit, usage, cleanup_errors };
        let message = ToServer::Finished {
            job: job.id.clone(),
            time_us: job.times.ended_wall.unwrap_or_else(time::realtime_now).as_micros() as u64,
            report: Box::new(report),
            enforcement: Box::new(job.enforcement.clone()),
        };
        let started = job.times.started.is_some().then(|| job.started_message());
        let pipes = job.stdio.pipes(&job.plan);
        let (started, finished) = (started.as_ref().map(encoded), encoded(&message));
        self.tell_encoded_of(serial, finished.clone());
        let ended = Ended { id: job.id, record: job.record, pipes, stdio: job.stdio, started, finished };
        self.ended.insert(serial, ended);
        job.init_pidfd
    }

    /// Ends a job now, and waits for that: when there is no loop any more.
    pub fn end_for_good(&mut self, serial: u64) {
        self.kill(serial);
        let Some(job) = self.jobs.get(&serial) else { return };
        match poll::wait_readable(job.init_pidfd.as_fd(), Some(LAST_WAIT)) {
            Ok(true) => {
                let reaped = pidfd::reap_blocking(job.init_pidfd.as_fd()).map(drop);
                self.report_cleanup(reaped);
                self.finish(serial);
            }
            // What it holds stays on the host under our name, for the sweep of a later launcher.
            Ok(false) => self.finish_stuck(serial),
            Err(error) => self.report_cleanup(Err(error)),
        }
    }
}

fn judge(job: &Job) -> Judged {
    let (usage, events) = usage::measure(job, time::monotonic_now());
    let (outcome, limits_hit) = verdict::judge(&verdict::Evidence {
        plan: &job.plan,
        ending: job.ending.as_ref(),
        events,
        memory_peak_bytes: usage.memory_peak_bytes,
        cpu_us: job.init_cpu_us.map(|(user, system)| user.saturating_add(system)),
        failure: job.failure,
        exit: job.exit,
        signals_asked: job.signals_asked,
        scratch_full: job.scratch_full,
    });
    Judged { outcome, limits_hit, usage }
}

fn note(errors: &mut Vec<String>, result: Result<(), Error>) {
    if let Err(error) = result {
        errors.push(error.to_string());
    }
}

/// Reports are bounded far below a message's bound. One that is not would be none to the server, and say so here.
fn encoded(message: &ToServer) -> Vec<u8> {
    link::encode(message).unwrap_or_else(|error| {
        say(&format!("failed to encode a report: {error}"));
        Vec::new()
    })
}
