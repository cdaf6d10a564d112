//! Reading the operator's files again (SIGHUP): all of them, with the same checks as at the start, and all or nothing. Jobs that run keep their plans.

use crate::launcher::{Launcher, LauncherError, say::say, settings};
use runtime_plan::{facts::HostPath, library::Library, link::ToServer, policy::Policy};
use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
};

/// Where the files are.
#[derive(Debug)]
pub struct Sources {
    /// Profiles; built-in ones are overridden by name.
    pub profiles: Option<PathBuf>,
    /// Policies.
    pub policies: Option<PathBuf>,
}

/// What was read.
#[derive(Debug)]
pub struct Reread {
    /// The profiles.
    pub library: Library,
    /// The policy.
    pub policy: Policy,
    /// What lies at the host paths that the profiles name.
    pub paths: BTreeMap<String, HostPath>,
}

impl Launcher {
    /// Reads again, and tells the server. A file that is no good is told, and nothing changes.
    pub fn reload(&mut self) {
        if self.quiet {
            return;
        }
        match self.read_again() {
            Ok(()) => say("read profiles and policies again"),
            Err(error) => say(&format!("profiles and policies stay as they were: {error}")),
        }
    }

    fn read_again(&mut self) -> Result<(), LauncherError> {
        let Reread { library, policy, paths } = settings::read_again(&self.sources)?;
        let digests: HashSet<&str> = library.profiles().map(|profile| profile.digest.as_str()).collect();
        // What a profile that is no more needed is compiled again when it comes back.
        self.filters.retain(|digest, _| digests.contains(digest.as_str()));
        self.library = library;
        self.policy = policy;
        self.facts.paths = paths;
        let rules = Box::new(self.rules());
        self.tell(&ToServer::Reloaded(rules), Vec::new());
        Ok(())
    }
}
