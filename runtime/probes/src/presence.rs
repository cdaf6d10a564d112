//! What must be there: namespaces other than the host's, `lo`, a host name, pid 1, /proc, places to write, threads.

use crate::{
    fact,
    kernel::{self, Scratch, errno_name},
    sys,
    verdict::{Probe, Step, Tried, breached, breached_if, broken, contained},
};

const HOST_NS: &[&str] = &["PROBE_HOST_NS"];

pub const PROBES: &[Probe] = &[
    Probe::new("P01.user", "the user namespace is not the host's", "user", namespace).args(&[0]),
    Probe::new("P01.pid", "the pid namespace is not the host's", "pid", namespace).args(&[1]),
    Probe::new("P01.ipc", "the ipc namespace is not the host's", "ipc", namespace).args(&[2]),
    Probe::new("P01.uts", "the uts namespace is not the host's", "uts", namespace).args(&[3]),
    Probe::new("P01.cgroup", "the cgroup namespace is not the host's", "cgroup_namespace", namespace)
        .args(&[4]),
    Probe::new("P01.mnt", "the mount namespace is not the host's", "mount", namespace)
        .args(&[5])
        .needs(HOST_NS)
        .note(
            "PROBE_HOST_NS: links of the host's /proc/self/ns/*, comma separated, such as mnt:[4026531832]",
        ),
    Probe::new("P01.net", "the network namespace is not the host's", "net", namespace)
        .args(&[6])
        .needs(HOST_NS),
    Probe::new("P02.lo", "lo is there and up", "-", loopback_up)
        .note("a positive: without the net wall lo is the host's, and up too"),
    Probe::new("P03.hostname", "the host name is not the host's", "uts", hostname)
        .needs(&["PROBE_HOST_HOSTNAME"])
        .note("PROBE_HOST_HOSTNAME: the host's name"),
    Probe::new("P04.pid1", "pid 1 exists and is not the job", "-", pid_one)
        .note("a positive: there is a pid 1 on a host too"),
    Probe::new("P05.proc", "/proc is mounted and knows this process", "-", proc_mounted).note("a positive"),
    Probe::new("P06.writable", "/tmp, /workspace and /dev/shm are writable", "-", writable)
        .note("a positive"),
    Probe::new("P07.threads", "threads can be made", "-", threads)
        .note("a positive: clone3 is refused, clone is not"),
    Probe::new("P08.fifo", "mkfifo works", "-", fifo).note("a positive: only devices are refused"),
    Probe::new("P09.no_aslr", "personality(ADDR_NO_RANDOMIZE) works", "-", no_randomize)
        .note("a positive: debuggers and sanitizers need it"),
    Probe::new("P10.reopen_stdout", "/dev/stdout can be opened again", "-", reopen_stdout)
        .note("a positive: the pipes belong to the job's uid; programs that log to /dev/stdout need it"),
];

/// Names below /proc/self/ns, and the inode of the initial one (include/uapi/linux/nsfs.h, 6.18).
const NAMESPACES: [(&str, Option<u32>); 7] = [
    ("user", Some(0xEFFF_FFFD)),
    ("pid", Some(0xEFFF_FFFC)),
    ("ipc", Some(0xEFFF_FFFF)),
    ("uts", Some(0xEFFF_FFFE)),
    ("cgroup", Some(0xEFFF_FFFB)),
    // These two have a fixed number only in recent kernels: the harness tells.
    ("mnt", None),
    ("net", None),
];

fn namespace(args: &[i64]) -> Tried {
    let (name, initial) = NAMESPACES[args[0] as usize];
    let link = std::fs::read_link(format!("/proc/self/ns/{name}")).step("readlink of the namespace")?;
    let link = link.to_string_lossy();
    let of_host = match fact("PROBE_HOST_NS") {
        Ok(links) => links.split(',').any(|host| host == link),
        Err(missing) => match initial {
            Some(inode) => link == format!("{name}:[{inode}]"),
            None => return Err(missing),
        },
    };
    breached_if(of_host, link)
}

fn loopback_up(_: &[i64]) -> Tried {
    // SAFETY: an all-zero ifreq is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    let socket = sys!(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)
        .map(kernel::owned)
        .step("socket")?;
    sys!(libc::SYS_ioctl, &socket, libc::SIOCGIFFLAGS, kernel::Arg::record(&mut request))
        .step("SIOCGIFFLAGS of lo")?;
    // SAFETY: SIOCGIFFLAGS has filled this member of the union.
    let flags = i32::from(unsafe { request.ifr_ifru.ifru_flags });
    breached_if(flags & libc::IFF_UP == 0, format!("flags of lo: {flags:#x}"))
}

fn hostname(_: &[i64]) -> Tried {
    let host = fact("PROBE_HOST_HOSTNAME")?;
    // struct utsname: six fields of 65 bytes, the node name second (uname(2)).
    let mut names = [0u8; 6 * 65];
    sys!(libc::SYS_uname, names.as_mut_slice()).step("uname")?;
    let name: Vec<u8> = names[65..].iter().copied().take_while(|byte| *byte != 0).collect();
    let name = String::from_utf8_lossy(&name);
    breached_if(name == host, format!("host name {name}"))
}

fn pid_one(_: &[i64]) -> Tried {
    if std::process::id() == 1 {
        return breached("this process is pid 1");
    }
    match sys!(libc::SYS_kill, 1, 0) {
        Ok(_) => contained("pid 1 exists"),
        Err(libc::EPERM) => contained("pid 1 exists and may not be signalled"),
        Err(errno) => broken(format!("kill(1, 0): {}", errno_name(errno))),
    }
}

fn proc_mounted(_: &[i64]) -> Tried {
    let link = std::fs::read_link("/proc/self").step("readlink /proc/self")?;
    breached_if(
        link.to_string_lossy() != std::process::id().to_string(),
        format!("/proc/self is {}, getpid is {}", link.display(), std::process::id()),
    )
}

fn writable(_: &[i64]) -> Tried {
    for place in ["/tmp", "/workspace", "/dev/shm"] {
        Scratch::in_place(std::path::Path::new(place)).step(place)?;
    }
    contained("a directory was made and removed in each")
}

fn threads(_: &[i64]) -> Tried {
    match std::thread::Builder::new().spawn(|| 7).map(std::thread::JoinHandle::join) {
        Ok(Ok(7)) => contained("a thread ran"),
        Ok(other) => broken(format!("a thread gave {other:?}")),
        Err(error) => breached(format!("pthread_create: {error}")),
    }
}

fn fifo(_: &[i64]) -> Tried {
    let scratch = Scratch::new()?;
    let path = kernel::text(scratch.join("fifo"));
    match sys!(libc::SYS_mknodat, libc::AT_FDCWD, &path, libc::S_IFIFO | 0o600, 0) {
        Ok(_) => contained("a fifo was made"),
        Err(errno) => breached(format!("mknod of a fifo: {}", errno_name(errno))),
    }
}

fn no_randomize(_: &[i64]) -> Tried {
    match sys!(libc::SYS_personality, libc::ADDR_NO_RANDOMIZE) {
        Ok(_) => contained("accepted"),
        Err(errno) => breached(format!("personality(ADDR_NO_RANDOMIZE): {}", errno_name(errno))),
    }
}

fn reopen_stdout(_: &[i64]) -> Tried {
    match kernel::open("/dev/stdout", libc::O_WRONLY | libc::O_APPEND | libc::O_NOCTTY, 0) {
        Ok(_) => contained("opened"),
        Err(errno) => breached(format!("/dev/stdout: {}", errno_name(errno))),
    }
}
