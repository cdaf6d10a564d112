//! What a profile extends is merged into it: nearest wins.
//!
//! `walls`, `limits`, `env`: key by key. `mounts`: by target; a child's mount takes the place of the parent's at the same
//! target. `fixed_limits` and each plain key: the child's when it is there. `syscalls`: the child's `sets` when it is there,
//! else the parent's without `remove` and then with `add`. `description`: never inherited.

use crate::{
    digest,
    limit::{LimitName, Limits},
    profile::Profile,
    profile_file::ProfileFile,
    source::{ParseError, Place},
    suggest, syscall_merge,
    syscall_set::SyscallSet,
    wall::{Requirement, Wall},
};
use std::collections::BTreeMap;

/// Longest chain of `extends`: a reader must be able to follow it.
const EXTENDS_MAX: usize = 8;

/// The profile of that name, whole.
pub(crate) fn resolve(
    name: &str,
    files: &BTreeMap<String, ProfileFile>,
    sets: &BTreeMap<String, SyscallSet>,
) -> Result<Profile, Vec<ParseError>> {
    let chain = chain(name, files)?;
    let mut errors = Vec::new();
    let Some((own, root)) = chain.first().zip(chain.last()) else { return Err(errors) };
    let names = set_names(&chain, &mut errors);
    let syscalls = syscall_merge::merge(sets, &names).unwrap_or_else(|wrong| {
        errors.extend(wrong);
        Default::default()
    });
    if names.is_empty() {
        errors.push(lacks(&root.start, "[syscalls] sets"));
    }
    let limits = limits(&chain, &mut errors);
    let mut mounts: BTreeMap<&str, _> = BTreeMap::new();
    let mut walls: BTreeMap<Wall, Requirement> =
        Wall::ALL.into_iter().map(|wall| (wall, Requirement::Required)).collect();
    let mut env = BTreeMap::new();
    for file in chain.iter().rev() {
        mounts.extend(file.mounts.iter().map(|mount| (mount.target.as_str(), mount.clone())));
        walls.extend(&file.walls);
        env.extend(file.env.clone());
    }
    let mut needed = Needed { chain: &chain, root: &root.start, errors: &mut errors };
    let umask = needed.value("umask", |file| file.umask);
    let hostname = needed.value("hostname", |file| file.hostname.clone());
    let landlock_abi_min = needed.value("landlock_abi_min", |file| file.landlock_abi_min);
    let proc_subset_pid = needed.value("proc_subset_pid", |file| file.proc_subset_pid);
    let exec_from_writable = needed.value("exec_from_writable", |file| file.exec_from_writable);
    let fixed_limits = chain.iter().find_map(|file| file.fixed_limits.clone()).unwrap_or_default();
    let (Some(limits), true) = (limits, errors.is_empty()) else { return Err(errors) };
    let mut profile = Profile {
        name: own.name.clone(),
        description: own.description.clone(),
        // The digest is of what the profile says, wherever it came from.
        origin: String::new(),
        digest: String::new(),
        extends: chain.iter().skip(1).map(|file| file.name.clone()).collect(),
        walls,
        limits,
        fixed_limits,
        mounts: mounts.into_values().collect(),
        env,
        umask: umask.unwrap_or_default(),
        hostname: hostname.unwrap_or_default(),
        landlock_abi_min: landlock_abi_min.unwrap_or_default(),
        proc_subset_pid: proc_subset_pid.unwrap_or_default(),
        exec_from_writable: exec_from_writable.unwrap_or_default(),
        syscalls,
    };
    profile.digest = digest::of("runtime profile 1", &profile);
    profile.origin = own.origin.clone();
    Ok(profile)
}

/// The profile's file and those that it extends, nearest first.
fn chain<'f>(
    name: &str,
    files: &'f BTreeMap<String, ProfileFile>,
) -> Result<Vec<&'f ProfileFile>, Vec<ParseError>> {
    let mut chain: Vec<&ProfileFile> = Vec::new();
    let mut next = files.get(name);
    while let Some(file) = next {
        chain.push(file);
        let Some((parent, place)) = &file.extends else { return Ok(chain) };
        if chain.iter().any(|earlier| earlier.name == *parent) {
            let names: Vec<&str> =
                chain.iter().map(|file| file.name.as_str()).chain([parent.as_str()]).collect();
            let message = format!("the profiles extend each other in a circle: {}", names.join(" -> "));
            return Err(vec![place.error(message)]);
        }
        if chain.len() == EXTENDS_MAX {
            return Err(vec![place.error(format!("more than {EXTENDS_MAX} profiles extend each other"))]);
        }
        next = files.get(parent);
        if next.is_none() {
            let known: Vec<&str> = files.keys().map(String::as_str).collect();
            let hint = suggest::hint(parent, &known);
            return Err(vec![place.error(format!("there is no profile `{parent}` to extend: {hint}"))]);
        }
    }
    Ok(chain)
}

/// The names of the syscall sets, in order.
fn set_names(chain: &[&ProfileFile], errors: &mut Vec<ParseError>) -> Vec<(String, Place)> {
    let mut names: Vec<(String, Place)> = Vec::new();
    for file in chain.iter().rev() {
        if let Some(sets) = &file.syscalls.sets {
            names = Vec::new();
            sets.iter().for_each(|set| add_set(set, &mut names, errors));
        }
        for (name, place) in &file.syscalls.remove {
            let before = names.len();
            names.retain(|(earlier, _)| earlier != name);
            if names.len() == before {
                errors.push(place.error(format!("the syscall set `{name}` is not there to remove")));
            }
        }
        file.syscalls.add.iter().for_each(|set| add_set(set, &mut names, errors));
    }
    names
}

fn add_set(set: &(String, Place), names: &mut Vec<(String, Place)>, errors: &mut Vec<ParseError>) {
    if names.iter().any(|(name, _)| *name == set.0) {
        errors.push(set.1.error(format!("the syscall set `{}` is there already", set.0)));
    } else {
        names.push(set.clone());
    }
}

/// The nearest value of a key that every profile must have, or an error.
struct Needed<'a> {
    chain: &'a [&'a ProfileFile],
    root: &'a Place,
    errors: &'a mut Vec<ParseError>,
}

impl Needed<'_> {
    fn value<T>(&mut self, key: &str, get: impl Fn(&ProfileFile) -> Option<T>) -> Option<T> {
        let value = self.chain.iter().find_map(|file| get(file));
        if value.is_none() {
            self.errors.push(lacks(self.root, key));
        }
        value
    }
}

fn lacks(root: &Place, key: &str) -> ParseError {
    root.error(format!(
        "the profile lacks {key}, and extends none that has it: write it, or extends = \"default\""
    ))
}

fn limits(chain: &[&ProfileFile], errors: &mut Vec<ParseError>) -> Option<Limits> {
    let root = chain.last()?;
    let mut get = |limit: LimitName| {
        let value = chain.iter().find_map(|file| file.limits.get(&limit));
        if value.is_none() {
            errors.push(lacks(&root.start, &format!("the limit {limit}")));
        }
        value.and_then(|(value, _)| *value)
    };
    let mut always = |limit| get(limit).unwrap_or_default();
    let limits = Limits {
        memory_bytes: always(LimitName::Memory),
        swap_bytes: always(LimitName::Swap),
        cpu_millicores: always(LimitName::Cpu),
        pids: always(LimitName::Pids),
        files: always(LimitName::Files),
        output_bytes: always(LimitName::Output),
        scratch_bytes: always(LimitName::Scratch),
        scratch_inodes: always(LimitName::Inodes),
        wall_time_ms: get(LimitName::WallTime),
        cpu_time_ms: get(LimitName::CpuTime),
        idle_time_ms: get(LimitName::IdleTime),
        kill_grace_ms: 0,
    };
    let Some(kill_grace_ms) = chain.iter().find_map(|file| file.kill_grace_ms) else {
        errors.push(lacks(&root.start, "the limit kill_grace"));
        return None;
    };
    // Scratch counts as memory of the job: it must be full before the memory is.
    if limits.scratch_bytes > limits.memory_bytes / 2 && errors.is_empty() {
        let nearest = chain
            .iter()
            .find_map(|file| file.limits.get(&LimitName::Scratch).or(file.limits.get(&LimitName::Memory)));
        let message = "scratch is more than half of memory, which it counts against: the job would be killed before it hears ENOSPC";
        errors.extend(nearest.map(|(_, place)| place.error(message)));
        return None;
    }
    Some(Limits { kill_grace_ms, ..limits })
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
