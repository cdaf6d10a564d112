//! Which walls will stand on this host, which have something weaker in their place, which not; and whether that will do.

use super::refuse;
use crate::{
    facts::HostFacts,
    launch::WorkspacePlan,
    link::{Refusal, RefusalReason},
    profile::Profile,
    wall::{Requirement, Wall},
    walls_off::{OFF_FOR_A_TEST, WallsOff},
};
use std::collections::BTreeMap;

/// Every wall, in exactly one of three.
pub(super) struct Walls {
    pub(super) stand: BTreeMap<Wall, Requirement>,
    pub(super) fallback: BTreeMap<Wall, String>,
    pub(super) absent: BTreeMap<Wall, String>,
}

impl Walls {
    /// Why a wall does not stand.
    pub(super) fn why_not(&self, wall: Wall) -> Option<&str> {
        self.fallback.get(&wall).or(self.absent.get(&wall)).map(String::as_str)
    }
}

/// What a host has for a wall.
enum Offer {
    /// All of it.
    Whole,
    /// Something weaker: what it is, and what mends it.
    Weaker(String, String),
    /// Nothing: what is missing, and what mends it.
    Nothing(String, String),
    /// There is nothing here that the wall would guard.
    NotNeeded(String),
}

/// Decides for each wall. A wall that binds and cannot stand is refused by name, with what is missing and what mends it.
pub(super) fn decide(
    profile: &Profile,
    facts: &HostFacts,
    workspace: &WorkspacePlan,
    walls_off: &WallsOff,
) -> Result<Walls, Refusal> {
    let mut walls = Walls { stand: BTreeMap::new(), fallback: BTreeMap::new(), absent: BTreeMap::new() };
    for wall in Wall::ALL {
        let requirement = profile.walls.get(&wall).copied().unwrap_or_default();
        if is_off(wall, walls_off) {
            walls.absent.insert(wall, OFF_FOR_A_TEST.to_owned());
            continue;
        }
        match offer(wall, profile, facts, workspace) {
            Offer::Whole => drop(walls.stand.insert(wall, requirement)),
            Offer::NotNeeded(why) => drop(walls.absent.insert(wall, format!("not needed: {why}"))),
            Offer::Weaker(what, mend) | Offer::Nothing(what, mend) if requirement.binds(facts.rootful) => {
                return refuse(
                    RefusalReason::WallUnavailable,
                    format!(
                        "the wall `{wall}` cannot be built here, and the profile `{}` requires it: {what}. {mend}",
                        profile.name
                    ),
                );
            }
            Offer::Weaker(what, _) => drop(walls.fallback.insert(wall, what)),
            Offer::Nothing(what, _) => drop(walls.absent.insert(wall, what)),
        }
    }
    Ok(walls)
}

/// Off for a test, by itself or because it stands on a root of our own.
fn is_off(wall: Wall, walls_off: &WallsOff) -> bool {
    let needs_root = matches!(wall, Wall::Landlock | Wall::ReadOnlyRoot | Wall::MaskedProc | Wall::Idmap);
    walls_off.contains(wall) || (needs_root && walls_off.contains(Wall::Mount))
}

fn offer(wall: Wall, profile: &Profile, facts: &HostFacts, workspace: &WorkspacePlan) -> Offer {
    match wall {
        Wall::User => match &facts.user_namespaces_refused {
            Some(why) => Offer::Nothing(
                format!("user namespaces are refused ({why})"),
                "`runtime doctor` says what mends it.".to_owned(),
            ),
            None => Offer::Whole,
        },
        Wall::MaskedProc => match &facts.proc_mount_refused {
            Some(why) => Offer::Nothing(
                format!("a private /proc may not be mounted ({why})"),
                "Run where the outer /proc is not masked (docker: --security-opt systempaths=unconfined)."
                    .to_owned(),
            ),
            None => Offer::Whole,
        },
        Wall::UidPerJob => uid_per_job(facts, workspace),
        Wall::Idmap => idmap(facts, workspace),
        Wall::Landlock if facts.landlock_abi == 0 => Offer::Nothing(
            "the kernel has no landlock".to_owned(),
            "Use a kernel from 5.13 on with landlock in its `lsm=` list.".to_owned(),
        ),
        Wall::Landlock if facts.landlock_abi < profile.landlock_abi_min => Offer::Nothing(
            format!(
                "the kernel's landlock ABI is {}, below {}",
                facts.landlock_abi, profile.landlock_abi_min
            ),
            "Use a newer kernel, or a profile with a lower landlock_abi_min.".to_owned(),
        ),
        Wall::Seccomp if !facts.seccomp => Offer::Nothing(
            "the kernel has no system call filter".to_owned(),
            "Use a kernel with CONFIG_SECCOMP_FILTER.".to_owned(),
        ),
        Wall::Cgroup => cgroup(facts),
        Wall::Mount
        | Wall::Pid
        | Wall::Net
        | Wall::Ipc
        | Wall::Uts
        | Wall::CgroupNamespace
        | Wall::ReadOnlyRoot
        | Wall::Rlimits
        | Wall::NoNewPrivs
        | Wall::Capabilities
        | Wall::Landlock
        | Wall::Seccomp => Offer::Whole,
    }
}

fn uid_per_job(facts: &HostFacts, workspace: &WorkspacePlan) -> Offer {
    match workspace {
        _ if !facts.rootful => Offer::Nothing(
            "the launcher is not root: every job runs as the launcher's own uid".to_owned(),
            "Run the launcher as root.".to_owned(),
        ),
        WorkspacePlan::HostDirectory { idmap: false, uid, .. } => Offer::Weaker(
            format!(
                "the directory's file system takes no id map, so the job runs as the directory's owner, uid {uid}"
            ),
            "Use a directory on ext4, xfs or btrfs, or a profile with uid_per_job = \"optional\".".to_owned(),
        ),
        _ => Offer::Whole,
    }
}

fn idmap(facts: &HostFacts, workspace: &WorkspacePlan) -> Offer {
    match workspace {
        WorkspacePlan::Scratch => Offer::NotNeeded("the workspace is scratch of this job alone".to_owned()),
        WorkspacePlan::HostDirectory { .. } if !facts.rootful => {
            Offer::NotNeeded("the job runs as the caller, who owns what it makes".to_owned())
        }
        WorkspacePlan::HostDirectory { idmap: false, .. } => Offer::Nothing(
            "the directory's file system takes no id map".to_owned(),
            "Use a directory on ext4, xfs or btrfs.".to_owned(),
        ),
        WorkspacePlan::HostDirectory { idmap: true, .. } => Offer::Whole,
    }
}

/// The controllers without which there is no cgroup wall.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];

fn cgroup(facts: &HostFacts) -> Offer {
    let mend = "`runtime doctor` says what mends it (a delegated cgroup: systemd-run --user --scope -p Delegate=yes …).";
    if facts.cgroup.version.is_none() {
        let why = facts.cgroup.why_not.as_deref().unwrap_or("there is no cgroup that the launcher may use");
        return Offer::Weaker(weaker(why), mend.to_owned());
    }
    let lacks = |name: &&str| !facts.cgroup.controllers.iter().any(|controller| controller == name);
    let missing: Vec<&str> = CONTROLLERS.into_iter().filter(lacks).collect();
    if !missing.is_empty() {
        return Offer::Weaker(
            weaker(&format!("the cgroup lacks the controllers {}", missing.join(", "))),
            mend.to_owned(),
        );
    }
    // Subtrees that systemd delegates to users often lack cpu alone. Memory and pids are worth having then, and the report
    // names what is missing; a launcher that is root has no such excuse.
    if facts.rootful && lacks(&"cpu") {
        return Offer::Nothing("the cgroup lacks the controller cpu".to_owned(), mend.to_owned());
    }
    Offer::Whole
}

fn weaker(why: &str) -> String {
    format!("{why}; resource limits per process and polling stand in for it")
}
