//! Tables for the planner: what is refused, with which words, and what a plan says where it matters.

use super::*;
use crate::{
    facts::{CgroupFacts, CgroupVersion, HostDirectory, HostPath},
    launch::{LandlockAccess, Rlimit, RootEntry},
    library::Library,
    limit::{LimitName, LimitRequest},
    spec::{StdinSource, Terminal, UncheckedSpec},
    wall::Requirement,
};
use std::collections::BTreeMap;

/// A host as Debian 12 is, its launcher run by root.
pub(super) fn debian() -> HostFacts {
    let directory = |path: &str| (path.to_owned(), HostPath::Directory { private: false });
    let file = |path: &str| (path.to_owned(), HostPath::File { private: false });
    let link = |path: &str, target: &str| (path.to_owned(), HostPath::Symlink { target: target.to_owned() });
    let paths = [
        directory("/usr"),
        link("/bin", "usr/bin"),
        link("/sbin", "usr/sbin"),
        link("/lib", "usr/lib"),
        link("/lib64", "usr/lib64"),
        file("/etc/ld.so.cache"),
        directory("/etc/alternatives"),
        directory("/etc/ssl"),
        link("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC"),
        link("/etc/os-release", "../usr/lib/os-release"),
        file("/etc/profile"),
        (
            "/root/.rustup/toolchains/stable-x86_64-unknown-linux-gnu".to_owned(),
            HostPath::Directory { private: true },
        ),
    ];
    HostFacts {
        rootful: true,
        kernel: "6.12.0".to_owned(),
        landlock_abi: 6,
        seccomp: true,
        cgroup: CgroupFacts {
            version: Some(CgroupVersion::V2),
            controllers: ["cpu", "io", "memory", "pids"].map(str::to_owned).to_vec(),
            why_not: None,
        },
        proc_mount_refused: None,
        user_namespaces_refused: None,
        cpus: 8,
        paths: BTreeMap::from(paths),
        host_directory: None,
    }
}

/// The same host, the launcher run by an ordinary user without a delegated cgroup.
pub(super) fn rootless() -> HostFacts {
    let why_not = Some("no cgroup is delegated to uid 1000".to_owned());
    let cgroup = CgroupFacts { version: None, controllers: Vec::new(), why_not };
    HostFacts { rootful: false, cgroup, ..debian() }
}

fn with_directory(facts: HostFacts, uid: u32, idmap: bool) -> HostFacts {
    let directory = HostDirectory { path: "/srv/project".to_owned(), read_only: false, uid, gid: uid, idmap };
    HostFacts { host_directory: Some(directory), ..facts }
}

pub(super) fn request(profile: &str) -> UncheckedSpec {
    UncheckedSpec {
        argv: vec![b"true".to_vec()],
        env: Vec::new(),
        workdir: None,
        profile: profile.to_owned(),
        workspace: WorkspaceRequest::Scratch,
        stdin: StdinSource::Empty,
        terminal: None,
        user: None,
        group: None,
        limits: LimitRequest::default(),
    }
}

pub(super) fn library() -> Library {
    Library::built_in().unwrap_or_else(|errors| panic!("{errors}"))
}

pub(super) fn local() -> Policy {
    Policy::built_in().unwrap_or_else(|errors| panic!("{errors}"))
}

/// The plan for a request, with the built-in profiles and policy.
pub(super) fn plan_for(unchecked: UncheckedSpec, facts: &HostFacts) -> Result<LaunchPlan, Refusal> {
    let spec = Spec::check(unchecked).unwrap();
    let library = library();
    plan(&spec, library.profile(&spec.profile).unwrap(), &local(), facts, &WallsOff::none())
}

fn asking(limit: LimitName, value: u64) -> UncheckedSpec {
    let mut spec = request("default");
    spec.limits.set(limit, value);
    spec
}

fn refusal(result: Result<LaunchPlan, Refusal>) -> (RefusalReason, String) {
    let refusal = result.unwrap_err();
    (refusal.reason, refusal.message)
}

#[test]
fn a_limit_above_the_ceiling_is_refused_with_both_numbers() {
    let (reason, message) = refusal(plan_for(asking(LimitName::Memory, 32 << 30), &debian()));
    assert_eq!(reason, RefusalReason::LimitOutOfRange);
    assert_eq!(
        message,
        "memory=32GiB is above the ceiling of 16GiB in the policy `local`: ask for less, or have the ceiling raised"
    );
}

#[test]
fn a_limit_below_the_floor_is_refused() {
    for limit in LimitName::ALL.into_iter().filter(|limit| limit.floor() > 0) {
        let (reason, message) = refusal(plan_for(asking(limit, limit.floor() - 1), &debian()));
        assert_eq!(reason, RefusalReason::LimitOutOfRange, "{limit}");
        assert!(message.contains("is below"), "{message}");
        assert!(plan_for(asking(limit, limit.floor()), &debian()).is_ok(), "{limit}");
    }
}

#[test]
fn a_fixed_limit_takes_only_its_own_value() {
    let mut profile = library().profile("default").unwrap().clone();
    profile.fixed_limits = vec![LimitName::Pids];
    let plan_with = |pids| {
        let spec = Spec::check(asking(LimitName::Pids, pids)).unwrap();
        plan(&spec, &profile, &local(), &debian(), &WallsOff::none())
    };
    assert!(plan_with(256).is_ok());
    let (reason, message) = refusal(plan_with(100));
    assert_eq!(reason, RefusalReason::LimitOutOfRange);
    assert!(message.contains("fixes it at 256"), "{message}");
}

#[test]
fn scratch_follows_memory_down_and_never_passes_it() {
    for (memory, scratch) in [(None, 500_000_000), (Some(512 << 20), 256 << 20), (Some(4 << 20), 2 << 20)] {
        let mut spec = request("default");
        spec.limits.memory_bytes = memory;
        assert_eq!(plan_for(spec, &debian()).unwrap().scratch.bytes, scratch, "{memory:?}");
    }
    let mut spec = asking(LimitName::Memory, 64 << 20);
    spec.limits.scratch_bytes = Some(65 << 20);
    let (reason, message) = refusal(plan_for(spec, &debian()));
    assert_eq!(reason, RefusalReason::LimitOutOfRange);
    assert!(message.starts_with("scratch=65MiB is above memory=64MiB"), "{message}");
}

#[test]
fn a_limit_that_must_be_set_refuses_a_job_without_it() {
    let policy = Policy { must_set: vec![LimitName::CpuTime], ceilings: LimitRequest::default(), ..local() };
    let library = library();
    let spec = Spec::check(request("default")).unwrap();
    let refused = plan(&spec, library.profile("default").unwrap(), &policy, &debian(), &WallsOff::none());
    assert_eq!(refusal(refused).0, RefusalReason::LimitOutOfRange);
}

#[test]
fn a_profile_that_the_policy_leaves_out_is_refused() {
    let policy = Policy { profiles: Some(vec!["strict".to_owned()]), ..local() };
    let library = library();
    let spec = Spec::check(request("default")).unwrap();
    let refused = plan(&spec, library.profile("default").unwrap(), &policy, &debian(), &WallsOff::none());
    assert_eq!(
        refusal(refused),
        (
            RefusalReason::ProfileNotAllowed,
            "the policy `local` does not allow the profile `default`: use one of strict, or ask the operator"
                .to_owned()
        )
    );
}

#[test]
fn a_required_wall_that_the_host_lacks_is_refused_by_name() {
    let cases: [(&str, HostFacts); 6] = [
        ("`user`", HostFacts { user_namespaces_refused: Some("EPERM".to_owned()), ..debian() }),
        ("`masked_proc`", HostFacts { proc_mount_refused: Some("EPERM".to_owned()), ..debian() }),
        ("`landlock`", HostFacts { landlock_abi: 0, ..debian() }),
        ("`landlock`", HostFacts { landlock_abi: 1, ..debian() }),
        ("`seccomp`", HostFacts { seccomp: false, ..debian() }),
        ("`cgroup`", HostFacts { cgroup: CgroupFacts::default(), ..debian() }),
    ];
    for (wall, facts) in cases {
        let (reason, message) = refusal(plan_for(request("default"), &facts));
        assert_eq!(reason, RefusalReason::WallUnavailable, "{wall}");
        assert!(message.starts_with(&format!("the wall {wall} cannot be built here")), "{message}");
    }
}

#[test]
fn a_missing_controller_refuses_root_and_is_named() {
    for (missing, says) in
        [("pids", "the cgroup lacks the controllers pids"), ("cpu", "the cgroup lacks the controller cpu")]
    {
        let mut facts = debian();
        facts.cgroup.controllers.retain(|name| name != missing);
        let (_, message) = refusal(plan_for(request("default"), &facts));
        assert!(message.contains(says), "{message}");
        // For an ordinary user memory and pids are worth having without cpu.
        let plan = plan_for(request("default"), &HostFacts { rootful: false, ..facts }).unwrap();
        assert_eq!(plan.tree_limits == TreeLimits::Cgroup, missing == "cpu");
        assert_eq!(plan.walls.contains_key(&Wall::Cgroup), missing == "cpu");
    }
}

#[test]
fn an_ordinary_user_without_a_cgroup_gets_the_fallback_and_its_name() {
    let plan = plan_for(request("default"), &rootless()).unwrap();
    assert!(
        matches!(&plan.tree_limits, TreeLimits::Fallback { why } if why.contains("no cgroup is delegated"))
    );
    assert!(plan.fallback.contains_key(&Wall::Cgroup));
    assert!(plan.absent.contains_key(&Wall::UidPerJob));
    assert!(!plan.identity.init_has_own_id);
    let limit = |name| plan.rlimits.iter().find(|(limit, ..)| *limit == name).map(|(_, soft, _)| *soft);
    assert_eq!(limit(Rlimit::Nproc), Some(Some(256)));
    assert_eq!(limit(Rlimit::Data), Some(Some(4 << 30)));
    let whole = plan_for(request("default"), &debian()).unwrap();
    assert!(whole.rlimits.iter().all(|(limit, ..)| !matches!(limit, Rlimit::Nproc | Rlimit::Data)));
    assert_eq!(whole.tree_limits, TreeLimits::Cgroup);
}

#[test]
fn a_directory_needs_a_policy_a_directory_and_never_host_uid_0() {
    let spec = || UncheckedSpec { workspace: WorkspaceRequest::HostDirectory, ..request("default") };
    let (reason, _) = refusal(plan_for(spec(), &debian()));
    assert_eq!(reason, RefusalReason::NoHostDirectory);
    let (reason, message) = refusal(plan_for(spec(), &with_directory(debian(), 0, false)));
    assert_eq!(reason, RefusalReason::WallUnavailable);
    assert!(message.starts_with("/srv/project belongs to root"), "{message}");
    // An owner who is not root could lend its uid, but the profile wants one per job.
    let (_, message) = refusal(plan_for(spec(), &with_directory(debian(), 1000, false)));
    assert!(message.starts_with("the wall `uid_per_job` cannot be built here"), "{message}");

    let closed = Policy { host_directory: false, ..local() };
    let library = library();
    let facts = with_directory(debian(), 0, true);
    let refused = plan(
        &Spec::check(spec()).unwrap(),
        library.profile("default").unwrap(),
        &closed,
        &facts,
        &WallsOff::none(),
    );
    assert_eq!(refusal(refused).0, RefusalReason::NoHostDirectory);

    let plan = plan_for(spec(), &facts).unwrap();
    assert_eq!(
        plan.workspace,
        WorkspacePlan::HostDirectory { uid: 0, gid: 0, idmap: true, read_only: false }
    );
    assert!(plan.walls.contains_key(&Wall::Idmap));
    let rootless = plan_for(spec(), &with_directory(rootless(), 1000, false)).unwrap();
    assert!(rootless.absent[&Wall::Idmap].starts_with("not needed"));
}

#[test]
fn a_path_that_the_profile_needs_is_named_when_it_is_missing() {
    let mut facts = debian();
    facts.paths.remove("/usr");
    let (reason, message) = refusal(plan_for(request("default"), &facts));
    assert_eq!(reason, RefusalReason::HostResources);
    assert!(message.contains("needs /usr, which this host lacks"), "{message}");
}

#[test]
fn a_link_is_only_mounted_where_it_is() {
    let toolchain = "/root/.rustup/toolchains/stable-x86_64-unknown-linux-gnu";
    let mut facts = debian();
    facts.paths.insert(toolchain.to_owned(), HostPath::Symlink { target: "nightly".to_owned() });
    let (reason, message) = refusal(plan_for(request("build"), &facts));
    assert_eq!(reason, RefusalReason::HostResources);
    assert!(message.contains("symbolic link to nightly"), "{message}");
}

#[test]
fn the_environment_is_the_profiles_with_the_callers_on_top() {
    let mut spec = request("default");
    spec.env = vec![
        (b"LANG".to_vec(), b"de_DE.UTF-8".to_vec()),
        (b"PATH".to_vec(), b"bin::/opt/x:/usr/bin".to_vec()),
    ];
    let command = plan_for(spec, &debian()).unwrap().command;
    let env: Vec<_> = command.env.iter().map(|variable| String::from_utf8_lossy(variable)).collect();
    assert_eq!(
        env,
        [
            "HOME=/workspace",
            "LANG=de_DE.UTF-8",
            "LOGNAME=job",
            "PATH=bin::/opt/x:/usr/bin",
            "TMPDIR=/tmp",
            "USER=job"
        ]
    );
    assert_eq!(command.path, [b"/opt/x".to_vec(), b"/usr/bin".to_vec()]);
    assert_eq!(command.workdir, b"/workspace");
}

fn with_terminal(profile: &str) -> UncheckedSpec {
    let terminal = Some(Terminal { rows: 24, columns: 80, term: "xterm".to_owned() });
    UncheckedSpec { stdin: StdinSource::Stream, terminal, ..request(profile) }
}

#[test]
fn a_terminal_sets_term_and_the_caller_may_set_another() {
    let term = |spec: UncheckedSpec| {
        let env = plan_for(spec, &debian()).unwrap().command.env;
        env.into_iter().find(|variable| variable.starts_with(b"TERM=")).map(|v| String::from_utf8(v).unwrap())
    };
    assert_eq!(term(request("default")), None);
    assert_eq!(term(with_terminal("default")).as_deref(), Some("TERM=xterm"));
    let other = UncheckedSpec { env: vec![(b"TERM".to_vec(), b"dumb".to_vec())], ..with_terminal("default") };
    assert_eq!(term(other).as_deref(), Some("TERM=dumb"));
}

#[test]
fn a_terminal_has_no_wall_time_unless_somebody_says_so() {
    let library = library();
    let wall = |asked: Option<u64>, fixed: bool, policy: &Policy| {
        let mut spec = with_terminal("default");
        spec.limits.wall_time_ms = asked;
        let mut profile = library.profile("default").unwrap().clone();
        profile.fixed_limits = if fixed { vec![LimitName::WallTime] } else { Vec::new() };
        plan(&Spec::check(spec).unwrap(), &profile, policy, &debian(), &WallsOff::none())
            .unwrap()
            .limits
            .wall_time_ms
    };
    let open = Policy { ceilings: LimitRequest::default(), ..local() };
    assert_eq!(wall(None, false, &open), None);
    assert_eq!(wall(Some(5_000), false, &open), Some(5_000));
    // The ceiling of the built-in policy; a profile that fixes it; a policy that takes no job without.
    assert_eq!(wall(None, false, &local()), Some(86_400_000));
    assert_eq!(wall(None, true, &open), Some(600_000));
    assert_eq!(wall(None, false, &Policy { must_set: vec![LimitName::WallTime], ..open }), Some(600_000));
}

#[test]
fn a_user_of_the_callers_choice_owns_what_is_the_jobs() {
    let file = |plan: &LaunchPlan, path: &str| {
        let contents = plan.root.iter().find_map(|entry| match entry {
            RootEntry::File { target, contents, .. } if target == path => Some(contents.clone()),
            _ => None,
        });
        String::from_utf8(contents.unwrap()).unwrap()
    };
    for (user, group, uid, gid) in [
        (None, None, 1000, 1000),
        (Some(33), None, 33, 33),
        (Some(33), Some(44), 33, 44),
        (None, Some(7), 1000, 7),
    ] {
        for facts in [debian(), rootless()] {
            let plan = plan_for(UncheckedSpec { user, group, ..request("default") }, &facts).unwrap();
            assert_eq!((plan.identity.uid, plan.identity.gid), (uid, gid));
            let line = format!("\njob:x:{uid}:{gid}:job:/workspace:/bin/sh\n");
            assert!(file(&plan, "/etc/passwd").contains(&line), "{}", file(&plan, "/etc/passwd"));
            assert!(file(&plan, "/etc/group").contains(&format!("\njob:x:{gid}:\n")));
        }
    }
}

#[test]
fn the_job_is_at_home_where_its_profile_says() {
    let home_of = |home: Option<&str>| {
        let mut profile = library().profile("default").unwrap().clone();
        match home {
            Some(home) => drop(profile.env.insert("HOME".to_owned(), home.to_owned())),
            None => drop(profile.env.remove("HOME")),
        }
        let plan =
            plan(&Spec::check(request("default")).unwrap(), &profile, &local(), &debian(), &WallsOff::none());
        let entries = plan.unwrap().root;
        let passwd = entries.into_iter().find_map(|entry| match entry {
            RootEntry::File { target, contents, .. } if target == "/etc/passwd" => {
                String::from_utf8(contents).ok()
            }
            _ => None,
        });
        passwd.unwrap().lines().nth(1).unwrap().split(':').nth(5).unwrap().to_owned()
    };
    assert_eq!(home_of(Some("/tmp")), "/tmp");
    // What /etc/passwd cannot hold is left out of it.
    for home in [None, Some("tmp"), Some("/a:b"), Some("/a\nroot::0:0::/:/bin/sh")] {
        assert_eq!(home_of(home), "/workspace", "{home:?}");
    }
}

#[test]
fn cpu_time_that_no_group_counts_is_kept_by_process_and_said() {
    let mut spec = request("default");
    spec.limits.cpu_time_ms = Some(2_500);
    let on = |version, controllers: &[&str]| {
        let controllers = controllers.iter().map(|name| (*name).to_owned()).collect();
        let cgroup = CgroupFacts { version: Some(version), controllers, why_not: None };
        plan_for(spec.clone(), &HostFacts { cgroup, ..debian() }).unwrap()
    };
    let own = |plan: &LaunchPlan| plan.rlimits.iter().find(|(limit, ..)| *limit == Rlimit::Cpu).copied();
    let all = ["cpu", "cpuacct", "memory", "pids"];
    let without = ["cpu", "memory", "pids"];
    for counted in
        [on(CgroupVersion::V2, &without), on(CgroupVersion::V1, &all), on(CgroupVersion::Hybrid, &all)]
    {
        assert_eq!((counted.cpu_time.clone(), own(&counted)), (CpuTimeKeeping::Cgroup, None));
    }
    for version in [CgroupVersion::V1, CgroupVersion::Hybrid] {
        let plan = on(version, &without);
        assert!(matches!(&plan.cpu_time, CpuTimeKeeping::Processes { why } if why.contains("cpuacct")));
        assert_eq!(own(&plan), Some((Rlimit::Cpu, Some(5), Some(6))));
    }
    let fallback = plan_for(spec.clone(), &rootless()).unwrap();
    assert!(matches!(&fallback.cpu_time, CpuTimeKeeping::Processes { .. }));
    assert_eq!(own(&fallback), Some((Rlimit::Cpu, Some(5), Some(6))));
    // The built-in policy's ceiling is a limit, too; without any there is nothing to keep.
    let unbounded = Policy { ceilings: LimitRequest::default(), ..local() };
    let library = library();
    let spec = Spec::check(request("default")).unwrap();
    let none = plan(&spec, library.profile("default").unwrap(), &unbounded, &rootless(), &WallsOff::none());
    assert_eq!(own(&none.unwrap()), None);
}

#[test]
fn a_job_has_a_share_of_the_hosts_terminals_with_and_without_one_of_its_own() {
    for spec in [request("strict"), with_terminal("default")] {
        let plan = plan_for(spec, &debian()).unwrap();
        let max = plan.root.iter().find_map(|entry| match entry {
            RootEntry::DevPts { terminals_max } => Some(*terminals_max),
            _ => None,
        });
        // Of 3 072 that the kernel leaves to all devpts but the host's.
        assert!(max.is_some_and(|max| max >= 8 && max * local().jobs_running_max <= 3_072 / 2), "{max:?}");
    }
}

#[test]
fn idle_time_is_none_until_somebody_asks_and_never_above_its_ceiling() {
    let idle = |asked: Option<u64>, policy: &Policy| {
        let mut spec = request("default");
        spec.limits.idle_time_ms = asked;
        let library = library();
        let spec = Spec::check(spec).unwrap();
        plan(&spec, library.profile("default").unwrap(), policy, &debian(), &WallsOff::none())
            .map(|plan| plan.limits.idle_time_ms)
            .map_err(|refusal| refusal.reason)
    };
    let open = Policy { ceilings: LimitRequest::default(), ..local() };
    assert_eq!(idle(None, &open), Ok(None));
    assert_eq!(idle(Some(60_000), &open), Ok(Some(60_000)));
    assert_eq!(idle(None, &local()), Ok(Some(86_400_000)));
    assert_eq!(idle(Some(86_400_001), &local()), Err(RefusalReason::LimitOutOfRange));
}

#[test]
fn cpus_agree_with_the_share_and_the_host() {
    for (millicores, host, cpus) in [(1_000, 8, 1), (1_001, 8, 2), (10, 8, 1), (64_000, 8, 8), (1_000, 0, 1)]
    {
        assert_eq!(super::cpus(millicores, host), cpus, "{millicores} of {host}");
    }
}

#[test]
fn strict_executes_nothing_that_it_can_write() {
    let plan = plan_for(request("strict"), &debian()).unwrap();
    for (path, access) in &plan.landlock.rules {
        if ["/workspace", "/tmp", "/dev/shm"].contains(&path.as_str()) {
            assert_eq!(*access, LandlockAccess::ReadWrite, "{path}");
        }
    }
    assert!(plan.root.iter().all(|entry| !matches!(entry, RootEntry::Scratch { exec: true, .. })));
    assert!(plan.proc_subset_pid);
}

#[test]
fn an_optional_wall_that_is_missing_is_absent_with_its_reason() {
    let mut profile = library().profile("default").unwrap().clone();
    profile.walls.insert(Wall::Landlock, Requirement::Optional);
    let facts = HostFacts { landlock_abi: 0, ..debian() };
    let plan = plan(&Spec::check(request("default")).unwrap(), &profile, &local(), &facts, &WallsOff::none())
        .unwrap();
    assert_eq!(plan.absent[&Wall::Landlock], "the kernel has no landlock");
    assert!(plan.landlock.rules.is_empty() && !plan.landlock.scope_signals);
}

#[test]
fn the_digest_tells_plans_apart_but_not_arguments_or_values() {
    let plan_with = |argument: &str, value: &str, pids| {
        let mut spec = request("default");
        spec.argv.push(argument.into());
        spec.env.push((b"KEY".to_vec(), value.into()));
        spec.limits.pids = Some(pids);
        plan_for(spec, &debian()).unwrap()
    };
    let digest = plan_with("a", "secret", 10).digest();
    assert_eq!(digest.len(), 64);
    assert_eq!(digest, plan_with("b", "other", 10).digest());
    assert_ne!(digest, plan_with("a", "secret", 11).digest());
}

#[test]
fn the_json_shows_no_value_of_a_variable() {
    let mut spec = request("default");
    spec.env.push((b"KEY".to_vec(), b"hunter2".to_vec()));
    let json = plan_for(spec, &debian()).unwrap().to_json();
    assert!(json.contains("\"KEY\"") && !json.contains("hunter2"));
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["command"]["argv"][0], "true");
    let answers = value["syscalls"]["answers"]["ENOSYS"].as_array().unwrap();
    assert!(answers.iter().any(|name| name == "clone3"));
}

#[cfg(all(feature = "walls-off", debug_assertions))]
#[test]
fn a_test_takes_one_wall_down_and_no_other() {
    let library = library();
    let spec = Spec::check(request("default")).unwrap();
    for wall in Wall::ALL {
        let off = WallsOff::parse(wall.name()).unwrap();
        let plan = plan(&spec, library.profile("default").unwrap(), &local(), &debian(), &off).unwrap();
        assert_eq!(plan.absent[&wall], crate::walls_off::OFF_FOR_A_TEST);
        // Four walls stand on a root of our own and go with it.
        let goes_along = |other: Wall| {
            wall == Wall::Mount
                && matches!(other, Wall::Landlock | Wall::ReadOnlyRoot | Wall::MaskedProc | Wall::Idmap)
        };
        for other in Wall::ALL {
            let down = other == wall || other == Wall::Idmap || goes_along(other);
            assert_eq!(plan.walls.contains_key(&other), !down, "{wall} off, {other}");
        }
        assert_eq!(plan.landlock.deny_tcp, wall == Wall::Net);
    }
    assert!(WallsOff::parse("seccmop").is_err());
}

#[test]
fn without_a_cgroup_there_are_no_memfds_for_memory_that_polling_cannot_see() {
    let answer = |facts: &HostFacts| {
        let plan = plan_for(request("default"), facts).unwrap();
        plan.syscalls.entries.values().find(|entry| entry.name == "memfd_create").unwrap().answer
    };
    assert_eq!(answer(&debian()), Answer::Allow);
    assert_eq!(answer(&rootless()), Answer::Errno(38));
}
