//! `runtime profile show`: what a profile resolves to, everything that it extends merged in.

use std::collections::BTreeMap;

use runtime_plan::limit::{LimitName, Limits};
use runtime_plan::profile::{Answer, Profile, SyscallPolicy};
use runtime_plan::quantity::show_duration;
use runtime_plan::wall::{Requirement, Wall};
use serde_json::Value;

use crate::error::Error;
use crate::text::escape;

/// Everything, in the field names of the planner.
pub fn json(profile: &Profile) -> Result<Value, Error> {
    serde_json::to_value(profile)
        .map_err(|error| Error::Protocol { what: format!("the profile is no JSON ({error})") })
}

/// Everything, in the form of a profile's file.
pub fn text(profile: &Profile) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&escape::line(&line));
        text.push('\n');
    };
    line(format!("# {} ({}), digest {}", profile.name, profile.origin, profile.digest));
    line(format!("description = {:?}", profile.description));
    line(format!("extends = {:?}", profile.extends));
    line(format!("hostname = {:?}", profile.hostname));
    line(format!("umask = 0o{:03o}", profile.umask));
    line(format!("landlock_abi_min = {}", profile.landlock_abi_min));
    line(format!("proc_subset_pid = {}", profile.proc_subset_pid));
    line(format!("exec_from_writable = {}", profile.exec_from_writable));
    line(String::new());
    line("[limits]".to_owned());
    for (name, value) in limits(&profile.limits) {
        let fixed =
            if profile.fixed_limits.contains(&name) { "  # fixed: callers may not change it" } else { "" };
        line(format!("{name} = {value:?}{fixed}"));
    }
    line(format!("kill_grace = {:?}", show_duration(profile.limits.kill_grace_ms)));
    line(String::new());
    line("[walls]".to_owned());
    for wall in Wall::ALL {
        line(format!("{wall} = {:?}", requirement(profile.walls.get(&wall).copied().unwrap_or_default())));
    }
    line(String::new());
    line("[env]".to_owned());
    for (name, value) in &profile.env {
        line(format!("{name} = {value:?}"));
    }
    for mount in &profile.mounts {
        line(String::new());
        line("[[mounts]]".to_owned());
        line(format!("source = {:?}", mount.source));
        line(format!("target = {:?}", mount.target));
        line(format!("optional = {}", mount.optional));
        line(format!("exec = {}", mount.exec));
    }
    line(String::new());
    line(format!(
        "[syscalls]  # sets: {}; what is not named is answered EPERM",
        profile.syscalls.sets.join(", ")
    ));
    for (answer, names) in by_answer(&profile.syscalls) {
        line(format!("{answer} = {names:?}"));
    }
    text
}

fn limits(limits: &Limits) -> Vec<(LimitName, String)> {
    let value = |name: LimitName| {
        let amount = match name {
            LimitName::WallTime => limits.wall_time_ms,
            LimitName::CpuTime => limits.cpu_time_ms,
            LimitName::IdleTime => limits.idle_time_ms,
            LimitName::Memory => Some(limits.memory_bytes),
            LimitName::Swap => Some(limits.swap_bytes),
            LimitName::Cpu => Some(limits.cpu_millicores),
            LimitName::Pids => Some(limits.pids),
            LimitName::Files => Some(limits.files),
            LimitName::Output => Some(limits.output_bytes),
            LimitName::Scratch => Some(limits.scratch_bytes),
            LimitName::Inodes => Some(limits.scratch_inodes),
        };
        (name, amount.map_or_else(|| "none".to_owned(), |amount| name.show(amount)))
    };
    LimitName::ALL.map(value).to_vec()
}

const fn requirement(requirement: Requirement) -> &'static str {
    match requirement {
        Requirement::Required => "required",
        Requirement::RequiredWhenRootful => "required-when-rootful",
        Requirement::Optional => "optional",
    }
}

/// System calls by what they are answered; those with exceptions by argument have a `*`.
fn by_answer(policy: &SyscallPolicy) -> BTreeMap<String, Vec<String>> {
    let mut answers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in policy.entries.values() {
        let answer = match entry.answer {
            Answer::Allow => "allow".to_owned(),
            Answer::Errno(number) => runtime_sys::Errno(i32::from(number)).name().to_owned(),
        };
        let star = if entry.rules.is_empty() { "" } else { "*" };
        answers.entry(answer).or_default().push(format!("{}{star}", entry.name));
    }
    answers.values_mut().for_each(|names| names.sort());
    answers
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_plan::library::Library;

    #[test]
    fn the_default_profile_shows_limits_walls_and_calls() {
        let library = Library::built_in().unwrap();
        let text = text(library.profile("default").unwrap());
        for part in [
            "[limits]\n",
            "memory = \"1GiB\"",
            "[walls]\n",
            "seccomp = \"required\"",
            "allow = [",
            "cgroup = \"required-when-rootful\"",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
        for wall in Wall::ALL {
            assert!(text.contains(&format!("\n{wall} = ")), "{wall}");
        }
    }

    #[test]
    fn json_has_every_field() {
        let library = Library::built_in().unwrap();
        let value = json(library.profile("default").unwrap()).unwrap();
        for field in ["name", "digest", "limits", "walls", "mounts", "syscalls", "env"] {
            assert!(value.get(field).is_some(), "{field}");
        }
    }
}
