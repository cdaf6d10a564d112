//! Properties that hold for every request, policy and host, not only for those of the tables.

use super::tests::library;
use super::*;
use crate::spec::{ID_MAX, StdinSource, Terminal};
use crate::{
    facts::{CgroupFacts, CgroupVersion, HostDirectory, HostPath},
    launch::RootEntry,
    limit::{LimitName, LimitRequest},
    spec::UncheckedSpec,
    wall::Requirement,
};
use proptest::{collection::btree_map, option, prelude::*, sample::select};
use std::{collections::BTreeMap, sync::LazyLock};

static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| library().profiles().cloned().collect());

fn any_limits() -> impl Strategy<Value = LimitRequest> {
    // Around the floors, the defaults and the ceilings; and anything at all.
    let value = prop_oneof![0u64..100_000, (0u64..40).prop_map(|power| 1 << power), any::<u64>()];
    btree_map(select(LimitName::ALL.to_vec()), value, 0..5).prop_map(|values| {
        let mut limits = LimitRequest::default();
        values.into_iter().for_each(|(limit, value)| limits.set(limit, value));
        limits
    })
}

/// Limits that are likely to be taken.
fn likely_limits() -> impl Strategy<Value = LimitRequest> {
    btree_map(select(LimitName::ALL.to_vec()), 1u64..64, 0..4).prop_map(|values| {
        let mut limits = LimitRequest::default();
        values.into_iter().for_each(|(limit, times)| limits.set(limit, limit.floor().max(1) * times));
        limits
    })
}

fn any_host() -> impl Strategy<Value = HostFacts> {
    let version = option::of(select(vec![CgroupVersion::V1, CgroupVersion::Hybrid, CgroupVersion::V2]));
    let controllers = proptest::sample::subsequence(vec!["cpu", "cpuacct", "io", "memory", "pids"], 0..=5);
    let directory = option::of((any::<bool>(), select(vec![0u32, 1000]), any::<bool>()));
    let refused = || option::weighted(0.1, Just("EPERM".to_owned()));
    let present = proptest::collection::vec(proptest::bool::weighted(0.9), 64);
    (
        any::<bool>(),
        0u32..9,
        any::<bool>(),
        version,
        controllers,
        directory,
        refused(),
        refused(),
        0u32..64,
        present,
    )
        .prop_map(
            |(rootful, landlock_abi, seccomp, version, controllers, directory, proc, user, cpus, present)| {
                let names = PROFILES.iter().flat_map(host_paths);
                let paths = names.zip(present.into_iter().cycle()).map(|(path, present)| {
                    let there = if present {
                        HostPath::Directory { private: path.starts_with("/root") }
                    } else {
                        HostPath::Missing
                    };
                    (path, there)
                });
                HostFacts {
                    rootful,
                    kernel: "6.12.0".to_owned(),
                    landlock_abi,
                    seccomp,
                    cgroup: CgroupFacts {
                        version,
                        controllers: controllers.into_iter().map(str::to_owned).collect(),
                        why_not: None,
                    },
                    proc_mount_refused: proc,
                    user_namespaces_refused: user,
                    cpus,
                    paths: paths.collect(),
                    host_directory: directory.map(|(read_only, uid, idmap)| HostDirectory {
                        path: "/srv/project".to_owned(),
                        read_only,
                        uid,
                        gid: uid,
                        idmap,
                    }),
                }
            },
        )
}

/// A host on which every wall can stand.
fn good_host() -> impl Strategy<Value = HostFacts> {
    any_host().prop_map(|facts| HostFacts {
        landlock_abi: 7,
        seccomp: true,
        cgroup: CgroupFacts {
            version: Some(CgroupVersion::V2),
            controllers: ["cpu", "memory", "pids"].map(str::to_owned).to_vec(),
            why_not: None,
        },
        proc_mount_refused: None,
        user_namespaces_refused: None,
        paths: facts.paths.into_keys().map(|path| (path, HostPath::Directory { private: false })).collect(),
        ..facts
    })
}

/// A shipped profile with some of its walls' requirements changed.
fn any_profile() -> impl Strategy<Value = Profile> {
    let requirement =
        select(vec![Requirement::Required, Requirement::RequiredWhenRootful, Requirement::Optional]);
    let walls = btree_map(select(Wall::ALL.to_vec()), requirement, 0..6);
    (0..PROFILES.len(), walls).prop_map(|(index, walls)| {
        let mut profile = PROFILES[index].clone();
        profile.walls.extend(walls);
        profile
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (any_limits(), any::<bool>()).prop_map(|(ceilings, host_directory)| Policy {
        name: "p".to_owned(),
        origin: "p".to_owned(),
        digest: String::new(),
        profiles: None,
        ceilings,
        must_set: Vec::new(),
        jobs_running_max: 1,
        jobs_queued_max: 0,
        host_directory,
    })
}

fn any_spec(limits: impl Strategy<Value = LimitRequest>) -> impl Strategy<Value = Spec> {
    let workspace = select(vec![WorkspaceRequest::Scratch, WorkspaceRequest::HostDirectory]);
    let env = btree_map("[A-Z]{1,4}", "[a-z]{0,4}", 0..4);
    let file = Just(StdinSource::File(b"/workspace/input".to_vec()));
    let stdin = prop_oneof![Just(StdinSource::Empty), Just(StdinSource::Stream), file];
    let terminal = option::of((1u16..=4_096, 1u16..=4_096).prop_map(|(rows, columns)| Terminal {
        rows,
        columns,
        term: "xterm".to_owned(),
    }));
    let id = || option::of(1u32..=ID_MAX);
    (limits, workspace, env, stdin, terminal, id(), id()).prop_map(
        |(limits, workspace, env, stdin, terminal, user, group)| {
            let env = env.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())).collect();
            let unchecked = UncheckedSpec {
                argv: vec![b"true".to_vec()],
                env,
                workdir: None,
                profile: "default".to_owned(),
                workspace,
                stdin: if terminal.is_some() { StdinSource::Stream } else { stdin },
                terminal,
                user,
                group,
                limits,
            };
            Spec::check(unchecked).unwrap()
        },
    )
}

fn targets(plan: &LaunchPlan) -> Vec<String> {
    let target = |entry: &RootEntry| match entry {
        RootEntry::Directory { target, .. }
        | RootEntry::Symlink { target, .. }
        | RootEntry::File { target, .. }
        | RootEntry::Bind { target, .. }
        | RootEntry::Scratch { target, .. }
        | RootEntry::HostDirectory { target, .. } => target.clone(),
        RootEntry::Device { name, .. } => format!("/dev/{name}"),
        RootEntry::DevPts { .. } => "/dev/pts".to_owned(),
        RootEntry::Proc => "/proc".to_owned(),
    };
    plan.root.iter().map(target).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_plan_is_above_a_ceiling_nor_changes_what_was_asked(
        spec in any_spec(any_limits()), profile in any_profile(), policy in any_policy(), facts in good_host(),
    ) {
        let Ok(plan) = plan(&spec, &profile, &policy, &facts, &WallsOff::none()) else { return Ok(()) };
        for limit in LimitName::ALL {
            let granted = plan.limits.get(limit);
            if let Some(asked) = spec.limits.get(limit) {
                prop_assert_eq!(granted, Some(asked), "{}", limit);
            }
            if let Some(ceiling) = policy.ceilings.get(limit) {
                // Scratch has a floor that a ceiling below it cannot move: policies are read with that floor.
                prop_assert!(granted.is_some_and(|granted| granted <= ceiling.max(limit.floor())), "{}: {:?}", limit, granted);
            }
        }
        prop_assert!(plan.scratch.bytes <= plan.limits.memory_bytes.max(LimitName::Scratch.floor()));
    }

    #[test]
    fn every_wall_is_in_one_place_and_a_required_one_stands(
        spec in any_spec(likely_limits()), profile in any_profile(), facts in any_host(),
    ) {
        let policy = Policy { host_directory: true, ..super::tests::local() };
        let Ok(plan) = plan(&spec, &profile, &policy, &facts, &WallsOff::none()) else { return Ok(()) };
        for wall in Wall::ALL {
            let places = [
                plan.walls.contains_key(&wall),
                plan.fallback.contains_key(&wall),
                plan.absent.contains_key(&wall),
            ];
            prop_assert_eq!(places.into_iter().filter(|there| *there).count(), 1, "{}", wall);
            if profile.walls[&wall].binds(facts.rootful) && !plan.walls.contains_key(&wall) {
                let why = plan.absent.get(&wall).cloned().unwrap_or_default();
                prop_assert!(why.starts_with("not needed: "), "{}: {}", wall, why);
            }
        }
    }

    #[test]
    fn one_more_ceiling_never_loosens(
        spec in any_spec(any_limits()), profile in any_profile(), policy in any_policy(), facts in good_host(),
        limit in select(LimitName::ALL.to_vec()), ceiling in 1u64..1 << 36,
    ) {
        prop_assume!(policy.ceilings.get(limit).is_none_or(|old| ceiling < old));
        let mut tighter = policy.clone();
        tighter.ceilings.set(limit, ceiling.max(limit.floor()));
        let Ok(after) = plan(&spec, &profile, &tighter, &facts, &WallsOff::none()) else { return Ok(()) };
        let before = plan(&spec, &profile, &policy, &facts, &WallsOff::none());
        prop_assert!(before.is_ok(), "the tighter policy takes what the looser refuses: {:?}", before);
        let Ok(before) = before else { return Ok(()) };
        for limit in LimitName::ALL {
            let looser = before.limits.get(limit).unwrap_or(u64::MAX).max(limit.floor());
            prop_assert!(after.limits.get(limit).unwrap_or(u64::MAX) <= looser, "{}", limit);
        }
        prop_assert_eq!(before.walls, after.walls);
        prop_assert_eq!(before.syscalls, after.syscalls);
    }

    #[test]
    fn the_root_is_made_of_plain_paths_each_once_and_parents_first(
        spec in any_spec(likely_limits()), profile in any_profile(), facts in any_host(),
    ) {
        let policy = Policy { host_directory: true, ..super::tests::local() };
        let Ok(plan) = plan(&spec, &profile, &policy, &facts, &WallsOff::none()) else { return Ok(()) };
        let targets = targets(&plan);
        for (index, target) in targets.iter().enumerate() {
            prop_assert!(target.starts_with('/') && target.len() > 1, "{}", target);
            prop_assert!(target[1..].split('/').all(|part| !matches!(part, "" | "." | "..")), "{}", target);
            for earlier in &targets[..index] {
                prop_assert_ne!(earlier, target);
                prop_assert!(!earlier.starts_with(&format!("{target}/")), "{} comes before {}", earlier, target);
            }
        }
        for (path, _) in &plan.landlock.rules {
            let there = path == "/" || targets.contains(path);
            prop_assert!(there, "landlock names {}, which is not made", path);
        }
    }

    #[test]
    fn no_job_becomes_a_user_of_the_host_that_it_should_not(
        spec in any_spec(likely_limits()), profile in any_profile(), facts in any_host(),
    ) {
        let policy = Policy { host_directory: true, ..super::tests::local() };
        let Ok(plan) = plan(&spec, &profile, &policy, &facts, &WallsOff::none()) else { return Ok(()) };
        let uid = spec.user.unwrap_or(1000);
        prop_assert_eq!((plan.identity.uid, plan.identity.gid), (uid, spec.group.unwrap_or(uid)));
        prop_assert!(plan.identity.uid != 0 && plan.identity.gid != 0);
        if let WorkspacePlan::HostDirectory { uid, gid, idmap: false, .. } = plan.workspace
            && facts.rootful
        {
            prop_assert!(uid != 0 && gid != 0);
            prop_assert!(!plan.walls.contains_key(&Wall::UidPerJob));
        }
    }

    #[test]
    fn cpu_time_is_kept_by_a_group_that_counts_it_or_by_each_process(
        spec in any_spec(likely_limits()), profile in any_profile(), facts in any_host(),
    ) {
        let policy = Policy { host_directory: true, ..super::tests::local() };
        let Ok(plan) = plan(&spec, &profile, &policy, &facts, &WallsOff::none()) else { return Ok(()) };
        let own = plan.rlimits.iter().find(|(limit, ..)| *limit == crate::launch::Rlimit::Cpu);
        let by_process = matches!(plan.cpu_time, CpuTimeKeeping::Processes { .. });
        prop_assert_eq!(own.is_some(), by_process && plan.limits.cpu_time_ms.is_some());
        if let (Some((_, Some(soft), Some(hard))), Some(ms)) = (own, plan.limits.cpu_time_ms) {
            // Above what was granted, for the polling comes first; and the signal that tells why comes before KILL.
            prop_assert!(soft.saturating_mul(1_000) > ms && hard > soft);
        }
        if !plan.walls.contains_key(&Wall::Cgroup) {
            prop_assert!(by_process);
        }
    }

    #[test]
    fn the_same_question_has_the_same_answer(
        spec in any_spec(any_limits()), profile in any_profile(), policy in any_policy(), facts in any_host(),
    ) {
        let ask = || plan(&spec, &profile, &policy, &facts, &WallsOff::none());
        prop_assert_eq!(ask(), ask());
        if let Ok(plan) = ask() {
            prop_assert_eq!(plan.digest(), plan.clone().digest());
            prop_assert!(serde_json::from_str::<serde_json::Value>(&plan.to_json()).is_ok());
        }
    }

    #[test]
    fn the_plan_crosses_the_wire_whole(spec in any_spec(likely_limits()), profile in any_profile(), facts in good_host()) {
        let policy = super::tests::local();
        let Ok(plan) = plan(&spec, &profile, &policy, &facts, &WallsOff::none()) else { return Ok(()) };
        let bytes = crate::link::encode(&plan).unwrap();
        prop_assert_eq!(crate::link::decode::<LaunchPlan>(&bytes).unwrap(), plan);
    }
}

#[test]
fn good_hosts_give_plans() {
    // The properties above say nothing of refusals: this shows that plans are what they are about.
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut plans = 0;
    for _ in 0..64 {
        let spec = any_spec(likely_limits()).new_tree(&mut runner).unwrap().current();
        let facts = good_host().new_tree(&mut runner).unwrap().current();
        let profile = &PROFILES[0];
        plans += usize::from(plan(&spec, profile, &super::tests::local(), &facts, &WallsOff::none()).is_ok());
    }
    assert!(plans >= 16, "{plans} of 64");
    assert_eq!(BTreeMap::from_iter(PROFILES.iter().map(|profile| (&profile.name, ()))).len(), 7);
}
