//! Memory of the daemon's processes, as /proc/PID/status tells it.

use crate::error::Error;
use runtime_sys::{clone::Pid, proc};
use std::path::Path;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// launcher, zygote, server, or the kernel's name for anything else.
    pub role: String,
    /// The most memory that it ever had in RAM (VmHWM), shared pages included, in KiB.
    pub peak_kib: u64,
    /// What it has now (VmRSS), shared pages included, in KiB.
    pub resident_kib: u64,
}

/// The daemon's own processes; a job that still runs would be among them.
pub fn of_daemon(launcher: u32) -> Result<Vec<Process>, Error> {
    let root = Path::new("/proc");
    let launcher = Pid(i32::try_from(launcher).unwrap_or(i32::MAX));
    let mut pids = vec![launcher];
    pids.extend(
        proc::children_of(root, launcher)
            .map_err(|source| Error::Kernel { act: "list the daemon's processes", source })?,
    );
    let mut processes = Vec::new();
    for pid in pids {
        let directory = root.join(pid.0.to_string());
        let read = |name: &str| {
            std::fs::read(directory.join(name))
                .map_err(Error::io(format!("read {name} of process {}", pid.0)))
        };
        let status = String::from_utf8_lossy(&read("status")?).into_owned();
        let field = |name| field_kib(&status, name).unwrap_or(0);
        let role = match pid == launcher {
            true => "launcher".to_owned(),
            false => role(&status, &read("cmdline")?),
        };
        processes.push(Process { role, peak_kib: field("VmHWM"), resident_kib: field("VmRSS") });
    }
    Ok(processes)
}

/// What a child of the launcher is for: the server is started with a verb of its own, the zygote names itself.
fn role(status: &str, cmdline: &[u8]) -> String {
    let mut words = cmdline.split(|byte| *byte == 0);
    let name = status.lines().find_map(|line| line.strip_prefix("Name:")).map_or("", str::trim);
    match name {
        _ if words.any(|word| word == b"__server") => "server".to_owned(),
        "runtime-zygote" => "zygote".to_owned(),
        other => other.to_owned(),
    }
}

/// A field of /proc/PID/status in KiB (proc(5) calls the unit kB); `None` when it is not there, as with a zombie.
pub fn field_kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str =
        "Name:\truntime-zygote\nVmPeak:\t    9000 kB\nVmHWM:\t    1234 kB\nVmRSS:\t     987 kB\n";

    #[test]
    fn memory_is_read_by_name() {
        assert_eq!(field_kib(STATUS, "VmHWM"), Some(1234));
        assert_eq!(field_kib(STATUS, "VmRSS"), Some(987));
        assert_eq!(field_kib(STATUS, "VmSwap"), None);
        assert_eq!(field_kib("VmHWM:\tmany kB\n", "VmHWM"), None);
    }

    #[test]
    fn processes_are_known_by_what_they_call_themselves() {
        assert_eq!(role(STATUS, b"runtime\0serve\0"), "zygote");
        assert_eq!(role("Name:\texe\n", b"/proc/self/exe\0__server\0--link-fd\0"), "server");
        assert_eq!(role("Name:\tcat\n", b"cat\0"), "cat");
    }

    #[test]
    fn this_process_has_memory() {
        let processes = of_daemon(std::process::id()).unwrap();
        assert!(processes[0].role == "launcher" && processes[0].peak_kib >= processes[0].resident_kib);
        assert!(processes[0].resident_kib > 100);
    }
}
