//! What the store knows of one job: a few columns that it can search, and the record of its owner, which it does not
//! read. It must never hold a value of a variable in clear: that is the caller's promise, and why a spec can be sealed.

use super::StoreError;
use std::collections::BTreeMap;

/// Bytes of an id.
pub const ID_BYTES_MAX: usize = 64;
/// Bytes of an org's or a profile's name.
pub const NAME_BYTES_MAX: usize = 256;
/// Bytes of an idempotency key.
pub const KEY_BYTES_MAX: usize = 128;
/// Labels of one job.
pub const LABELS_MAX: usize = 64;
/// Bytes of a label's name, and of its value.
pub const LABEL_BYTES_MAX: usize = 1_024;
/// Bytes of a record: the launcher's bound for it, and room for an outcome.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a spec: the bound of a message to the launcher, and room for a seal.
pub const SPEC_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Times, counts and changes: SQLite's integers have a sign.
pub const NUMBER_MAX: u64 = i64::MAX as u64;

/// How far a job is, as far as the store cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowState {
    /// Waits for a place.
    Queued,
    /// The launcher was asked.
    Starting,
    /// The launcher has it.
    Running,
    /// It has an outcome. Nothing follows.
    Finished,
}

impl RowState {
    /// Every state, in the order of a job's life.
    pub const ALL: [RowState; 4] =
        [RowState::Queued, RowState::Starting, RowState::Running, RowState::Finished];

    /// The number in the file. Never changes its meaning.
    pub(super) const fn number(self) -> i64 {
        match self {
            RowState::Queued => 0,
            RowState::Starting => 1,
            RowState::Running => 2,
            RowState::Finished => 3,
        }
    }

    pub(super) fn of_number(number: i64) -> Option<RowState> {
        RowState::ALL.into_iter().find(|state| state.number() == number)
    }
}

/// The spec of a job that waits, so that a later server can start it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSpec {
    /// Whether the bytes are encrypted with a key that is not on this disk.
    pub sealed: bool,
    /// The spec, at most [`SPEC_BYTES_MAX`].
    pub bytes: Vec<u8>,
}

/// Says how large it is, and nothing of what is in it.
impl std::fmt::Debug for StoredSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredSpec {{ sealed: {}, bytes: {} }}", self.sealed, self.bytes.len())
    }
}

/// One job.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// `job-` and a ULID in lower case; any other text works, but lists by time are slower then. At most [`ID_BYTES_MAX`].
    pub id: String,
    /// Who owns it. Does not change.
    pub org: String,
    /// How far it is.
    pub state: RowState,
    /// The profile's name.
    pub profile: String,
    /// At most [`LABELS_MAX`], names not empty, each name and value at most [`LABEL_BYTES_MAX`].
    pub labels: BTreeMap<String, String>,
    /// Larger goes first, within an org.
    pub priority: i32,
    /// When it was submitted, in microseconds since 1970.
    pub created_us: u64,
    /// When its command began.
    pub started_us: Option<u64>,
    /// When it ended. A finished job has it.
    pub finished_us: Option<u64>,
    /// Idempotency key, one job for each key of an org; at most [`KEY_BYTES_MAX`]. Lives as long as the row.
    pub key: Option<String>,
    /// What was asked for under that key.
    pub spec_digest: [u8; 32],
    /// Bytes of a finished job's output on disk.
    pub log_bytes: u64,
    /// The owner's own record, at most [`RECORD_BYTES_MAX`].
    pub record: Vec<u8>,
    /// Only while the job may have to be started by another server. Lists do not read it.
    pub spec: Option<StoredSpec>,
    /// Set by the store; grows with every write of any row.
    pub change: u64,
}

/// Tells nothing of labels, key, record and spec: they are the caller's.
impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Row { id, org, state, change, .. } = self;
        write!(f, "Row {{ id: {id:?}, org: {org:?}, state: {state:?}, change: {change}, .. }}")
    }
}

impl Row {
    /// Whether every field is within its bound.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let within = |what, good| if good { Ok(()) } else { Err(StoreError::Invalid(what)) };
        within("the id", !self.id.is_empty() && self.id.len() <= ID_BYTES_MAX)?;
        within("the org", self.org.len() <= NAME_BYTES_MAX)?;
        within("the profile", self.profile.len() <= NAME_BYTES_MAX)?;
        within("the number of labels", self.labels.len() <= LABELS_MAX)?;
        let label = |(name, value): (&String, &String)| {
            !name.is_empty() && name.len() <= LABEL_BYTES_MAX && value.len() <= LABEL_BYTES_MAX
        };
        within("a label", self.labels.iter().all(label))?;
        within("the key", self.key.as_ref().is_none_or(|key| key.len() <= KEY_BYTES_MAX))?;
        within("the record", self.record.len() <= RECORD_BYTES_MAX)?;
        within("the spec", self.spec.as_ref().is_none_or(|spec| spec.bytes.len() <= SPEC_BYTES_MAX))?;
        let numbers = [self.created_us, self.started_us.unwrap_or(0), self.finished_us.unwrap_or(0)];
        within("a time", numbers.into_iter().all(|number| number <= NUMBER_MAX))?;
        within("the time of the end", self.state != RowState::Finished || self.finished_us.is_some())?;
        within("the size of the log", self.log_bytes <= NUMBER_MAX)
    }

    /// About how many bytes it holds.
    pub(super) fn weight(&self) -> usize {
        self.record.len() + self.spec.as_ref().map_or(0, |spec| spec.bytes.len()) + 512
    }
}
