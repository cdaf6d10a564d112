//! The kernel: its release, Landlock, the system call filter, modules that load by themselves.

use runtime_plan::doctor::Finding;
use runtime_plan::wall::Wall;

use super::{of, of_host};
use crate::doctor::Needs;
use crate::doctor::observe::Observations;
use crate::doctor::observe::modules::ModuleState;

/// mount_setattr(2) came with 5.12, Landlock with 5.13.
const RELEASE_MIN: (u32, u32) = (5, 13);
/// The oldest long-term kernel that is still in wide use; below it usage and kills are coarser.
const RELEASE_RECOMMENDED: (u32, u32) = (6, 1);
/// The newest part of Landlock that containment uses: scopes, with ABI 6.
const LANDLOCK_ABI_WHOLE: u32 = 6;
/// What Landlock learnt with each ABI.
const LANDLOCK_PARTS: [(u32, &str); 5] = [
    (2, "moves between directories"),
    (3, "truncation"),
    (4, "TCP ports"),
    (5, "ioctl of devices"),
    (LANDLOCK_ABI_WHOLE, "signals and abstract sockets"),
];
/// Errata of Landlock that touch what we ask of it: number, first ABI that can have it, what it is.
const LANDLOCK_ERRATA: [(u32, u32, &str); 2] = [
    (2, 6, "signals between threads of one process are refused"),
    (3, 1, "a directory that was moved out of a bind mount loses its rules"),
];
/// Answers of a filter without which the profiles cannot be compiled.
const ACTIONS: [&str; 3] = ["kill_process", "errno", "allow"];

/// The kernel's release.
pub fn release(seen: &Observations, needs: &Needs) -> Finding {
    let subject = of(Wall::Mount, "kernel");
    let release = seen.facts.kernel.as_str();
    let (major, minor) = RELEASE_MIN;
    match parse_release(release) {
        None => subject.warning(
            format!("'{release}' is no release that we know"),
            format!("whether the kernel is at least {major}.{minor} could not be seen"),
            "",
        ),
        Some(version) if version < RELEASE_MIN => subject.without_wall(
            (seen, needs),
            release,
            "mount_setattr(2) and Landlock are missing",
            format!("run Linux {major}.{minor} or newer; 6.12 or newer is best"),
        ),
        Some(version) if version < RELEASE_RECOMMENDED => subject.warning(
            release,
            "parts of Landlock and of cgroup accounting are missing; the report of each job says which",
            "run Linux 6.1 or newer; 6.12 or newer is best",
        ),
        Some(_) => subject.ok(release),
    }
}

/// Major and minor number of a release such as `6.1.0-18-amd64`.
fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Landlock's ABI.
pub fn landlock(seen: &Observations, needs: &Needs) -> Finding {
    let subject = of(Wall::Landlock, "landlock");
    let (abi, wanted) = (seen.facts.landlock_abi, needs.landlock_abi_min.max(1));
    if abi == 0 {
        let old = parse_release(&seen.facts.kernel).is_some_and(|version| version < RELEASE_MIN);
        let mend = if old {
            "run Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK".to_owned()
        } else {
            switch_on_landlock(seen)
        };
        return subject.without_wall((seen, needs), "the kernel answers ABI 0", "no rules for files", mend);
    }
    if abi < wanted {
        return subject.without_wall(
            (seen, needs),
            format!("ABI {abi}; the default profile wants {wanted}"),
            "the profile's floor is above this kernel",
            "run a newer kernel, or lower the floor in a profile of your own: `landlock_abi_min`",
        );
    }
    let missing: Vec<&str> =
        LANDLOCK_PARTS.iter().filter(|(since, _)| *since > abi).map(|(_, part)| *part).collect();
    if missing.is_empty() {
        return subject.ok(format!("ABI {abi}"));
    }
    subject.warning(
        format!("ABI {abi}"),
        format!("not held by Landlock, only by the other walls: {}", missing.join(", ")),
        "run Linux 6.12 or newer",
    )
}

/// Compiled in or not, a boot option lists the security modules that start.
fn switch_on_landlock(seen: &Observations) -> String {
    let running = seen.setting("/sys/kernel/security/lsm").unwrap_or_default();
    let mut list = vec!["landlock"];
    list.extend(running.split(',').filter(|module| !module.is_empty() && *module != "capability"));
    format!("boot with `lsm={}` (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub)", list.join(","))
}

/// Mistakes of Landlock that this kernel says it has mended.
pub fn landlock_errata(seen: &Observations, _needs: &Needs) -> Finding {
    let subject = of(Wall::Landlock, "landlock_errata");
    let (abi, fixed) = (seen.facts.landlock_abi, seen.landlock_errata);
    if abi == 0 {
        return subject.ok("there is no Landlock");
    }
    let open: Vec<String> = LANDLOCK_ERRATA
        .iter()
        .filter(|(number, since, _)| abi >= *since && fixed >> (number - 1) & 1 == 0)
        .map(|(number, _, what)| format!("erratum {number} ({what})"))
        .collect();
    if open.is_empty() {
        return subject.ok(format!("all that we know are fixed (mask {fixed:#x})"));
    }
    subject.warning(
        format!("not said to be fixed: {} (mask {fixed:#x})", open.join(", ")),
        "rules for files have an edge case, for which the mount wall stands",
        "install the newest stable release of this kernel",
    )
}

/// The system call filter.
pub fn seccomp(seen: &Observations, needs: &Needs) -> Finding {
    let subject = of(Wall::Seccomp, "seccomp");
    let actions = seen.setting("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    let missing: Vec<&str> =
        ACTIONS.into_iter().filter(|action| !actions.split_whitespace().any(|has| has == *action)).collect();
    if missing.is_empty() {
        return subject.ok(format!("answers: {actions}"));
    }
    subject.without_wall(
        (seen, needs),
        format!("missing answers: {}", missing.join(", ")),
        "the filters cannot be installed",
        "run a kernel with CONFIG_SECCOMP_FILTER, Linux 4.14 or newer",
    )
}

/// Modules that a job's system call could wake if the filter had a hole.
pub fn modules(seen: &Observations, _needs: &Needs) -> Finding {
    let subject = of_host("kernel_modules");
    let named = |states: &[ModuleState]| {
        let hit = seen.modules.iter().filter(|module| states.contains(&module.state));
        hit.map(|module| module.name.as_str()).collect::<Vec<_>>()
    };
    let (present, loadable) =
        (named(&[ModuleState::Loaded, ModuleState::BuiltIn]), named(&[ModuleState::Loadable]));
    if present.is_empty() && loadable.is_empty() {
        return subject.ok("none of af_alg, algif_aead, esp4, esp6, rxrpc can be reached");
    }
    let list = |what: &str, names: &[&str]| {
        if names.is_empty() { String::new() } else { format!("{what}: {}. ", names.join(", ")) }
    };
    let lines: Vec<String> =
        present.iter().chain(&loadable).map(|name| format!("install {name} /bin/false")).collect();
    subject.warning(
        format!("{}{}", list("in the kernel", &present), list("load by themselves", &loadable)).trim_end(),
        "escapes were found in this code; the filter, which refuses these sockets, is all that stands before it",
        format!(
            "if the host uses no IPsec and no AFS: printf '%s\\n' '{}' >/etc/modprobe.d/runtime.conf, and reboot \
             if one is in the kernel now",
            lines.join("' '")
        ),
    )
}
