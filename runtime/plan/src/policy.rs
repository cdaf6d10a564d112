//! Who may ask for what: the ceilings of an operator. Parsing is in `parse`.

use crate::limit::{LimitName, LimitRequest};
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
