//! Questions about one job, about those that are not over, and about sums.

use super::row::{NUMBER_MAX, Row, RowState, StoredSpec};
use super::write::labels_of;
use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension};

/// Ids that an ambiguous prefix names, for the user to choose from.
pub const FOUND_MAX: usize = 10;

/// The columns of a row, in the order of [`row_of`].
pub(super) const COLUMNS: &str = "j.id, j.org, j.state, j.profile, j.labels, j.priority, j.created_us, j.started_us, j.finished_us, \
     j.key, j.spec_digest, j.log_bytes, j.change, j.record";

/// What a prefix of an id means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No job.
    None,
    /// This one: its id begins so, and no other's; or it is its id.
    One(Box<Row>),
    /// More than one; the first [`FOUND_MAX`].
    Many(Vec<String>),
}

/// How many jobs there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Waiting.
    pub queued: u64,
    /// Asked of the launcher.
    pub starting: u64,
    /// Running.
    pub running: u64,
    /// Over.
    pub finished: u64,
}

/// The sums of one org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgTally {
    /// Whose.
    pub org: String,
    /// Its jobs.
    pub jobs: Counts,
    /// Bytes of output of its finished jobs on disk.
    pub log_bytes: u64,
}

/// A row of [`COLUMNS`], without its spec.
pub(super) fn row_of(found: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let impossible = |column| Error::InvalidColumnType(column, String::new(), Type::Integer);
    let unsigned = |column, number: i64| u64::try_from(number).map_err(|_| impossible(column));
    let labels: String = found.get(4)?;
    Ok(Row {
        id: found.get(0)?,
        org: found.get(1)?,
        state: RowState::of_number(found.get(2)?).ok_or_else(|| impossible(2))?,
        profile: found.get(3)?,
        labels: labels_of(&labels)?,
        priority: found.get(5)?,
        created_us: unsigned(6, found.get(6)?)?,
        started_us: found.get::<_, Option<i64>>(7)?.map(|us| unsigned(7, us)).transpose()?,
        finished_us: found.get::<_, Option<i64>>(8)?.map(|us| unsigned(8, us)).transpose()?,
        key: found.get(9)?,
        spec_digest: found.get(10)?,
        log_bytes: unsigned(11, found.get(11)?)?,
        change: unsigned(12, found.get(12)?)?,
        record: found.get(13)?,
        spec: None,
    })
}

fn with_spec(connection: &Connection, mut row: Row) -> rusqlite::Result<Row> {
    row.spec = connection
        .prepare_cached("SELECT sealed, bytes FROM spec WHERE id = ?1")?
        .query_row([&row.id], |found| Ok(StoredSpec { sealed: found.get(0)?, bytes: found.get(1)? }))
        .optional()?;
    Ok(row)
}

fn one(connection: &Connection, which: &str, values: &[&str]) -> rusqlite::Result<Option<Row>> {
    let statement = format!("SELECT {COLUMNS} FROM job j WHERE {which}");
    let found = connection
        .prepare_cached(&statement)?
        .query_row(rusqlite::params_from_iter(values), row_of)
        .optional()?;
    found.map(|row| with_spec(connection, row)).transpose()
}

/// The job of this id.
pub(super) fn get(connection: &Connection, id: &str) -> rusqlite::Result<Option<Row>> {
    one(connection, "j.id = ?1", &[id])
}

/// The job of this org with this idempotency key.
pub(super) fn by_key(connection: &Connection, org: &str, key: &str) -> rusqlite::Result<Option<Row>> {
    one(connection, "j.org = ?1 AND j.key = ?2", &[org, key])
}

/// The statements of [`find`], for an org and for all.
pub(super) const FIND: [&str; 2] = [
    "SELECT id FROM job INDEXED BY job_id WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3",
    "SELECT id FROM job INDEXED BY job_org WHERE org = ?4 AND id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3",
];

/// The job whose id begins so.
pub(super) fn find(connection: &Connection, org: Option<&str>, prefix: &str) -> rusqlite::Result<Found> {
    let of_org = |row: &Row| org.is_none_or(|org| row.org == org);
    if let Some(row) = get(connection, prefix)?.filter(of_org) {
        return Ok(Found::One(Box::new(row)));
    }
    // Nothing of UTF-8 sorts behind it, and no id holds it.
    let end = format!("{prefix}\u{10FFFF}");
    let [all, of_one] = FIND;
    let mut statement = connection.prepare_cached(if org.is_some() { of_one } else { all })?;
    let limit = i64::try_from(FOUND_MAX).unwrap_or(i64::MAX);
    let id = |found: &rusqlite::Row<'_>| found.get::<_, String>(0);
    let found: rusqlite::Result<Vec<String>> = match org {
        Some(org) => statement.query_map(rusqlite::params![prefix, end, limit, org], id)?.collect(),
        None => statement.query_map(rusqlite::params![prefix, end, limit], id)?.collect(),
    };
    let mut ids = found?;
    if ids.len() > 1 {
        return Ok(Found::Many(ids));
    }
    let row = ids.pop().map(|id| get(connection, &id)).transpose()?;
    Ok(row.flatten().map_or(Found::None, |row| Found::One(Box::new(row))))
}

/// The statement of [`unfinished`].
pub(super) const UNFINISHED: &str = "FROM job j INDEXED BY job_open WHERE j.state < 3 ORDER BY j.id";

/// Every job that is not over, with its spec, oldest first.
pub(super) fn unfinished(connection: &Connection) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} {UNFINISHED}"))?;
    let rows = statement.query_map([], row_of)?;
    rows.map(|row| with_spec(connection, row?)).collect()
}

/// The sums of every org, by name.
pub(super) fn tallies(connection: &Connection) -> rusqlite::Result<Vec<OrgTally>> {
    let mut statement =
        connection.prepare_cached("SELECT org, state, jobs, log_bytes FROM tally ORDER BY org, state")?;
    let mut rows = statement.query([])?;
    let mut tallies: Vec<OrgTally> = Vec::new();
    while let Some(row) = rows.next()? {
        let org: String = row.get(0)?;
        let jobs = u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
        let log_bytes = u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0);
        if tallies.last().is_none_or(|last| last.org != org) {
            tallies.push(OrgTally { org, jobs: Counts::default(), log_bytes: 0 });
        }
        let Some(tally) = tallies.last_mut() else { continue };
        match RowState::of_number(row.get(1)?) {
            Some(RowState::Queued) => tally.jobs.queued = jobs,
            Some(RowState::Starting) => tally.jobs.starting = jobs,
            Some(RowState::Running) => tally.jobs.running = jobs,
            Some(RowState::Finished) => {
                tally.jobs.finished = jobs;
                tally.log_bytes = log_bytes;
            }
            None => return Err(Error::InvalidColumnType(1, String::new(), Type::Integer)),
        }
    }
    Ok(tallies)
}

/// A number of the table `meta`, which holds none below 0.
pub(super) fn meta(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    let number: i64 = connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |found| found.get(0))?;
    Ok(u64::try_from(number).unwrap_or(NUMBER_MAX))
}
