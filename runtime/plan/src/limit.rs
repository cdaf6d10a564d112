//! The limits of a job: names, defaults, what a caller may ask for.

use crate::{
    quantity::{self, QuantityError},
    suggest,
};
use serde::{Deserialize, Serialize};

/// A limit by name, as `--limit` and profiles spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitName {
    /// Wall-clock time from exec, in milliseconds.
    WallTime,
    /// CPU time of the whole tree, in milliseconds.
    CpuTime,
    /// Time without a byte of input or output, in milliseconds.
    IdleTime,
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
    pub const ALL: [LimitName; 11] = [
        LimitName::WallTime,
        LimitName::CpuTime,
        LimitName::IdleTime,
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
            LimitName::IdleTime => "idle_time",
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
            LimitName::WallTime | LimitName::CpuTime | LimitName::IdleTime => "ms",
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

    /// The least value that still runs a program, in the limit's unit.
    pub const fn floor(self) -> u64 {
        match self {
            LimitName::WallTime | LimitName::CpuTime => 1,
            // Below, the time that bytes take on their way would count as rest.
            LimitName::IdleTime => 1_000,
            // Below this the kernel cannot even exec a dynamic program in the cgroup.
            LimitName::Memory => 4 << 20,
            LimitName::Swap => 0,
            // The kernel's least quota is 1 ms in a period of 100 ms (cgroup-v2, cpu.max).
            LimitName::Cpu => 10,
            // The init of the sandbox is one of them.
            LimitName::Pids => 2,
            LimitName::Files => 16,
            LimitName::Output => 0,
            LimitName::Scratch => 1 << 20,
            LimitName::Inodes => 64,
        }
    }

    /// A number of this limit, read as its kind is written: `512MiB`, `30s`, `1.5`, `256`.
    pub fn parse(self, text: &str) -> Result<u64, QuantityError> {
        match self {
            LimitName::WallTime | LimitName::CpuTime | LimitName::IdleTime => quantity::parse_duration(text),
            LimitName::Memory | LimitName::Swap | LimitName::Output | LimitName::Scratch => {
                quantity::parse_size(text)
            }
            LimitName::Cpu => quantity::parse_cpu(text),
            LimitName::Pids | LimitName::Files | LimitName::Inodes => quantity::parse_count(text),
        }
    }

    /// A number of this limit as people write it; [`LimitName::parse`] reads it back.
    pub fn show(self, value: u64) -> String {
        match self {
            LimitName::WallTime | LimitName::CpuTime | LimitName::IdleTime => quantity::show_duration(value),
            LimitName::Memory | LimitName::Swap | LimitName::Output | LimitName::Scratch => {
                quantity::show_size(value)
            }
            LimitName::Cpu if value.is_multiple_of(1_000) => (value / 1_000).to_string(),
            LimitName::Cpu => {
                format!("{}.{:03}", value / 1_000, value % 1_000).trim_end_matches('0').to_owned()
            }
            LimitName::Pids | LimitName::Files | LimitName::Inodes => value.to_string(),
        }
    }
}

/// A text that sets no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitTextError {
    /// There is no `=`.
    #[error("the limit {text:?} has no value: write NAME=VALUE, for example memory=512MiB")]
    NoValue {
        /// What was written.
        text: String,
    },
    /// No limit has this name.
    #[error("there is no limit {name:?}: {hint}")]
    UnknownLimit {
        /// The name.
        name: String,
        /// What may have been meant.
        hint: String,
    },
    /// The value is none.
    #[error("limit {limit}: {source}")]
    BadValue {
        /// Which limit.
        limit: LimitName,
        /// What is wrong with it.
        source: QuantityError,
    },
}

/// The limit and the number of a text such as `memory=512MiB`. Floors and ceilings are the planner's.
pub fn parse_assignment(text: &str) -> Result<(LimitName, u64), LimitTextError> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| LimitTextError::NoValue { text: text.to_owned() })?;
    let limit = LimitName::from_name(name.trim()).ok_or_else(|| {
        let names = LimitName::ALL.map(LimitName::name);
        LimitTextError::UnknownLimit { name: name.to_owned(), hint: suggest::hint(name, &names) }
    })?;
    match limit.parse(value) {
        Ok(number) => Ok((limit, number)),
        Err(source) => Err(LimitTextError::BadValue { limit, source }),
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
    /// Time without input and output, in milliseconds, at least 1 000.
    pub idle_time_ms: Option<u64>,
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

impl LimitRequest {
    /// Asks for this value, in the limit's unit; the last one counts.
    pub fn set(&mut self, limit: LimitName, value: u64) {
        *self.slot(limit) = Some(value);
    }

    /// What is asked for, in the limit's unit.
    pub const fn get(&self, limit: LimitName) -> Option<u64> {
        match limit {
            LimitName::WallTime => self.wall_time_ms,
            LimitName::CpuTime => self.cpu_time_ms,
            LimitName::IdleTime => self.idle_time_ms,
            LimitName::Memory => self.memory_bytes,
            LimitName::Swap => self.swap_bytes,
            LimitName::Cpu => self.cpu_millicores,
            LimitName::Pids => self.pids,
            LimitName::Files => self.files,
            LimitName::Output => self.output_bytes,
            LimitName::Scratch => self.scratch_bytes,
            LimitName::Inodes => self.scratch_inodes,
        }
    }

    const fn slot(&mut self, limit: LimitName) -> &mut Option<u64> {
        match limit {
            LimitName::WallTime => &mut self.wall_time_ms,
            LimitName::CpuTime => &mut self.cpu_time_ms,
            LimitName::IdleTime => &mut self.idle_time_ms,
            LimitName::Memory => &mut self.memory_bytes,
            LimitName::Swap => &mut self.swap_bytes,
            LimitName::Cpu => &mut self.cpu_millicores,
            LimitName::Pids => &mut self.pids,
            LimitName::Files => &mut self.files,
            LimitName::Output => &mut self.output_bytes,
            LimitName::Scratch => &mut self.scratch_bytes,
            LimitName::Inodes => &mut self.scratch_inodes,
        }
    }
}

/// The limits that a job runs with, all decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Wall-clock time from exec, in milliseconds; `None` is "none".
    pub wall_time_ms: Option<u64>,
    /// CPU time of the tree, in milliseconds; `None` is "none".
    pub cpu_time_ms: Option<u64>,
    /// Time without input and output, in milliseconds; `None` is "none".
    pub idle_time_ms: Option<u64>,
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

impl Limits {
    /// The value of this limit, in its unit; `None` is "none".
    pub const fn get(&self, limit: LimitName) -> Option<u64> {
        match limit {
            LimitName::WallTime => self.wall_time_ms,
            LimitName::CpuTime => self.cpu_time_ms,
            LimitName::IdleTime => self.idle_time_ms,
            LimitName::Memory => Some(self.memory_bytes),
            LimitName::Swap => Some(self.swap_bytes),
            LimitName::Cpu => Some(self.cpu_millicores),
            LimitName::Pids => Some(self.pids),
            LimitName::Files => Some(self.files),
            LimitName::Output => Some(self.output_bytes),
            LimitName::Scratch => Some(self.scratch_bytes),
            LimitName::Inodes => Some(self.scratch_inodes),
        }
    }

    /// Sets this limit, in its unit.
    pub const fn set(&mut self, limit: LimitName, value: u64) {
        match limit {
            LimitName::WallTime => self.wall_time_ms = Some(value),
            LimitName::CpuTime => self.cpu_time_ms = Some(value),
            LimitName::IdleTime => self.idle_time_ms = Some(value),
            LimitName::Memory => self.memory_bytes = value,
            LimitName::Swap => self.swap_bytes = value,
            LimitName::Cpu => self.cpu_millicores = value,
            LimitName::Pids => self.pids = value,
            LimitName::Files => self.files = value,
            LimitName::Output => self.output_bytes = value,
            LimitName::Scratch => self.scratch_bytes = value,
            LimitName::Inodes => self.scratch_inodes = value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_names_a_limit_and_its_number() {
        for (text, limit, value) in [
            ("memory=512MiB", LimitName::Memory, 512 << 20),
            ("wall_time=30s", LimitName::WallTime, 30_000),
            ("cpu=0.5", LimitName::Cpu, 500),
            ("pids=64", LimitName::Pids, 64),
            ("swap=0", LimitName::Swap, 0),
        ] {
            assert_eq!(parse_assignment(text), Ok((limit, value)), "{text}");
        }
    }

    #[test]
    fn a_wrong_assignment_says_what_to_write() {
        for (text, says) in [
            ("memory", "the limit \"memory\" has no value: write NAME=VALUE, for example memory=512MiB"),
            ("memroy=1GiB", "there is no limit \"memroy\": did you mean `memory`?"),
            ("pids=1k", "limit pids: \"1k\" is not a count; write 256"),
            (
                "memory=512",
                "limit memory: the size \"512\" has no unit: it could be 512 bytes or 512 MiB; write \"512B\" or \"512MiB\"",
            ),
        ] {
            assert_eq!(parse_assignment(text).unwrap_err().to_string(), says);
        }
    }

    #[test]
    fn every_limit_is_set_got_shown_and_read_back() {
        for (index, limit) in LimitName::ALL.into_iter().enumerate() {
            let value = 1_234 + index as u64;
            let mut request = LimitRequest::default();
            request.set(limit, value);
            for other in LimitName::ALL {
                assert_eq!(request.get(other), (other == limit).then_some(value), "{limit} {other}");
            }
            assert_eq!(limit.parse(&limit.show(value)), Ok(value), "{limit}");
            assert_eq!(LimitName::from_name(limit.name()), Some(limit));
        }
    }
}
