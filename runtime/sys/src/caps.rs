//! The five capability sets of the calling thread: capabilities(7).
//!
//! It owns dropping them and proving that they are gone. It must not raise one: nothing in this project
//! needs more than it was started with.

use ::caps::{CapSet, Capability};

use crate::error::{Errno, Error, Result, check};

/// One above the highest number that a 64-bit capability set can hold.
const NUMBERS: libc::c_ulong = 64;

/// Drops every capability from the bounding set, those included that are newer than this program.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`. Linux 2.6.25, prctl(2). Does not allocate.
pub fn drop_bounding() -> Result<()> {
    for number in 0..NUMBERS {
        // SAFETY: PR_CAPBSET_DROP takes one number and touches no memory of ours.
        let answer = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
        match check("prctl PR_CAPBSET_DROP", answer.into()) {
            Ok(_) => {}
            // The first number that the kernel does not know; there is none below 1.
            Err(error) if error.errno == Errno::EINVAL && number > 0 => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Clears the ambient set. Linux 4.3.
///
/// # Errors
/// What prctl(2) says of `PR_CAP_AMBIENT_CLEAR_ALL`.
pub fn clear_ambient() -> Result<()> {
    clear("prctl PR_CAP_AMBIENT_CLEAR_ALL", CapSet::Ambient)
}

/// Clears all five sets: bounding while `CAP_SETPCAP` is still held, then ambient, then inheritable,
/// and permitted together with effective at the end. A caller without `CAP_SETPCAP` can still clear the
/// other four one by one.
///
/// # Errors
/// The first set that could not be cleared; those before it are gone.
pub fn clear_all() -> Result<()> {
    drop_bounding()?;
    clear_held()
}

/// Clears the ambient, inheritable, permitted and effective sets: for a caller that has dropped its bounding set and
/// then left the id that let it do so.
///
/// # Errors
/// The first set that could not be cleared; those before it are gone.
pub fn clear_held() -> Result<()> {
    clear_ambient()?;
    clear("capset inheritable", CapSet::Inheritable)?;
    clear("capset permitted", CapSet::Permitted)
}

fn clear(act: &'static str, set: CapSet) -> Result<()> {
    ::caps::clear(None, set).map_err(|_text| Error::last(act))
}

/// Whether all five sets hold nothing.
///
/// # Errors
/// What prctl(2) and capget(2) say.
pub fn all_sets_empty() -> Result<bool> {
    Ok(count_bounding()? == 0
        && read_mask("prctl PR_CAP_AMBIENT_IS_SET", CapSet::Ambient)? == 0
        && read_mask("capget", CapSet::Inheritable)? == 0
        && read_mask("capget", CapSet::Permitted)? == 0
        && read_mask("capget", CapSet::Effective)? == 0)
}

/// How many capabilities the bounding set holds, counted over the kernel's numbers.
fn count_bounding() -> Result<u32> {
    let mut held = 0;
    for number in 0..NUMBERS {
        // SAFETY: PR_CAPBSET_READ takes one number and touches no memory of ours.
        let answer = unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) };
        match check("prctl PR_CAPBSET_READ", answer.into()) {
            Ok(yes) => held += u32::from(yes == 1),
            Err(error) if error.errno == Errno::EINVAL && number > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(held)
}

fn read_mask(act: &'static str, set: CapSet) -> Result<u64> {
    let held = ::caps::read(None, set).map_err(|_text| Error::last(act))?;
    Ok(held.iter().fold(0, |mask, capability| mask | capability.bitmask()))
}

/// The effective set as a bit mask, bit n for capability number n.
///
/// # Errors
/// What capget(2) says.
pub fn effective_mask() -> Result<u64> {
    read_mask("capget", CapSet::Effective)
}

/// Whether `CAP_SYS_ADMIN` is effective. It is the caller's user namespace that this speaks of.
///
/// # Errors
/// What capget(2) says.
pub fn has_sys_admin() -> Result<bool> {
    Ok(effective_mask()? & Capability::CAP_SYS_ADMIN.bitmask() != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Capability sets belong to a thread, so each test empties a thread of its own.
    fn on_a_thread<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(act).join().unwrap()
    }

    fn can_drop() -> bool {
        effective_mask().unwrap() & Capability::CAP_SETPCAP.bitmask() != 0
    }

    #[test]
    fn the_mask_is_that_of_proc_self_status() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
        let expected = u64::from_str_radix(line.trim(), 16).unwrap();
        assert_eq!(effective_mask().unwrap(), expected);
        assert_eq!(has_sys_admin().unwrap(), expected >> 21 & 1 == 1);
    }

    #[test]
    fn after_clear_all_every_set_is_empty_in_proc_too() {
        if !can_drop() {
            return crate::in_child::skip("needs CAP_SETPCAP");
        }
        let (before, after, status) = on_a_thread(|| {
            let before = all_sets_empty().unwrap();
            clear_all().unwrap();
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            (before, all_sets_empty().unwrap(), status)
        });
        assert!(!before && after);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
        }
    }

    #[test]
    fn without_setpcap_the_bounding_set_cannot_be_dropped() {
        let error = on_a_thread(|| {
            clear("capset permitted", CapSet::Permitted).unwrap();
            drop_bounding().unwrap_err()
        });
        assert_eq!(error.errno, Errno::EPERM);
    }
}
