//! Attacks through /proc and cgroupfs: writable control files, masks, foreign executables.

use crate::{
    kernel::{self, errno_name},
    verdict::{Probe, Step, Tried, all_contained, breached, breached_if, broken, contained},
};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// The files belong to the host's root, and no switch maps the host's uid 0 into a job.
const HOST_ROOT: &str = "the file belongs to the host's root, whom no switch maps into the job";
/// Read-only /proc/sys, no write right beneath /proc, and the capability over the namespace.
const OWN_SYSCTL: &str = "masked_proc,landlock,capabilities";

pub const PROBES: &[Probe] = &[
    Probe::new("E01.foreign_exe", "open the program of another process for writing", "-", foreign_exe)
        .note(HOST_ROOT),
    Probe::new("E03.release_agent", "open a release_agent for writing", "-", release_agent).note(HOST_ROOT),
    Probe::new("E04.cgroupfs", "a cgroup file system is visible", "mount", cgroupfs),
    Probe::new(
        "E04.cgroup_path",
        "/proc/self/cgroup shows where the host put the job",
        "cgroup_namespace",
        cgroup_path,
    ),
    Probe::new("E04.cgroup_procs", "move to another cgroup", "-", cgroup_procs).note(HOST_ROOT),
    Probe::new("E16.core_pattern", "open core_pattern for writing", "-", open_host_sysctl)
        .args(&[0])
        .note(HOST_ROOT),
    Probe::new("E16.modprobe", "open modprobe for writing", "-", open_host_sysctl).args(&[1]).note(HOST_ROOT),
    Probe::new("E16.sysrq", "open the sysrq files for writing", "-", open_host_sysctl)
        .args(&[2])
        .note(HOST_ROOT),
    Probe::new("E16.uevent_helper", "open uevent_helper for writing", "-", open_host_sysctl)
        .args(&[3])
        .note(HOST_ROOT),
    Probe::new("E16.binfmt_misc", "open binfmt_misc for writing", "-", open_host_sysctl)
        .args(&[4])
        .note(HOST_ROOT),
    Probe::new("E16.vm", "open vm and fs sysctls for writing", "-", open_host_sysctl)
        .args(&[5])
        .note(HOST_ROOT),
    Probe::new("E16.user_sysctl", "open user.max_* for writing", OWN_SYSCTL, open_own_sysctl).args(&[0]),
    Probe::new(
        "E16.net_sysctl",
        "open sysctls of its own network namespace for writing",
        OWN_SYSCTL,
        open_own_sysctl,
    )
    .args(&[1]),
    Probe::new("E16.masked_files", "a masked file of /proc is not /dev/null", "masked_proc", masked_files),
    Probe::new("E16.masked_dirs", "a masked directory of /proc is not empty", "masked_proc", masked_dirs),
    Probe::new("E16.read_only", "/proc/sys and its like are not read-only", "masked_proc", read_only),
];

/// Whether a file opens for writing; nothing is written.
fn open_for_writing(path: &str) -> Tried {
    match kernel::open(path, libc::O_WRONLY, 0) {
        Ok(_) if is_null(path) => contained(format!("{path}: the null device")),
        Ok(_) => breached(format!("{path} opened for writing")),
        Err(libc::ETXTBSY) => breached(format!("{path}: ETXTBSY, only because it runs")),
        Err(errno) => contained(format!("{path}: {}", errno_name(errno))),
    }
}

fn is_null(path: &str) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|facts| facts.file_type().is_char_device() && facts.rdev() == libc::makedev(1, 3))
}

/// Pids that /proc shows.
pub fn visible_pids() -> Result<Vec<u32>, crate::verdict::Broken> {
    let entries = std::fs::read_dir("/proc").step("read /proc")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

fn foreign_exe(_: &[i64]) -> Tried {
    let own = std::fs::read_link("/proc/self/exe").step("readlink of its own program")?;
    let mut pids = visible_pids()?;
    pids.push(1);
    // A process with this same program is our own, and one whose program may not be named may not be opened either.
    all_contained(
        pids.iter()
            .filter(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok().as_ref() != Some(&own))
            .map(|pid| open_for_writing(&format!("/proc/{pid}/exe"))),
    )
}

/// Directories below /sys/fs/cgroup, itself included.
fn cgroup_dirs() -> Vec<String> {
    let top = "/sys/fs/cgroup";
    let below = std::fs::read_dir(top)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().display().to_string());
    std::iter::once(top.to_owned()).chain(below).collect()
}

fn release_agent(_: &[i64]) -> Tried {
    all_contained(cgroup_dirs().iter().map(|dir| open_for_writing(&format!("{dir}/release_agent"))))
}

fn cgroup_procs(_: &[i64]) -> Tried {
    let files = ["cgroup.procs", "tasks"];
    all_contained(
        cgroup_dirs().iter().flat_map(|dir| files.map(|file| open_for_writing(&format!("{dir}/{file}")))),
    )
}

fn cgroupfs(_: &[i64]) -> Tried {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").step("/proc/self/mountinfo")?;
    let found: Vec<_> = mounts.lines().filter(|line| line.contains(" - cgroup")).collect();
    breached_if(!found.is_empty(), format!("{} cgroup mounts {}", found.len(), found.first().unwrap_or(&"")))
}

fn cgroup_path(_: &[i64]) -> Tried {
    let text = match std::fs::read_to_string("/proc/self/cgroup") {
        Ok(text) => text,
        Err(error) => return contained(format!("/proc/self/cgroup: {error}")),
    };
    let telling: Vec<_> = text.lines().filter(|line| line.splitn(3, ':').nth(2) != Some("/")).collect();
    breached_if(!telling.is_empty(), format!("{} lines, not at the root: {telling:?}", text.lines().count()))
}

const HOST_SYSCTLS: [&[&str]; 6] = [
    &["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/core_pipe_limit"],
    &["/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug", "/proc/sys/kernel/poweroff_cmd"],
    &["/proc/sysrq-trigger", "/proc/sys/kernel/sysrq"],
    &["/sys/kernel/uevent_helper"],
    &["/proc/sys/fs/binfmt_misc/register", "/proc/sys/fs/binfmt_misc/status"],
    &[
        "/proc/sys/vm/panic_on_oom",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/vm/mmap_min_addr",
        "/proc/sys/fs/suid_dumpable",
        "/proc/sys/fs/protected_hardlinks",
        "/proc/sys/kernel/randomize_va_space",
        "/proc/sys/kernel/perf_event_paranoid",
        "/proc/sys/kernel/ns_last_pid",
        "/proc/irq/default_smp_affinity",
        "/proc/mtrr",
    ],
];

fn open_host_sysctl(args: &[i64]) -> Tried {
    all_contained(HOST_SYSCTLS[args[0] as usize].iter().map(|path| open_for_writing(path)))
}

const OWN_SYSCTLS: [&[&str]; 2] = [
    &["/proc/sys/user/max_user_namespaces", "/proc/sys/user/max_inotify_instances"],
    &["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/ping_group_range"],
];

fn open_own_sysctl(args: &[i64]) -> Tried {
    all_contained(OWN_SYSCTLS[args[0] as usize].iter().map(|path| open_for_writing(path)))
}

const MASKED_FILES: [&str; 22] = [
    "kcore",
    "keys",
    "key-users",
    "timer_list",
    "sched_debug",
    "kallsyms",
    "kmsg",
    "kpagecount",
    "kpageflags",
    "kpagecgroup",
    "vmallocinfo",
    "slabinfo",
    "partitions",
    "modules",
    "config.gz",
    "latency_stats",
    "timer_stats",
    "interrupts",
    "softirqs",
    "iomem",
    "ioports",
    "mtrr",
];

fn masked_files(_: &[i64]) -> Tried {
    let open: Vec<_> = MASKED_FILES
        .iter()
        .map(|name| format!("/proc/{name}"))
        .filter(|path| std::fs::symlink_metadata(path).is_ok() && !is_null(path))
        .collect();
    breached_if(!open.is_empty(), format!("of {} files, not masked: {open:?}", MASKED_FILES.len()))
}

fn masked_dirs(_: &[i64]) -> Tried {
    let names = ["acpi", "asound", "scsi", "driver", "dynamic_debug", "pressure"];
    let open: Vec<_> = names
        .iter()
        .filter(|name| {
            std::fs::read_dir(format!("/proc/{name}")).is_ok_and(|mut entries| entries.next().is_some())
        })
        .collect();
    breached_if(!open.is_empty(), format!("of {} directories, not masked: {open:?}", names.len()))
}

fn read_only(_: &[i64]) -> Tried {
    let mut open = Vec::new();
    for name in ["sys", "bus", "fs", "irq", "sysrq-trigger"] {
        let path = format!("/proc/{name}");
        match kernel::mount_flags(&path) {
            Ok(flags) if flags & libc::ST_RDONLY == 0 && !is_null(&path) => open.push(name),
            Ok(_) | Err(libc::ENOENT) => {}
            Err(errno) => return broken(format!("statfs of {path}: {}", errno_name(errno))),
        }
    }
    breached_if(!open.is_empty(), format!("not read-only: {open:?}"))
}
