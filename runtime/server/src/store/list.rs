//! Lists of jobs, newest first, and of changes. A list reads what it returns and, for filters that are combined, what
//! the rarest of them matches: never all jobs.

use super::order::{self, PROFILE_TAG};
use super::read::{COLUMNS, meta, row_of};
use super::row::{Row, RowState};
use super::write::{labels_of, signed};
use rusqlite::Connection;
use rusqlite::types::Value;
use std::collections::BTreeMap;

/// Rows of one answer: a page of the API and one more, to see whether there is a next page.
pub const LIST_MAX: usize = 1_001;
/// Changes that one call looks at, whether they match or not.
pub const CHANGES_EXAMINED_MAX: usize = 10_000;
/// How far the rarest of several labels is looked for.
const RARITY_MAX: i64 = 1_000;

/// Which jobs. An empty field asks for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Of this org.
    pub org: Option<String>,
    /// In one of these states; none means all.
    pub states: Vec<RowState>,
    /// With this profile.
    pub profile: Option<String>,
    /// With all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Made at this time or later, in microseconds since 1970.
    pub created_after_us: Option<u64>,
    /// Made before this time.
    pub created_before_us: Option<u64>,
    /// Smaller ids only: the last one of the page before. The job need not exist any more.
    pub before_id: Option<String>,
    /// At most so many, and at most [`LIST_MAX`].
    pub limit: usize,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The jobs that match, as they are now, by change.
    pub rows: Vec<Row>,
    /// Where to go on: everything up to this change was looked at.
    pub upto: u64,
    /// Whether there is more after `upto` already.
    pub more: bool,
}

/// A statement and its values.
pub(super) struct Statement {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

impl Statement {
    fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    fn and(&mut self, condition: &str) {
        self.text.push_str(" AND ");
        self.text.push_str(condition);
    }
}

/// The jobs, newest first.
pub(super) fn list(connection: &Connection, query: &Query) -> rusqlite::Result<Vec<Row>> {
    let statement = plan(connection, query)?;
    let mut prepared = connection.prepare_cached(&statement.text)?;
    prepared.query_map(rusqlite::params_from_iter(statement.values), row_of)?.collect()
}

/// How a list is read. Jobs that are not over are few, and have an index of their own; a label or a profile has one
/// that is sorted by id; everything else goes along the ids themselves.
pub(super) fn plan(connection: &Connection, query: &Query) -> rusqlite::Result<Statement> {
    let skew_ms = meta(connection, "skew_ms")?;
    let mut tags: Vec<(&str, &str)> =
        query.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    tags.extend(query.profile.as_deref().map(|profile| (PROFILE_TAG, profile)));
    let open_only = !query.states.is_empty() && !query.states.contains(&RowState::Finished);
    let driver = if open_only { None } else { take_rarest(connection, query, &mut tags)? };
    let mut statement = Statement { text: String::new(), values: Vec::new() };
    let id = match (driver, &query.org) {
        (Some((name, value)), org) => {
            let index = if org.is_some() { "" } else { "INDEXED BY tag_all" };
            let (name, value) = (statement.value(name.to_owned()), statement.value(value.to_owned()));
            statement.text = format!(
                "SELECT {COLUMNS} FROM tag t {index} CROSS JOIN job j ON j.id = t.id WHERE t.name = {name} AND t.value = {value}"
            );
            if let Some(org) = org {
                let org = statement.value(org.clone());
                statement.and(&format!("t.org = {org}"));
            }
            "t.id"
        }
        (None, org) => {
            let index = match org {
                _ if open_only => "job_open",
                Some(_) => "job_org",
                None => "job_id",
            };
            let which = if open_only { "j.state < 3" } else { "TRUE" };
            statement.text = format!("SELECT {COLUMNS} FROM job j INDEXED BY {index} WHERE {which}");
            if let Some(org) = org {
                let org = statement.value(org.clone());
                statement.and(&format!("j.org = {org}"));
            }
            "j.id"
        }
    };
    for (name, value) in tags {
        let (name, value) = (statement.value(name.to_owned()), statement.value(value.to_owned()));
        statement.and(&format!(
            "EXISTS (SELECT 1 FROM tag o WHERE o.org = j.org AND o.name = {name} AND o.value = {value} AND o.id = j.id)"
        ));
    }
    if !query.states.is_empty() {
        let numbers: Vec<String> = query.states.iter().map(|state| state.number().to_string()).collect();
        statement.and(&format!("j.state IN ({})", numbers.join(", ")));
    }
    if let Some(after_us) = query.created_after_us {
        let after = statement.value(signed(after_us));
        statement.and(&format!("j.created_us >= {after}"));
    }
    if let Some(before_us) = query.created_before_us {
        let before = statement.value(signed(before_us));
        statement.and(&format!("j.created_us < {before}"));
    }
    let (first, end) = bounds(query, skew_ms);
    if let Some(first) = first {
        let first = statement.value(first);
        statement.and(&format!("{id} >= {first}"));
    }
    if let Some(end) = end {
        let end = statement.value(end);
        statement.and(&format!("{id} < {end}"));
    }
    let limit = statement.value(i64::try_from(query.limit.min(LIST_MAX)).unwrap_or(0));
    statement.text.push_str(&format!(" ORDER BY {id} DESC LIMIT {limit}"));
    Ok(statement)
}

/// The ids between which everything lies.
fn bounds(query: &Query, skew_ms: u64) -> (Option<String>, Option<String>) {
    let first = query.created_after_us.and_then(|after_us| order::first_id(after_us, skew_ms));
    let end = query.created_before_us.and_then(|before_us| order::end_id(before_us, skew_ms));
    let before = query.before_id.clone();
    let end = match (end, before) {
        (Some(end), Some(before)) => Some(end.min(before)),
        (end, before) => end.or(before),
    };
    (first, end)
}

/// Takes the label that matches the fewest jobs, as far as a short look tells.
fn take_rarest<'a>(
    connection: &Connection,
    query: &Query,
    tags: &mut Vec<(&'a str, &'a str)>,
) -> rusqlite::Result<Option<(&'a str, &'a str)>> {
    if tags.len() < 2 {
        return Ok(tags.pop());
    }
    let mut rarest = (0, i64::MAX);
    for (place, (name, value)) in tags.iter().enumerate() {
        let count = match &query.org {
            Some(org) => connection
                .prepare_cached(
                    "SELECT count(*) FROM (SELECT 1 FROM tag WHERE org = ?1 AND name = ?2 AND value = ?3 LIMIT ?4)",
                )?
                .query_row(rusqlite::params![org, name, value, RARITY_MAX], |found| found.get(0))?,
            None => connection
                .prepare_cached(
                    "SELECT count(*) FROM (SELECT 1 FROM tag INDEXED BY tag_all WHERE name = ?1 AND value = ?2 LIMIT ?3)",
                )?
                .query_row(rusqlite::params![name, value, RARITY_MAX], |found| found.get(0))?,
        };
        if count < rarest.1 {
            rarest = (place, count);
        }
    }
    Ok(Some(tags.swap_remove(rarest.0)))
}

/// The statement of [`changes_after`].
pub(super) const CHANGES: &str =
    "FROM job j INDEXED BY job_change WHERE j.change > ?1 ORDER BY j.change LIMIT ?2";

/// The jobs that changed after this change and match, at most `limit`; pages of the query do not matter.
pub(super) fn changes_after(
    connection: &Connection,
    after: u64,
    query: &Query,
    limit: usize,
) -> rusqlite::Result<Changes> {
    // One snapshot for both statements: nothing that commits between them is skipped.
    let snapshot = connection.unchecked_transaction()?;
    let last = meta(&snapshot, "change")?;
    let examined_max = i64::try_from(CHANGES_EXAMINED_MAX).unwrap_or(i64::MAX);
    let mut statement = snapshot.prepare_cached(&format!("SELECT {COLUMNS} {CHANGES}"))?;
    let mut found = statement.query(rusqlite::params![signed(after), examined_max])?;
    let mut changes = Changes { rows: Vec::new(), upto: after, more: true };
    let mut examined = 0;
    while changes.rows.len() < limit.clamp(1, LIST_MAX) && examined < CHANGES_EXAMINED_MAX {
        let Some(row) = found.next()? else {
            changes.upto = last.max(after);
            changes.more = false;
            break;
        };
        examined += 1;
        changes.upto = u64::try_from(row.get::<_, i64>(12)?).unwrap_or(after);
        if matches(query, row)? {
            changes.rows.push(row_of(row)?);
        }
    }
    Ok(changes)
}

/// Whether a row of [`COLUMNS`] is asked for. Reads no record of a row that is not.
fn matches(query: &Query, row: &rusqlite::Row<'_>) -> rusqlite::Result<bool> {
    if query.org.is_some() && query.org != Some(row.get(1)?) {
        return Ok(false);
    }
    let state = row.get::<_, i64>(2)?;
    if !query.states.is_empty() && !query.states.iter().any(|wanted| wanted.number() == state) {
        return Ok(false);
    }
    if query.profile.is_some() && query.profile != Some(row.get(3)?) {
        return Ok(false);
    }
    let created: i64 = row.get(6)?;
    if query.created_after_us.is_some_and(|after| created < signed(after))
        || query.created_before_us.is_some_and(|before| created >= signed(before))
    {
        return Ok(false);
    }
    if query.labels.is_empty() {
        return Ok(true);
    }
    let labels = labels_of(&row.get::<_, String>(4)?)?;
    Ok(query.labels.iter().all(|(name, value)| labels.get(name) == Some(value)))
}
