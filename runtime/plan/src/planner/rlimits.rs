//! Resource limits of the processes (getrlimit(2)).

use crate::{
    launch::{CpuTimeKeeping, Identity, Rlimit, TreeLimits, WorkspacePlan},
    limit::Limits,
};

/// Locked memory: what unprivileged programs expect to have (64 KiB, the kernel's default before 5.16).
const MEMLOCK_BYTES: u64 = 64 << 10;
/// Stack, the usual soft limit; the hard one too, so that argv and env have a known bound.
const STACK_BYTES: u64 = 8 << 20;
/// Queued signals: a pool that the host counts per uid.
const SIGPENDING: u64 = 1_024;
/// A file in a directory of the host may grow to this: quotas are the host's, and this stops a runaway or sparse file.
const HOST_FILE_BYTES_MAX: u64 = 64 << 30;
/// A file in scratch may ask for this much more than scratch holds, so that a full scratch says ENOSPC: at the limit itself
/// the kernel would send SIGXFSZ first.
const FILE_SLACK_BYTES: u64 = 1 << 20;
/// Without a memory cgroup a process may have this many times its memory limit in private writable memory, touched or not
/// (the stack of a thread counts in whole). What is resident is polled; this bounds what one process can do between two polls.
/// Address space would be the wrong measure: runtimes reserve far more than they use (V8 over 10 GiB for WebAssembly).
const DATA_FACTOR: u64 = 4;

/// Soft and hard limits, by name.
pub(super) fn list(
    limits: &Limits,
    workspace: &WorkspacePlan,
    tree_limits: &TreeLimits,
    cpu_time: &CpuTimeKeeping,
    identity: Identity,
) -> Vec<(Rlimit, Option<u64>, Option<u64>)> {
    let scratch_file = limits.scratch_bytes.saturating_add(FILE_SLACK_BYTES);
    let file = match workspace {
        WorkspacePlan::Scratch => scratch_file,
        WorkspacePlan::HostDirectory { .. } => scratch_file.max(HOST_FILE_BYTES_MAX),
    };
    let mut list = vec![
        // 1 and not 0: a core_pattern that pipes to a helper runs it as root on the host even at 0, and not at 1 (core(5)).
        (Rlimit::Core, 1),
        (Rlimit::Nofile, limits.files),
        (Rlimit::Memlock, MEMLOCK_BYTES),
        (Rlimit::Fsize, file),
        (Rlimit::Msgqueue, 0),
        (Rlimit::Sigpending, SIGPENDING),
        (Rlimit::Rtprio, 0),
        (Rlimit::Nice, 0),
        (Rlimit::Stack, STACK_BYTES),
    ];
    if matches!(tree_limits, TreeLimits::Fallback { .. }) {
        // Inside a user namespace the kernel counts processes per namespace. Rootless, init has the job's uid and counts.
        let own = if identity.init_has_own_id { limits.pids.saturating_sub(1) } else { limits.pids };
        list.push((Rlimit::Nproc, own));
        list.push((Rlimit::Data, limits.memory_bytes.saturating_mul(DATA_FACTOR)));
    }
    let mut list: Vec<_> = list.into_iter().map(|(limit, value)| (limit, Some(value), Some(value))).collect();
    if let (CpuTimeKeeping::Processes { .. }, Some(ms)) = (cpu_time, limits.cpu_time_ms) {
        // The polling ends the job at the limit; this is for what it misses. Where the kernel counts by ticks it runs ahead of
        // true time on a busy host (0.87 s were seen as 1 s), hence the half more and the second. SIGXCPU first, which tells
        // why; KILL a second later for a process that takes no notice.
        let seconds = ms.saturating_add(ms / 2).div_ceil(1_000).saturating_add(1);
        list.push((Rlimit::Cpu, Some(seconds), Some(seconds.saturating_add(1))));
    }
    list
}
