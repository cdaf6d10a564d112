//! Decides what is done for one job: spec, profile, policy and host facts become a [`LaunchPlan`]. Pure: the same four give
//! the same plan, byte for byte.
//!
//! Nothing of a spec names a host path, a filter, a uid or a cgroup, and no value of it gets past a ceiling. What the plan
//! cannot give is refused with one sentence and the next step; it is never left out silently.

mod environment;
mod generated;
mod landlock;
mod limits;
mod rlimits;
mod root;
mod walls;

use crate::{
    facts::{CgroupVersion, HostFacts},
    launch::{CommandPlan, CpuTimeKeeping, Identity, LaunchPlan, Scratch, TreeLimits, WorkspacePlan},
    link::{Refusal, RefusalReason},
    policy::Policy,
    profile::{Answer, Profile, SyscallPolicy},
    spec::{Spec, WorkspaceRequest},
    wall::Wall,
    walls_off::WallsOff,
};

/// The job's uid and gid inside, when its caller asks for no other.
const JOB_ID: u32 = 1000;

/// Where a job starts that names no directory.
const WORKSPACE: &str = "/workspace";

/// Files below /proc/sys/user that are written as the last mount step. No namespaces inside the job's, for none of the eight
/// kinds; inotify is bounded per job, or one job could use up what its host uid may have (user_namespaces(7), inotify(7)).
const USER_SYSCTLS: [(&str, u64); 10] = [
    ("max_user_namespaces", 0),
    ("max_mnt_namespaces", 0),
    ("max_net_namespaces", 0),
    ("max_pid_namespaces", 0),
    ("max_ipc_namespaces", 0),
    ("max_uts_namespaces", 0),
    ("max_cgroup_namespaces", 0),
    ("max_time_namespaces", 0),
    ("max_inotify_instances", 32),
    ("max_inotify_watches", 8_192),
];

/// The plan for one job, or why there is none.
pub fn plan(
    spec: &Spec,
    profile: &Profile,
    policy: &Policy,
    facts: &HostFacts,
    walls_off: &WallsOff,
) -> Result<LaunchPlan, Refusal> {
    if !policy.allows_profile(&profile.name) {
        let allowed = policy.profiles.as_deref().unwrap_or_default();
        let next = if allowed.is_empty() {
            "it allows none".to_owned()
        } else {
            format!("use one of {}", allowed.join(", "))
        };
        return refuse(
            RefusalReason::ProfileNotAllowed,
            format!(
                "the policy `{}` does not allow the profile `{}`: {next}, or ask the operator",
                policy.name, profile.name
            ),
        );
    }
    let limits = limits::decide(spec, profile, policy)?;
    let workspace = decide_workspace(spec, policy, facts, walls_off)?;
    let walls = walls::decide(profile, facts, &workspace, walls_off)?;
    let stands = |wall: Wall| walls.stand.contains_key(&wall);
    // Without that wall, which only a test takes down, the job is root of its namespace: a change of ids or an exec would
    // take the capabilities away even so.
    let uid = spec.user.unwrap_or(JOB_ID);
    let (uid, gid) = match walls.absent.contains_key(&Wall::Capabilities) {
        true => (0, 0),
        false => (uid, spec.group.unwrap_or(uid)),
    };
    let identity = Identity { uid, gid, init_has_own_id: facts.rootful };
    let tree_limits = match (stands(Wall::Cgroup), walls.why_not(Wall::Cgroup)) {
        (false, Some(why)) => TreeLimits::Fallback { why: why.to_owned() },
        _ => TreeLimits::Cgroup,
    };
    let cpu_time = cpu_time(&tree_limits, facts);
    let root = root::lay_out(profile, facts, &workspace, identity)?;
    let (env, path) = environment::merge(profile, spec);
    let masked = if stands(Wall::MaskedProc) { generated::PROC_MASKED } else { &[] };
    let read_only = if stands(Wall::MaskedProc) { generated::PROC_READ_ONLY } else { &[] };
    Ok(LaunchPlan {
        profile: profile.name.clone(),
        profile_digest: profile.digest.clone(),
        identity,
        hostname: profile.hostname.clone(),
        proc_masked: masked.iter().map(|name| format!("/proc/{name}")).collect(),
        proc_read_only: read_only.iter().map(|name| format!("/proc/{name}")).collect(),
        proc_subset_pid: profile.proc_subset_pid,
        user_sysctls: USER_SYSCTLS.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        scratch: Scratch { bytes: limits.scratch_bytes, inodes: limits.scratch_inodes },
        rlimits: match stands(Wall::Rlimits) {
            true => rlimits::list(&limits, &workspace, &tree_limits, &cpu_time, identity),
            false => Vec::new(),
        },
        landlock: landlock::rules(profile, facts, &walls, &root),
        root,
        syscalls: syscalls(profile, &tree_limits),
        cpus: cpus(limits.cpu_millicores, facts.cpus),
        command: CommandPlan {
            argv: spec.argv.clone(),
            env,
            path,
            workdir: spec.workdir.clone().unwrap_or_else(|| WORKSPACE.into()),
            umask: profile.umask,
            stdin: spec.stdin.clone(),
            terminal: spec.terminal.clone(),
        },
        walls: walls.stand,
        fallback: walls.fallback,
        absent: walls.absent,
        tree_limits,
        cpu_time,
        workspace,
        limits,
    })
}

/// Who counts cpu time: version 2 always does, version 1 with a controller of its own.
fn cpu_time(tree_limits: &TreeLimits, facts: &HostFacts) -> CpuTimeKeeping {
    let counted = facts.cgroup.controllers.iter().any(|controller| controller == "cpuacct");
    match (tree_limits, facts.cgroup.version) {
        (TreeLimits::Fallback { why }, _) => CpuTimeKeeping::Processes { why: why.clone() },
        (TreeLimits::Cgroup, Some(CgroupVersion::V1 | CgroupVersion::Hybrid)) if !counted => {
            CpuTimeKeeping::Processes { why: "the cgroup lacks the controller cpuacct".to_owned() }
        }
        (TreeLimits::Cgroup, _) => CpuTimeKeeping::Cgroup,
    }
}

/// Calls that make memory which lasts while no process maps it: memfds, segments and queues of SysV.
const UNMAPPED_MEMORY: [&str; 3] = ["memfd_create", "msgget", "shmget"];

/// The profile's answers. Without a memory cgroup, memory that no process maps would escape the polling that stands in for
/// it, so there is none then: callers fall back to files in /tmp or /dev/shm, which scratch bounds.
fn syscalls(profile: &Profile, tree_limits: &TreeLimits) -> SyscallPolicy {
    /// errno(3).
    const ENOSYS: u16 = 38;
    let mut policy = profile.syscalls.clone();
    if matches!(tree_limits, TreeLimits::Fallback { .. }) {
        for entry in
            policy.entries.values_mut().filter(|entry| UNMAPPED_MEMORY.contains(&entry.name.as_str()))
        {
            entry.answer = Answer::Errno(ENOSYS);
            entry.rules.clear();
        }
    }
    policy
}

/// The host paths whose [`HostFacts::paths`] the planner needs for this profile, sorted, each once.
pub fn host_paths(profile: &Profile) -> Vec<String> {
    let mut paths: Vec<String> = profile.mounts.iter().map(|mount| mount.source.clone()).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// CPUs that the job may run on: as many as its share fills, so that `nproc` inside agrees with the limit.
fn cpus(millicores: u64, host: u32) -> u32 {
    let wanted = u32::try_from(millicores.div_ceil(1_000)).unwrap_or(u32::MAX);
    wanted.min(host).max(1)
}

fn decide_workspace(
    spec: &Spec,
    policy: &Policy,
    facts: &HostFacts,
    walls_off: &WallsOff,
) -> Result<WorkspacePlan, Refusal> {
    if spec.workspace == WorkspaceRequest::Scratch {
        return Ok(WorkspacePlan::Scratch);
    }
    if !policy.host_directory {
        return refuse(
            RefusalReason::NoHostDirectory,
            format!(
                "the policy `{}` does not allow --dir: leave it out, or set host_directory = true in the policy",
                policy.name
            ),
        );
    }
    let Some(directory) = &facts.host_directory else {
        return refuse(
            RefusalReason::NoHostDirectory,
            "there is no directory to mount: --dir is for `runtime run` without a daemon (add --embedded)"
                .to_owned(),
        );
    };
    // Rootless there is one id, the caller's own: nothing to map.
    let idmap = facts.rootful && directory.idmap && !walls_off.contains(Wall::Idmap);
    // Without an id map the owner's own id would be the job's host uid, and host uid 0 is never mapped.
    if facts.rootful && !idmap && (directory.uid == 0 || directory.gid == 0) {
        return refuse(
            RefusalReason::WallUnavailable,
            format!(
                "{} belongs to root, and its file system takes no id map, so the job would need host uid 0: \
                 use a directory on ext4, xfs or btrfs, or one that belongs to an ordinary user",
                directory.path
            ),
        );
    }
    Ok(WorkspacePlan::HostDirectory {
        uid: directory.uid,
        gid: directory.gid,
        idmap,
        read_only: directory.read_only,
    })
}

fn refuse<T>(reason: RefusalReason, message: String) -> Result<T, Refusal> {
    Err(Refusal { reason, message })
}

#[cfg(test)]
#[path = "planner/tests.rs"]
mod tests;

#[cfg(test)]
#[path = "planner/golden_tests.rs"]
mod golden_tests;

#[cfg(test)]
#[path = "planner/property_tests.rs"]
mod property_tests;
