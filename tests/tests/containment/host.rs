//! Where kernels differ: walls that must be off besides before a probe succeeds here, and probes that a wall of this kernel is
//! too old for.

use crate::probes::Probe;
use runtime_tests::Who;
use std::fs;

/// First release in which open_by_handle_at(2) asks for a capability over the mount's user namespace, not the host's.
const HANDLES_BY_NAMESPACE: (u32, u32) = (6, 11);
/// perf_event_paranoid from here on refuses everybody without a capability of the host (a patch of Debian and others).
const PERF_FOR_NOBODY: u32 = 3;
/// First landlock ABI that scopes signals.
const ABI_SCOPES: i32 = 6;

/// The walls that the probe names, and what this host needs off besides.
pub fn walls(probe: &Probe) -> Vec<String> {
    let more: &[&str] = match probe.id.as_str() {
        "E10.open_by_handle_at" if release() < HANDLES_BY_NAMESPACE => &["user"],
        "E27.perf" if perf_paranoia() >= PERF_FOR_NOBODY => &["capabilities", "user"],
        _ => &[],
    };
    let mut walls = probe.walls.clone();
    for wall in more {
        if !walls.iter().any(|named| named == wall) {
            walls.push((*wall).to_owned());
        }
    }
    walls
}

/// Why a probe says nothing of the walls here.
pub fn not_tried(probe: &Probe, who: Who) -> Option<&'static str> {
    let scoped = ["E39.signal_pid1", "E39.pidfd_pid1"].contains(&probe.id.as_str());
    if who == Who::User && probe.walls.iter().any(|wall| wall == "uid_per_job") {
        Some("without root every job has the caller's uid: there is no such wall")
    } else if who == Who::User && scoped && runtime_sys::landlock::abi() < ABI_SCOPES {
        Some(
            "rootless pid 1 has the job's uid, this kernel's landlock scopes no signals, and pid 1 ignores them",
        )
    } else {
        None
    }
}

fn release() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

fn perf_paranoia() -> u32 {
    let text = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}
