//! Who the job is: uid map, groups, capability sets, no_new_privs, filter, and the ways to become somebody else.

use crate::{
    fact,
    kernel::{self, Scratch, errno_name, text},
    sys,
    verdict::{Probe, Step, Tried, all_contained, breached, breached_if, broken, contained, refused},
};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

pub const PROBES: &[Probe] = &[
    Probe::new(
        "E15.capabilities",
        "any of the five capability sets is not empty",
        "capabilities",
        capability_sets,
    ),
    Probe::new("E15.no_new_privs", "no_new_privs is not set", "no_new_privs,landlock,seccomp", no_new_privs)
        .note("landlock and seccomp set it too, for they need it"),
    Probe::new("E15.seccomp", "there is no system call filter", "seccomp", seccomp_mode),
    Probe::new("E15.uid_map", "the uid map is the host's, or maps host uid 0", "user", uid_map).args(&[0]),
    Probe::new("E15.gid_map", "the gid map is the host's, or maps host gid 0", "user", uid_map).args(&[1]),
    Probe::new("E15.uid_shared", "the host uid is one that somebody else has", "uid_per_job", uid_shared)
        .needs(&["PROBE_HOST_UIDS"])
        .note("PROBE_HOST_UIDS: host uids of other running jobs and of the caller, comma separated"),
    Probe::new("E15.setuid_0", "become uid 0 inside", "capabilities", become_root)
        .args(&[libc::SYS_setresuid]),
    Probe::new("E15.setgid_0", "become gid 0 inside", "capabilities", become_root)
        .args(&[libc::SYS_setresgid]),
    Probe::new(
        "E13.set_id_files",
        "set-id programs on a file system that honours them",
        "mount",
        set_id_files,
    )
    .note("no_new_privs makes exec of one harmless"),
    Probe::new("E14.file_capability", "give a file a capability", "capabilities", file_capability),
    Probe::new("E44.setgroups_deny", "/proc/self/setgroups is not deny", "user", setgroups_file),
    Probe::new("E44.setgroups", "setgroups(2)", "capabilities,user", setgroups_call),
    Probe::new("E44.groups", "supplementary groups were kept", "-", groups)
        .note("groups are dropped before any wall, with or without a user namespace"),
];

/// A field of /proc/self/status.
pub fn status_field(name: &str) -> Result<String, crate::verdict::Broken> {
    let status = std::fs::read_to_string("/proc/self/status").step("/proc/self/status")?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_owned()))
        .ok_or_else(|| format!("/proc/self/status has no {name}").into())
}

fn capability_sets(_: &[i64]) -> Tried {
    all_contained(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|set| {
        let value = status_field(set)?;
        breached_if(value.bytes().any(|digit| digit != b'0'), format!("{set} {value}"))
    }))
}

fn no_new_privs(_: &[i64]) -> Tried {
    let value = status_field("NoNewPrivs")?;
    breached_if(value != "1", format!("NoNewPrivs {value}"))
}

fn seccomp_mode(_: &[i64]) -> Tried {
    let (mode, filters) = (status_field("Seccomp")?, status_field("Seccomp_filters")?);
    breached_if(mode != "2", format!("Seccomp {mode}, {filters} filters"))
}

fn uid_map(args: &[i64]) -> Tried {
    let path = ["/proc/self/uid_map", "/proc/self/gid_map"][args[0] as usize];
    let map = std::fs::read_to_string(path).step(path)?;
    if map.trim().is_empty() {
        return broken(format!("{path} is empty"));
    }
    let maps_zero = map.lines().any(|line| line.split_whitespace().nth(1) == Some("0"));
    breached_if(maps_zero, format!("{path}: {}", map.split_whitespace().collect::<Vec<_>>().join(" ")))
}

fn uid_shared(_: &[i64]) -> Tried {
    let others: Vec<u64> =
        fact("PROBE_HOST_UIDS")?.split(',').filter_map(|uid| uid.trim().parse().ok()).collect();
    let map = std::fs::read_to_string("/proc/self/uid_map").step("/proc/self/uid_map")?;
    let uid = sys!(libc::SYS_getuid).step("getuid")? as u64;
    for line in map.lines() {
        let words: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        if let [first, host, count] = words[..]
            && (first..first.saturating_add(count)).contains(&uid)
        {
            let mine = host + (uid - first);
            return breached_if(others.contains(&mine), format!("host uid {mine}"));
        }
    }
    broken("this uid is not in /proc/self/uid_map")
}

fn become_root(args: &[i64]) -> Tried {
    // SAFETY: these take and return nothing but numbers.
    let already =
        unsafe { if args[0] == libc::SYS_setresuid { libc::getuid() } else { libc::getgid() } } == 0;
    if already {
        return breached("it is 0 already");
    }
    let outcome = kernel::outcome_in_child(|| sys!(args[0], 0, 0, 0)).step("fork")?;
    refused("change of id to 0", outcome, &[libc::EPERM, libc::EINVAL])
}

fn set_id_files(_: &[i64]) -> Tried {
    let mut found = Vec::new();
    let mut seen = 0usize;
    let mut todo: Vec<(PathBuf, u32)> =
        ["/bin", "/sbin", "/usr", "/opt", "/lib"].map(|dir| (dir.into(), 0)).to_vec();
    while let Some((dir, depth)) = todo.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Ok(facts) = entry.metadata() else { continue };
            seen += 1;
            if facts.is_dir() && depth < 3 && seen < 200_000 {
                todo.push((entry.path(), depth + 1));
            } else if facts.is_file() && facts.permissions().mode() & 0o6000 != 0 {
                found.push(entry.path());
            }
        }
    }
    let honoured: Vec<_> = found.iter().filter(|path| !is_nosuid(path)).collect();
    breached_if(!honoured.is_empty(), format!("{} set-id files, honoured: {honoured:?}", found.len()))
}

fn is_nosuid(path: &Path) -> bool {
    kernel::mount_flags(path).is_ok_and(|flags| flags & libc::ST_NOSUID != 0)
}

fn file_capability(_: &[i64]) -> Tried {
    let scratch = Scratch::new()?;
    let path = scratch.join("file");
    std::fs::write(&path, b"").step("write a file")?;
    // struct vfs_cap_data, revision 2: CAP_NET_RAW permitted (capabilities(7)).
    let mut data = [0x0200_0000u32, 1 << 13, 0, 0, 0];
    let outcome = sys!(libc::SYS_setxattr, &text(&path), c"security.capability", data.as_mut_slice(), 20, 0);
    refused("setxattr(security.capability)", outcome, &[libc::EPERM, libc::EACCES])
}

fn setgroups_file(_: &[i64]) -> Tried {
    let value = std::fs::read_to_string("/proc/self/setgroups").step("/proc/self/setgroups")?;
    breached_if(value.trim() != "deny", format!("/proc/self/setgroups is {}", value.trim()))
}

fn setgroups_call(_: &[i64]) -> Tried {
    let outcome = kernel::outcome_in_child(|| sys!(libc::SYS_setgroups, 0, 0)).step("fork")?;
    refused("setgroups(0)", outcome, &[libc::EPERM, libc::ENOSYS])
}

fn groups(_: &[i64]) -> Tried {
    let mut groups = [0u32; 64];
    let count = match sys!(libc::SYS_getgroups, 64, groups.as_mut_slice()) {
        Ok(count) => count as usize,
        Err(errno) => return breached(format!("more than 64 groups, or getgroups: {}", errno_name(errno))),
    };
    // SAFETY: getgid(2) takes nothing.
    let own = unsafe { libc::getgid() };
    let foreign: Vec<u32> = groups[..count].iter().copied().filter(|group| *group != own).collect();
    if foreign.is_empty() {
        contained("no group but its own")
    } else {
        breached(format!("groups {foreign:?}"))
    }
}
