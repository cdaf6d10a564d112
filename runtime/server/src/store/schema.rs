//! The tables, and how an older file becomes a newer one. A migration that was released is never edited: a change is
//! one more entry.

use super::StoreError;
use rusqlite::Connection;
use std::path::Path;

/// Tells our file from other programs' (PRAGMA application_id): "rtjb".
const APPLICATION_ID: i64 = 0x7274_6a62;

/// Entry n makes schema n + 1 of schema n.
pub(super) const MIGRATIONS: &[&str] = &[FIRST];

/// Version of the schema that this program writes. A program with a lower one refuses the file.
pub const VERSION: u32 = MIGRATIONS.len() as u32;

/// `tag` holds a line for each label, and one with an empty name for the profile, so that a list with such a filter
/// reads what it returns and no more. `tally` holds sums, so that counting reads a few lines.
const FIRST: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('change', 0), ('boot', ''), ('probe', 0), ('skew_ms', 0);

CREATE TABLE job (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  org TEXT NOT NULL,
  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3), -- queued, starting, running, finished
  profile TEXT NOT NULL,
  labels TEXT NOT NULL, -- a JSON object
  priority INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  started_us INTEGER,
  finished_us INTEGER,
  key TEXT,
  spec_digest BLOB NOT NULL CHECK (length(spec_digest) = 32),
  log_bytes INTEGER NOT NULL,
  change INTEGER NOT NULL,
  record BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX job_id ON job (id);
CREATE INDEX job_org ON job (org, id);
CREATE UNIQUE INDEX job_change ON job (change);
CREATE UNIQUE INDEX job_key ON job (org, key) WHERE key IS NOT NULL;
CREATE INDEX job_open ON job (id) WHERE state < 3;
CREATE INDEX job_end ON job (finished_us) WHERE state = 3;
CREATE INDEX job_logs ON job (org, finished_us, log_bytes) WHERE state = 3 AND log_bytes > 0;

CREATE TABLE spec (id TEXT PRIMARY KEY, sealed INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT;

CREATE TABLE tag (
  org TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, id TEXT NOT NULL,
  PRIMARY KEY (org, name, value, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_all ON tag (name, value, id);

CREATE TABLE tally (
  org TEXT NOT NULL, state INTEGER NOT NULL, jobs INTEGER NOT NULL, log_bytes INTEGER NOT NULL,
  PRIMARY KEY (org, state)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER job_insert AFTER INSERT ON job BEGIN
  INSERT INTO tally VALUES (new.org, new.state, 1, new.log_bytes)
    ON CONFLICT DO UPDATE SET jobs = jobs + 1, log_bytes = log_bytes + excluded.log_bytes;
END;
CREATE TRIGGER job_update AFTER UPDATE OF state, log_bytes ON job
  WHEN old.state <> new.state OR old.log_bytes <> new.log_bytes BEGIN
  UPDATE tally SET jobs = jobs - 1, log_bytes = log_bytes - old.log_bytes WHERE org = old.org AND state = old.state;
  DELETE FROM tally WHERE org = old.org AND state = old.state AND jobs = 0;
  INSERT INTO tally VALUES (new.org, new.state, 1, new.log_bytes)
    ON CONFLICT DO UPDATE SET jobs = jobs + 1, log_bytes = log_bytes + excluded.log_bytes;
END;
CREATE TRIGGER job_delete AFTER DELETE ON job BEGIN
  UPDATE tally SET jobs = jobs - 1, log_bytes = log_bytes - old.log_bytes WHERE org = old.org AND state = old.state;
  DELETE FROM tally WHERE org = old.org AND state = old.state AND jobs = 0;
END;
";

/// Brings the file to the schema of the last of these migrations; each one is whole or not there.
///
/// # Errors
/// The file is of a newer version or of another program, is damaged, or cannot be written.
pub(super) fn migrate(
    connection: &mut Connection,
    file: &Path,
    migrations: &[&str],
) -> Result<(), StoreError> {
    let failed = |error| StoreError::of("migrate", file, &error);
    let found = number(connection, "PRAGMA user_version").map_err(failed)?;
    let application = number(connection, "PRAGMA application_id").map_err(failed)?;
    let tables = number(connection, "SELECT count(*) FROM sqlite_schema").map_err(failed)?;
    let fresh = found == 0 && application == 0 && tables == 0;
    if !fresh && application != APPLICATION_ID {
        return Err(StoreError::NotOurs(file.to_owned()));
    }
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    let Some(missing) = usize::try_from(found).ok().and_then(|found| migrations.get(found..)) else {
        return Err(StoreError::Newer { file: file.to_owned(), found, known });
    };
    for (version, migration) in (found + 1..).zip(missing) {
        let step = connection.transaction().map_err(failed)?;
        step.execute_batch(migration).map_err(failed)?;
        step.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        step.pragma_update(None, "user_version", version).map_err(failed)?;
        step.commit().map_err(failed)?;
    }
    Ok(())
}

/// The one number that a statement answers.
pub(super) fn number(connection: &Connection, statement: &str) -> rusqlite::Result<i64> {
    connection.query_row(statement, [], |row| row.get(0))
}
