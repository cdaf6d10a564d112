//! The walls: their names, in the order in which they are raised, and how badly a profile wants each.

use serde::{Deserialize, Serialize};

/// One layer around a job. The order of the variants is the order in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wall {
    /// A user namespace of its own; host uid 0 is never mapped, setgroups is denied, nested namespaces are off.
    User,
    /// A host uid that no other running job has (rootful only).
    UidPerJob,
    /// A mount namespace of its own, with a root made by us.
    Mount,
    /// A pid namespace of its own with a private /proc.
    Pid,
    /// An empty network namespace: `lo` and nothing else.
    Net,
    /// SysV IPC and POSIX queues of its own.
    Ipc,
    /// Host name and domain name of its own.
    Uts,
    /// A cgroup namespace: the job sees itself at `/`.
    CgroupNamespace,
    /// The workspace is mounted through an id map, so that its files belong to their owner on disk.
    Idmap,
    /// Everything but the workspace, /tmp, /dev/shm is read-only.
    ReadOnlyRoot,
    /// /proc with dangerous files masked or read-only.
    MaskedProc,
    /// Resource limits of the process (getrlimit(2)).
    Rlimits,
    /// No exec can add privilege (PR_SET_NO_NEW_PRIVS).
    NoNewPrivs,
    /// All five capability sets are empty.
    Capabilities,
    /// Landlock rules at the highest ABI of the kernel.
    Landlock,
    /// The system call filter.
    Seccomp,
    /// Limits for memory, swap, pids and cpu of the whole tree.
    Cgroup,
}

impl Wall {
    /// Every wall, in report order.
    pub const ALL: [Wall; 17] = [
        Wall::User,
        Wall::UidPerJob,
        Wall::Mount,
        Wall::Pid,
        Wall::Net,
        Wall::Ipc,
        Wall::Uts,
        Wall::CgroupNamespace,
        Wall::Idmap,
        Wall::ReadOnlyRoot,
        Wall::MaskedProc,
        Wall::Rlimits,
        Wall::NoNewPrivs,
        Wall::Capabilities,
        Wall::Landlock,
        Wall::Seccomp,
        Wall::Cgroup,
    ];

    /// The name in profiles, reports and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Wall::User => "user",
            Wall::UidPerJob => "uid_per_job",
            Wall::Mount => "mount",
            Wall::Pid => "pid",
            Wall::Net => "net",
            Wall::Ipc => "ipc",
            Wall::Uts => "uts",
            Wall::CgroupNamespace => "cgroup_namespace",
            Wall::Idmap => "idmap",
            Wall::ReadOnlyRoot => "read_only_root",
            Wall::MaskedProc => "masked_proc",
            Wall::Rlimits => "rlimits",
            Wall::NoNewPrivs => "no_new_privs",
            Wall::Capabilities => "capabilities",
            Wall::Landlock => "landlock",
            Wall::Seccomp => "seccomp",
            Wall::Cgroup => "cgroup",
        }
    }

    /// The wall of that name.
    pub fn from_name(name: &str) -> Option<Wall> {
        Wall::ALL.into_iter().find(|wall| wall.name() == name)
    }
}

impl std::fmt::Display for Wall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How badly a profile wants a wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// The job does not start without it.
    #[default]
    Required,
    /// As `required` when the launcher runs as root; else built where the host allows, and reported where not.
    RequiredWhenRootful,
    /// Built where the host allows, reported where not.
    Optional,
}

impl Requirement {
    /// Whether a job on such a launcher must not start without the wall.
    pub const fn binds(self, rootful: bool) -> bool {
        match self {
            Requirement::Required => true,
            Requirement::RequiredWhenRootful => rootful,
            Requirement::Optional => false,
        }
    }
}

/// What stood, for one wall of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WallReport {
    /// Which wall.
    pub wall: Wall,
    /// Whether it stood.
    pub state: WallState,
    /// What exactly stood, or why not: the kernel's ABI level, the controllers, the fallback. One sentence.
    pub detail: String,
}

/// Whether a wall stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WallState {
    /// The kernel enforces all of it.
    Up,
    /// Something weaker stands in its place; the detail says what.
    Fallback,
    /// It did not stand; the detail says why.
    Down,
}

/// Which walls stood for a job. Every wall is listed once, in the order of [`Wall::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Enforcement {
    /// One entry per wall.
    pub walls: Vec<WallReport>,
    /// Kernel release, as `uname -r` prints it.
    pub kernel: String,
    /// Landlock ABI that was used, 0 when there is none.
    pub landlock_abi: u32,
    /// `v1`, `hybrid`, `v2`, or `none`.
    pub cgroup_version: String,
    /// SHA-256 of the launch plan, lower-case hex.
    pub plan_digest: String,
}
