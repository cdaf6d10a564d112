//! The enforcement report: which walls stood, each with what exactly stood. Nothing is reported up that was not built: a
//! wall in the plan either stands when the program runs, or there is no program.

use runtime_plan::{
    facts::HostFacts,
    launch::{CpuTimeKeeping, LaunchPlan, RootEntry, TreeLimits},
    wall::{Enforcement, Wall, WallReport, WallState},
};
use runtime_sys::{cgroup::Applied, process};

/// Builds the report. `landlock_abi` is what init said holds, `None` as long as it has not said that the program runs: then
/// no wall is known to stand. `applied` are the limits that the group carries.
pub fn enforcement(
    plan: &LaunchPlan,
    plan_digest: &str,
    facts: &HostFacts,
    applied: Option<Applied>,
    landlock_abi: Option<u32>,
) -> Enforcement {
    let report = |wall: Wall| {
        let down = || plan.absent.get(&wall).cloned().unwrap_or_else(|| "not in the plan".to_owned());
        let (state, detail) = match (plan.fallback.get(&wall), plan.walls.contains_key(&wall), landlock_abi) {
            (None, false, _) => (WallState::Down, down()),
            (_, _, None) => (WallState::Down, "the command was not started".to_owned()),
            (Some(what), _, _) => (WallState::Fallback, fallback(plan, wall, what)),
            (None, true, Some(abi)) => (WallState::Up, detail(plan, wall, applied, abi)),
        };
        WallReport { wall, state, detail }
    };
    let version = facts.cgroup.version.map_or("none", |version| version.name());
    Enforcement {
        walls: Wall::ALL.into_iter().map(report).collect(),
        kernel: facts.kernel.clone(),
        landlock_abi: landlock_abi.unwrap_or(0),
        cgroup_version: version.to_owned(),
        plan_digest: plan_digest.to_owned(),
    }
}

/// Something weaker stands: the planner says what, and for the limits of the tree here is what it cannot do.
fn fallback(plan: &LaunchPlan, wall: Wall, what: &str) -> String {
    if wall != Wall::Cgroup || !matches!(plan.tree_limits, TreeLimits::Fallback { .. }) {
        return what.to_owned();
    }
    format!(
        "{what}: resident memory and cpu time are polled every {} ms (memory that no process maps, as in pipes and sockets, is not seen; memfds and System V segments and queues are refused), processes are bounded by RLIMIT_NPROC, private memory of one process by RLIMIT_DATA, the cpu share by an affinity that the job can widen",
        super::POLL_INTERVAL.as_millis()
    )
}

fn has_proc(plan: &LaunchPlan) -> bool {
    plan.walls.contains_key(&Wall::Mount) && plan.root.contains(&RootEntry::Proc)
}

/// They are switched off by files in the job's own /proc.
fn nested(plan: &LaunchPlan) -> &'static str {
    if has_proc(plan) {
        "nested namespaces off"
    } else {
        "nested namespaces are refused by the system call filter alone, for there is no /proc to switch them off"
    }
}

/// Only root can leave supplementary groups, and a job of an ordinary user may read what they may.
fn groups_left() -> String {
    let own = process::effective_gid();
    let count = process::groups().map(|groups| groups.iter().filter(|gid| **gid != own).count());
    match count {
        Ok(0) => String::new(),
        Ok(count) => format!("; the caller's {count} supplementary groups stay"),
        Err(error) => format!("; the caller's supplementary groups stay ({error})"),
    }
}

fn detail(plan: &LaunchPlan, wall: Wall, applied: Option<Applied>, landlock_abi: u32) -> String {
    let identity = plan.identity;
    match wall {
        Wall::User if identity.init_has_own_id => {
            format!(
                "uid {} and init's 0 are mapped to host ids of this job alone; setgroups denied; {}",
                identity.uid,
                nested(plan)
            )
        }
        Wall::User => {
            format!(
                "uid {} is mapped to the caller's; setgroups denied{}; {}",
                identity.uid,
                groups_left(),
                nested(plan)
            )
        }
        Wall::UidPerJob => "a host uid that no other running job has".to_owned(),
        Wall::Mount => {
            format!("own root of {} entries, read-only binds, nosuid, nodev; pivot_root", plan.root.len())
        }
        Wall::Pid if !has_proc(plan) => "own pid namespace, no /proc".to_owned(),
        Wall::Pid => "own pid namespace and /proc, hidepid=invisible".to_owned(),
        Wall::Net => "empty network namespace, lo only".to_owned(),
        Wall::Ipc => "own SysV IPC and POSIX queues".to_owned(),
        Wall::Uts => format!("host name {}", plan.hostname),
        Wall::CgroupNamespace => "own cgroup namespace; no cgroup file system is mounted".to_owned(),
        Wall::Idmap => "the workspace's files belong to their owner on disk".to_owned(),
        Wall::ReadOnlyRoot => "all but /workspace, /tmp, /dev/shm is read-only".to_owned(),
        Wall::MaskedProc => {
            format!(
                "{} paths of /proc hidden, {} read-only",
                plan.proc_masked.len(),
                plan.proc_read_only.len()
            )
        }
        Wall::Rlimits => format!("{} limits", plan.rlimits.len()),
        Wall::NoNewPrivs => "set".to_owned(),
        Wall::Capabilities => "all five sets empty, secure bits locked".to_owned(),
        Wall::Landlock => format!("ABI {landlock_abi}, {} rules", plan.landlock.rules.len()),
        Wall::Seccomp => {
            format!("{} system calls have an entry, all others are refused", plan.syscalls.entries.len())
        }
        Wall::Cgroup => format!("{}{}", controllers(applied.unwrap_or_default()), cpu_time(plan)),
    }
}

/// A limit of cpu time that no group counts is weaker: who asked for it should know.
fn cpu_time(plan: &LaunchPlan) -> String {
    match (&plan.cpu_time, plan.limits.cpu_time_ms) {
        (CpuTimeKeeping::Processes { why }, Some(_)) => format!(
            "; cpu time is polled from /proc every {} ms and bounded by RLIMIT_CPU for each process ({why})",
            super::POLL_INTERVAL.as_millis()
        ),
        _ => String::new(),
    }
}

fn controllers(applied: Applied) -> String {
    let Applied { memory, swap, pids, cpu, io, devices } = applied;
    let named =
        [(memory, "memory"), (swap, "swap"), (pids, "pids"), (cpu, "cpu"), (io, "io"), (devices, "devices")];
    let pick = |wanted: bool| {
        let names: Vec<_> = named.iter().filter(|(on, _)| *on == wanted).map(|(_, name)| *name).collect();
        names.join(", ")
    };
    let missing = pick(false);
    if missing.is_empty() { pick(true) } else { format!("{}; this host cannot limit {missing}", pick(true)) }
}
