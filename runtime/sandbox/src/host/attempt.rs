//! Tries what each job's start does: a child in new namespaces of every kind, its id maps, its first mounts.
//!
//! Settings can say yes where a security module, a container's filter or a mask over /proc says no; only an
//! attempt knows. It costs a few milliseconds, so a launch does not pay for it: the doctor does. The child
//! attaches nothing and ends at once, and everything that it made goes with it.

use std::os::fd::{AsFd, BorrowedFd};

use runtime_sys::clone::{CloneRequest, Cloned, Namespaces, Pid, SingleThreaded};
use runtime_sys::mount::{Attrs, NewFilesystem};
use runtime_sys::userns::IdMap;
use runtime_sys::{Errno, clone, file, mount, pidfd, pipe, process, userns};

use super::HostError;

/// Which act of a job's start was refused. The order is that of the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// clone3(2) with six new namespaces.
    Clone,
    /// Writing uid_map and gid_map from outside.
    Maps,
    /// Taking the mapped ids (rootful).
    Identity,
    /// A cgroup namespace.
    CgroupNamespace,
    /// Making the mount namespace private.
    Private,
    /// A tmpfs for the root.
    Tmpfs,
    /// A /proc of the new pid namespace.
    Proc,
}

impl Step {
    const INSIDE: [Step; 5] = [Step::Identity, Step::CgroupNamespace, Step::Private, Step::Tmpfs, Step::Proc];

    /// The step as part of a sentence.
    pub const fn name(self) -> &'static str {
        match self {
            Step::Clone => "making the namespaces",
            Step::Maps => "writing the id maps",
            Step::Identity => "taking the mapped ids",
            Step::CgroupNamespace => "making the cgroup namespace",
            Step::Private => "making the mounts private",
            Step::Tmpfs => "mounting a tmpfs",
            Step::Proc => "mounting a private /proc",
        }
    }
}

/// How the attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Every step went well.
    Works,
    /// One step did not; those before it did.
    Refused {
        /// Which.
        step: Step,
        /// The kernel's answer.
        errno: Errno,
    },
}

/// Makes the attempt. `slot` is the host id that a job would get when we are root; `None` maps the caller's.
///
/// # Errors
/// When the attempt itself could not be made: no pipe, no report from the child.
pub fn try_namespaces(proof: &SingleThreaded, slot: Option<u32>) -> Result<Attempt, HostError> {
    let failed = |source| HostError::Attempt { source };
    let (wait, release) = pipe::pipe().map_err(failed)?;
    let (report, answer) = pipe::pipe().map_err(failed)?;
    let namespaces = Namespaces { user: true, mount: true, pid: true, net: true, ipc: true, uts: true };
    let request = CloneRequest { namespaces, ..CloneRequest::default() };
    let (pid, pidfd) = match clone::clone_process(proof, &request) {
        Err(error) => return Ok(Attempt::Refused { step: Step::Clone, errno: error.errno }),
        Ok(Cloned::Child) => {
            drop((release, report));
            be_the_child(wait.as_fd(), answer.as_fd(), slot.is_some());
        }
        Ok(Cloned::Parent { pid, pidfd }) => (pid, pidfd),
    };
    drop((wait, answer));
    let maps = write_maps(pid, slot);
    let released = maps.is_ok().then(|| file::write_fd(release.as_fd(), b"g")).transpose();
    drop(release);
    let mut record = [0_u8; 5];
    let read = file::read_fd(report.as_fd(), &mut record);
    // Reaped in every case, before the first error is told.
    let reaped = pidfd::reap_blocking(pidfd.as_fd());
    if let Err(error) = maps {
        return Ok(Attempt::Refused { step: Step::Maps, errno: error.errno });
    }
    released.and(reaped).map_err(failed)?;
    match read.map_err(failed)? {
        5 => parse(record).ok_or(HostError::NoReport),
        _ => Err(HostError::NoReport),
    }
}

fn write_maps(pid: Pid, slot: Option<u32>) -> runtime_sys::Result<()> {
    let one = |inside, outside| [IdMap { inside, outside, count: 1 }];
    match slot {
        Some(slot) => userns::write_maps(pid, &one(0, slot), &one(0, slot), true),
        None => {
            let (uid, gid) = (process::effective_uid(), process::effective_gid());
            userns::write_maps(pid, &one(1000, uid), &one(1000, gid), true)
        }
    }
}

/// The child's part: its steps, one record, its end.
fn be_the_child(wait: BorrowedFd<'_>, answer: BorrowedFd<'_>, own_ids: bool) -> ! {
    // End of file instead of a byte: the maps were refused, and nobody wants to know more.
    if !matches!(file::read_fd(wait, &mut [0; 1]), Ok(1)) {
        process::exit_now(1);
    }
    let first_refused = Step::INSIDE
        .into_iter()
        .enumerate()
        .find_map(|(index, step)| take(step, own_ids).err().map(|error| (index, error.errno)));
    let mut record = [0_u8; 5];
    if let Some((index, errno)) = first_refused {
        // Numbered from 1: 0 is "works". There are five.
        record[0] = index as u8 + 1;
        record[1..].copy_from_slice(&errno.0.to_le_bytes());
    }
    process::exit_now(i32::from(file::write_fd(answer, &record).is_err()))
}

fn take(step: Step, own_ids: bool) -> runtime_sys::Result<()> {
    match step {
        Step::Identity if own_ids => process::set_ids(0, 0),
        Step::Clone | Step::Maps | Step::Identity => Ok(()),
        Step::CgroupNamespace => clone::unshare_cgroup_namespace(),
        Step::Private => mount::set_private_recursive_root(),
        Step::Tmpfs => NewFilesystem::open(c"tmpfs")?.create(Attrs::default()).map(drop),
        Step::Proc => NewFilesystem::open(c"proc")?.create(Attrs::default()).map(drop),
    }
}

fn parse(record: [u8; 5]) -> Option<Attempt> {
    let [number, errno @ ..] = record;
    if number == 0 {
        return Some(Attempt::Works);
    }
    let step = *Step::INSIDE.get(usize::from(number) - 1)?;
    Some(Attempt::Refused { step, errno: Errno(i32::from_le_bytes(errno)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_its_step_and_errno() {
        assert_eq!(parse([0; 5]), Some(Attempt::Works));
        let refused = Attempt::Refused { step: Step::Proc, errno: Errno::EPERM };
        assert_eq!(parse([5, 1, 0, 0, 0]), Some(refused));
        assert_eq!(parse([6, 1, 0, 0, 0]), None);
    }
}
