//! What the doctor says of a host: one finding per thing that a wall needs.

use crate::wall::Wall;
use serde::{Deserialize, Serialize};

/// One thing that a wall needs on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable name, for example `user_namespaces`.
    pub name: String,
    /// The wall that needs it; `None` for the host as a whole.
    pub wall: Option<Wall>,
    /// How it is.
    pub state: FindingState,
    /// What was seen.
    pub seen: String,
    /// What breaks; empty when nothing does.
    pub breaks: String,
    /// The exact command or file that mends it; empty when there is nothing to mend.
    pub mend: String,
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// As it should be.
    Ok,
    /// Jobs run, with less.
    Warning,
    /// The default profile cannot run.
    Broken,
}
