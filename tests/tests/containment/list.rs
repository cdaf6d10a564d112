//! The list of probes and the files of this suite agree: nothing is tried that is not known, and nothing known is left out.

use crate::{
    capabilities, cgroup, cgroup_namespace, idmap, ipc, landlock, masked_proc, mount, net, no_new_privs,
    no_switch, pid, probes, read_only_root, rlimits, seccomp, uid_per_job, user, uts,
};
use std::collections::BTreeMap;

/// Behaviours that must be tried, at least.
const BEHAVIOURS_MIN: usize = 60;

fn claimed() -> Vec<&'static str> {
    let stories = [
        capabilities::PROBES,
        cgroup::PROBES,
        cgroup_namespace::PROBES,
        idmap::PROBES,
        ipc::PROBES,
        landlock::PROBES,
        masked_proc::PROBES,
        mount::PROBES,
        net::PROBES,
        no_new_privs::PROBES,
        no_switch::PROBES,
        pid::PROBES,
        read_only_root::PROBES,
        rlimits::PROBES,
        seccomp::PROBES,
        uid_per_job::PROBES,
        user::PROBES,
        uts::PROBES,
    ];
    let told = stories.into_iter().flatten().copied().flatten().copied();
    // Planting alone is no attack: it goes with the two that look.
    let of_their_own = [cgroup::ALONE, pid::ALONE, ipc::TWO_JOBS, mount::TWO_JOBS, &["R20.plant"]];
    told.chain(of_their_own.into_iter().flatten().copied()).collect()
}

#[test]
fn every_probe_belongs_to_exactly_one_story() {
    let mut times: BTreeMap<String, u32> = probes::list().keys().map(|id| (id.clone(), 0)).collect();
    for name in claimed() {
        for probe in probes::chosen(&[name]) {
            *times.get_mut(&probe.id).unwrap() += 1;
        }
    }
    let wrong: Vec<_> = times.into_iter().filter(|(_, times)| *times != 1).collect();
    assert!(wrong.is_empty(), "probes by the number of their stories: {wrong:?}");
}

#[test]
fn at_least_sixty_behaviours_are_tried_and_shown_to_succeed_without_their_walls() {
    let with_walls = probes::list().values().filter(|probe| !probe.walls.is_empty()).count();
    assert!(with_walls >= BEHAVIOURS_MIN, "only {with_walls} probes name a wall");
}

#[test]
fn every_wall_that_a_probe_names_is_one() {
    for probe in probes::list().values() {
        for wall in &probe.walls {
            assert!(runtime_plan::wall::Wall::from_name(wall).is_some(), "{}: {wall} is no wall", probe.id);
        }
    }
}
