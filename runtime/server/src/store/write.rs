//! What a write does to the tables. Every function runs inside a transaction of the writer and answers nobody.

use super::read;
use super::row::Row;
use super::{StoreError, order};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;
use std::path::Path;

/// Something to be done.
pub(super) enum Op {
    /// Insert or update.
    Put(Box<Row>),
    /// Insert unless the key is known.
    Submit(Box<Row>),
    /// Remove.
    Delete(String),
    /// The size of a finished job's output.
    SetLogBytes(String, u64),
}

impl Op {
    /// About how many bytes it holds.
    pub(super) fn weight(&self) -> usize {
        match self {
            Op::Put(row) | Op::Submit(row) => row.weight(),
            Op::Delete(_) | Op::SetLogBytes(..) => 128,
        }
    }
}

/// What was done.
#[derive(Debug)]
pub(super) enum Done {
    /// Written as this change.
    Changed(u64),
    /// There is such a job already.
    Existing(Box<Row>),
    /// The key was used for something else, by this job.
    Conflict(String),
    /// There is no such job.
    Nothing,
}

/// A connection within a transaction, and what it counts.
pub(super) struct Write<'a> {
    pub(super) connection: &'a Connection,
    pub(super) file: &'a Path,
    /// The last change.
    pub(super) change: u64,
    /// The largest difference between the time in an id and `created_us`.
    pub(super) skew_ms: u64,
}

impl Write<'_> {
    /// Does it.
    ///
    /// # Errors
    /// The disk's, and then the transaction must be rolled back; or a mistake of the caller, and then nothing was done.
    pub(super) fn apply(&mut self, op: &Op) -> Result<Done, StoreError> {
        match op {
            Op::Put(row) => self.put(row),
            Op::Submit(row) => self.submit(row),
            Op::Delete(id) => self.delete(id).map_err(|error| self.failed(&error)),
            Op::SetLogBytes(id, bytes) => self.set_log_bytes(id, *bytes).map_err(|error| self.failed(&error)),
        }
    }

    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::of("write", self.file, error)
    }

    fn put(&mut self, row: &Row) -> Result<Done, StoreError> {
        row.check()?;
        let written = self.try_put(row);
        written.map_err(|error| match &error {
            // The only constraint that a checked row can break.
            rusqlite::Error::SqliteFailure(failure, _)
                if failure.code == rusqlite::ErrorCode::ConstraintViolation =>
            {
                StoreError::KeyTaken
            }
            _ => self.failed(&error),
        })
    }

    fn submit(&mut self, row: &Row) -> Result<Done, StoreError> {
        let Some(key) = &row.key else { return self.put(row) };
        let known = read::by_key(self.connection, &row.org, key).map_err(|error| self.failed(&error))?;
        match known {
            None => self.put(row),
            Some(known) if known.spec_digest == row.spec_digest => Ok(Done::Existing(Box::new(known))),
            Some(known) => Ok(Done::Conflict(known.id)),
        }
    }

    fn try_put(&mut self, row: &Row) -> rusqlite::Result<Done> {
        let labels = labels_text(&row.labels);
        let known: Option<(i64, String, String, String)> = self
            .connection
            .prepare_cached("SELECT seq, org, profile, labels FROM job WHERE id = ?1")?
            .query_row([&row.id], |found| Ok((found.get(0)?, found.get(1)?, found.get(2)?, found.get(3)?)))
            .optional()?;
        let change = self.change + 1;
        let digest = row.spec_digest.as_slice();
        match known {
            None => {
                let mut insert = self.connection.prepare_cached(
                    "INSERT INTO job (org, state, profile, labels, priority, created_us, started_us, finished_us, key, spec_digest,
                     log_bytes, change, record, id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
                )?;
                insert.execute(params![
                    row.org,
                    row.state.number(),
                    row.profile,
                    labels,
                    row.priority,
                    signed(row.created_us),
                    row.started_us.map(signed),
                    row.finished_us.map(signed),
                    row.key,
                    digest,
                    signed(row.log_bytes),
                    signed(change),
                    row.record,
                    row.id
                ])?;
                self.tag(row)?;
                self.note_skew(row)?;
            }
            Some((seq, org, profile, known_labels)) => {
                let mut update = self.connection.prepare_cached(
                    "UPDATE job SET state = ?1, profile = ?2, labels = ?3, priority = ?4, created_us = ?5, started_us = ?6,
                     finished_us = ?7, key = ?8, spec_digest = ?9, log_bytes = ?10, change = ?11, record = ?12 WHERE seq = ?13",
                )?;
                update.execute(params![
                    row.state.number(),
                    row.profile,
                    labels,
                    row.priority,
                    signed(row.created_us),
                    row.started_us.map(signed),
                    row.finished_us.map(signed),
                    row.key,
                    digest,
                    signed(row.log_bytes),
                    signed(change),
                    row.record,
                    seq
                ])?;
                if profile != row.profile || known_labels != labels {
                    self.untag(&row.id, &org, &profile, &known_labels)?;
                    self.tag(row)?;
                }
                self.note_skew(row)?;
            }
        }
        self.put_spec(row)?;
        self.change = change;
        Ok(Done::Changed(change))
    }

    fn put_spec(&self, row: &Row) -> rusqlite::Result<()> {
        match &row.spec {
            Some(spec) => self
                .connection
                .prepare_cached("INSERT OR REPLACE INTO spec (id, sealed, bytes) VALUES (?1, ?2, ?3)")?
                .execute(params![row.id, spec.sealed, spec.bytes])?,
            None => self.connection.prepare_cached("DELETE FROM spec WHERE id = ?1")?.execute([&row.id])?,
        };
        Ok(())
    }

    fn tag(&self, row: &Row) -> rusqlite::Result<()> {
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO tag (org, name, value, id) VALUES (?1, ?2, ?3, ?4)")?;
        for (name, value) in tags(&row.profile, &row.labels) {
            insert.execute([&row.org, name, value, &row.id])?;
        }
        Ok(())
    }

    fn untag(&self, id: &str, org: &str, profile: &str, labels: &str) -> rusqlite::Result<()> {
        let mut delete = self
            .connection
            .prepare_cached("DELETE FROM tag WHERE org = ?1 AND name = ?2 AND value = ?3 AND id = ?4")?;
        for (name, value) in tags(profile, &labels_of(labels)?) {
            delete.execute([org, name, value, id])?;
        }
        Ok(())
    }

    fn note_skew(&mut self, row: &Row) -> rusqlite::Result<()> {
        let skew_ms = order::skew_ms(&row.id, row.created_us);
        if skew_ms > self.skew_ms {
            self.connection
                .prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'skew_ms'")?
                .execute([signed(skew_ms)])?;
            self.skew_ms = skew_ms;
        }
        Ok(())
    }

    fn delete(&mut self, id: &str) -> rusqlite::Result<Done> {
        let known: Option<(String, String, String)> = self
            .connection
            .prepare_cached("SELECT org, profile, labels FROM job WHERE id = ?1")?
            .query_row([id], |found| Ok((found.get(0)?, found.get(1)?, found.get(2)?)))
            .optional()?;
        let Some((org, profile, labels)) = known else { return Ok(Done::Nothing) };
        self.untag(id, &org, &profile, &labels)?;
        self.connection.prepare_cached("DELETE FROM spec WHERE id = ?1")?.execute([id])?;
        self.connection.prepare_cached("DELETE FROM job WHERE id = ?1")?.execute([id])?;
        self.change += 1;
        Ok(Done::Changed(self.change))
    }

    fn set_log_bytes(&mut self, id: &str, bytes: u64) -> rusqlite::Result<Done> {
        let change = self.change + 1;
        let changed = self
            .connection
            .prepare_cached("UPDATE job SET log_bytes = ?1, change = ?2 WHERE id = ?3")?
            .execute(params![signed(bytes), signed(change), id])?;
        if changed == 0 {
            return Ok(Done::Nothing);
        }
        self.change = change;
        Ok(Done::Changed(change))
    }
}

/// The profile under an empty name, and the labels.
fn tags<'a>(
    profile: &'a str,
    labels: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    std::iter::once((order::PROFILE_TAG, profile)).chain(labels)
}

/// A checked row is within the bound; nothing else is cut.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn labels_text(labels: &BTreeMap<String, String>) -> String {
    let object = labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    serde_json::Value::Object(object).to_string()
}

/// The labels of their column.
pub(super) fn labels_of(text: &str) -> rusqlite::Result<BTreeMap<String, String>> {
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(error))
    })
}
