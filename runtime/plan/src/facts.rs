//! What the host offers, as data. The launcher gathers it once; the planner only reads it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a host offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct HostFacts {
    /// The launcher runs as root.
    pub rootful: bool,
    /// Kernel release, as `uname -r` prints it.
    pub kernel: String,
    /// Landlock ABI of the kernel, 0 when there is none.
    pub landlock_abi: u32,
    /// Whether the system call filter exists.
    pub seccomp: bool,
    /// Which cgroup hierarchy we may use, and what it offers.
    pub cgroup: CgroupFacts,
    /// Why a job may not mount a /proc of its own, when so (a masked outer /proc).
    pub proc_mount_refused: Option<String>,
    /// Why user namespaces are refused, when so.
    pub user_namespaces_refused: Option<String>,
    /// CPUs that the launcher may use.
    pub cpus: u32,
    /// What lies at each host path that a profile names, as the launcher sees it.
    pub paths: BTreeMap<String, HostPath>,
    /// The directory of the embedded form's `--dir`.
    pub host_directory: Option<HostDirectory>,
}

/// The cgroup side of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct CgroupFacts {
    /// `v1`, `hybrid`, `v2`; `None` when we may use none.
    pub version: Option<CgroupVersion>,
    /// Controllers that we may use.
    pub controllers: Vec<String>,
    /// Why there is none, and what mends it.
    pub why_not: Option<String>,
}

/// The cgroup hierarchy of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupVersion {
    /// Controllers on v1, no unified tree.
    V1,
    /// Controllers on v1, and a unified tree that has none.
    Hybrid,
    /// Controllers on v2.
    V2,
}

impl CgroupVersion {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            CgroupVersion::V1 => "v1",
            CgroupVersion::Hybrid => "hybrid",
            CgroupVersion::V2 => "v2",
        }
    }
}

/// What lies at a host path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostPath {
    /// A directory; `private` when other users may not reach it (a job's init could not open it by path).
    Directory {
        /// Whether the launcher has to open it for the job.
        private: bool,
    },
    /// A file.
    File {
        /// Whether the launcher has to open it for the job.
        private: bool,
    },
    /// A symbolic link and its text.
    Symlink {
        /// The text of the link.
        target: String,
    },
    /// Nothing.
    Missing,
}

/// The directory of the embedded form's `--dir`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDirectory {
    /// Its path, for people; the fd decides.
    pub path: String,
    /// Mounted read-only.
    pub read_only: bool,
    /// Owner on disk of what the job makes there: the caller, or for root the directory's owner.
    pub uid: u32,
    /// Group of the same.
    pub gid: u32,
    /// Whether the file system takes an id map (5.12 and per file system).
    pub idmap: bool,
}
