//! The steps of a start, in order, and the fixed-size records in which init speaks to the launcher.
//!
//! A record comes from inside the sandbox: the launcher decodes it as it decodes anything that a stranger sent.

use runtime_plan::wall::Wall;

/// One step of a start. The order is the order of execution; a step's place in [`Step::ALL`] is what users read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Init reads its order.
    ReceiveOrder,
    /// Init moves itself into the cgroups that the launcher made (v1).
    JoinCgroup,
    /// Init takes the id that its namespace maps to 0.
    InitIds,
    /// Init dies with the launcher, and nobody may trace it.
    TieToLauncher,
    /// The job's cgroup becomes the root of what it sees.
    CgroupNamespace,
    /// Host name and domain name.
    HostName,
    /// `lo` is up.
    Loopback,
    /// Mounts of the host no longer reach in.
    PrivateMounts,
    /// The new root and the scratch file system.
    MakeRoot,
    /// One entry of the root.
    RootEntry,
    /// The new root becomes the root, the old one is gone.
    PivotRoot,
    /// /proc files that are read-only.
    ProcReadOnly,
    /// /proc files that are hidden.
    ProcMasked,
    /// The root is read-only.
    ReadOnlyRoot,
    /// Nested namespaces are off, inotify is bounded.
    UserSysctls,
    /// The landlock rule set is made.
    LandlockRules,
    /// The job's terminal, in its own devpts.
    Terminal,
    /// The job's process is made.
    Fork,
    /// Init gives up what it no longer needs.
    InitLock,
    /// A session of its own.
    Session,
    /// A session keyring of its own.
    Keyring,
    /// stdin, stdout, stderr.
    Stdio,
    /// The terminal becomes the one that controls the session.
    ControllingTerminal,
    /// CPUs that it may run on.
    Affinity,
    /// One resource limit.
    ResourceLimit,
    /// The job's ids.
    JobIds,
    /// All five capability sets are emptied and locked.
    Capabilities,
    /// The working directory.
    WorkDirectory,
    /// No other file descriptor survives exec.
    CloseFiles,
    /// No exec adds privilege.
    NoNewPrivs,
    /// The landlock rule set holds.
    Landlock,
    /// The file that is stdin.
    OpenStdin,
    /// Signals are as a new program expects them.
    Signals,
    /// One layer of the system call filter.
    Seccomp,
    /// The program itself.
    Exec,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Step; 35] = [
        Step::ReceiveOrder,
        Step::JoinCgroup,
        Step::InitIds,
        Step::TieToLauncher,
        Step::CgroupNamespace,
        Step::HostName,
        Step::Loopback,
        Step::PrivateMounts,
        Step::MakeRoot,
        Step::RootEntry,
        Step::PivotRoot,
        Step::ProcReadOnly,
        Step::ProcMasked,
        Step::ReadOnlyRoot,
        Step::UserSysctls,
        Step::LandlockRules,
        Step::Terminal,
        Step::Fork,
        Step::InitLock,
        Step::Session,
        Step::Keyring,
        Step::Stdio,
        Step::ControllingTerminal,
        Step::Affinity,
        Step::ResourceLimit,
        Step::JobIds,
        Step::Capabilities,
        Step::WorkDirectory,
        Step::CloseFiles,
        Step::NoNewPrivs,
        Step::Landlock,
        Step::OpenStdin,
        Step::Signals,
        Step::Seccomp,
        Step::Exec,
    ];

    /// Its place, from 1.
    pub fn place(self) -> u32 {
        let index = Step::ALL.iter().position(|step| *step == self);
        index.map_or(0, |index| index as u32 + 1)
    }

    /// What it does, as it reads after "failed to".
    pub const fn text(self) -> &'static str {
        match self {
            Step::ReceiveOrder => "read the order",
            Step::JoinCgroup => "join the cgroup",
            Step::InitIds => "take the id of init",
            Step::TieToLauncher => "tie init to the launcher",
            Step::CgroupNamespace => "make the cgroup namespace",
            Step::HostName => "set the host name",
            Step::Loopback => "bring lo up",
            Step::PrivateMounts => "make mounts private",
            Step::MakeRoot => "make the root",
            Step::RootEntry => "mount",
            Step::ProcReadOnly => "make read-only",
            Step::ProcMasked => "mask",
            Step::PivotRoot => "enter the new root",
            Step::ReadOnlyRoot => "make the root read-only",
            Step::UserSysctls => "write /proc/sys/user",
            Step::LandlockRules => "make the landlock rules",
            Step::Terminal => "make the terminal",
            Step::Fork => "fork the job",
            Step::InitLock => "lock init down",
            Step::Session => "make a session",
            Step::Keyring => "join a new session keyring",
            Step::Stdio => "connect stdin, stdout, stderr",
            Step::ControllingTerminal => "take the terminal",
            Step::Affinity => "set the cpu affinity",
            Step::ResourceLimit => "set the resource limit",
            Step::JobIds => "take the job's ids",
            Step::Capabilities => "drop the capabilities",
            Step::WorkDirectory => "enter the working directory",
            Step::CloseFiles => "close inherited files",
            Step::NoNewPrivs => "set no_new_privs",
            Step::Landlock => "restrict itself with landlock",
            Step::OpenStdin => "open stdin",
            Step::Signals => "reset the signals",
            Step::Seccomp => "install the system call filter",
            Step::Exec => "execute",
        }
    }

    /// The wall that it raises.
    pub const fn wall(self) -> Option<Wall> {
        match self {
            Step::JoinCgroup => Some(Wall::Cgroup),
            Step::InitIds | Step::UserSysctls => Some(Wall::User),
            Step::CgroupNamespace => Some(Wall::CgroupNamespace),
            Step::HostName => Some(Wall::Uts),
            Step::Loopback => Some(Wall::Net),
            Step::PrivateMounts | Step::MakeRoot | Step::RootEntry | Step::PivotRoot => Some(Wall::Mount),
            Step::ProcReadOnly | Step::ProcMasked => Some(Wall::MaskedProc),
            Step::ReadOnlyRoot => Some(Wall::ReadOnlyRoot),
            Step::LandlockRules | Step::Landlock => Some(Wall::Landlock),
            Step::ResourceLimit => Some(Wall::Rlimits),
            Step::Capabilities => Some(Wall::Capabilities),
            Step::NoNewPrivs => Some(Wall::NoNewPrivs),
            Step::Seccomp => Some(Wall::Seccomp),
            Step::ReceiveOrder
            | Step::TieToLauncher
            | Step::Terminal
            | Step::Fork
            | Step::InitLock
            | Step::Session
            | Step::Keyring
            | Step::Stdio
            | Step::ControllingTerminal
            | Step::Affinity
            | Step::WorkDirectory
            | Step::JobIds
            | Step::CloseFiles
            | Step::OpenStdin
            | Step::Signals
            | Step::Exec => None,
        }
    }
}

/// Where and why a start failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The step.
    pub step: Step,
    /// Which item of the step: an entry of the root, a resource limit, a layer of the filter.
    pub item: u32,
    /// The kernel's answer.
    pub errno: i32,
}

/// What init says to the launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// The start failed; init is about to exit.
    Failed(Failure),
    /// The program runs. A pidfd of it comes with this record, and after it the master of its terminal, if it has one.
    Started {
        /// The landlock ABI that holds, 0 without that wall.
        landlock_abi: u32,
    },
    /// The program's first process is gone; init is about to exit, and the kernel ends the rest.
    Exited {
        /// Exit code, or the signal.
        status: ExitStatus,
        /// CPU time of the processes that init reaped, user mode, in microseconds.
        cpu_user_us: u64,
        /// The same in kernel mode.
        cpu_system_us: u64,
        /// No room was left in the scratch file system: bytes, inodes.
        scratch_full: (bool, bool),
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself.
    Exited(i32),
    /// By a signal.
    Signalled {
        /// Its number.
        signal: i32,
        /// Whether the kernel says that it dumped core.
        core_dumped: bool,
    },
}

/// Bytes of a record.
pub const RECORD_BYTES: usize = 32;
const FAILED: u32 = 1;
const STARTED: u32 = 2;
const EXITED: u32 = 3;
const SIGNALLED: u32 = 4;
const SIGNALLED_CORE: u32 = 5;

impl Record {
    /// Its bytes: kind, three 32-bit fields, two 64-bit fields, little-endian.
    pub fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let (kind, fields, times) = match self {
            Record::Failed(failure) => {
                (FAILED, [failure.step.place(), failure.item, failure.errno as u32], [0, 0])
            }
            Record::Started { landlock_abi } => (STARTED, [landlock_abi, 0, 0], [0, 0]),
            Record::Exited { status, cpu_user_us, cpu_system_us, scratch_full } => {
                let (kind, number) = match status {
                    ExitStatus::Exited(code) => (EXITED, code as u32),
                    ExitStatus::Signalled { signal, core_dumped: false } => (SIGNALLED, signal as u32),
                    ExitStatus::Signalled { signal, core_dumped: true } => (SIGNALLED_CORE, signal as u32),
                };
                let full = u32::from(scratch_full.0) | u32::from(scratch_full.1) << 1;
                (kind, [number, full, 0], [cpu_user_us, cpu_system_us])
            }
        };
        let mut bytes = [0; RECORD_BYTES];
        bytes[0..4].copy_from_slice(&kind.to_le_bytes());
        for (index, field) in fields.into_iter().enumerate() {
            bytes[4 + 4 * index..8 + 4 * index].copy_from_slice(&field.to_le_bytes());
        }
        bytes[16..24].copy_from_slice(&times[0].to_le_bytes());
        bytes[24..32].copy_from_slice(&times[1].to_le_bytes());
        bytes
    }

    /// A record from bytes; `None` when they are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Record> {
        let bytes: &[u8; RECORD_BYTES] = bytes.try_into().ok()?;
        let word = |at: usize| {
            bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_le_bytes)
        };
        let long = |at: usize| {
            bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_le_bytes)
        };
        let scratch_full = (word(8) & 1 != 0, word(8) & 2 != 0);
        let exited =
            |status| Record::Exited { status, cpu_user_us: long(16), cpu_system_us: long(24), scratch_full };
        let signal = i32::try_from(word(4)).ok().filter(|signal| (1..=64).contains(signal));
        match word(0) {
            FAILED => {
                let step = *Step::ALL.get((word(4) as usize).checked_sub(1)?)?;
                Some(Record::Failed(Failure { step, item: word(8), errno: word(12) as i32 }))
            }
            STARTED => Some(Record::Started { landlock_abi: word(4) }),
            EXITED => {
                Some(exited(ExitStatus::Exited(i32::try_from(word(4)).ok().filter(|code| *code < 256)?)))
            }
            SIGNALLED => Some(exited(ExitStatus::Signalled { signal: signal?, core_dumped: false })),
            SIGNALLED_CORE => Some(exited(ExitStatus::Signalled { signal: signal?, core_dumped: true })),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_its_own_place_in_the_order_of_the_enum() {
        for (index, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, index);
            assert_eq!(step.place(), index as u32 + 1);
        }
    }

    #[test]
    fn records_survive_their_bytes() {
        let records = [
            Record::Failed(Failure { step: Step::RootEntry, item: 7, errno: 13 }),
            Record::Started { landlock_abi: 7 },
            Record::Exited {
                status: ExitStatus::Exited(255),
                cpu_user_us: 1,
                cpu_system_us: u64::MAX,
                scratch_full: (true, false),
            },
            Record::Exited {
                status: ExitStatus::Signalled { signal: 31, core_dumped: true },
                cpu_user_us: 9,
                cpu_system_us: 8,
                scratch_full: (false, true),
            },
        ];
        for record in records {
            assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
        }
    }

    #[test]
    fn bytes_that_are_no_record_are_none() {
        for bytes in [vec![], vec![0; 31], vec![0; 32], vec![0xff; 32], vec![0; 33]] {
            assert_eq!(Record::from_bytes(&bytes), None);
        }
        let mut signal_zero = [0; RECORD_BYTES];
        signal_zero[0] = SIGNALLED as u8;
        assert_eq!(Record::from_bytes(&signal_zero), None);
    }
}
