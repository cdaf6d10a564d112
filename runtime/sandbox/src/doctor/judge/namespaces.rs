//! User namespaces, the restrictions upon them, and a private /proc.

use std::path::Path;

use runtime_plan::doctor::Finding;
use runtime_plan::wall::Wall;
use runtime_sys::Errno;

use super::{of, set};
use crate::doctor::Needs;
use crate::doctor::observe::Observations;
use crate::host::attempt::{Attempt, Step};

const APPARMOR: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
/// Fewer than this leave no room for jobs beside each other: each has one of every kind.
const NAMESPACES_MIN: i64 = 64;
/// What a mend sets: far above any number of jobs.
const NAMESPACES_ENOUGH: &str = "65536";
/// A place that only root can write: an exception for a program must name a place that nobody else fills.
const FIXED_PROGRAM: &str = "/usr/local/bin/runtime";
/// File systems that the kernel itself mounts over empty directories of /proc; they hide nothing.
const NOT_MASKS: [&str; 2] = ["/proc/sys/fs/binfmt_misc", "/proc/fs/nfsd"];

/// The kinds of namespaces, as the kernel's files name them, with the wall of each.
const KINDS: [(&str, Wall); 7] = [
    ("user", Wall::User),
    ("mnt", Wall::Mount),
    ("pid", Wall::Pid),
    ("net", Wall::Net),
    ("ipc", Wall::Ipc),
    ("uts", Wall::Uts),
    ("cgroup", Wall::CgroupNamespace),
];

/// A kind of namespace that the kernel was built without.
pub fn kinds(seen: &Observations, needs: &Needs) -> Finding {
    let absent = KINDS.iter().find(|(kind, _)| !seen.namespaces.iter().any(|has| has == kind));
    match absent {
        None => of(Wall::User, "namespaces").ok("the kernel has all seven kinds"),
        Some((kind, wall)) => of(*wall, "namespaces").without_wall(
            (seen, needs),
            format!("/proc/self/ns has no {kind}"),
            "the wall cannot be built",
            "run a kernel with CONFIG_NAMESPACES and all kinds below it, as every distribution has",
        ),
    }
}

/// Whether a job's namespaces can be made at all.
pub fn user_namespaces(seen: &Observations, needs: &Needs) -> Finding {
    let subject = of(Wall::User, "user_namespaces");
    if let Some(refused) = &seen.facts.user_namespaces_refused {
        let breaks = "no job can start";
        return subject.without_wall((seen, needs), refused, breaks, mend_refusal(seen));
    }
    match seen.attempt {
        Some(_) => subject.ok("a child in new namespaces of every kind started"),
        None => subject.ok("no setting refuses them; not tried"),
    }
}

fn mend_refusal(seen: &Observations) -> String {
    let rootful = seen.facts.rootful;
    if !seen.namespaces.iter().any(|kind| kind == "user") {
        return "run a kernel with CONFIG_USER_NS".into();
    }
    if let Some(limit) = lowest_limit(seen).filter(|limit| limit.value == 0) {
        return set(&limit.key, NAMESPACES_ENOUGH);
    }
    if !rootful && seen.number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        return set("kernel.unprivileged_userns_clone", "1");
    }
    if restricted_by_apparmor(seen) {
        return apparmor_mend(&seen.program);
    }
    match seen.attempt {
        Some(Attempt::Refused { step: Step::Clone, errno: Errno::ENOSPC }) => {
            "this process is at a limit of /proc/sys/user, or 32 namespaces deep: end other users of namespaces, \
             or start runtime outside of the container"
                .into()
        }
        Some(Attempt::Refused { step: Step::Clone, errno: Errno::ENOSYS | Errno::EPERM }) => {
            "a container's filter or a chroot refuses clone3: start runtime on the host itself, or the container \
             with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`"
                .into()
        }
        _ => "look for the security module that refused it: `journalctl -k --grep 'avc|apparmor'`".into(),
    }
}

fn restricted_by_apparmor(seen: &Observations) -> bool {
    !seen.facts.rootful && seen.number(APPARMOR) == Some(1)
}

/// Ubuntu's rule that only programs with a profile get capabilities in a user namespace.
pub fn apparmor(seen: &Observations, needs: &Needs) -> Finding {
    let subject = of(Wall::User, "apparmor_userns");
    let Some(value) = seen.number(APPARMOR) else {
        return subject.ok("this kernel has no AppArmor restriction of user namespaces");
    };
    if !restricted_by_apparmor(seen) {
        let who = if value == 1 { "restricted, which does not hold for root" } else { "not restricted" };
        return subject.ok(format!("kernel.apparmor_restrict_unprivileged_userns is {value}: {who}"));
    }
    let restricted = "kernel.apparmor_restrict_unprivileged_userns is 1";
    let breaks = "programs without a profile get no capabilities in a user namespace: no job can start";
    match (seen.attempt, &seen.facts.user_namespaces_refused) {
        (_, Some(refused)) => subject.without_wall(
            (seen, needs),
            format!("{restricted}, and {refused}"),
            breaks,
            apparmor_mend(&seen.program),
        ),
        (Some(_), None) => subject.ok(format!("{restricted}, and a profile lets this program")),
        (None, None) => subject.warning(
            format!("{restricted}; whether a profile lets this program was not tried"),
            breaks,
            apparmor_mend(&seen.program),
        ),
    }
}

/// The AppArmor profile that lets a program use user namespaces and takes nothing from it. It is tied to the
/// path: the program must lie where only root can write.
pub fn apparmor_profile(program: &Path) -> String {
    format!(
        "abi <abi/4.0>,\ninclude <tunables/global>\n\nprofile runtime {} flags=(unconfined) {{\n  userns,\n\n  \
         include if exists <local/runtime>\n}}\n",
        program.display()
    )
}

fn apparmor_mend(program: &Path) -> String {
    let fixed = program.starts_with("/usr") || program.starts_with("/opt");
    let place = if fixed { program } else { Path::new(FIXED_PROGRAM) };
    let install = if fixed {
        String::new()
    } else {
        format!("install -m 0755 {} {FIXED_PROGRAM} &&\n", program.display())
    };
    format!(
        "{install}cat >/etc/apparmor.d/runtime <<'EOF' &&\n{}EOF\napparmor_parser -r /etc/apparmor.d/runtime",
        apparmor_profile(place)
    )
}

/// A limit of /proc/sys/user.
struct Limit {
    value: i64,
    key: String,
    wall: Wall,
}

fn lowest_limit(seen: &Observations) -> Option<Limit> {
    let limits = KINDS.iter().filter_map(|(kind, wall)| {
        let value = seen.number(&format!("/proc/sys/user/max_{kind}_namespaces"))?;
        Some(Limit { value, key: format!("user.max_{kind}_namespaces"), wall: *wall })
    });
    limits.min_by_key(|limit| limit.value)
}

/// How many namespaces of each kind this user may have.
pub fn limits(seen: &Observations, needs: &Needs) -> Finding {
    let Some(Limit { value, key, wall }) = lowest_limit(seen) else {
        return of(Wall::User, "namespace_limits").ok("the kernel has no limits of namespaces");
    };
    let subject = of(wall, "namespace_limits");
    let text = format!("the lowest is {key} = {value}");
    match value {
        0 => subject.without_wall((seen, needs), text, "no job can start", set(&key, NAMESPACES_ENOUGH)),
        1..NAMESPACES_MIN => {
            subject.warning(text, format!("at most {value} jobs run at a time"), set(&key, NAMESPACES_ENOUGH))
        }
        _ => subject.ok(text),
    }
}

/// Whether a job can have a /proc of its own.
pub fn proc_mount(seen: &Observations, needs: &Needs) -> Finding {
    let subject = of(Wall::MaskedProc, "proc_mount");
    let masks = masks(seen);
    let breaks = "the kernel lets nobody mount a whole /proc where the outer one is masked: no job can start";
    let mend = "start runtime on the host itself; or unmask the container's /proc: docker \
                `--security-opt systempaths=unconfined`, podman `--security-opt unmask=ALL`, Kubernetes \
                `securityContext.procMount: Unmasked`";
    if let Some(refused) = &seen.facts.proc_mount_refused {
        let masked = if masks.is_empty() { String::new() } else { format!("; masked: {}", masks.join(", ")) };
        return subject.without_wall((seen, needs), format!("{refused}{masked}"), breaks, mend);
    }
    match seen.attempt {
        Some(Attempt::Works) => subject.ok("a child mounted a /proc of its own"),
        _ if masks.is_empty() => subject.ok("nothing covers the outer /proc; not tried"),
        _ => subject.warning(format!("masked: {}; not tried", masks.join(", ")), breaks, mend),
    }
}

fn masks(seen: &Observations) -> Vec<String> {
    let points = seen.mounts.iter().map(|mount| mount.point.to_string_lossy().into_owned());
    points.filter(|point| point.starts_with("/proc/") && !NOT_MASKS.contains(&point.as_str())).collect()
}

/// Whether other users of the host see the jobs' command lines in the outer /proc.
pub fn proc_hidepid(seen: &Observations, _needs: &Needs) -> Finding {
    let subject = of(Wall::Pid, "proc_hidepid");
    let outer = seen.mounts.iter().rev().find(|mount| mount.point == Path::new("/proc"));
    let hidden = outer.and_then(|proc| {
        let value = |option: &String| option.strip_prefix("hidepid=").map(str::to_owned);
        proc.options.iter().find_map(value)
    });
    let people = seen.accounts.users.iter().filter(|(_, uid)| (1000..=60_000).contains(uid)).count();
    match hidden.as_deref() {
        Some(mode @ ("2" | "invisible" | "4" | "ptraceable" | "1" | "noaccess")) => {
            subject.ok(format!("the outer /proc has hidepid={mode}"))
        }
        _ if people == 0 => {
            subject.ok("no hidepid on the outer /proc, and no accounts of people on this host")
        }
        _ => subject.warning(
            format!("no hidepid on the outer /proc, and {people} accounts of people on this host"),
            "they can read the arguments of running jobs; the jobs themselves see only their own /proc",
            "mount -o remount,hidepid=2 /proc",
        ),
    }
}
