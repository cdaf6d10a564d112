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

/// Restricts this thread, and what it forks later, to `count` of the processors that it may use now. They
/// are taken in order from the one at `rotation` on, and from the start again after the last, so that a
/// different rotation for each job spreads the jobs. A count above what there is keeps all. *No heap.*
///
/// # Errors
/// `EINVAL` for a count of 0.
pub fn set_affinity_count(count: usize, rotation: usize) -> Result<()> {
    let available = allowed()?.count();
    if count == 0 || available == 0 {
        return Err(Error::new("sched_setaffinity", Errno::EINVAL));
    }
    let first = rotation % available;
    let mut set = CpuSet::new();
    for cpu in allowed()?.chain(allowed()?).skip(first).take(count.min(available)) {
        set.set(cpu).act("sched_setaffinity")?;
    }
    sched_setaffinity(SELF, &set).act("sched_setaffinity")
}

/// The numbers of the processors that this thread may use, in order.
fn allowed() -> Result<impl Iterator<Item = usize>> {
    let set = sched_getaffinity(SELF).act("sched_getaffinity")?;
    Ok((0..CpuSet::count()).filter(move |cpu| set.is_set(*cpu).unwrap_or(false)))
}
