//! Host ids: our capabilities, the range of the jobs, groups that survive.

use runtime_plan::doctor::Finding;
use runtime_plan::wall::Wall;

use super::{of, of_host};
use crate::doctor::observe::Observations;
use crate::doctor::observe::accounts::SubIds;
use crate::doctor::{Needs, UidRange};
use crate::host::identity::capability;

/// systemd-nspawn takes the ids of its containers from here (systemd's UIDS-GIDS: 524288 to 1879048191).
const NSPAWN: (u64, u64) = (524_288, 1_879_048_192 - 524_288);
/// The name under which the jobs' range is reserved in subuid(5).
const OWN_NAME: &str = "runtime";
/// Groups that are as good as root, or as good as another user's data.
const POWERFUL_GROUPS: [&str; 10] =
    ["root", "docker", "lxd", "incus", "disk", "kmem", "shadow", "sudo", "wheel", "libvirt"];

/// What root can do here.
pub fn capabilities(seen: &Observations, needs: &Needs) -> Finding {
    let subject = of(Wall::UidPerJob, "root_capabilities");
    let identity = &seen.identity;
    if identity.euid != 0 {
        return subject
            .ok(format!("uid {}: jobs run as this user, without a uid of their own", identity.euid));
    }
    if !identity.rootful() {
        let why = if identity.all_ids_mapped {
            "uid 0 without CAP_SYS_ADMIN, CAP_SETUID or CAP_SETGID"
        } else {
            "uid 0 of a user namespace in which not all ids are mapped"
        };
        return subject.without_wall(
            (seen, needs),
            why,
            "jobs get no uid of their own, as without root",
            "start runtime as root of the host itself, or the container with `--privileged --userns=host`",
        );
    }
    if !identity.has(capability::SYS_RESOURCE) {
        return subject.warning(
            "root without CAP_SYS_RESOURCE",
            "the launcher cannot lower its oom_score_adj nor raise hard limits: it is as likely to be killed for \
             memory as any process",
            "start runtime with CAP_SYS_RESOURCE (systemd: AmbientCapabilities or no CapabilityBoundingSet)",
        );
    }
    subject.ok("root, with every capability that is needed")
}

/// Whether anybody else owns the host ids of the jobs.
pub fn uid_range(seen: &Observations, needs: &Needs) -> Finding {
    let subject = of(Wall::UidPerJob, "uid_range");
    let Some(range) = seen.uids.filter(|_| seen.facts.rootful) else {
        return subject.ok("not used without root");
    };
    let text = format!("{} to {}", range.first, u64::from(range.first) + u64::from(range.count) - 1);
    let (accounts, ranges) = (accounts_within(seen, range), ranges_within(seen, range));
    if !accounts.is_empty() {
        return subject.without_wall(
            (seen, needs),
            format!("{text}; within it: {}", accounts.join(", ")),
            "a job could run with the id of a real account",
            "give these accounts other ids: usermod -u, groupmod -g",
        );
    }
    if !ranges.is_empty() {
        return subject.warning(
            format!("{text}; within it: {}", ranges.join(", ")),
            "a job and a container of another program could have the same host id",
            "give these ranges other ids in /etc/subuid and /etc/subgid",
        );
    }
    let reserved = [&seen.accounts.sub_uids, &seen.accounts.sub_gids]
        .iter()
        .all(|ranges| ranges.iter().any(|own| own.owner == OWN_NAME && own.first == u64::from(range.first)));
    let reservation = if reserved { "reserved in /etc/subuid and /etc/subgid" } else { "nobody else's" };
    subject.ok(format!("{text}: {reservation}"))
}

fn accounts_within(seen: &Observations, range: UidRange) -> Vec<String> {
    let of_kind = |kind: &str, list: &[(String, u32)]| {
        let hit = list.iter().filter(|(_, id)| range.overlaps(u64::from(*id), 1));
        hit.map(|(name, id)| format!("{kind} {name} ({id})")).collect::<Vec<_>>()
    };
    [of_kind("user", &seen.accounts.users), of_kind("group", &seen.accounts.groups)].concat()
}

fn ranges_within(seen: &Observations, range: UidRange) -> Vec<String> {
    let of_file = |file: &str, list: &[SubIds]| {
        let hit = list.iter().filter(|sub| sub.owner != OWN_NAME && range.overlaps(sub.first, sub.count));
        hit.map(|sub| format!("{file} of {}", sub.owner)).collect::<Vec<_>>()
    };
    let mut ranges =
        [of_file("/etc/subuid", &seen.accounts.sub_uids), of_file("/etc/subgid", &seen.accounts.sub_gids)]
            .concat();
    if range.overlaps(NSPAWN.0, NSPAWN.1) {
        ranges.push("the range of systemd-nspawn".into());
    }
    ranges
}

/// For information: a single id is mapped without them.
pub fn map_helpers(seen: &Observations, _needs: &Needs) -> Finding {
    let subject = of_host("map_helpers");
    if seen.map_helpers.is_empty() {
        return subject.ok("no newuidmap and newgidmap; not needed");
    }
    subject.ok(format!("{} found; not needed", seen.map_helpers.join(" and ")))
}

/// Groups of the caller that every job of an unprivileged launcher keeps.
pub fn supplementary_groups(seen: &Observations, _needs: &Needs) -> Finding {
    let subject = of(Wall::User, "supplementary_groups");
    let identity = &seen.identity;
    if seen.facts.rootful {
        return subject.ok("dropped for every job");
    }
    let kept: Vec<String> = identity
        .groups
        .iter()
        .filter(|gid| **gid != identity.egid)
        .map(|gid| seen.accounts.group_name(*gid))
        .collect();
    if kept.is_empty() {
        return subject.ok("none");
    }
    let powerful: Vec<&str> =
        kept.iter().map(String::as_str).filter(|name| POWERFUL_GROUPS.contains(name)).collect();
    let worst = if powerful.is_empty() {
        String::new()
    } else {
        format!("; as good as root: {}", powerful.join(", "))
    };
    subject.warning(
        format!("{}{worst}", kept.join(", ")),
        "the kernel does not let an unprivileged launcher drop them: inside they show as 65534 and still open the \
         files of these groups that are mounted",
        "run as a user without further groups: useradd --system --create-home runtime, then start runtime as that \
         user",
    )
}
