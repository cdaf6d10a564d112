//! What does not go away: a job whose init does not end although it was killed (a process in it waits for a disk or a network that does not answer),
//! or whose cgroup cannot be removed. Its outcome has been told; what it holds is kept from others and looked at now and then.

use crate::launcher::{Launcher, places::Slot, say::say};
use runtime_plan::link::JobId;
use runtime_sys::{Errno, Error, cgroup::JobGroup, pidfd, time};
use std::{
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

/// A tree that was killed, or whose leader is gone, has this long to be gone. Freeing much memory takes its time.
pub const STUCK_AFTER: Duration = Duration::from_secs(5);
/// How soon it is looked at again.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The pause doubles up to this.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// signal(7).
const SIGKILL: i32 = 9;

/// What a job holds that is over for everybody else.
#[derive(Debug)]
pub struct Held {
    /// The job.
    pub job: JobId,
    /// Its init, with its serial, as long as it is not reaped.
    pub init: Option<(u64, OwnedFd)>,
    /// Its group, as long as it is there.
    pub group: Option<JobGroup>,
    /// Its host ids.
    pub slot: Option<Slot>,
    next: Duration,
    pause: Duration,
}

impl Held {
    /// Looked at for the first time after a short pause.
    pub fn new(
        job: JobId,
        init: Option<(u64, OwnedFd)>,
        group: Option<JobGroup>,
        slot: Option<Slot>,
    ) -> Held {
        Held { job, init, group, slot, next: time::monotonic_now() + PAUSE_MIN, pause: PAUSE_MIN }
    }

    /// Tries to let go of it. True when nothing is left but the host ids.
    fn is_gone(&mut self) -> Result<bool, Error> {
        if let Some((_, init)) = &self.init {
            match pidfd::reap(init.as_fd()) {
                Ok(None) => {
                    self.group.as_ref().map_or(Ok(false), |group| group.kill())?;
                    pidfd::send_signal(init.as_fd(), SIGKILL)?;
                    return Ok(false);
                }
                Ok(Some(_)) => {}
                Err(error) if error.errno == Errno::ECHILD => {}
                Err(error) => return Err(error),
            }
            self.init = None;
        }
        let Some(group) = &self.group else { return Ok(true) };
        if group.populated()? {
            group.kill()?;
            return Ok(false);
        }
        group.remove()?;
        self.group = None;
        Ok(true)
    }

    fn wait_longer(&mut self, now: Duration) {
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.next = now + self.pause;
    }
}

/// All of it.
#[derive(Debug, Default)]
pub struct Quarantine {
    held: Vec<Held>,
}

impl Quarantine {
    /// Keeps something.
    pub fn insert(&mut self, held: Held) {
        self.held.push(held);
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = &Held> {
        self.held.iter()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// When the loop has to look here.
    pub fn deadline(&self) -> Option<Duration> {
        self.held.iter().map(|held| held.next).min()
    }

    /// That init is dead: its time is now.
    fn hurry(&mut self, serial: u64) {
        for held in &mut self.held {
            if held.init.as_ref().is_some_and(|(its, _)| *its == serial) {
                held.next = Duration::ZERO;
            }
        }
    }
}

impl Launcher {
    /// The init of a job that was given up has ended after all.
    pub fn held_init_ended(&mut self, serial: u64) {
        self.quarantine.hurry(serial);
        self.check_quarantine(time::monotonic_now());
    }

    /// Looks at what is due.
    pub fn check_quarantine(&mut self, now: Duration) {
        let (due, later): (Vec<Held>, Vec<Held>) =
            std::mem::take(&mut self.quarantine.held).into_iter().partition(|held| held.next <= now);
        self.quarantine.held = later;
        for mut held in due {
            match held.is_gone() {
                Ok(true) => {
                    say(&format!("job {}: what did not go away is gone", held.job));
                    if let (Some(slot), Some(slots)) = (held.slot, &mut self.slots) {
                        slots.give_back(slot);
                    }
                }
                // Why was told with the job's end, and an error now says no more than that.
                Ok(false) | Err(_) => {
                    held.wait_longer(now);
                    self.quarantine.insert(held);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_sys::clone::Pid;
    use std::process::Command;

    #[test]
    fn it_is_looked_at_ever_more_seldom() {
        let mut held = Held::new(JobId::try_from("job-1".to_owned()).unwrap(), None, None, None);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            held.wait_longer(Duration::ZERO);
            pauses.push(held.next.as_secs());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    #[expect(clippy::zombie_processes, reason = "what is tested reaps it")]
    fn an_init_that_lives_is_killed_again_and_one_that_is_reaped_is_gone() {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        let pidfd = pidfd::open(Pid(child.id().cast_signed())).unwrap();
        let id = JobId::try_from("job-1".to_owned()).unwrap();
        let mut held = Held::new(id, Some((1, pidfd)), None, None);
        assert!(!held.is_gone().unwrap());
        while !held.is_gone().unwrap() {
            std::thread::yield_now();
        }
        assert!(held.init.is_none());
    }
}
