//! Says of this host what each wall needs, how it is, what breaks, and what mends it.
//!
//! Two halves that do not mix: [`observe`] reads and tries, [`judge`] turns what was seen into findings
//! and touches nothing. It must not change the host, and a mend is text: nobody runs it but a person.

pub mod judge;
pub mod observe;

use std::collections::BTreeMap;
use std::path::Path;

use runtime_plan::doctor::{Finding, FindingState};
use runtime_plan::facts::HostFacts;
use runtime_plan::profile::Profile;
use runtime_plan::wall::{Requirement, Wall};
use runtime_sys::clone::SingleThreaded;

use crate::host::attempt::{Attempt, try_namespaces};
use crate::host::root::HostRoot;
use crate::host::{HostError, add_attempt};
use observe::Observations;

/// What a profile needs of a host: the part of it that the doctor reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// How badly each wall is wanted; one that is not listed counts as required.
    pub walls: BTreeMap<Wall, Requirement>,
    /// Lowest Landlock ABI that will do.
    pub landlock_abi_min: u32,
    /// Host paths without which the profile does not start.
    pub paths: Vec<String>,
}

impl From<&Profile> for Needs {
    fn from(profile: &Profile) -> Needs {
        let required = profile.mounts.iter().filter(|mount| !mount.optional);
        Needs {
            walls: profile.walls.clone(),
            landlock_abi_min: profile.landlock_abi_min,
            paths: required.map(|mount| mount.source.clone()).collect(),
        }
    }
}

impl Needs {
    /// How bad it is when a wall cannot stand.
    pub fn without(&self, wall: Wall, rootful: bool) -> FindingState {
        let requirement = self.walls.get(&wall).copied().unwrap_or(Requirement::Required);
        if requirement.binds(rootful) { FindingState::Broken } else { FindingState::Warning }
    }
}

/// The host ids from which jobs get theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UidRange {
    /// The first id.
    pub first: u32,
    /// How many, at least 1.
    pub count: u32,
}

impl UidRange {
    /// Whether ids from `first` on, `count` of them, are also ours.
    pub fn overlaps(&self, first: u64, count: u64) -> bool {
        let (own_first, own_count) = (u64::from(self.first), u64::from(self.count));
        count > 0 && first < own_first + own_count && own_first < first.saturating_add(count)
    }
}

/// What the doctor has to know besides the host.
#[derive(Debug)]
pub struct Context<'a> {
    /// What the default profile needs.
    pub needs: &'a Needs,
    /// The jobs' host ids.
    pub uids: UidRange,
    /// The state directory; it need not exist yet.
    pub state_dir: &'a Path,
    /// With it the doctor makes its attempts (a child in namespaces, an id map: a few milliseconds);
    /// without it settings must do.
    pub attempts: Option<&'a SingleThreaded>,
}

/// Examines the host: every finding in a fixed order, and whether the default profile can run.
///
/// # Errors
/// When who we are cannot be read, or an attempt could not even be made.
pub fn examine(
    root: &HostRoot,
    facts: &HostFacts,
    context: &Context<'_>,
) -> Result<(Vec<Finding>, bool), HostError> {
    let mut facts = facts.clone();
    let attempt = context.attempts.map(|proof| attempt(&mut facts, proof, context.uids)).transpose()?;
    let seen = Observations::read(root, facts, attempt, context)?;
    let findings = judge::judge(&seen, context.needs);
    let runs = default_profile_runs(&findings);
    Ok((findings, runs))
}

fn attempt(facts: &mut HostFacts, proof: &SingleThreaded, uids: UidRange) -> Result<Attempt, HostError> {
    let outcome = try_namespaces(proof, facts.rootful.then_some(uids.first))?;
    add_attempt(facts, outcome);
    Ok(outcome)
}

/// A finding is broken only for what the default profile cannot do without on this host.
pub fn default_profile_runs(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.state != FindingState::Broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_overlap_at_their_ends_and_do_not_beside_them() {
        let range = UidRange { first: 1000, count: 10 };
        assert!(range.overlaps(1009, 1) && range.overlaps(0, 1001) && range.overlaps(0, u64::MAX));
        assert!(!range.overlaps(1010, 5) && !range.overlaps(0, 1000) && !range.overlaps(1005, 0));
    }

    #[test]
    fn a_wall_that_is_required_when_rootful_only_warns_without_root() {
        let walls = BTreeMap::from([(Wall::Cgroup, Requirement::RequiredWhenRootful)]);
        let needs = Needs { walls, landlock_abi_min: 1, paths: vec![] };
        assert_eq!(needs.without(Wall::Cgroup, true), FindingState::Broken);
        assert_eq!(needs.without(Wall::Cgroup, false), FindingState::Warning);
        assert_eq!(needs.without(Wall::Seccomp, false), FindingState::Broken, "not listed is required");
    }
}
