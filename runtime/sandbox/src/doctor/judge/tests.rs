//! Tables: fabricated hosts, and what the judge says of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use runtime_plan::doctor::{Finding, FindingState};
use runtime_plan::facts::{CgroupFacts, CgroupVersion, HostDirectory, HostFacts, HostPath};
use runtime_plan::wall::{Requirement, Wall};
use runtime_sys::Errno;

use super::*;
use crate::doctor::observe::accounts::{Accounts, SubIds};
use crate::doctor::observe::modules::{Module, ModuleState};
use crate::doctor::{UidRange, default_profile_runs};
use crate::host::attempt::{Attempt, Step};
use crate::host::identity::Identity;
use crate::host::mounts::Mount;

const RANGE: UidRange = UidRange { first: 0x7000_0000, count: 65_536 };

fn needs() -> Needs {
    let wanted = |wall| match wall {
        Wall::UidPerJob | Wall::Cgroup => Requirement::RequiredWhenRootful,
        Wall::Idmap => Requirement::Optional,
        _ => Requirement::Required,
    };
    Needs {
        walls: Wall::ALL.into_iter().map(|wall| (wall, wanted(wall))).collect(),
        landlock_abi_min: 1,
        paths: vec!["/usr".into()],
    }
}

fn mount(point: &str, kind: &str, options: &[&str]) -> Mount {
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    Mount { point: PathBuf::from(point), kind: kind.into(), source: "/dev/sda1".into(), options }
}

/// A host without a flaw: root, pure v2, a new kernel, everything closed.
fn sound() -> Observations {
    let settings = [
        ("/proc/sys/dev/tty/legacy_tiocsti", "0"),
        ("/proc/sys/fs/inotify/max_user_instances", "1024"),
        ("/proc/sys/kernel/core_pattern", "core"),
        ("/proc/sys/kernel/io_uring_disabled", "2"),
        ("/proc/sys/kernel/perf_event_paranoid", "4"),
        ("/proc/sys/kernel/pid_max", "4194304"),
        ("/proc/sys/kernel/pty/max", "4096"),
        ("/proc/sys/kernel/seccomp/actions_avail", "kill_process kill_thread trap errno trace log allow"),
        ("/proc/sys/kernel/unprivileged_bpf_disabled", "2"),
        ("/proc/sys/kernel/yama/ptrace_scope", "1"),
        ("/proc/sys/user/max_user_namespaces", "65536"),
        ("/proc/sys/user/max_net_namespaces", "65536"),
        ("/proc/sys/vm/unprivileged_userfaultfd", "0"),
        ("/sys/kernel/mm/ksm/run", "0"),
    ];
    Observations {
        facts: HostFacts {
            rootful: true,
            kernel: "6.12.9-amd64".into(),
            landlock_abi: 7,
            seccomp: true,
            cgroup: CgroupFacts {
                version: Some(CgroupVersion::V2),
                controllers: ["cpu", "io", "memory", "pids", "swap"].map(String::from).to_vec(),
                why_not: None,
            },
            cpus: 4,
            paths: BTreeMap::from([("/usr".into(), HostPath::Directory { private: false })]),
            ..HostFacts::default()
        },
        attempt: Some(Attempt::Works),
        identity: Identity { capabilities: u64::MAX, all_ids_mapped: true, ..Identity::default() },
        program: "/usr/bin/runtime".into(),
        settings: settings.map(|(path, text)| (path.into(), text.into())).into(),
        landlock_errata: 0b111,
        namespaces: ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"].map(String::from).to_vec(),
        mounts: vec![mount("/", "ext4", &["rw", "prjquota"]), mount("/proc", "proc", &["rw"])],
        state_dir: "/var/lib/runtime".into(),
        idmap: Some(true),
        devices: crate::doctor::observe::DEVICES.map(|(name, numbers)| (name.to_owned(), numbers)).into(),
        accounts: Accounts { users: vec![("root".into(), 0)], ..Accounts::default() },
        uids: Some(RANGE),
        now_seconds: 1_800_000_000,
        ..Observations::default()
    }
}

/// The same host for an ordinary user with a delegated cgroup.
fn rootless() -> Observations {
    let mut seen = sound();
    seen.facts.rootful = false;
    seen.identity = Identity {
        uid: 1000,
        euid: 1000,
        gid: 1000,
        egid: 1000,
        groups: vec![1000],
        capabilities: 0,
        all_ids_mapped: true,
    };
    seen
}

fn set_to(seen: &mut Observations, path: &str, text: &str) {
    seen.settings.insert(path.into(), text.into());
}

fn find<'a>(findings: &'a [Finding], name: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.name == name).unwrap()
}

/// Names of all findings in that state.
fn names(findings: &[Finding], state: FindingState) -> Vec<&str> {
    findings.iter().filter(|finding| finding.state == state).map(|finding| finding.name.as_str()).collect()
}

fn broken(seen: &Observations) -> Vec<String> {
    names(&judge(seen, &needs()), FindingState::Broken).into_iter().map(str::to_owned).collect()
}

/// The one finding that a change of the sound host makes worse.
fn only_worse(seen: &Observations) -> Finding {
    let findings = judge(seen, &needs());
    let worse: Vec<&Finding> = findings.iter().filter(|finding| finding.state != FindingState::Ok).collect();
    assert_eq!(worse.len(), 1, "{worse:#?}");
    worse[0].clone()
}

#[test]
fn names_are_unique_and_bad_findings_say_what_breaks() {
    let mut bad = Observations { now_seconds: 0, ..Observations::default() };
    bad.facts.user_namespaces_refused = Some("refused".into());
    bad.facts.proc_mount_refused = Some("refused".into());
    for seen in [sound(), rootless(), bad] {
        let findings = judge(&seen, &needs());
        let mut all: Vec<&str> = findings.iter().map(|finding| finding.name.as_str()).collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
        for finding in findings {
            let good = finding.state == FindingState::Ok;
            assert_eq!((finding.breaks.is_empty(), finding.seen.is_empty()), (good, false), "{finding:?}");
            assert!(!good || finding.mend.is_empty(), "{finding:?}");
        }
    }
}

#[test]
fn a_sound_host_has_nothing_to_mend_with_and_without_root() {
    for seen in [sound(), rootless()] {
        let findings = judge(&seen, &needs());
        let worse: Vec<&Finding> =
            findings.iter().filter(|finding| finding.state != FindingState::Ok).collect();
        assert!(worse.is_empty(), "{worse:#?}");
        assert!(default_profile_runs(&findings));
    }
}

#[test]
fn a_host_of_which_nothing_could_be_seen_does_not_pass() {
    let findings = judge(&Observations::default(), &needs());
    assert!(!default_profile_runs(&findings));
    let broken = names(&findings, FindingState::Broken);
    assert_eq!(broken, ["namespaces", "landlock", "seccomp", "devices", "profile_paths"]);
}

#[test]
fn a_hybrid_host_of_a_virtual_machine_runs_with_warnings() {
    let mut seen = sound();
    seen.facts.kernel = "6.18.44".into();
    seen.facts.cgroup.version = Some(CgroupVersion::Hybrid);
    seen.identity.capabilities = 0x1ff_feff_ffff;
    seen.mounts[0].options.clear();
    seen.landlock_errata = 0b011;
    set_to(&mut seen, "/proc/sys/kernel/io_uring_disabled", "0");
    seen.settings.remove("/proc/sys/kernel/yama/ptrace_scope");
    set_to(&mut seen, "/sys/devices/system/cpu/vulnerabilities/vmscape", "Vulnerable");
    let findings = judge(&seen, &needs());
    let expected = ["landlock_errata", "root_capabilities", "quota", "cpu_vulnerabilities", "io_uring"];
    assert_eq!(names(&findings, FindingState::Warning), expected);
    assert!(default_profile_runs(&findings));
    assert_eq!(find(&findings, "cpu_vulnerabilities").seen, "vmscape (Vulnerable)");
}

#[test]
fn ubuntu_with_the_apparmor_restriction_is_broken_without_root_and_says_the_profile() {
    let mut seen = rootless();
    set_to(&mut seen, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1");
    seen.program = "/home/ann/bin/runtime".into();
    seen.attempt = Some(Attempt::Refused { step: Step::Private, errno: Errno::EPERM });
    seen.facts.user_namespaces_refused = Some("making the mounts private answers EPERM".into());
    assert_eq!(broken(&seen), ["user_namespaces", "apparmor_userns"]);
    let mend = find(&judge(&seen, &needs()), "apparmor_userns").mend.clone();
    let expected = "\
install -m 0755 /home/ann/bin/runtime /usr/local/bin/runtime &&
cat >/etc/apparmor.d/runtime <<'EOF' &&
abi <abi/4.0>,
include <tunables/global>

profile runtime /usr/local/bin/runtime flags=(unconfined) {
  userns,

  include if exists <local/runtime>
}
EOF
apparmor_parser -r /etc/apparmor.d/runtime";
    assert_eq!(mend, expected);
    seen.program = "/usr/bin/runtime".into();
    let mend = find(&judge(&seen, &needs()), "user_namespaces").mend.clone();
    assert!(mend.starts_with("cat >") && mend.contains("profile runtime /usr/bin/runtime "), "{mend}");
}

#[test]
fn the_apparmor_restriction_is_no_matter_with_a_profile_or_root_and_warns_when_not_tried() {
    let restrict = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    for mut seen in [sound(), rootless()] {
        set_to(&mut seen, restrict, "1");
        assert!(names(&judge(&seen, &needs()), FindingState::Warning).is_empty());
    }
    let mut seen = rootless();
    set_to(&mut seen, restrict, "1");
    seen.attempt = None;
    assert_eq!(only_worse(&seen).name, "apparmor_userns");
}

#[test]
fn a_masked_proc_breaks_its_wall_and_names_the_masks() {
    let mut seen = sound();
    seen.mounts.push(mount("/proc/kcore", "tmpfs", &[]));
    seen.mounts.push(mount("/proc/sys/fs/binfmt_misc", "binfmt_misc", &[]));
    assert_eq!(broken(&seen), [""; 0], "an attempt that works outweighs what covers");
    seen.attempt = None;
    let finding = only_worse(&seen);
    assert_eq!(
        (finding.name.as_str(), finding.seen.as_str()),
        ("proc_mount", "masked: /proc/kcore; not tried")
    );
    seen.attempt = Some(Attempt::Refused { step: Step::Proc, errno: Errno::EPERM });
    seen.facts.proc_mount_refused = Some("mounting a private /proc answers EPERM".into());
    let finding = only_worse(&seen);
    assert_eq!((finding.wall, finding.state), (Some(Wall::MaskedProc), FindingState::Broken));
    assert_eq!(finding.seen, "mounting a private /proc answers EPERM; masked: /proc/kcore");
    assert!(finding.mend.contains("systempaths=unconfined"));
}

#[test]
fn a_kernel_before_landlock_is_broken_and_one_that_has_it_off_is_told_the_boot_option() {
    let mut seen = sound();
    seen.facts.landlock_abi = 0;
    set_to(&mut seen, "/sys/kernel/security/lsm", "lockdown,capability,yama,apparmor");
    let finding = only_worse(&seen);
    assert_eq!((finding.name.as_str(), finding.state), ("landlock", FindingState::Broken));
    assert!(finding.mend.contains("`lsm=landlock,lockdown,yama,apparmor`"), "{}", finding.mend);
    seen.facts.kernel = "5.10.0-28-amd64".into();
    assert_eq!(broken(&seen), ["kernel", "landlock"]);
    assert!(find(&judge(&seen, &needs()), "landlock").mend.starts_with("run Linux 5.13"));
}

#[test]
fn landlock_is_judged_by_the_profile_floor_and_by_what_it_lacks() {
    let mut seen = sound();
    seen.facts.landlock_abi = 2;
    let finding = only_worse(&seen);
    assert_eq!((finding.name.as_str(), finding.state), ("landlock", FindingState::Warning));
    assert!(
        finding.breaks.ends_with("truncation, TCP ports, ioctl of devices, signals and abstract sockets")
    );
    let findings = judge(&seen, &Needs { landlock_abi_min: 3, ..needs() });
    assert_eq!(names(&findings, FindingState::Broken), ["landlock"]);
    seen.landlock_errata = 0;
    assert_eq!(find(&judge(&seen, &needs()), "landlock_errata").seen.matches("erratum").count(), 1);
}

#[test]
fn without_delegation_a_user_is_warned_and_root_is_stopped() {
    let none =
        CgroupFacts { version: None, controllers: vec![], why_not: Some("no delegated subtree".into()) };
    let mut seen = rootless();
    seen.facts.cgroup = none.clone();
    let finding = only_worse(&seen);
    assert_eq!((finding.state, finding.seen.as_str()), (FindingState::Warning, "no delegated subtree"));
    assert!(
        finding
            .mend
            .starts_with("for one start: systemd-run --user --scope -p Delegate=yes -- runtime serve\n")
    );
    assert!(finding.mend.contains("user@.service.d/delegate.conf"));
    seen.mounts.push(mount("/sys/fs/cgroup/memory", "cgroup", &[]));
    assert!(only_worse(&seen).mend.starts_with("controllers on v1 cannot be handed to a user"));
    let mut seen = sound();
    seen.facts.cgroup = none;
    assert_eq!(only_worse(&seen).state, FindingState::Broken);
}

#[test]
fn a_controller_that_is_missing_is_named_with_what_mends_it() {
    let mut seen = sound();
    seen.facts.cgroup.controllers = vec!["cpu".into(), "pids".into()];
    seen.mounts.push(mount("/sys/fs/cgroup", "cgroup2", &[]));
    let finding = only_worse(&seen);
    assert_eq!(finding.seen, "v2, controllers: cpu pids; missing: memory");
    assert!(finding.mend.contains("Delegate=yes") && finding.mend.contains("cgroup.subtree_control"));
    set_to(&mut seen, "/proc/cmdline", "quiet cgroup_disable=memory");
    assert!(only_worse(&seen).mend.starts_with("boot without"));
}

#[test]
fn swap_is_judged_by_whether_a_cgroup_can_limit_it() {
    let table = [
        (Some(CgroupVersion::V2), "swap", FindingState::Ok),
        (Some(CgroupVersion::Hybrid), "swap", FindingState::Ok),
        (Some(CgroupVersion::Hybrid), "io", FindingState::Warning),
        (None, "swap", FindingState::Warning),
    ];
    for (version, controller, state) in table {
        let mut seen = sound();
        seen.swaps = vec!["/dev/sda2".into()];
        (seen.facts.cgroup.version, seen.facts.cgroup.controllers) = (version, vec![controller.into()]);
        assert_eq!(find(&judge(&seen, &needs()), "swap").state, state, "{version:?} {controller}");
    }
}

#[test]
fn user_namespaces_that_a_setting_refuses_are_mended_by_that_setting() {
    let mut seen = sound();
    seen.facts.user_namespaces_refused = Some("user.max_user_namespaces is 0".into());
    set_to(&mut seen, "/proc/sys/user/max_user_namespaces", "0");
    assert_eq!(broken(&seen), ["user_namespaces", "namespace_limits"]);
    let command = "echo 'user.max_user_namespaces = 65536' >>/etc/sysctl.d/90-runtime.conf && \
                   sysctl -w user.max_user_namespaces=65536";
    assert_eq!(find(&judge(&seen, &needs()), "user_namespaces").mend, command);
    set_to(&mut seen, "/proc/sys/user/max_user_namespaces", "10");
    set_to(&mut seen, "/proc/sys/user/max_net_namespaces", "0");
    assert!(find(&judge(&seen, &needs()), "user_namespaces").mend.ends_with("user.max_net_namespaces=65536"));
    let mut seen = rootless();
    seen.facts.user_namespaces_refused = Some("kernel.unprivileged_userns_clone is 0".into());
    set_to(&mut seen, "/proc/sys/kernel/unprivileged_userns_clone", "0");
    assert!(only_worse(&seen).mend.contains("sysctl -w kernel.unprivileged_userns_clone=1"));
}

#[test]
fn the_answer_of_clone_decides_the_mend() {
    let table = [(Errno::ENOSPC, "limit of /proc/sys/user"), (Errno::EPERM, "seccomp=unconfined")];
    for (errno, words) in table {
        let mut seen = rootless();
        seen.attempt = Some(Attempt::Refused { step: Step::Clone, errno });
        seen.facts.user_namespaces_refused = Some(format!("making the namespaces answers {errno}"));
        let finding = only_worse(&seen);
        assert!(finding.mend.contains(words), "{}", finding.mend);
    }
}

#[test]
fn few_namespaces_warn_and_an_absent_kind_breaks_its_wall() {
    let mut seen = sound();
    set_to(&mut seen, "/proc/sys/user/max_net_namespaces", "8");
    assert_eq!(only_worse(&seen).breaks, "at most 8 jobs run at a time");
    let mut seen = sound();
    seen.namespaces.retain(|kind| kind != "net");
    let finding = only_worse(&seen);
    assert_eq!((finding.wall, finding.state), (Some(Wall::Net), FindingState::Broken));
}

#[test]
fn the_range_of_the_jobs_belongs_to_nobody_else() {
    let mut seen = sound();
    seen.accounts.users.push(("ann".into(), RANGE.first + 65_535));
    let finding = only_worse(&seen);
    assert_eq!((finding.name.as_str(), finding.state), ("uid_range", FindingState::Broken));
    assert!(finding.seen.ends_with("within it: user ann (1879113727)"), "{}", finding.seen);

    let sub = |owner: &str| SubIds { owner: owner.into(), first: u64::from(RANGE.first), count: 65_536 };
    let mut seen = sound();
    seen.accounts.sub_gids = vec![sub("lxd")];
    assert!(only_worse(&seen).seen.ends_with("within it: /etc/subgid of lxd"));
    (seen.accounts.sub_uids, seen.accounts.sub_gids) = (vec![sub("runtime")], vec![sub("runtime")]);
    assert!(find(&judge(&seen, &needs()), "uid_range").seen.contains("reserved in"));

    let mut seen = sound();
    seen.uids = Some(UidRange { first: RANGE.first - 1, count: 16 });
    assert!(only_worse(&seen).seen.ends_with("the range of systemd-nspawn"));
    let mut seen = rootless();
    seen.accounts.sub_uids = vec![sub("lxd")];
    assert_eq!(find(&judge(&seen, &needs()), "uid_range").state, FindingState::Ok);
}

#[test]
fn root_of_a_container_is_told_why_it_is_not_root() {
    let mut seen = sound();
    (seen.facts.rootful, seen.identity.all_ids_mapped) = (false, false);
    let finding = only_worse(&seen);
    assert_eq!((finding.name.as_str(), finding.state), ("root_capabilities", FindingState::Warning));
    assert!(finding.seen.contains("not all ids"));
    seen.identity = Identity { all_ids_mapped: true, ..Identity::default() };
    assert!(only_worse(&seen).seen.contains("without CAP_SYS_ADMIN"));
}

#[test]
fn groups_of_a_user_are_named_and_the_powerful_ones_twice() {
    let mut seen = rootless();
    seen.identity.groups = vec![1000, 998, 44];
    seen.accounts.groups = vec![("docker".into(), 998), ("video".into(), 44)];
    let finding = only_worse(&seen);
    assert_eq!(finding.name, "supplementary_groups");
    assert_eq!(finding.seen, "docker, video; as good as root: docker");
}

#[test]
fn devices_and_paths_that_are_missing_break_the_mount_wall() {
    let mut seen = sound();
    seen.devices.remove("full");
    seen.devices.insert("null".into(), (1, 5));
    let finding = only_worse(&seen);
    assert_eq!(finding.seen, "/dev/null is 1:5, /dev/full is missing");
    assert!(finding.mend.contains("mknod -m 666 /dev/full c 1 7"));
    let mut seen = sound();
    seen.facts.paths.insert("/usr".into(), HostPath::Missing);
    assert_eq!(
        (only_worse(&seen).name.as_str(), only_worse(&seen).state),
        ("profile_paths", FindingState::Broken)
    );
}

#[test]
fn an_id_map_is_asked_of_the_file_system_in_use() {
    let mut seen = sound();
    seen.idmap = Some(false);
    assert_eq!(only_worse(&seen).seen, "ext4 of /var/lib/runtime takes no id map");
    let mut seen = sound();
    let path = "/mnt/share".to_owned();
    seen.facts.host_directory = Some(HostDirectory { path, read_only: false, uid: 0, gid: 0, idmap: false });
    assert_eq!(only_worse(&seen).seen, "the file system of /mnt/share takes no id map");
    let walls = BTreeMap::from([(Wall::Idmap, Requirement::RequiredWhenRootful)]);
    let findings = judge(&seen, &Needs { walls, ..needs() });
    let finding = find(&findings, "idmap");
    assert_eq!(finding.state, FindingState::Warning, "a job without a directory runs");
    assert!(finding.breaks.contains("refused"), "{}", finding.breaks);
}

#[test]
fn quotas_are_judged_by_the_mount_of_the_state_directory() {
    let table = [
        ("ext4", vec!["prjquota"], true),
        ("xfs", vec!["pquota"], true),
        ("tmpfs", vec![], true),
        ("ext4", vec!["usrquota"], false),
        ("xfs", vec!["noquota"], false),
        ("btrfs", vec![], false),
        ("9p", vec![], false),
    ];
    for (kind, options, good) in table {
        let mut seen = sound();
        seen.mounts.push(mount("/var/lib", kind, &options));
        let findings = judge(&seen, &needs());
        assert_eq!(find(&findings, "quota").state == FindingState::Ok, good, "{kind} {options:?}");
    }
}

#[test]
fn modules_warn_unless_they_are_blocked_or_out_of_reach() {
    use ModuleState::{Blocked, BuiltIn, Loadable, Loaded, Unreachable};
    let module = |(name, state): (&str, ModuleState)| Module { name: name.into(), state };
    let mut seen = sound();
    seen.modules = [("esp4", Blocked), ("rxrpc", Unreachable)].map(module).to_vec();
    assert_eq!(find(&judge(&seen, &needs()), "kernel_modules").state, FindingState::Ok);
    seen.modules =
        [("af_alg", BuiltIn), ("esp4", Loaded), ("esp6", Blocked), ("rxrpc", Loadable)].map(module).to_vec();
    let finding = only_worse(&seen);
    assert_eq!(finding.seen, "in the kernel: af_alg, esp4. load by themselves: rxrpc.");
    assert!(finding.mend.contains("'install rxrpc /bin/false'") && !finding.mend.contains("esp6"));
}

#[test]
fn each_setting_that_is_open_warns_with_the_command_that_closes_it() {
    let table = [
        (
            "/proc/sys/kernel/unprivileged_bpf_disabled",
            "0",
            "unprivileged_bpf",
            "kernel.unprivileged_bpf_disabled=2",
        ),
        ("/proc/sys/kernel/io_uring_disabled", "0", "io_uring", "kernel.io_uring_disabled=1"),
        ("/proc/sys/vm/unprivileged_userfaultfd", "1", "userfaultfd", "vm.unprivileged_userfaultfd=0"),
        ("/proc/sys/kernel/perf_event_paranoid", "1", "perf_event", "kernel.perf_event_paranoid=2"),
        ("/proc/sys/dev/tty/legacy_tiocsti", "1", "legacy_tiocsti", "dev.tty.legacy_tiocsti=0"),
        ("/proc/sys/kernel/pid_max", "4096", "pid_max", "kernel.pid_max=4194304"),
        ("/proc/sys/kernel/pty/max", "16", "pty_max", "kernel.pty.max=4096"),
        ("/proc/sys/fs/inotify/max_user_instances", "8", "inotify", "fs.inotify.max_user_instances=1024"),
        ("/sys/devices/system/cpu/smt/active", "1", "smt", "echo off >/sys/devices/system/cpu/smt/control"),
        ("/sys/kernel/mm/ksm/run", "1", "ksm", "echo 2 >/sys/kernel/mm/ksm/run"),
        ("/proc/sys/kernel/core_pattern", "|/usr/lib/helper %p", "core_pattern", "kernel.core_pattern=core"),
    ];
    for (path, text, name, command) in table {
        let mut seen = sound();
        set_to(&mut seen, path, text);
        let finding = only_worse(&seen);
        assert_eq!((finding.name.as_str(), finding.state), (name, FindingState::Warning));
        assert!(finding.mend.contains(command), "{name}: {}", finding.mend);
    }
}

#[test]
fn tracing_between_processes_of_one_user_matters_without_root_only() {
    let open = |mut seen: Observations| {
        set_to(&mut seen, "/proc/sys/kernel/yama/ptrace_scope", "0");
        find(&judge(&seen, &needs()), "ptrace_scope").state
    };
    assert_eq!((open(sound()), open(rootless())), (FindingState::Ok, FindingState::Warning));
}

#[test]
fn a_visible_proc_matters_where_people_have_accounts() {
    let mut seen = sound();
    seen.accounts.users.push(("ann".into(), 1000));
    assert_eq!(only_worse(&seen).name, "proc_hidepid");
    seen.mounts.push(mount("/proc", "proc", &["hidepid=invisible"]));
    assert_eq!(find(&judge(&seen, &needs()), "proc_hidepid").seen, "the outer /proc has hidepid=invisible");
    seen.mounts.push(mount("/proc", "proc", &["hidepid=0"]));
    assert_eq!(only_worse(&seen).name, "proc_hidepid", "the last mount covers the first");
}

#[test]
fn releases_are_compared_as_numbers() {
    let table = [
        ("5.4.0", Some(FindingState::Broken)),
        ("5.13.0-rc1", Some(FindingState::Warning)),
        ("5.15.0-91-generic", Some(FindingState::Warning)),
        ("6.1.0-18-amd64", None),
        ("10.0", None),
        ("unknown", Some(FindingState::Warning)),
    ];
    for (release, worse) in table {
        let mut seen = sound();
        seen.facts.kernel = release.into();
        let state = find(&judge(&seen, &needs()), "kernel").state;
        assert_eq!(state, worse.unwrap_or(FindingState::Ok), "{release}");
    }
}
