//! On which processors the caller may run, so that programs that count them size themselves by their limit.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::error::{Act, Errno, Error, Result};

/// "This thread" in sched_setaffinity(2).
const SELF: Pid = Pid::from_raw(0);

/// How many processors this thread may use, at most 1 024 are seen.
pub fn allowed_cpus() -> Result<usize> {
    Ok(allowed()?.count())
}

/// Restricts this thread, and what it forks later, to `count` of the processors that it may use now: the one
/// that it runs on and those after it in order, from the start again after the last. So nobody is moved away
/// from where the scheduler has just put them. A count above what there is keeps all. *No heap.*
///
/// # Errors
/// `EINVAL` for a count of 0.
pub fn set_affinity_count(count: usize) -> Result<()> {
    let available = allowed()?.count();
    if count == 0 || available == 0 {
        return Err(Error::new("sched_setaffinity", Errno::EINVAL));
    }
    let here = nix::sched::sched_getcpu().act("sched_getcpu")?;
    let before = allowed()?.filter(|cpu| *cpu < here).count();
    let mut set = CpuSet::new();
    for cpu in allowed()?.chain(allowed()?).skip(before).take(count.min(available)) {
        set.set(cpu).act("sched_setaffinity")?;
    }
    sched_setaffinity(SELF, &set).act("sched_setaffinity")
}

/// The numbers of the processors that this thread may use, in order.
fn allowed() -> Result<impl Iterator<Item = usize>> {
    let set = sched_getaffinity(SELF).act("sched_getaffinity")?;
    Ok((0..CpuSet::count()).filter(move |cpu| set.is_set(*cpu).unwrap_or(false)))
}
