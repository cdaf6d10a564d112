//! What is mounted or kept: device nodes, the profile's paths, the state directory's file system.

use runtime_plan::doctor::{Finding, FindingState};
use runtime_plan::facts::HostPath;
use runtime_plan::wall::Wall;

use super::{of, of_host};
use crate::doctor::Needs;
use crate::doctor::observe::{DEVICES, Observations};
use crate::host::mounts;

/// Device nodes that every job gets.
pub fn devices(seen: &Observations, needs: &Needs) -> Finding {
    let subject = of(Wall::Mount, "devices");
    let wrong: Vec<String> = DEVICES
        .iter()
        .filter_map(|(name, wanted)| match seen.devices.get(*name) {
            Some(found) if found == wanted => None,
            Some((major, minor)) => Some(format!("/dev/{name} is {major}:{minor}")),
            None => Some(format!("/dev/{name} is missing")),
        })
        .collect();
    if wrong.is_empty() {
        return subject.ok("null, zero, full, random, urandom, tty and ptmx are what they say");
    }
    let mend: Vec<String> = DEVICES
        .iter()
        .filter(|(name, wanted)| seen.devices.get(*name) != Some(wanted))
        .map(|(name, (major, minor))| {
            format!("rm -f /dev/{name}; mknod -m 666 /dev/{name} c {major} {minor}")
        })
        .collect();
    subject.without_wall((seen, needs), wrong.join(", "), "a job's /dev cannot be made", mend.join("; "))
}

/// Paths that the default profile mounts and cannot do without.
pub fn profile_paths(seen: &Observations, needs: &Needs) -> Finding {
    let subject = of(Wall::Mount, "profile_paths");
    let missing: Vec<&str> = needs
        .paths
        .iter()
        .filter(|path| matches!(seen.facts.paths.get(*path), None | Some(HostPath::Missing)))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return subject.ok(format!("all {} paths that the default profile needs exist", needs.paths.len()));
    }
    subject.without_wall(
        (seen, needs),
        format!("missing: {}", missing.join(", ")),
        "the default profile cannot make its root",
        "install what is missing, or mark these mounts as optional in a profile of your own",
    )
}

/// Whether files of a workspace can belong to their owner on disk and to the job's id inside.
pub fn idmap(seen: &Observations, needs: &Needs) -> Finding {
    let subject = of(Wall::Idmap, "idmap");
    if !seen.facts.rootful {
        return subject.ok("not needed: jobs have the caller's own id on the host");
    }
    // Never broken: a job without a directory of the host needs no id map.
    let breaks = match needs.without(Wall::Idmap, true) {
        FindingState::Broken => {
            "`--dir` of a directory on it is refused: the default profile requires this wall"
        }
        _ => "the owner's id of a directory on it is mapped into the job's namespace",
    };
    let mend = "put it on ext4, xfs, btrfs, or (Linux 6.3 or newer) tmpfs";
    if let Some(directory) = seen.facts.host_directory.as_ref().filter(|directory| !directory.idmap) {
        return subject.warning(
            format!("the file system of {} takes no id map", directory.path),
            breaks,
            mend,
        );
    }
    let kind = mounts::beneath(&seen.mounts, &seen.state_dir).map_or("unknown", |mount| mount.kind.as_str());
    match seen.idmap {
        Some(true) => subject.ok(format!("{kind} of {} takes an id map", seen.state_dir.display())),
        Some(false) => {
            subject.warning(format!("{kind} of {} takes no id map", seen.state_dir.display()), breaks, mend)
        }
        None => subject.ok("not tried"),
    }
}

/// Whether the kernel can bound what a directory on disk holds.
pub fn quota(seen: &Observations, _needs: &Needs) -> Finding {
    let subject = of_host("quota");
    let Some(mount) = mounts::beneath(&seen.mounts, &seen.state_dir) else {
        return subject.warning(
            "the state directory lies on no mount that we see",
            "quotas cannot be judged",
            "",
        );
    };
    let (kind, point) = (mount.kind.as_str(), mount.point.display());
    let on = mount.has("prjquota") || mount.has("pquota");
    let breaks = "job records and logs are bounded by the whole disk alone; scratch space has its own bound";
    match kind {
        "ext4" | "xfs" if on => subject.ok(format!("{kind} on {point} has project quotas")),
        "tmpfs" => subject.ok(format!("tmpfs on {point} is bounded by its size")),
        "ext4" => subject.warning(
            format!("ext4 on {point} without project quotas"),
            breaks,
            format!(
                "unmounted: tune2fs -O project,quota {source}; then mount with `prjquota` in /etc/fstab",
                source = mount.source
            ),
        ),
        "xfs" => subject.warning(
            format!("xfs on {point} without project quotas"),
            breaks,
            "add `prjquota` to the mount's options in /etc/fstab (for the root: `rootflags=prjquota` at boot)",
        ),
        _ => subject.warning(
            format!("{kind} on {point} has no project quotas"),
            breaks,
            "put the state directory on ext4 or xfs mounted with `prjquota`",
        ),
    }
}
