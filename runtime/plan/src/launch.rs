//! The launch plan: everything that is done for one job, in order, as data. It can be printed, compared and audited.

use crate::{
    limit::Limits,
    profile::SyscallPolicy,
    spec::{StdinSource, Terminal},
    wall::{Requirement, Wall},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that is done for one job. Host ids, cgroup names and fds are not in it: the launcher leases those.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchPlan {
    /// The profile's name.
    pub profile: String,
    /// The profile's digest.
    pub profile_digest: String,
    /// The walls that will be raised, with how badly each is wanted. A wall that the host
    /// cannot build is in `fallback` or `absent`.
    pub walls: BTreeMap<Wall, Requirement>,
    /// Walls in whose place something weaker stands, with what. Never one that binds.
    pub fallback: BTreeMap<Wall, String>,
    /// Walls that will not stand, with the reason. Never one that binds, but for two reasons that start with "not needed"
    /// (nothing is there that the wall would guard) and "off for a test".
    ///
    /// `walls`, `fallback` and `absent` share no wall, and together name every one.
    pub absent: BTreeMap<Wall, String>,
    /// How the limits of the tree are kept: by cgroups, or by the fallback.
    pub tree_limits: TreeLimits,
    /// How the limit of cpu time is kept, when there is one.
    pub cpu_time: CpuTimeKeeping,
    /// The ids inside.
    pub identity: Identity,
    /// Host name inside.
    pub hostname: String,
    /// What the root is made of, in order.
    pub root: Vec<RootEntry>,
    /// Paths below /proc that are hidden: files by /dev/null, directories by an empty read-only tmpfs. Written whole:
    /// `/proc/kcore`. One that the kernel does not have is no error.
    pub proc_masked: Vec<String>,
    /// Paths below /proc that are read-only, written as those that are hidden.
    pub proc_read_only: Vec<String>,
    /// /proc shows processes only.
    pub proc_subset_pid: bool,
    /// Files below /proc/sys/user that are written last: nested namespaces off, inotify bounded per job.
    pub user_sysctls: Vec<(String, u64)>,
    /// Size and inodes of the scratch file system.
    pub scratch: Scratch,
    /// What is at /workspace.
    pub workspace: WorkspacePlan,
    /// Resource limits of the process: name, soft, hard; `None` is infinity.
    pub rlimits: Vec<(Rlimit, Option<u64>, Option<u64>)>,
    /// Landlock rules.
    pub landlock: LandlockPlan,
    /// The system call filter.
    pub syscalls: SyscallPolicy,
    /// The limits.
    pub limits: Limits,
    /// CPUs that the job may run on, so that `nproc` agrees with the cpu limit.
    pub cpus: u32,
    /// The command.
    pub command: CommandPlan,
}

/// How the limits of the tree are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeLimits {
    /// By cgroups.
    Cgroup,
    /// By RLIMIT_NPROC inside the user namespace, RLIMIT_DATA, and polling.
    Fallback {
        /// Why.
        why: String,
    },
}

/// How the limit of cpu time is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CpuTimeKeeping {
    /// By the counter of the job's cgroup, which has every process of the job.
    Cgroup,
    /// No group counts: the processes are polled, and each alone has the whole of it (RLIMIT_CPU).
    Processes {
        /// Why.
        why: String,
    },
}

/// The ids inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The job's uid inside.
    pub uid: u32,
    /// The job's gid inside.
    pub gid: u32,
    /// Whether init has an id of its own (0 inside): rootful only, rootless maps a single id.
    pub init_has_own_id: bool,
}

/// One entry of the root. Targets are absolute paths inside; parents are made as needed (0755).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootEntry {
    /// An empty directory.
    Directory {
        /// Where.
        target: String,
        /// Its mode.
        mode: u32,
    },
    /// A symbolic link.
    Symlink {
        /// Where.
        target: String,
        /// Its text.
        text: String,
    },
    /// A small file made by us.
    File {
        /// Where.
        target: String,
        /// Its contents.
        contents: Vec<u8>,
        /// Its mode.
        mode: u32,
    },
    /// A host path, bound read-only, nosuid, nodev.
    Bind {
        /// Path on the host.
        source: String,
        /// Where.
        target: String,
        /// A directory, or a file.
        directory: bool,
        /// The launcher opens it for the job, because other users may not reach it.
        private: bool,
        /// Programs there may be executed.
        exec: bool,
    },
    /// A device node of the host, checked to be the one that it says.
    Device {
        /// Name below /dev.
        name: String,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A private devpts at /dev/pts.
    DevPts {
        /// Terminals that the job may have at the same time, its own included: the host has one pool for all.
        terminals_max: u32,
    },
    /// A private /proc.
    Proc,
    /// A part of the scratch file system.
    Scratch {
        /// Where.
        target: String,
        /// Directory in the scratch file system.
        part: String,
        /// Its mode.
        mode: u32,
        /// It belongs to the job's uid, else to init's.
        owned_by_job: bool,
        /// Programs there may be executed.
        exec: bool,
    },
    /// The directory of the embedded form.
    HostDirectory {
        /// Where.
        target: String,
        /// Mounted read-only.
        read_only: bool,
        /// Programs there may be executed.
        exec: bool,
    },
}

impl RootEntry {
    /// Where it is, for people: an absolute path inside.
    pub fn target(&self) -> String {
        match self {
            RootEntry::Directory { target, .. }
            | RootEntry::Symlink { target, .. }
            | RootEntry::File { target, .. }
            | RootEntry::Bind { target, .. }
            | RootEntry::Scratch { target, .. }
            | RootEntry::HostDirectory { target, .. } => target.clone(),
            RootEntry::Device { name, .. } => format!("/dev/{name}"),
            RootEntry::DevPts { .. } => "/dev/pts".to_owned(),
            RootEntry::Proc => "/proc".to_owned(),
        }
    }
}

/// Size of the scratch file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scratch {
    /// Bytes.
    pub bytes: u64,
    /// Inodes.
    pub inodes: u64,
}

/// What is at /workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkspacePlan {
    /// A part of the scratch file system.
    Scratch,
    /// The directory of the embedded form.
    HostDirectory {
        /// Owner on disk.
        uid: u32,
        /// Group on disk.
        gid: u32,
        /// Through an id map; else the owner's id is the one that is mapped into the namespace.
        idmap: bool,
        /// Mounted read-only.
        read_only: bool,
    },
}

/// A resource limit of the process (getrlimit(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of getrlimit(2)")]
pub enum Rlimit {
    Core,
    Nofile,
    Memlock,
    Fsize,
    Msgqueue,
    Sigpending,
    Rtprio,
    Nice,
    Stack,
    Nproc,
    Data,
    Cpu,
}

/// Landlock rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockPlan {
    /// Lowest ABI that will do.
    pub abi_min: u32,
    /// What is granted beneath each path inside. A path that does not exist inside is an error.
    pub rules: Vec<(String, LandlockAccess)>,
    /// No signals to processes outside the job (ABI 6).
    pub scope_signals: bool,
    /// No abstract sockets from outside the job (ABI 6).
    pub scope_abstract_sockets: bool,
    /// No TCP bind or connect at all: for a host without the net wall (ABI 4).
    pub deny_tcp: bool,
}

/// What landlock grants beneath a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LandlockAccess {
    /// Read files and directories.
    Read,
    /// The same, and execute.
    ReadExecute,
    /// Everything but execute and devices.
    ReadWrite,
    /// Everything but devices.
    ReadWriteExecute,
    /// Read and write one file (a device that needs no ioctl).
    Device,
    /// Read and write, and device ioctls (terminals).
    Terminal,
}

/// The command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandPlan {
    /// Arguments, the command included.
    pub argv: Vec<Vec<u8>>,
    /// `NAME=value`, in order of name.
    pub env: Vec<Vec<u8>>,
    /// Where a command without `/` is looked for.
    pub path: Vec<Vec<u8>>,
    /// Where the command starts.
    pub workdir: Vec<u8>,
    /// File mode creation mask.
    pub umask: u32,
    /// What it reads.
    pub stdin: StdinSource,
    /// Its terminal.
    pub terminal: Option<Terminal>,
}
