//! What the server's process can reach by itself, whatever it sends: it runs under the id that the launcher gave it.

use crate::link::Link;
use runtime_sys::{pidfd, process};
use std::{
    fs::{self, File, OpenOptions},
    os::fd::AsFd,
    process::Command,
};

/// signal(7).
const SIGSTOP: i32 = 19;

/// Tries and tells: `LABEL: refused` or `LABEL: REACHED`.
pub fn try_everything(link: &mut Link) {
    let launcher = process::parent_pid();
    let proc = |pid: u32, name: &str| format!("/proc/{pid}/{name}");
    let launcher_number = launcher.0.unsigned_abs();
    let below_launcher: Vec<u32> =
        runtime_tests::descendants(launcher_number).iter().map(|process| process.pid).collect();
    let others = below_launcher.iter().copied().filter(|pid| *pid != std::process::id());
    for pid in std::iter::once(launcher_number).chain(others) {
        for name in ["mem", "environ", "maps"] {
            tell(link, &format!("read {name} of another"), File::open(proc(pid, name)).is_ok());
        }
        tell(link, "list fds of another", fs::read_dir(proc(pid, "fd")).is_ok());
        tell(link, "enter the root of another", fs::read_dir(proc(pid, "root/")).is_ok());
    }
    tell(link, "read /etc/shadow", File::open("/etc/shadow").is_ok());
    for path in ["/etc/passwd", "/proc/sys/kernel/core_pattern", "/usr/bin/env"] {
        tell(link, &format!("write {path}"), OpenOptions::new().write(true).open(path).is_ok());
    }
    tell(link, "read root's home", fs::read_dir("/root").is_ok());
    tell(link, "list leases", OpenOptions::new().write(true).open("/run/runtime/slots/0").is_ok());
    let stopped = pidfd::open(launcher).is_ok_and(|pidfd| pidfd::send_signal(pidfd.as_fd(), SIGSTOP).is_ok());
    tell(link, "stop the launcher", stopped);
    // A program that root may run as root is run as this server's uid, and set-id bits do nothing.
    let id = Command::new("/usr/bin/id").arg("-u").output();
    let id = id.map_or_else(
        |error| error.to_string(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    );
    link.say(&format!("exec runs as: {}", id.trim()));
    for line in fs::read_to_string("/proc/self/status").expect("its own status").lines() {
        if ["Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:"].iter().any(|name| line.starts_with(name)) {
            link.say(&line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}

fn tell(link: &mut Link, act: &str, reached: bool) {
    link.say(&format!("{act}: {}", if reached { "REACHED" } else { "refused" }));
}
