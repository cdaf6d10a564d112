//! Administrators' and forgotten system calls (E29). Each is called so that it changes nothing even when it is let through.

use crate::{
    inside,
    kernel::{self, Arg},
    sys,
    verdict::{Probe, Step, Tried, unreached},
};

/// Refused by the filter alone: the kernel asks for no capability before it looks at the arguments.
const OPEN_TO_ALL: &str = "seccomp";
/// Asks for a capability over a namespace of the job.
const OWN_NAMESPACE: &str = "seccomp,capabilities";
/// Asks for a capability in the host's user namespace.
const HOST: &str = "seccomp,capabilities,user";
const NOT_BUILT: &str = "kernels without the feature refuse it too, and answer everybody ENOSYS";

const fn rare(id: &'static str, name: &'static str, walls: &'static str, args: &'static [i64]) -> Probe {
    Probe::new(id, name, walls, by_number).args(args)
}

pub const PROBES: &[Probe] = &[
    rare("E29.init_module", "init_module", HOST, &[libc::SYS_init_module]).note(NOT_BUILT),
    rare("E29.finit_module", "finit_module", HOST, &[libc::SYS_finit_module, -1]).note(NOT_BUILT),
    rare("E29.delete_module", "delete_module", HOST, &[libc::SYS_delete_module]).note(NOT_BUILT),
    rare("E29.kexec_load", "kexec_load", HOST, &[libc::SYS_kexec_load, 0, 99]).note(NOT_BUILT),
    rare("E29.kexec_file_load", "kexec_file_load", HOST, &[libc::SYS_kexec_file_load, -1, -1])
        .note(NOT_BUILT),
    rare("E29.reboot", "reboot with a wrong magic number", OWN_NAMESPACE, &[libc::SYS_reboot]),
    rare("E29.swapon", "swapon of nothing", HOST, &[libc::SYS_swapon]),
    rare("E29.swapoff", "swapoff of nothing", HOST, &[libc::SYS_swapoff]),
    Probe::new("E29.acct", "acct on a file that does not exist", HOST, acct),
    rare("E29.syslog", "syslog: size of the buffer", HOST, &[libc::SYS_syslog, 10])
        .note("where kernel.dmesg_restrict is 0 the filter alone refuses it"),
    Probe::new("E29.adjtimex", "adjtimex: read the clock's state", OPEN_TO_ALL, adjtimex)
        .args(&[libc::SYS_adjtimex]),
    Probe::new("E29.clock_adjtime", "clock_adjtime: read the clock's state", OPEN_TO_ALL, adjtimex)
        .args(&[libc::SYS_clock_adjtime]),
    rare("E29.settimeofday", "settimeofday of nothing", HOST, &[libc::SYS_settimeofday]),
    Probe::new(
        "E29.clock_settime",
        "clock_settime to a time that does not exist",
        OPEN_TO_ALL,
        clock_settime,
    ),
    rare("E29.sethostname", "sethostname of negative length", OWN_NAMESPACE, &[libc::SYS_sethostname, 0, -1]),
    rare(
        "E29.setdomainname",
        "setdomainname of negative length",
        OWN_NAMESPACE,
        &[libc::SYS_setdomainname, 0, -1],
    ),
    rare("E29.iopl", "iopl", HOST, &[libc::SYS_iopl, 3]).note(NOT_BUILT),
    rare("E29.ioperm", "ioperm", HOST, &[libc::SYS_ioperm, 0, 1, 1]).note(NOT_BUILT),
    // QCMD(Q_GETFMT, USRQUOTA) on no device at all.
    rare("E29.quotactl", "quotactl", OPEN_TO_ALL, &[libc::SYS_quotactl, 0x0080_0004 << 8]),
    rare("E29.quotactl_fd", "quotactl_fd", OPEN_TO_ALL, &[443, -1, 0x0080_0004 << 8]),
    rare("E29.mbind", "mbind of nothing", OPEN_TO_ALL, &[libc::SYS_mbind]),
    rare("E29.get_mempolicy", "get_mempolicy", OPEN_TO_ALL, &[libc::SYS_get_mempolicy]),
    rare("E29.set_mempolicy", "set_mempolicy to the default", OPEN_TO_ALL, &[libc::SYS_set_mempolicy]),
    rare("E29.migrate_pages", "migrate_pages", OPEN_TO_ALL, &[libc::SYS_migrate_pages]),
    rare("E29.move_pages", "move_pages of nothing", OPEN_TO_ALL, &[libc::SYS_move_pages]),
    rare("E29.modify_ldt", "modify_ldt: read", OPEN_TO_ALL, &[libc::SYS_modify_ldt]),
    rare("E29.uselib", "uselib", "-", &[libc::SYS_uselib]).note(NOT_BUILT),
    rare("E29.ustat", "ustat", OPEN_TO_ALL, &[libc::SYS_ustat]),
    rare("E29.sysfs", "sysfs: number of file systems", OPEN_TO_ALL, &[libc::SYS_sysfs, 3]),
    rare("E29.vhangup", "vhangup", HOST, &[libc::SYS_vhangup]).inside(),
    // FAN_CLASS_NOTIF | FAN_REPORT_FID: open to everybody since 5.13.
    rare("E29.fanotify_init", "fanotify_init", OPEN_TO_ALL, &[libc::SYS_fanotify_init, 0x200]),
    rare("E29.memfd_secret", "memfd_secret", OPEN_TO_ALL, &[447]),
    rare("E29.process_madvise", "process_madvise", OPEN_TO_ALL, &[440, -1]),
    rare("E29.process_mrelease", "process_mrelease", OPEN_TO_ALL, &[448, -1]),
    rare("E29.remap_file_pages", "remap_file_pages", OPEN_TO_ALL, &[libc::SYS_remap_file_pages]),
    rare("E29.mq_open", "mq_open", OPEN_TO_ALL, &[libc::SYS_mq_open]),
    rare("E29.set_thread_area", "set_thread_area", "-", &[libc::SYS_set_thread_area])
        .note("a 64-bit kernel answers ENOSYS to everybody"),
    rare("E29.lsm_list_modules", "lsm_list_modules", OPEN_TO_ALL, &[461]).note(NOT_BUILT),
    rare("E29.futex_requeue", "futex_requeue", OPEN_TO_ALL, &[456]),
    rare("E29.unknown", "a system call newer than any that is known", "-", &[5000])
        .note("the kernel answers ENOSYS as well"),
];

const REFUSALS: &[i32] = &[libc::EPERM, libc::ENOSYS];

fn by_number(args: &[i64]) -> Tried {
    let at = |index: usize| args.get(index).copied().unwrap_or(0);
    if args[0] == libc::SYS_vhangup && inside() {
        // Away from the terminal of the caller, if it has one: vhangup without a terminal does nothing.
        let outcome = kernel::outcome_in_child(|| {
            sys!(libc::SYS_setsid)?;
            sys!(libc::SYS_vhangup)
        });
        return unreached("vhangup", outcome.step("fork")?, REFUSALS);
    }
    let outcome = sys!(args[0], at(1), at(2), at(3), at(4), at(5));
    unreached(&format!("system call {}", args[0]), outcome, REFUSALS)
}

fn acct(_: &[i64]) -> Tried {
    unreached("acct", sys!(libc::SYS_acct, c"/nonexistent-probe"), REFUSALS)
}

fn adjtimex(args: &[i64]) -> Tried {
    // SAFETY: an all-zero timex is a valid value: modes 0 changes nothing (adjtimex(2)).
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    let outcome = if args[0] == libc::SYS_adjtimex {
        sys!(libc::SYS_adjtimex, Arg::record(&mut state))
    } else {
        sys!(libc::SYS_clock_adjtime, libc::CLOCK_REALTIME, Arg::record(&mut state))
    };
    unreached("adjtimex", outcome, REFUSALS)
}

fn clock_settime(_: &[i64]) -> Tried {
    // Two billion nanoseconds are no fraction of a second: EINVAL before anything is set.
    let mut time = [0i64, 2_000_000_000];
    unreached(
        "clock_settime",
        sys!(libc::SYS_clock_settime, libc::CLOCK_REALTIME, time.as_mut_slice()),
        REFUSALS,
    )
}
