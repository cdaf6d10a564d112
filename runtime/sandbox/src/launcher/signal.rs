//! Signals that somebody asks for: to a job's first process, or to every process of it.

use crate::launcher::{Launcher, job::Job, verdict};
use runtime_plan::link::JobId;
use runtime_sys::{Errno, Error, clone::Pid, pidfd, proc};
use std::{
    collections::BTreeSet,
    os::fd::{AsFd, OwnedFd},
};

/// Looks at the tree until a look finds nobody new; one that forks faster than this is not caught up with.
const ROUNDS_MAX: u32 = 8;

impl Launcher {
    /// Sends a signal. Numbers that are none are dropped, and so is everything before the program runs.
    pub fn signal(&mut self, id: &JobId, signal: i32, all: bool) {
        let Some(job) = self.by_id.get(id).and_then(|serial| self.jobs.get_mut(serial)) else { return };
        let Some(leader) = &job.leader else { return };
        if !(1..=64).contains(&signal) {
            return;
        }
        job.signals_asked |= verdict::signal_bit(signal);
        let sent = if all { signal_all(job, signal) } else { pidfd::send_signal(leader.as_fd(), signal) };
        self.report_unless_gone(sent);
    }
}

/// To every process but init, whose end would be that of the job before it could say how it came. Where the kernel can hold a group, it is held
/// meanwhile, so that nobody forks away from under the signal.
fn signal_all(job: &Job, signal: i32) -> Result<(), Error> {
    let held = job.group.as_ref().filter(|group| group.set_frozen(true).is_ok());
    let sent = signal_rounds(signal, &mut || members(job));
    held.map_or(Ok(()), |group| group.set_frozen(false)).and(sent)
}

/// The processes of a job as they are now, without init.
fn members(job: &Job) -> Result<BTreeSet<i32>, Error> {
    let listed = match &job.group {
        Some(group) => group.processes()?,
        None => proc::children_of(Launcher::proc_root(), job.init)?.into_iter().map(|pid| pid.0).collect(),
    };
    Ok(listed.into_iter().filter(|pid| *pid > 0 && *pid != job.init.0).collect())
}

fn signal_rounds(
    signal: i32,
    members: &mut dyn FnMut() -> Result<BTreeSet<i32>, Error>,
) -> Result<(), Error> {
    let mut done = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let listed = members()?;
        let mut opened: Vec<(i32, OwnedFd)> = Vec::new();
        for pid in listed.difference(&done).copied() {
            match pidfd::open(Pid(pid)) {
                Ok(pidfd) => opened.push((pid, pidfd)),
                // Gone.
                Err(error) if error.errno == Errno::ESRCH => {}
                Err(error) => return Err(error),
            }
        }
        if opened.is_empty() {
            return Ok(());
        }
        // A number may be somebody else's by now. One that is listed after it was opened is the job's, or what was opened is dead.
        let listed = members()?;
        for (pid, pidfd) in opened.iter().filter(|(pid, _)| listed.contains(pid)) {
            match pidfd::send_signal(pidfd.as_fd(), signal) {
                Err(error) if error.errno != Errno::ESRCH => return Err(error),
                _ => done.insert(*pid),
            };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().unwrap()
    }

    #[test]
    fn who_appears_between_two_looks_is_reached_and_who_leaves_the_list_is_not() {
        let (mut first, mut late, mut stranger) = (sleeper(), sleeper(), sleeper());
        let pid = |child: &Child| child.id().cast_signed();
        let mut looks = 0;
        let mut members = || {
            looks += 1;
            Ok(match looks {
                1 => BTreeSet::from([pid(&first), pid(&stranger)]),
                2 => BTreeSet::from([pid(&first)]),
                _ => BTreeSet::from([pid(&first), pid(&late)]),
            })
        };
        signal_rounds(9, &mut members).unwrap();
        assert!(!first.wait().unwrap().success() && !late.wait().unwrap().success());
        assert_eq!(stranger.try_wait().unwrap(), None);
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
