//! The caller's user and group ids, and the capabilities that a change of them would cost.
//!
//! Every change of the effective ids clears the parent death signal and makes the process not dumpable
//! (`/proc/sys/fs/suid_dumpable`): set both again afterwards. *No heap*, but for `groups`.

use nix::unistd::{Gid, Uid};
use rustix::thread::{CapabilitySets, capabilities, set_capabilities};

use crate::error::{Act, Result};

/// "Leave this id as it is" in setresuid(2).
const UNCHANGED: Uid = Uid::from_raw(u32::MAX);

/// Takes another effective uid but keeps root as the real and saved one, and keeps every capability.
///
/// A user namespace made now belongs to that uid, which is charged for it, while the caller still has its
/// rights over cgroup directories. [`restore_effective_root`] takes it back.
///
/// # Errors
/// `EPERM` without `CAP_SETUID`; `EINVAL` for an id that is not mapped here.
pub fn set_effective_uid_keeping_caps(uid: u32) -> Result<()> {
    nix::unistd::setresuid(UNCHANGED, Uid::from_raw(uid), UNCHANGED).act("set effective uid")?;
    // Leaving uid 0 emptied the effective set; the permitted set stays, for the real uid is 0 still.
    let sets = capabilities(None).act("capget")?;
    set_capabilities(None, CapabilitySets { effective: sets.permitted, ..sets }).act("capset")
}

/// Goes back to effective uid 0, upon which the kernel makes every permitted capability effective.
pub fn restore_effective_root() -> Result<()> {
    nix::unistd::setresuid(UNCHANGED, Uid::from_raw(0), UNCHANGED).act("restore effective uid")
}

/// Leaves every supplementary group. `EPERM` in a user namespace where `setgroups` is denied.
pub fn drop_supplementary_groups() -> Result<()> {
    set_groups(&[])
}

/// Sets the supplementary groups, at most 65 536. Needs `CAP_SETGID`.
pub fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: the kernel reads `len` group ids from the slice; gid_t is u32 on Linux.
    let answer = unsafe { libc::setgroups(groups.len(), groups.as_ptr()) };
    crate::error::check("setgroups", i64::from(answer)).map(drop)
}

/// Takes one gid and then one uid for real, effective and saved. A move from uid 0 to another drops every
/// capability, unless secure bits say otherwise.
///
/// # Errors
/// `EPERM` without `CAP_SETGID` or `CAP_SETUID`; `EINVAL` for ids that are not mapped here; `EAGAIN` when
/// the uid is at its process limit. The gid may have changed already when the uid is refused.
pub fn set_ids(uid: u32, gid: u32) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    nix::unistd::setresgid(gid, gid, gid).act("setresgid")?;
    nix::unistd::setresuid(uid, uid, uid).act("setresuid")
}

/// The effective uid, 65534 when it is not mapped here.
pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// The real uid, 65534 when it is not mapped here.
pub fn real_uid() -> u32 {
    nix::unistd::getuid().as_raw()
}

/// The effective gid, 65534 when it is not mapped here.
pub fn effective_gid() -> u32 {
    nix::unistd::getegid().as_raw()
}

/// The supplementary groups.
pub fn groups() -> Result<Vec<u32>> {
    Ok(nix::unistd::getgroups().act("getgroups")?.into_iter().map(Gid::as_raw).collect())
}
