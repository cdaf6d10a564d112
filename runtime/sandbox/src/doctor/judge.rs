//! From what was seen to findings: one pure function per thing, in one table, in the order of reports.
//!
//! It must not read, try or change anything. A finding is broken only for a wall that the profile cannot do
//! without on this host; a thing that only weakens a host, or that a job's filter refuses anyway, warns.

mod control_groups;
mod ids;
mod kernel;
mod namespaces;
mod settings;
mod storage;
#[cfg(test)]
mod tests;

use runtime_plan::doctor::{Finding, FindingState};
use runtime_plan::wall::Wall;

use super::Needs;
use super::observe::Observations;

pub use namespaces::apparmor_profile;

/// Looks at one thing.
type Check = fn(&Observations, &Needs) -> Finding;

/// Every check that is a function of its own, in the order of reports. The settings that need nothing but
/// a comparison follow, from a table of their own.
const CHECKS: [Check; 26] = [
    kernel::release,
    namespaces::kinds,
    namespaces::user_namespaces,
    namespaces::apparmor,
    namespaces::limits,
    namespaces::proc_mount,
    namespaces::proc_hidepid,
    kernel::landlock,
    kernel::landlock_errata,
    kernel::seccomp,
    kernel::modules,
    control_groups::hierarchy,
    control_groups::unified,
    control_groups::swap,
    ids::capabilities,
    ids::uid_range,
    ids::map_helpers,
    ids::supplementary_groups,
    storage::devices,
    storage::profile_paths,
    storage::idmap,
    storage::quota,
    settings::core_pattern,
    settings::ptrace_scope,
    settings::cpu_vulnerabilities,
    settings::clock,
];

/// Every finding, in a fixed order.
pub fn judge(seen: &Observations, needs: &Needs) -> Vec<Finding> {
    let own = CHECKS.iter().map(|check| check(seen, needs));
    own.chain(settings::compared(seen)).collect()
}

/// A finding in the making: its name and its wall.
#[derive(Clone, Copy)]
struct Subject {
    name: &'static str,
    wall: Option<Wall>,
}

const fn of(wall: Wall, name: &'static str) -> Subject {
    Subject { name, wall: Some(wall) }
}

const fn of_host(name: &'static str) -> Subject {
    Subject { name, wall: None }
}

impl Subject {
    fn ok(self, seen: impl Into<String>) -> Finding {
        self.finding(FindingState::Ok, seen.into(), String::new(), String::new())
    }

    fn warning(self, seen: impl Into<String>, breaks: impl Into<String>, mend: impl Into<String>) -> Finding {
        self.finding(FindingState::Warning, seen.into(), breaks.into(), mend.into())
    }

    /// As bad as the lack of its wall is.
    fn without_wall(
        self,
        (observations, needs): (&Observations, &Needs),
        seen: impl Into<String>,
        breaks: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        let rootful = observations.facts.rootful;
        let state = self.wall.map_or(FindingState::Broken, |wall| needs.without(wall, rootful));
        self.finding(state, seen.into(), breaks.into(), mend.into())
    }

    fn finding(self, state: FindingState, seen: String, breaks: String, mend: String) -> Finding {
        Finding { name: self.name.to_owned(), wall: self.wall, state, seen, breaks, mend }
    }
}

/// The command that sets a setting now and at each boot. `key` is in the words of sysctl(8).
fn set(key: &str, value: &str) -> String {
    format!("echo '{key} = {value}' >>/etc/sysctl.d/90-runtime.conf && sysctl -w {key}={value}")
}
