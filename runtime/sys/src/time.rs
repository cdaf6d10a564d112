//! Clocks, and the identity of this boot without which a monotonic time means nothing.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::error::{Errno, Error, Result};

/// Time since some moment before this boot; it stands still while the machine is suspended and never goes
/// back. Comparable between processes of one boot. clock_gettime(2) cannot fail for this clock.
pub fn monotonic_now() -> Duration {
    duration(clock_gettime(ClockId::Monotonic))
}

/// Time since 1970-01-01 UTC without leap seconds; an operator may set it at any moment, also back.
pub fn realtime_now() -> Duration {
    duration(clock_gettime(ClockId::Realtime))
}

/// A random UUID, made anew at each boot: 36 letters, random(4).
pub fn boot_id() -> Result<String> {
    let bytes = crate::file::read_all_bounded("/proc/sys/kernel/random/boot_id".as_ref(), 64)?;
    let text = String::from_utf8(bytes).map_err(|_| Error::new("read boot id", Errno::EINVAL))?;
    Ok(text.trim().to_owned())
}

/// A clock before its zero counts as zero: only a realtime clock set before 1970 does that.
fn duration(time: Timespec) -> Duration {
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_agree_with_the_standard_library() {
        let before = monotonic_now();
        assert!(monotonic_now() >= before);
        let system = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        assert!(realtime_now() >= system);
        assert!(realtime_now() - system < Duration::from_secs(60));
    }

    #[test]
    fn a_clock_before_its_zero_is_zero() {
        assert_eq!(duration(Timespec { tv_sec: -5, tv_nsec: 3 }), Duration::new(0, 3));
    }

    #[test]
    fn the_boot_id_is_a_uuid_and_stays() {
        let id = boot_id().expect("boot id");
        assert_eq!(id.len(), 36);
        assert_eq!(id.matches('-').count(), 4);
        assert_eq!(boot_id().expect("boot id"), id);
    }
}
