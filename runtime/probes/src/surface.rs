//! Kernel surface with a history: splice, io_uring, foreign ABIs, bpf, perf, userfaultfd, personality, keyrings, AIO.

use crate::{
    kernel::{self, Arg, End, errno_name},
    sys,
    verdict::{Probe, Step, Tried, all_contained, breached, broken, contained, unreached},
};

const SECCOMP: &str = "seccomp";

/// A call whose arrival is the attack; arguments after the number are passed on, at most five.
const fn reach(id: &'static str, name: &'static str, args: &'static [i64]) -> Probe {
    Probe::new(id, name, SECCOMP, by_number).args(args)
}

pub const PROBES: &[Probe] = &[
    Probe::new("E21.splice", "splice between pipes", SECCOMP, splice),
    Probe::new("E21.tee", "tee between pipes", SECCOMP, tee),
    Probe::new("E21.vmsplice", "vmsplice into a pipe", SECCOMP, vmsplice),
    reach("E23.io_uring_setup", "io_uring_setup", &[libc::SYS_io_uring_setup]),
    reach("E23.io_uring_enter", "io_uring_enter", &[libc::SYS_io_uring_enter, -1]),
    reach("E23.io_uring_register", "io_uring_register", &[libc::SYS_io_uring_register, -1]),
    Probe::new("E24.x32", "a call by its x32 number", "-", x32)
        .fatal(libc::SIGSYS)
        .note("most kernels have no x32 (CONFIG_X86_X32_ABI), and refuse it without a filter"),
    Probe::new("E25.int80", "getpid of i386 by int 0x80", SECCOMP, int80)
        .args(&[20])
        .note("a host without CONFIG_IA32_EMULATION cannot show a breach"),
    Probe::new("E25.socketcall", "socketcall of i386 by int 0x80", SECCOMP, int80).args(&[102]),
    reach("E26.bpf", "reach bpf", &[libc::SYS_bpf, 0, 0, 8192]),
    Probe::new("E26.map_create", "create a bpf map", "seccomp,capabilities,user", bpf_map)
        .note("where kernel.unprivileged_bpf_disabled is 0 the filter alone refuses it"),
    Probe::new("E27.perf", "perf_event_open of its own user space", SECCOMP, perf)
        .note("kernel.perf_event_paranoid of 3, a patch of some distributions, refuses it besides"),
    reach("E28.userfaultfd", "userfaultfd(UFFD_USER_MODE_ONLY)", &[libc::SYS_userfaultfd, 1]),
    Probe::new("E31.read_implies_exec", "personality(READ_IMPLIES_EXEC)", SECCOMP, personality)
        .args(&[0x0040_0000]),
    Probe::new("E31.compat_layout", "personality(ADDR_COMPAT_LAYOUT)", SECCOMP, personality)
        .args(&[0x0020_0000]),
    Probe::new("E31.high", "personality(READ_IMPLIES_EXEC) with bit 32", SECCOMP, personality)
        .args(&[0x1_0040_0000]),
    Probe::new("E31.linux32", "personality(PER_LINUX32)", SECCOMP, personality).args(&[8]),
    reach("R21.add_key", "add_key", &[libc::SYS_add_key]),
    reach("R21.request_key", "request_key", &[libc::SYS_request_key]),
    reach("R21.keyctl", "keyctl: the session keyring", &[libc::SYS_keyctl, 0, -3, 0]),
    reach("R24.cachestat", "cachestat", &[451, -1, 0, 0, 0]),
    reach("R29.io_setup", "io_setup", &[libc::SYS_io_setup, 1, 0]),
    reach("R29.io_submit", "io_submit", &[libc::SYS_io_submit, 0, 1, 0]),
];

const REFUSALS: &[i32] = &[libc::EPERM, libc::ENOSYS];

fn by_number(args: &[i64]) -> Tried {
    let at = |index: usize| args.get(index).copied().unwrap_or(0);
    let outcome = sys!(args[0], at(1), at(2), at(3), at(4), at(5));
    unreached(&format!("system call {}", args[0]), outcome, REFUSALS)
}

/// A pipe with some bytes in it, and an empty one.
fn pipes() -> Result<[std::os::fd::OwnedFd; 4], crate::verdict::Broken> {
    let (full_reader, full_writer) = kernel::pipe().step("pipe")?;
    let (empty_reader, empty_writer) = kernel::pipe().step("pipe")?;
    let mut bytes = *b"probe";
    sys!(libc::SYS_write, &full_writer, bytes.as_mut_slice(), 5).step("write to a pipe")?;
    Ok([full_reader, full_writer, empty_reader, empty_writer])
}

const SPLICE_REFUSALS: &[i32] = &[libc::EINVAL, libc::EPERM, libc::ENOSYS];

fn splice(_: &[i64]) -> Tried {
    let [full, _w, _r, empty] = pipes()?;
    let answer = sys!(libc::SYS_splice, &full, 0, &empty, 0, 5, libc::SPLICE_F_NONBLOCK);
    // Between two pipes and with no offsets the kernel itself never says EINVAL.
    unreached("splice", answer, SPLICE_REFUSALS)
}

fn tee(_: &[i64]) -> Tried {
    let [full, _w, _r, empty] = pipes()?;
    unreached("tee", sys!(libc::SYS_tee, &full, &empty, 5, libc::SPLICE_F_NONBLOCK), SPLICE_REFUSALS)
}

fn vmsplice(_: &[i64]) -> Tried {
    let [_f, _w, _r, empty] = pipes()?;
    let mut page = [7u8; 64];
    let mut vector = libc::iovec { iov_base: page.as_mut_ptr().cast(), iov_len: page.len() };
    unreached("vmsplice", sys!(libc::SYS_vmsplice, &empty, Arg::record(&mut vector), 1, 0), SPLICE_REFUSALS)
}

fn x32(_: &[i64]) -> Tried {
    // Bit 30 marks x32 (arch/x86/include/uapi/asm/unistd.h).
    match sys!(libc::SYS_getpid | 0x4000_0000) {
        Ok(pid) => breached(format!("getpid by its x32 number: {pid}")),
        Err(errno) => contained(format!("getpid by its x32 number: {}", errno_name(errno))),
    }
}

#[cfg(target_arch = "x86_64")]
fn int80(args: &[i64]) -> Tried {
    let number = args[0] as i32;
    let end = kernel::run_child(|| {
        let value: i32;
        // SAFETY: int 0x80 enters the kernel with the number in eax; getpid takes no argument, and socketcall with
        // whatever ebx and ecx hold fails; the kernel keeps all registers but eax, and clears r8 to r11.
        unsafe {
            std::arch::asm!("int 0x80", inlateout("eax") number => value, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
        }
        // Any return shows that the call was done; -ENOSYS that the kernel has no such entry.
        if value == -libc::ENOSYS { 2 } else { 0 }
    });
    match end.step("fork")? {
        End::Exited(2) => contained("int 0x80: ENOSYS"),
        End::Exited(_) => breached("int 0x80 returned"),
        End::Signalled(libc::SIGSYS) => contained("killed by SIGSYS"),
        End::Signalled(libc::SIGSEGV) => contained("SIGSEGV: the kernel has no i386 entry"),
        End::Signalled(signal) => broken(format!("signal {signal}")),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn int80(_: &[i64]) -> Tried {
    contained("this machine has no int 0x80")
}

fn bpf_map(_: &[i64]) -> Tried {
    // union bpf_attr for BPF_MAP_CREATE: BPF_MAP_TYPE_ARRAY, key 4, value 4, one entry.
    let mut attributes = [2u32, 4, 4, 1];
    let outcome = sys!(libc::SYS_bpf, 0, attributes.as_mut_slice(), 16);
    unreached("bpf(BPF_MAP_CREATE)", outcome, REFUSALS)
}

fn perf(_: &[i64]) -> Tried {
    // struct perf_event_attr, first version of 64 bytes: PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK.
    let mut attributes = [0u64; 8];
    attributes[0] = 1 | (64 << 32);
    attributes[1] = 1;
    // disabled, exclude_kernel, exclude_hv: bits 0, 5 and 6 of the flags (perf_event_open(2)).
    attributes[5] = 1 | 1 << 5 | 1 << 6;
    let outcome = sys!(libc::SYS_perf_event_open, attributes.as_mut_slice(), 0, -1, -1, 8);
    unreached("perf_event_open", outcome, &[libc::EPERM, libc::EACCES, libc::ENOSYS])
}

fn personality(args: &[i64]) -> Tried {
    all_contained([unreached(
        &format!("personality({:#x})", args[0]),
        sys!(libc::SYS_personality, args[0]),
        REFUSALS,
    )])
}
