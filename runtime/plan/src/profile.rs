//! A profile, resolved: what is mounted, which system calls, which limits, which walls.

use crate::{
    limit::{LimitName, Limits},
    wall::{Requirement, Wall},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A named sandbox template, with what it extends already merged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// One sentence for `runtime profile list`.
    pub description: String,
    /// Where it came from: `built-in` or the file's path.
    pub origin: String,
    /// SHA-256 of everything it resolves to, lower-case hex.
    pub digest: String,
    /// The profiles that it extends, nearest first.
    pub extends: Vec<String>,
    /// How badly each wall is wanted. Every wall is listed.
    pub walls: BTreeMap<Wall, Requirement>,
    /// The limits of a job that asks for none.
    pub limits: Limits,
    /// Limits that callers may not change under this profile.
    pub fixed_limits: Vec<LimitName>,
    /// Host paths that appear inside, read-only.
    pub mounts: Vec<ProfileMount>,
    /// Environment that every job starts with; the caller's variables come on top.
    pub env: BTreeMap<String, String>,
    /// File mode creation mask inside.
    pub umask: u32,
    /// Host name inside.
    pub hostname: String,
    /// Lowest landlock ABI that will do.
    pub landlock_abi_min: u32,
    /// /proc shows processes only (`subset=pid`).
    pub proc_subset_pid: bool,
    /// Files under /workspace, /tmp may be executed.
    pub exec_from_writable: bool,
    /// The system call filter.
    pub syscalls: SyscallPolicy,
}

impl Profile {
    /// What a list shows of it.
    pub fn summary(&self) -> ProfileSummary {
        ProfileSummary {
            name: self.name.clone(),
            description: self.description.clone(),
            origin: self.origin.clone(),
            digest: self.digest.clone(),
            extends: self.extends.clone(),
        }
    }
}

/// What a list shows of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileSummary {
    /// Its name.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// `built-in` or the file's path.
    pub origin: String,
    /// SHA-256 of everything it resolves to, lower-case hex.
    pub digest: String,
    /// The profiles that it extends, nearest first.
    pub extends: Vec<String>,
}

/// A host path that appears inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileMount {
    /// Path on the host, absolute. `~` is not expanded.
    pub source: String,
    /// Path inside, absolute; the same as the source by default.
    pub target: String,
    /// A host without it is no error.
    pub optional: bool,
    /// Programs there may be executed.
    pub exec: bool,
}

/// A filter as data: what is answered to each system call. What is not named is answered `EPERM`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct SyscallPolicy {
    /// The sets that it was made of, in order.
    pub sets: Vec<String>,
    /// One entry per system call, by number.
    pub entries: BTreeMap<u32, SyscallEntry>,
    /// The highest number that this build knows; above it the answer is ENOSYS.
    pub highest_known: u32,
}

/// What is answered to one system call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyscallEntry {
    /// Its name.
    pub name: String,
    /// The answer when no rule matches.
    pub answer: Answer,
    /// Exceptions, by argument: the first that matches decides.
    pub rules: Vec<ArgumentRule>,
}

/// An answer to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The kernel does it.
    Allow,
    /// The kernel says this errno.
    Errno(u16),
}

/// An exception by argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgumentRule {
    /// All must hold.
    pub when: Vec<ArgumentCondition>,
    /// Then this is the answer.
    pub answer: Answer,
}

/// One comparison of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgumentCondition {
    /// Which argument, 0 to 5.
    pub argument: u8,
    /// Compare the low 32 bits only: what the kernel itself does for `int` arguments.
    pub dword: bool,
    /// How.
    pub compare: Compare,
    /// With what.
    pub value: u64,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// Greater, unsigned.
    Greater,
    /// Greater or equal, unsigned.
    GreaterOrEqual,
    /// Less, unsigned.
    Less,
    /// Less or equal, unsigned.
    LessOrEqual,
    /// `argument & mask == value`.
    MaskedEqual(u64),
    /// `argument & value != 0`.
    AnyBit,
}
