//! Faults that are the launcher's to play: a step of a start that fails, and a job that the kernel ends for its memory.
//!
//! The acts outside of a sandbox can be made to fail, too, in builds for tests.

use crate::launcher::{FaultOption, job::Job, usage};
use runtime_plan::fault::Fault;
use runtime_sys::{Errno, Error};

/// What a job that is struck may use on top of what it has.
const OOM_ROOM_BYTES: u64 = 1024 * 1024;

/// The acts of a start outside of the sandbox, in order. Each stands before the one that it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The filters are compiled.
    Filters,
    /// The cgroup is made.
    Group,
    /// Host ids are taken.
    Slot,
    /// The pipes are made.
    Pipes,
    /// Trees are opened.
    Trees,
    /// Init's socket is made.
    Socket,
    /// The zygote bears it.
    Birth,
    /// Its ids are mapped.
    Maps,
    /// It is made dearer to the out-of-memory killer.
    Score,
    /// It gets its order.
    Order,
    /// Its cgroup is watched.
    Watch,
}

/// What goes wrong.
#[derive(Debug, Default)]
pub struct Faults {
    /// The step inside that fails, by its place.
    pub step: Option<u32>,
    /// The job that is struck, counted from 1.
    oom: Option<u64>,
    /// Jobs that have started.
    started: u64,
    act: Option<Act>,
}

impl Faults {
    /// Those of the launcher among them.
    pub fn of(options: &[FaultOption]) -> Faults {
        let mut faults = Faults { act: struck_act(), ..Faults::default() };
        for option in options {
            match option.fault {
                Fault::LaunchFailsAt(step) => faults.step = Some(step),
                Fault::Oom(job) => faults.oom = Some(job),
                _ => {}
            }
        }
        faults
    }

    /// To be asked before an act.
    ///
    /// # Errors
    /// EIO when it is to fail.
    pub fn check(&self, act: Act) -> Result<(), Error> {
        if self.act == Some(act) { Err(Error { act: "go on", errno: Errno::EIO }) } else { Ok(()) }
    }

    /// A job has started: whether it is the one that is struck.
    pub fn strikes_next(&mut self) -> bool {
        self.started += 1;
        self.oom == Some(self.started)
    }
}

/// Leaves a job hardly more memory than it has: what it takes next is too much. Without a group it is what polling sees.
///
/// # Errors
/// What the kernel says of the new limit.
pub fn shrink_memory(job: &mut Job) -> Result<(), Error> {
    let used = match &job.group {
        Some(group) => group.memory_current()?.unwrap_or(0),
        None => {
            usage::poll_tree(job);
            job.polled.and_then(|polled| polled.memory_peak_bytes).unwrap_or(0)
        }
    };
    let limit = used + OOM_ROOM_BYTES;
    if let Some(group) = &job.group {
        group.set_memory_max(limit)?;
    }
    job.plan.limits.memory_bytes = limit;
    Ok(())
}

#[cfg(all(feature = "walls-off", debug_assertions))]
fn struck_act() -> Option<Act> {
    const ACTS: [(&str, Act); 11] = [
        ("filters", Act::Filters),
        ("group", Act::Group),
        ("slot", Act::Slot),
        ("pipes", Act::Pipes),
        ("trees", Act::Trees),
        ("socket", Act::Socket),
        ("birth", Act::Birth),
        ("maps", Act::Maps),
        ("score", Act::Score),
        ("order", Act::Order),
        ("watch", Act::Watch),
    ];
    let name = std::env::var("RUNTIME_TEST_FAIL_AT").ok()?;
    ACTS.into_iter().find(|(act, _)| *act == name).map(|(_, act)| act)
}

#[cfg(not(all(feature = "walls-off", debug_assertions)))]
fn struck_act() -> Option<Act> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_plan::fault;

    #[test]
    fn one_job_is_struck_and_one_step_fails() {
        let option = |text: &str| FaultOption { text: text.to_owned(), fault: fault::parse(text).unwrap() };
        let mut faults =
            Faults::of(&[option("oom=2"), option("launch-fails-at=7"), option("crash-at=started")]);
        assert_eq!(faults.step, Some(7));
        assert_eq!(
            [faults.strikes_next(), faults.strikes_next(), faults.strikes_next()],
            [false, true, false]
        );
        assert!(faults.check(Act::Group).is_ok());
        faults.act = Some(Act::Group);
        assert!(faults.check(Act::Group).is_err() && faults.check(Act::Slot).is_ok());
    }
}
