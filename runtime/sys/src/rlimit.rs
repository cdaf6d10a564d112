//! Resource limits of the calling process: getrlimit(2) and setrlimit(2).
//!
//! It owns the mapping from our names to the kernel's. It must not choose a number: which limit a job
//! gets is the plan's business.

use nix::sys::resource::{self, Resource as Kernel};

use crate::error::{Act, Result};

/// No bound, in the kernel's words `RLIM_INFINITY`.
pub const INFINITY: u64 = u64::MAX;

/// The limits that a job gets; units as in getrlimit(2).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Largest core file in bytes. With a piped `core_pattern` only the value 1 stops the dump.
    Core,
    /// Highest descriptor number plus one.
    Nofile,
    /// Locked memory in bytes.
    Memlock,
    /// Largest file that may be written, in bytes.
    Fsize,
    /// Bytes in POSIX message queues.
    Msgqueue,
    /// Queued signals of the real uid.
    Sigpending,
    /// Ceiling of the real-time priority.
    Rtprio,
    /// Ceiling of the nice value, as 20 minus nice.
    Nice,
    /// Stack of the main thread in bytes.
    Stack,
    /// Processes of the real uid. Set inside a user namespace it counts in that namespace.
    Nproc,
    /// Private writable memory in bytes (`RLIMIT_DATA`; anonymous maps count since Linux 4.7).
    Data,
    /// Processor time in seconds: SIGXCPU at the soft limit, SIGKILL at the hard one.
    Cpu,
}

impl Resource {
    fn kernel(self) -> Kernel {
        match self {
            Resource::Core => Kernel::RLIMIT_CORE,
            Resource::Nofile => Kernel::RLIMIT_NOFILE,
            Resource::Memlock => Kernel::RLIMIT_MEMLOCK,
            Resource::Fsize => Kernel::RLIMIT_FSIZE,
            Resource::Msgqueue => Kernel::RLIMIT_MSGQUEUE,
            Resource::Sigpending => Kernel::RLIMIT_SIGPENDING,
            Resource::Rtprio => Kernel::RLIMIT_RTPRIO,
            Resource::Nice => Kernel::RLIMIT_NICE,
            Resource::Stack => Kernel::RLIMIT_STACK,
            Resource::Nproc => Kernel::RLIMIT_NPROC,
            Resource::Data => Kernel::RLIMIT_DATA,
            Resource::Cpu => Kernel::RLIMIT_CPU,
        }
    }
}

/// Sets both bounds of one resource; [`INFINITY`] means none. Does not allocate.
///
/// # Errors
/// `EINVAL` when soft is above hard; `EPERM` when hard would rise and the caller lacks `CAP_SYS_RESOURCE`
/// in the initial user namespace.
pub fn set(resource: Resource, soft: u64, hard: u64) -> Result<()> {
    resource::setrlimit(resource.kernel(), soft, hard).act("setrlimit")
}

/// Reads the soft and the hard bound of one resource.
///
/// # Errors
/// Only what getrlimit(2) says, which for a known resource is nothing.
pub fn get(resource: Resource) -> Result<(u64, u64)> {
    resource::getrlimit(resource.kernel()).act("getrlimit")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Errno;

    #[test]
    fn a_limit_that_was_set_is_read_back() {
        // No other test of this crate depends on the size of message queues.
        let (_, hard) = get(Resource::Msgqueue).unwrap();
        set(Resource::Msgqueue, 4096, hard).unwrap();
        assert_eq!(get(Resource::Msgqueue).unwrap(), (4096, hard));
    }

    #[test]
    fn a_soft_limit_above_the_hard_one_is_refused() {
        assert_eq!(set(Resource::Rtprio, 2, 1).unwrap_err().errno, Errno::EINVAL);
    }

    #[test]
    fn every_resource_is_known_to_the_kernel() {
        use Resource::*;
        for resource in
            [Core, Nofile, Memlock, Fsize, Msgqueue, Sigpending, Rtprio, Nice, Stack, Nproc, Data, Cpu]
        {
            let (soft, hard) = get(resource).unwrap();
            assert!(soft <= hard, "{resource:?}: {soft} {hard}");
        }
    }
}
