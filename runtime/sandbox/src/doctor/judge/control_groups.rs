//! Control groups: the hierarchy, the right to use it, swap.

use runtime_plan::doctor::Finding;
use runtime_plan::facts::CgroupVersion;
use runtime_plan::wall::Wall;

use super::of;
use crate::doctor::Needs;
use crate::doctor::observe::Observations;

/// Controllers that the limits of a job need.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];
/// A drop-in for the user managers of systemd, so that every user's session gets the controllers.
const DELEGATE_TO_USERS: &str = "mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu \
                                 cpuset io memory pids\\n' >/etc/systemd/system/user@.service.d/delegate.conf && \
                                 systemctl daemon-reload";

/// Whether the limits of a whole job can be kept by the kernel.
pub fn hierarchy(seen: &Observations, needs: &Needs) -> Finding {
    let subject = of(Wall::Cgroup, "cgroup");
    let cgroup = &seen.facts.cgroup;
    let Some(version) = cgroup.version else {
        let why = cgroup.why_not.as_deref().unwrap_or("no cgroup hierarchy that we may use");
        return subject.without_wall(
            (seen, needs),
            why,
            lost(seen, "memory, swap, pids and cpu"),
            mend(seen),
        );
    };
    let missing: Vec<&str> = CONTROLLERS
        .into_iter()
        .filter(|controller| !cgroup.controllers.iter().any(|has| has == controller))
        .collect();
    let has = format!("{}, controllers: {}", version.name(), cgroup.controllers.join(" "));
    if missing.is_empty() {
        return subject.ok(has);
    }
    let missing = missing.join(", ");
    subject.without_wall(
        (seen, needs),
        format!("{has}; missing: {missing}"),
        lost(seen, &missing),
        mend(seen),
    )
}

fn lost(seen: &Observations, what: &str) -> String {
    if seen.facts.rootful {
        format!("no limits of {what} for a whole job")
    } else {
        format!("limits of {what} hold for each process and by polling, not for a whole job at once")
    }
}

fn mend(seen: &Observations) -> String {
    let switched_off = seen.setting("/proc/cmdline").unwrap_or_default().contains("cgroup_disable=");
    if switched_off {
        return "boot without `cgroup_disable=` (on a Raspberry Pi add `cgroup_enable=memory` to cmdline.txt)".into();
    }
    let on_v1 = seen.mounts.iter().any(|mount| mount.kind == "cgroup");
    if !seen.facts.rootful && on_v1 {
        return "controllers on v1 cannot be handed to a user: boot with systemd.unified_cgroup_hierarchy=1 (without \
                systemd cgroup_no_v1=all); then systemd-run --user --scope -p Delegate=yes -- runtime serve"
            .into();
    }
    if !seen.facts.rootful {
        return format!(
            "for one start: systemd-run --user --scope -p Delegate=yes -- runtime serve\nfor good, as root: \
             {DELEGATE_TO_USERS}; then log in again"
        );
    }
    let unified = seen.mounts.iter().any(|mount| mount.kind == "cgroup2" && mount.point.ends_with("cgroup"));
    if unified {
        "in a unit: mkdir -p /etc/systemd/system/runtime.service.d && printf '[Service]\\nDelegate=yes\\n' \
         >/etc/systemd/system/runtime.service.d/delegate.conf && systemctl daemon-reload && systemctl restart \
         runtime\nwithout systemd: echo '+memory +pids +cpu' >/sys/fs/cgroup/cgroup.subtree_control"
            .into()
    } else {
        "mount -t cgroup2 none /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1; in a container \
         mount the hierarchy writable"
            .into()
    }
}

/// Whether a whole job can be killed and frozen at once.
pub fn unified(seen: &Observations, _needs: &Needs) -> Finding {
    let subject = of(Wall::Cgroup, "cgroup_unified");
    match seen.facts.cgroup.version {
        Some(CgroupVersion::V2) => subject.ok("controllers and kills are on the unified tree"),
        Some(CgroupVersion::Hybrid) => subject.ok("kills are on the unified tree, controllers on v1"),
        Some(CgroupVersion::V1) => subject.warning(
            "v1 without a unified tree",
            "a job is killed through its pid namespace alone, and an OOM kill of a child ends the job late",
            "mount -t cgroup2 none /sys/fs/cgroup/unified, or boot with systemd.unified_cgroup_hierarchy=1",
        ),
        None => subject.ok("not needed: no cgroups are used"),
    }
}

/// Swap that no limit holds.
pub fn swap(seen: &Observations, _needs: &Needs) -> Finding {
    let subject = of(Wall::Cgroup, "swap");
    if seen.swaps.is_empty() {
        return subject.ok("no swap is in use");
    }
    let areas = seen.swaps.join(", ");
    let breaks = "a job over its memory limit fills the swap of the host before it is ended";
    let cgroup = &seen.facts.cgroup;
    if cgroup.version.is_some() && cgroup.controllers.iter().any(|controller| controller == "swap") {
        return subject.ok(format!("in use: {areas}; cgroups limit it"));
    }
    subject.warning(
        format!("in use: {areas}; no cgroup of ours can limit it"),
        breaks,
        "swapoff -a; or, where the memory controller is v1, boot with swapaccount=1 (GRUB_CMDLINE_LINUX in \
         /etc/default/grub, then update-grub)",
    )
}
