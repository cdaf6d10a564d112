//! What a sandbox is born with: its namespaces, and the maps of its ids.

use crate::launcher::places::Slot;
use runtime_plan::{
    launch::{LaunchPlan, WorkspacePlan},
    wall::Wall,
};
use runtime_sys::{clone::Namespaces, process, userns::IdMap};

/// The namespaces of the walls in the plan.
pub fn namespaces(plan: &LaunchPlan) -> Namespaces {
    let raises = |wall| plan.walls.contains_key(&wall);
    Namespaces {
        user: raises(Wall::User),
        mount: raises(Wall::Mount),
        pid: raises(Wall::Pid),
        net: raises(Wall::Net),
        ipc: raises(Wall::Ipc),
        uts: raises(Wall::Uts),
    }
}

/// Host uid 0 is in no map: with it mapped, files of root are open to a job without any capability.
pub fn maps(plan: &LaunchPlan, slot: Option<Slot>) -> (Vec<IdMap>, Vec<IdMap>) {
    let identity = plan.identity;
    let Some(slot) = slot else {
        let (uid, gid) = (process::effective_uid(), process::effective_gid());
        let map = |inside, outside| vec![IdMap { inside, outside, count: 1 }];
        return (map(identity.uid, uid), map(identity.gid, gid));
    };
    // Without an id map the directory's owner is mapped itself; the planner has refused that for root's.
    let (job_uid, job_gid) = match plan.workspace {
        WorkspacePlan::HostDirectory { uid, gid, idmap: false, .. } => (uid, gid),
        _ => (slot.job(), slot.job()),
    };
    let map = |inside: u32, outside: u32| {
        let mut maps = vec![IdMap { inside: 0, outside: slot.first, count: 1 }];
        if inside != 0 {
            maps.push(IdMap { inside, outside, count: 1 });
        }
        maps
    };
    (map(identity.uid, job_uid), map(identity.gid, job_gid))
}
