//! Puts together all that was left.
//!
//! What it answers holds the locks of the dead: nobody else cleans up after them meanwhile, and nobody takes their names.

use super::{Fate, Kind, Leftover, View, host, instances, leases, processes, remove::Target, sockets};
use std::{collections::BTreeSet, fs::File};

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// All leftovers, in the order of their removal.
    pub leftovers: Vec<Leftover>,
    /// What could not be looked at.
    pub errors: Vec<String>,
    /// Names of the dead.
    pub(super) dead: BTreeSet<String>,
    /// Locks of the dead.
    pub(super) locks: Vec<File>,
}

impl Found {
    /// Notes a leftover.
    pub(super) fn add(
        &mut self,
        kind: Kind,
        what: String,
        owner: (Option<&str>, Option<&str>),
        target: Target,
    ) {
        let (instance, job) = (owner.0.map(str::to_owned), owner.1.map(str::to_owned));
        self.leftovers.push(Leftover { kind, what, instance, job, fate: Fate::Left, target });
    }

    /// Notes what cannot be looked at.
    pub(super) fn check<T>(&mut self, result: Result<T, impl std::fmt::Display>) -> Option<T> {
        result.map_err(|error| self.errors.push(error.to_string())).ok()
    }

    /// The dead of whom nothing is left.
    pub fn gone(&self) -> Vec<String> {
        let is_left = |name: &&String| {
            let mut theirs =
                self.leftovers.iter().filter(|leftover| leftover.instance.as_ref() == Some(name));
            theirs.any(|leftover| leftover.fate != Fate::Removed)
        };
        self.dead.iter().filter(|name| !is_left(name)).cloned().collect()
    }
}

/// Looks at everything and changes nothing.
pub fn find(view: &View<'_>) -> Found {
    let mut found = Found::default();
    let known = instances::find(view, &mut found);
    leases::find(view, &known, &mut found);
    if view.thorough || !known.dead.is_empty() {
        host::find(view, &known, &mut found);
    }
    sockets::find(view, &known, &mut found);
    processes::name_jobs(view, &mut found);
    found.leftovers.sort_by_key(|leftover| leftover.kind);
    found
}
