//! Who may ask for what: the ceilings of an operator.

use crate::{
    built_in,
    limit::{LimitName, LimitRequest},
    policy_file,
    source::{ParseErrors, SourceFile},
};
use serde::{Deserialize, Serialize};

/// What one kind of caller may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Where it came from: `built-in` or the file's path.
    pub origin: String,
    /// SHA-256 of what it says, lower-case hex.
    pub digest: String,
    /// Profiles that may be used; `None` is every one.
    pub profiles: Option<Vec<String>>,
    /// No limit may be above these; `None` is unbounded.
    pub ceilings: LimitRequest,
    /// Limits that must be set (a job without one is refused): none as shipped.
    pub must_set: Vec<LimitName>,
    /// Jobs that run at the same time.
    pub jobs_running_max: u32,
    /// Jobs that wait for their turn.
    pub jobs_queued_max: u32,
    /// `--dir` of the embedded form is allowed.
    pub host_directory: bool,
}

/// Reads a policy's file; its stem is the policy's name. Fails with everything that is wrong in it.
pub fn parse(file: SourceFile) -> Result<Policy, ParseErrors> {
    policy_file::parse(&file)
}

impl Policy {
    /// The policy that is compiled in, `policies/local.toml`. Fails only when that file is wrong, which a test excludes.
    pub fn built_in() -> Result<Policy, ParseErrors> {
        let policy = policy_file::parse(&built_in::policy())?;
        Ok(Policy { origin: built_in::ORIGIN.to_owned(), ..policy })
    }

    /// Whether the policy lets callers use this profile.
    pub fn allows_profile(&self, name: &str) -> bool {
        self.profiles.as_ref().is_none_or(|profiles| profiles.iter().any(|allowed| allowed == name))
    }
}
