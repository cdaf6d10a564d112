//! Everything that the doctor looks at, as data: read once, from a root directory that tests replace.
//!
//! It must not judge. What a host does not have is absent here, and the judge says what that means.

pub mod accounts;
pub mod modules;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use runtime_plan::facts::HostFacts;

use super::{Context, UidRange};
use crate::host::attempt::Attempt;
use crate::host::identity::Identity;
use crate::host::mounts::{self, Mount};
use crate::host::root::HostRoot;
use crate::host::{HostError, idmap};
use accounts::Accounts;
use modules::Module;

/// Files of one line whose text the judge reads by these same names.
const SETTINGS: [&str; 32] = [
    "/proc/cmdline",
    "/proc/sys/dev/tty/legacy_tiocsti",
    "/proc/sys/fs/inotify/max_user_instances",
    "/proc/sys/fs/inotify/max_user_watches",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/io_uring_disabled",
    "/proc/sys/kernel/perf_event_paranoid",
    "/proc/sys/kernel/pid_max",
    "/proc/sys/kernel/pty/max",
    "/proc/sys/kernel/seccomp/actions_avail",
    "/proc/sys/kernel/unprivileged_bpf_disabled",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/kernel/yama/ptrace_scope",
    "/proc/sys/user/max_cgroup_namespaces",
    "/proc/sys/user/max_ipc_namespaces",
    "/proc/sys/user/max_mnt_namespaces",
    "/proc/sys/user/max_net_namespaces",
    "/proc/sys/user/max_pid_namespaces",
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/user/max_uts_namespaces",
    "/proc/sys/vm/unprivileged_userfaultfd",
    "/sys/devices/system/cpu/smt/active",
    "/sys/devices/system/cpu/vulnerabilities/l1tf",
    "/sys/devices/system/cpu/vulnerabilities/mds",
    "/sys/devices/system/cpu/vulnerabilities/meltdown",
    "/sys/devices/system/cpu/vulnerabilities/retbleed",
    "/sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow",
    "/sys/devices/system/cpu/vulnerabilities/spectre_v2",
    "/sys/devices/system/cpu/vulnerabilities/vmscape",
    "/sys/kernel/mm/ksm/run",
    "/sys/kernel/security/lsm",
];

/// Device nodes that a job gets, with their numbers (Documentation/admin-guide/devices.txt).
pub const DEVICES: [(&str, (u32, u32)); 7] = [
    ("null", (1, 3)),
    ("zero", (1, 5)),
    ("full", (1, 7)),
    ("random", (1, 8)),
    ("urandom", (1, 9)),
    ("tty", (5, 0)),
    ("ptmx", (5, 2)),
];

/// What was seen of a host.
#[derive(Debug, Clone, Default)]
pub struct Observations {
    /// The planner's facts, with what the attempt added.
    pub facts: HostFacts,
    /// How the attempt of namespaces ended; `None` when none was made.
    pub attempt: Option<Attempt>,
    /// Who we are.
    pub identity: Identity,
    /// The program that runs.
    pub program: PathBuf,
    /// Text of each of the settings that exist, by path.
    pub settings: BTreeMap<String, String>,
    /// The fixed Landlock errata, as a bit mask.
    pub landlock_errata: u32,
    /// Kinds of namespaces that the kernel has: `user`, `mnt`, …
    pub namespaces: Vec<String>,
    /// Swap areas in use.
    pub swaps: Vec<String>,
    /// Kernel modules that a job should not be able to wake.
    pub modules: Vec<Module>,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// Where the state directory is, or the part of its path that exists.
    pub state_dir: PathBuf,
    /// Whether the state directory's file system takes an id map; `None` when it was not tried.
    pub idmap: Option<bool>,
    /// Numbers of the character devices of [`DEVICES`] that exist.
    pub devices: BTreeMap<String, (u32, u32)>,
    /// Users, groups, subordinate ids.
    pub accounts: Accounts,
    /// The jobs' host ids.
    pub uids: Option<UidRange>,
    /// Which of newuidmap and newgidmap exist.
    pub map_helpers: Vec<String>,
    /// Seconds since 1970.
    pub now_seconds: u64,
}

impl Observations {
    /// Reads everything. Only the id map is an attempt here, and only with the context's leave.
    ///
    /// # Errors
    /// When who we are cannot be read, or the attempt could not be made.
    pub fn read(
        root: &HostRoot,
        facts: HostFacts,
        attempt: Option<Attempt>,
        context: &Context<'_>,
    ) -> Result<Observations, HostError> {
        let identity = Identity::read(root).ok_or(HostError::Identity)?;
        let state_dir = existing_part(root, context.state_dir);
        let idmap = try_idmap(root, &facts, &state_dir, context)?;
        let swaps = root.text("/proc/swaps").unwrap_or_default();
        let helpers = ["newuidmap", "newgidmap"].iter();
        Ok(Observations {
            program: std::fs::read_link(root.path("/proc/self/exe")).unwrap_or_default(),
            settings: SETTINGS
                .iter()
                .filter_map(|path| Some(((*path).to_owned(), root.line(path)?)))
                .collect(),
            landlock_errata: runtime_sys::landlock::errata(),
            namespaces: root.names("/proc/self/ns"),
            swaps: swaps
                .lines()
                .skip(1)
                .filter_map(|line| line.split_whitespace().next())
                .map(str::to_owned)
                .collect(),
            modules: modules::read(root, &facts.kernel),
            mounts: mounts::read(root),
            devices: DEVICES
                .iter()
                .filter_map(|(name, _)| Some(((*name).to_owned(), device(root, name)?)))
                .collect(),
            accounts: Accounts::read(root),
            uids: Some(context.uids),
            map_helpers: helpers
                .filter(|name| root.exists(&format!("/usr/bin/{name}")))
                .map(|name| (*name).to_owned())
                .collect(),
            now_seconds: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            facts,
            attempt,
            identity,
            state_dir,
            idmap,
        })
    }

    /// The text of a setting.
    pub fn setting(&self, path: &str) -> Option<&str> {
        self.settings.get(path).map(String::as_str)
    }

    /// The number in a setting.
    pub fn number(&self, path: &str) -> Option<i64> {
        self.setting(path)?.split_whitespace().next()?.parse().ok()
    }
}

/// The longest part of a path that exists: a state directory is made at the first start.
fn existing_part(root: &HostRoot, path: &Path) -> PathBuf {
    let found = path.ancestors().find(|part| root.exists(&part.to_string_lossy()));
    found.unwrap_or(Path::new("/")).to_path_buf()
}

fn try_idmap(
    root: &HostRoot,
    facts: &HostFacts,
    state_dir: &Path,
    context: &Context<'_>,
) -> Result<Option<bool>, HostError> {
    let Some(proof) = context.attempts.filter(|_| facts.rootful) else { return Ok(None) };
    let directory = std::fs::File::open(root.path(&state_dir.to_string_lossy()));
    // A state directory that cannot be opened shows at the start of the server, with its own words.
    let Ok(directory) = directory else { return Ok(None) };
    idmap::works(proof, directory.as_fd(), 0, context.uids.first).map(Some)
}

/// The numbers of a character device; links are followed, for /dev/ptmx is one in containers.
fn device(root: &HostRoot, name: &str) -> Option<(u32, u32)> {
    let metadata = std::fs::metadata(root.path(&format!("/dev/{name}"))).ok()?;
    metadata.file_type().is_char_device().then(|| split_device(metadata.rdev()))
}

/// Major and minor number, as gnu_dev_major(3) and gnu_dev_minor(3) take them apart.
fn split_device(device: u64) -> (u32, u32) {
    let major = (device >> 8 & 0xfff) | (device >> 32 & 0xffff_f000);
    let minor = (device & 0xff) | (device >> 12 & 0xffff_ff00);
    (major as u32, minor as u32)
}

#[cfg(test)]
#[path = "observe/tests.rs"]
mod tests;
