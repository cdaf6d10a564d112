//! What the job can learn: other processes, kernel addresses, the host's hardware, paths and names.

use crate::{
    fact,
    kernel::{self, errno_name},
    proc::visible_pids,
    sys,
    verdict::{Probe, Step, Tried, breached, breached_if, broken, contained},
};
use std::os::unix::fs::{FileExt, MetadataExt};

pub const PROBES: &[Probe] = &[
    Probe::new("I01.environ", "read the environment of pid 1", "-", read_of_pid1)
        .args(&[0])
        .note("pid 1 is not dumpable and of another uid, and on a host it is root's"),
    Probe::new("I01.cmdline", "read the command line of pid 1", "pid", read_of_pid1)
        .args(&[1])
        .note("the private /proc has hidepid=invisible"),
    Probe::new("I01.others", "see processes of another uid", "pid", others),
    Probe::new("I02.kernel_threads", "see kernel threads", "pid", kernel_threads),
    Probe::new("I02.host_pid", "see a process of the host", "pid", host_pid)
        .needs(&["PROBE_HOST_PID"])
        .note("PROBE_HOST_PID: a pid of the host above any that a job gets"),
    Probe::new("I03.kallsyms", "read kernel addresses", "masked_proc,capabilities,user", addresses)
        .args(&[0])
        .note("without CAP_SYSLOG of the host the addresses read zero"),
    Probe::new("I03.iomem", "read physical addresses of devices", "masked_proc,capabilities,user", addresses)
        .args(&[1])
        .note("as I03.kallsyms"),
    Probe::new("I03.pagemap", "read page frame numbers", "capabilities,user", pagemap),
    Probe::new("I03.dmesg", "read the kernel's log", "seccomp,capabilities,user", dmesg)
        .note("where kernel.dmesg_restrict is 0 the filter alone refuses it"),
    Probe::new("I03.memory_nodes", "open kcore, kmsg, kpagecount, kpageflags for reading", "-", memory_nodes)
        .note("all belong to the host's root and are 0400"),
    Probe::new("I04.mountinfo", "a path or name of the host is in the mount table", "-", mountinfo)
        .needs(&["PROBE_HOST_TEXT"])
        .note("PROBE_HOST_TEXT: a text of the host, such as the state directory's path; no switch changes what is mounted"),
    Probe::new("I04.partitions", "read the partitions of the host", "masked_proc", partitions),
    Probe::new("I05.sys", "/sys tells of the hardware", "mount", sys_tree),
    Probe::new("I05.dmi", "read serial numbers", "mount", dmi).note("0400 files need the host's root besides"),
];

fn read_of_pid1(args: &[i64]) -> Tried {
    let path = ["/proc/1/environ", "/proc/1/cmdline"][args[0] as usize];
    if std::process::id() == 1 {
        return broken("this process is pid 1");
    }
    match std::fs::read(path) {
        Ok(bytes) if bytes.is_empty() => contained(format!("{path} is empty")),
        Ok(bytes) => breached(format!("{path}: {} bytes", bytes.len())),
        Err(error) => contained(format!("{path}: {error}")),
    }
}

fn others(_: &[i64]) -> Tried {
    // SAFETY: geteuid(2) takes nothing.
    let own = unsafe { libc::geteuid() };
    let pids = visible_pids()?;
    let foreign = pids
        .iter()
        .filter(|pid| std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|facts| facts.uid() != own))
        .count();
    breached_if(foreign > 0, format!("{} processes visible, {foreign} of another uid", pids.len()))
}

fn kernel_threads(_: &[i64]) -> Tried {
    let pids = visible_pids()?;
    let threads = pids
        .iter()
        .filter(|pid| {
            // The ninth field of stat, after the name in parentheses, is flags; PF_KTHREAD is 0x200000 (proc_pid_stat(5)).
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let flags =
                stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(6)?.parse::<u64>().ok());
            flags.is_some_and(|flags| flags & 0x20_0000 != 0)
        })
        .count();
    breached_if(threads > 0, format!("{} processes visible, {threads} kernel threads", pids.len()))
}

fn host_pid(_: &[i64]) -> Tried {
    let pid: i32 = fact("PROBE_HOST_PID")?.parse().map_err(|_| "PROBE_HOST_PID is no number".to_owned())?;
    let in_proc = std::path::Path::new(&format!("/proc/{pid}")).exists();
    match sys!(libc::SYS_kill, pid, 0) {
        Err(libc::ESRCH) => breached_if(in_proc, format!("kill({pid}, 0): ESRCH, in /proc: {in_proc}")),
        // Both say that there is such a process in this pid namespace.
        Ok(_) => breached(format!("kill({pid}, 0) succeeded")),
        Err(errno) => breached(format!("kill({pid}, 0): {}, in /proc: {in_proc}", errno_name(errno))),
    }
}

fn addresses(args: &[i64]) -> Tried {
    let path = ["/proc/kallsyms", "/proc/iomem"][args[0] as usize];
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return contained(format!("{path}: {error}")),
    };
    let telling = text.lines().filter(|line| {
        let address: String = line.trim_start().chars().take_while(char::is_ascii_hexdigit).collect();
        let end = line.split('-').nth(1).unwrap_or("0").chars().take_while(char::is_ascii_hexdigit);
        let end: String = if path.ends_with("iomem") { end.collect() } else { "0".to_owned() };
        [address, end].iter().any(|number| number.bytes().any(|digit| digit != b'0'))
    });
    let (lines, telling) = (text.lines().count(), telling.count());
    breached_if(telling > 0, format!("{path}: {lines} lines, {telling} with an address"))
}

fn pagemap(_: &[i64]) -> Tried {
    let file = match std::fs::File::open("/proc/self/pagemap") {
        Ok(file) => file,
        Err(error) => return contained(format!("/proc/self/pagemap: {error}")),
    };
    let word = 7u64;
    let mut entry = [0u8; 8];
    // SAFETY: sysconf(3) takes a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
    let address = std::ptr::from_ref(&word) as u64;
    file.read_exact_at(&mut entry, address / page * 8).step("read of /proc/self/pagemap")?;
    // Bits 0 to 54 are the page frame number, bit 63 says that the page is present.
    let entry = u64::from_ne_bytes(entry);
    breached_if(entry & ((1 << 55) - 1) != 0, format!("entry of its own stack {entry:#x}, {word} bits"))
}

fn dmesg(_: &[i64]) -> Tried {
    let mut log = [0u8; 4096];
    // SYSLOG_ACTION_READ_ALL (syslog(2)).
    match sys!(libc::SYS_syslog, 3, log.as_mut_slice(), 4096) {
        Ok(length) => breached(format!("{length} bytes of the kernel's log")),
        Err(errno @ (libc::EPERM | libc::ENOSYS)) => contained(format!("syslog: {}", errno_name(errno))),
        Err(errno) => broken(format!("syslog: {}", errno_name(errno))),
    }
}

fn memory_nodes(_: &[i64]) -> Tried {
    let paths = [
        "/proc/kcore",
        "/proc/kmsg",
        "/proc/kpagecount",
        "/proc/kpageflags",
        "/proc/vmallocinfo",
        "/dev/mem",
    ];
    let mut open = Vec::new();
    for path in paths {
        if let Ok(facts) = std::fs::metadata(path)
            && facts.rdev() != libc::makedev(1, 3)
            && kernel::open(path, libc::O_RDONLY | libc::O_NONBLOCK, 0).is_ok()
        {
            open.push(path);
        }
    }
    breached_if(!open.is_empty(), format!("of {} files, opened: {open:?}", paths.len()))
}

fn mountinfo(_: &[i64]) -> Tried {
    let wanted = fact("PROBE_HOST_TEXT")?;
    let mut found = Vec::new();
    for path in ["/proc/self/mountinfo", "/proc/self/mounts", "/proc/self/mountstats"] {
        match std::fs::read_to_string(path) {
            Ok(text) if text.contains(&wanted) => found.push(path),
            Ok(_) => {}
            Err(error) if path.ends_with("mountinfo") => return broken(format!("{path}: {error}")),
            Err(_) => {}
        }
    }
    breached_if(!found.is_empty(), format!("the text is in {found:?}"))
}

fn partitions(_: &[i64]) -> Tried {
    match std::fs::read_to_string("/proc/partitions") {
        Ok(text) => breached_if(!text.trim().is_empty(), format!("{} lines", text.lines().count())),
        Err(error) => contained(format!("/proc/partitions: {error}")),
    }
}

fn sys_tree(_: &[i64]) -> Tried {
    // A private /sys/devices/system/cpu is allowed: some runtimes count processors there.
    let paths = ["class", "block", "bus", "kernel", "firmware", "module", "power", "fs", "devices/virtual"];
    let found: Vec<_> =
        paths.iter().filter(|path| std::fs::metadata(format!("/sys/{path}")).is_ok()).collect();
    breached_if(!found.is_empty(), format!("below /sys: {found:?}"))
}

fn dmi(_: &[i64]) -> Tried {
    let paths = [
        "/sys/class/dmi/id/sys_vendor",
        "/sys/class/dmi/id/product_serial",
        "/sys/class/net/eth0/address",
        "/sys/block/vda/size",
        "/sys/kernel/uevent_seqnum",
    ];
    let open: Vec<_> = paths.iter().filter(|path| std::fs::read(path).is_ok()).collect();
    breached_if(!open.is_empty(), format!("of {} files, read: {open:?}", paths.len()))
}
