//! What may be removed: records by age and by count, output by the bytes of an org. It only names; whoever owns the
//! files removes.

use super::read::tallies;
use super::write::signed;
use rusqlite::{Connection, params};
use std::collections::HashSet;

/// How long an idempotency key is kept, whatever the policy says.
pub const KEY_KEPT_US: u64 = 24 * 3_600 * 1_000_000;
/// Ids of one answer.
pub const EXPIRABLE_MAX: usize = 1_000;
/// Jobs that one call looks at to find those without a young key.
const EXAMINED_MAX: u64 = 10_000;

/// What is kept. `None` keeps everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// The time, in microseconds since 1970.
    pub now_us: u64,
    /// Records of jobs that ended longer ago go. A key younger than [`KEY_KEPT_US`] keeps its job.
    pub age_us_max: Option<u64>,
    /// Of more finished jobs than these, those that ended first go. A young key keeps its job.
    pub records_max: Option<u64>,
    /// When finished jobs of an org have more bytes of output, that of those that ended first goes.
    pub org_log_bytes_max: Option<u64>,
}

/// What may go, at most [`EXPIRABLE_MAX`] of each; ask again after its removal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expirable {
    /// Jobs to be removed whole.
    pub records: Vec<String>,
    /// Jobs whose output goes, and whose record stays: remove it, then `set_log_bytes`.
    pub logs: Vec<String>,
}

pub(super) const BY_AGE: &str = "SELECT id, key IS NOT NULL AND created_us > ?1 FROM job INDEXED BY job_end
     WHERE state = 3 AND finished_us < ?2 ORDER BY finished_us LIMIT ?3";
pub(super) const BY_COUNT: &str = "SELECT id, key IS NOT NULL AND created_us > ?1 FROM job INDEXED BY job_end
     WHERE state = 3 AND finished_us >= ?2 ORDER BY finished_us LIMIT ?3";
pub(super) const BY_BYTES: &str = "SELECT id, log_bytes FROM job INDEXED BY job_logs
     WHERE state = 3 AND log_bytes > 0 AND org = ?1 ORDER BY finished_us LIMIT ?2";

/// Names them.
pub(super) fn expirable(connection: &Connection, policy: &Policy) -> rusqlite::Result<Expirable> {
    // One snapshot: sums and rows belong together.
    let snapshot = connection.unchecked_transaction()?;
    let mut expirable = Expirable::default();
    let too_old_us = policy.age_us_max.map_or(0, |age_us| policy.now_us.saturating_sub(age_us));
    let kept_us = policy.now_us.saturating_sub(KEY_KEPT_US);
    // Those without a young key, at most so many.
    let without_key = |statement, max: usize| -> rusqlite::Result<Vec<String>> {
        let mut statement = snapshot.prepare_cached(statement)?;
        let mut rows = statement.query(params![signed(kept_us), signed(too_old_us), signed(EXAMINED_MAX)])?;
        let mut ids = Vec::new();
        while let Some(row) = rows.next()?.filter(|_| ids.len() < max) {
            if !row.get::<_, bool>(1)? {
                ids.push(row.get(0)?);
            }
        }
        Ok(ids)
    };
    if too_old_us > 0 {
        expirable.records = without_key(BY_AGE, EXPIRABLE_MAX)?;
    }
    let tallies = tallies(&snapshot)?;
    let finished: u64 = tallies.iter().map(|tally| tally.jobs.finished).sum();
    let aged = expirable.records.len();
    let excess = policy.records_max.map_or(0, |max| finished.saturating_sub(max));
    let excess = usize::try_from(excess).unwrap_or(usize::MAX).saturating_sub(aged);
    if excess > 0 {
        expirable.records.extend(without_key(BY_COUNT, excess.min(EXPIRABLE_MAX - aged))?);
    }
    for tally in &tallies {
        let Some(max) = policy.org_log_bytes_max else { break };
        let mut excess = tally.log_bytes.saturating_sub(max);
        let mut statement = snapshot.prepare_cached(BY_BYTES)?;
        let mut rows = statement.query(params![tally.org, signed(EXAMINED_MAX)])?;
        while let Some(row) = rows.next()?.filter(|_| excess > 0 && expirable.logs.len() < EXPIRABLE_MAX) {
            excess = excess.saturating_sub(u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0));
            expirable.logs.push(row.get(0)?);
        }
    }
    let whole: HashSet<&String> = expirable.records.iter().collect();
    expirable.logs.retain(|id| !whole.contains(id));
    Ok(expirable)
}
