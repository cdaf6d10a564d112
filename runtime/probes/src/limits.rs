//! Limits of one process and ways to raise them: core, files, priorities, locked memory, file size, inotify.

use crate::{
    kernel::{self, Arg, Scratch, errno_name, text},
    sys,
    verdict::{Probe, Step, Tried, all_contained, breached, breached_if, broken, contained, refused},
};

/// Real-time classes, negative niceness and higher hard limits ask for a capability in the host's user namespace.
const HOST_CAPABILITY: &str = "capabilities,user";

pub const PROBES: &[Probe] = &[
    Probe::new("E18.core_limit", "RLIMIT_CORE is not 1/1", "rlimits", core_limit)
        .note("1 and not 0: a piped core_pattern runs its program as the host's root even at 0"),
    Probe::new("E18.prlimit64", "lower RLIMIT_CORE by prlimit64", "seccomp", change_core).args(&[0]),
    Probe::new(
        "E18.prlimit64_own_pid",
        "lower RLIMIT_CORE by prlimit64 of its own pid",
        "seccomp",
        change_core,
    )
    .args(&[1]),
    Probe::new("E18.setrlimit", "lower RLIMIT_CORE by setrlimit", "seccomp", change_core).args(&[2]),
    Probe::new("R10.files", "open more than 1024 files", "rlimits", open_files).inside(),
    Probe::new("R12.real_time", "scheduling class SCHED_FIFO", "capabilities,user,cgroup", real_time)
        .note("a group of v1's cpu controller has no real-time share"),
    Probe::new("R12.nice", "niceness -20", HOST_CAPABILITY, nice),
    Probe::new("R12.io_class", "real-time I/O class", HOST_CAPABILITY, io_class),
    Probe::new("R12.mlock", "lock 1 MiB of memory", "rlimits", mlock),
    Probe::new("R12.oom_score_adj", "open its oom_score_adj for writing", "landlock", oom_score)
        .note("the kernel refuses to lower it besides"),
    Probe::new("R12.raise_limits", "raise a hard limit", HOST_CAPABILITY, raise_limits)
        .note("CAP_SYS_RESOURCE, which the root of some machines lacks"),
    Probe::new("R13.inotify", "more than 32 inotify instances", "user", inotify)
        .note("user.max_inotify_instances of its own namespace"),
    Probe::new("R18.sparse", "a sparse file of 1 TiB", "rlimits", sparse).args(&[0]),
    Probe::new("R18.fallocate", "fallocate of 1 TiB", "-", sparse)
        .args(&[1])
        .note("RLIMIT_FSIZE, then the size of the file system: no host gives 1 TiB to a test"),
];

/// The soft and the hard limit.
fn limit(resource: u32) -> Result<[u64; 2], crate::verdict::Broken> {
    let mut limits = [0u64; 2];
    sys!(libc::SYS_prlimit64, 0, resource, 0, limits.as_mut_slice()).step("getrlimit")?;
    Ok(limits)
}

fn core_limit(_: &[i64]) -> Tried {
    let [soft, hard] = limit(libc::RLIMIT_CORE)?;
    breached_if((soft, hard) != (1, 1), format!("RLIMIT_CORE {soft}/{hard}"))
}

fn change_core(args: &[i64]) -> Tried {
    let mut none = [0u64; 2];
    let core = libc::RLIMIT_CORE;
    let outcome = match args[0] {
        0 => sys!(libc::SYS_prlimit64, 0, core, none.as_mut_slice(), 0),
        1 => sys!(libc::SYS_prlimit64, std::process::id(), core, none.as_mut_slice(), 0),
        _ => sys!(libc::SYS_setrlimit, core, none.as_mut_slice()),
    };
    refused("RLIMIT_CORE to 0", outcome, &[libc::EPERM])
}

fn open_files(_: &[i64]) -> Tried {
    let mut fds = Vec::new();
    for _ in 0..1_100 {
        match kernel::open("/dev/null", libc::O_RDONLY, 0) {
            Ok(fd) => fds.push(fd),
            Err(errno @ (libc::EMFILE | libc::ENFILE)) => {
                let count = fds.len();
                drop(fds);
                return contained(format!(
                    "{} after {count} files, limits {:?}",
                    errno_name(errno),
                    limit(libc::RLIMIT_NOFILE)?
                ));
            }
            Err(errno) => return broken(format!("/dev/null: {}", errno_name(errno))),
        }
    }
    breached(format!("{} files are open", fds.len()))
}

fn real_time(_: &[i64]) -> Tried {
    let mut priority = 1i32;
    let outcome = sys!(libc::SYS_sched_setscheduler, 0, libc::SCHED_FIFO, Arg::record(&mut priority));
    refused("SCHED_FIFO", outcome, &[libc::EPERM])
}

fn nice(_: &[i64]) -> Tried {
    let outcome = sys!(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, -20);
    refused("setpriority(-20)", outcome, &[libc::EPERM, libc::EACCES])
}

fn io_class(_: &[i64]) -> Tried {
    // IOPRIO_WHO_PROCESS 1, class IOPRIO_CLASS_RT 1 in bits 13 and up (ioprio_set(2)).
    refused("ioprio_set(RT)", sys!(libc::SYS_ioprio_set, 1, 0, 1 << 13), &[libc::EPERM])
}

fn mlock(_: &[i64]) -> Tried {
    let length = 1usize << 20;
    let mut memory = vec![0u8; length];
    let outcome = sys!(libc::SYS_mlock, memory.as_mut_slice(), length);
    refused("mlock of 1 MiB", outcome, &[libc::ENOMEM, libc::EPERM, libc::EAGAIN])
}

fn oom_score(_: &[i64]) -> Tried {
    refused(
        "open of oom_score_adj",
        kernel::open("/proc/self/oom_score_adj", libc::O_WRONLY, 0).map(|_| 0),
        &[libc::EACCES, libc::EROFS, libc::EPERM],
    )
}

fn raise_limits(_: &[i64]) -> Tried {
    let resources = [
        ("NOFILE", libc::RLIMIT_NOFILE),
        ("NPROC", libc::RLIMIT_NPROC),
        ("MEMLOCK", libc::RLIMIT_MEMLOCK),
        ("FSIZE", libc::RLIMIT_FSIZE),
        ("MSGQUEUE", libc::RLIMIT_MSGQUEUE),
        ("SIGPENDING", libc::RLIMIT_SIGPENDING),
        ("RTPRIO", libc::RLIMIT_RTPRIO),
        ("NICE", libc::RLIMIT_NICE),
        ("CORE", libc::RLIMIT_CORE),
    ];
    let mut answers = Vec::new();
    for (name, resource) in resources {
        let [soft, hard] = limit(resource)?;
        if hard != libc::RLIM_INFINITY {
            let mut raised = [soft, hard + 1];
            let outcome = sys!(libc::SYS_prlimit64, 0, resource, raised.as_mut_slice(), 0);
            answers.push(refused(&format!("{name} over {hard}"), outcome, &[libc::EPERM]));
        }
    }
    all_contained(answers)
}

fn inotify(_: &[i64]) -> Tried {
    let mut fds = Vec::new();
    for _ in 0..200 {
        match sys!(libc::SYS_inotify_init1, libc::IN_CLOEXEC) {
            Ok(fd) => fds.push(kernel::owned(fd)),
            Err(libc::EMFILE) => break,
            Err(errno) => return broken(format!("inotify_init1: {}", errno_name(errno))),
        }
    }
    breached_if(fds.len() > 32, format!("{} instances", fds.len()))
}

fn sparse(args: &[i64]) -> Tried {
    // SAFETY: signal(2) takes numbers only. Without it the limit's signal would hide its errno.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let scratch = Scratch::new()?;
    let path = scratch.join("sparse");
    let file = kernel::open(&path, libc::O_RDWR | libc::O_CREAT, 0o600).step("make a file")?;
    let size = 1i64 << 40;
    let outcome = if args[0] == 0 {
        sys!(libc::SYS_ftruncate, &file, size)
    } else {
        sys!(libc::SYS_fallocate, &file, 0, 0, size)
    };
    sys!(libc::SYS_unlinkat, libc::AT_FDCWD, &text(&path), 0).step("unlink")?;
    refused("1 TiB", outcome, &[libc::EFBIG, libc::ENOSPC, libc::EDQUOT, libc::ENOMEM])
}
