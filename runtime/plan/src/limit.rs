//! The limits of a job: names, defaults, what a caller may ask for.

use serde::{Deserialize, Serialize};

/// A limit by name, as `--limit` and profiles spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitName {
    /// Wall-clock time from exec, in milliseconds.
    WallTime,
    /// CPU time of the whole tree, in milliseconds.
    CpuTime,
    /// Memory of the whole tree, in bytes.
    Memory,
    /// Swap of the whole tree, in bytes.
    Swap,
    /// CPU share, in thousandths of a core.
    Cpu,
    /// Processes and threads of the whole tree.
    Pids,
    /// Open files of one process.
    Files,
    /// Bytes of stdout and stderr together.
    Output,
    /// Bytes of the scratch workspace, /tmp and /dev/shm together.
    Scratch,
    /// Inodes of the same.
    Inodes,
}

impl LimitName {
    /// Every limit.
    pub const ALL: [LimitName; 10] = [
        LimitName::WallTime,
        LimitName::CpuTime,
        LimitName::Memory,
        LimitName::Swap,
        LimitName::Cpu,
        LimitName::Pids,
        LimitName::Files,
        LimitName::Output,
        LimitName::Scratch,
        LimitName::Inodes,
    ];

    /// The name in profiles, `--limit`, reports and the API.
    pub const fn name(self) -> &'static str {
        match self {
            LimitName::WallTime => "wall_time",
            LimitName::CpuTime => "cpu_time",
            LimitName::Memory => "memory",
            LimitName::Swap => "swap",
            LimitName::Cpu => "cpu",
            LimitName::Pids => "pids",
            LimitName::Files => "files",
            LimitName::Output => "output",
            LimitName::Scratch => "scratch",
            LimitName::Inodes => "inodes",
        }
    }

    /// The unit of its number.
    pub const fn unit(self) -> &'static str {
        match self {
            LimitName::WallTime | LimitName::CpuTime => "ms",
            LimitName::Memory | LimitName::Swap | LimitName::Output | LimitName::Scratch => "bytes",
            LimitName::Cpu => "millicores",
            LimitName::Pids => "processes",
            LimitName::Files => "files",
            LimitName::Inodes => "inodes",
        }
    }

    /// The limit of that name.
    pub fn from_name(name: &str) -> Option<LimitName> {
        LimitName::ALL.into_iter().find(|limit| limit.name() == name)
    }
}

impl std::fmt::Display for LimitName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a caller asks for: `None` is "what the profile says".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct LimitRequest {
    /// Wall-clock time from exec, in milliseconds, at least 1.
    pub wall_time_ms: Option<u64>,
    /// CPU time of the tree, in milliseconds, at least 1.
    pub cpu_time_ms: Option<u64>,
    /// Memory of the tree, in bytes, at least 4 MiB.
    pub memory_bytes: Option<u64>,
    /// Swap of the tree, in bytes.
    pub swap_bytes: Option<u64>,
    /// CPU share, in thousandths of a core, at least 10.
    pub cpu_millicores: Option<u64>,
    /// Processes and threads, at least 2 (the init of the sandbox is one).
    pub pids: Option<u64>,
    /// Open files of one process, at least 16.
    pub files: Option<u64>,
    /// Output bytes.
    pub output_bytes: Option<u64>,
    /// Scratch bytes, at least 1 MiB.
    pub scratch_bytes: Option<u64>,
    /// Scratch inodes, at least 64.
    pub scratch_inodes: Option<u64>,
}

/// The limits that a job runs with, all decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Wall-clock time from exec, in milliseconds; `None` is "none".
    pub wall_time_ms: Option<u64>,
    /// CPU time of the tree, in milliseconds; `None` is "none".
    pub cpu_time_ms: Option<u64>,
    /// Memory of the tree, in bytes.
    pub memory_bytes: u64,
    /// Swap of the tree, in bytes.
    pub swap_bytes: u64,
    /// CPU share, in thousandths of a core.
    pub cpu_millicores: u64,
    /// Processes and threads of the tree.
    pub pids: u64,
    /// Open files of one process.
    pub files: u64,
    /// Bytes of stdout and stderr together.
    pub output_bytes: u64,
    /// Bytes of scratch workspace, /tmp and /dev/shm together.
    pub scratch_bytes: u64,
    /// Inodes of the same.
    pub scratch_inodes: u64,
    /// From TERM to KILL, in milliseconds.
    pub kill_grace_ms: u64,
}
