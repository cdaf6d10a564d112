//! What changed in many jobs: the store's changes, and the removals of this server.

use super::job::Job;
use super::record::JobRecord;
use super::registry::{Registry, stored_of};
use crate::store::{Query, Row, StoreError};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// Removals that are remembered, for those who follow.
const REMOVALS_MAX: usize = 10_000;

/// One change.
#[derive(Debug)]
pub struct Change {
    /// Its number. A job stands with its last one.
    pub change: u64,
    /// What it is.
    pub what: What,
}

/// What a change is.
#[derive(Debug)]
pub enum What {
    /// A job as it is now.
    Job(Arc<Job>),
    /// The record of this job was removed.
    Removed(String),
}

/// Some changes, in their order.
#[derive(Debug)]
pub struct Changes {
    /// What changed and matches.
    pub changes: Vec<Change>,
    /// Every change up to here was looked at: the number to ask with next.
    pub upto: u64,
    /// There is more to look at now.
    pub more: bool,
}

/// Removals, with the store's last change at their time.
#[derive(Debug, Default)]
pub(super) struct Removals(VecDeque<(u64, Arc<JobRecord>)>);

impl Removals {
    fn note(&mut self, change: u64, record: Arc<JobRecord>) {
        if self.0.len() >= REMOVALS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((change, record));
    }
}

impl Registry {
    /// Tells whenever there is something new for [`Registry::changes_after`].
    pub fn watch_changes(&self) -> watch::Receiver<u64> {
        self.store.watch_changes()
    }

    /// What happened after this change to jobs that match; pages of the query do not matter. Of jobs that were removed before
    /// this server started, nothing is told.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn changes_after(
        &self,
        change: u64,
        query: &Query,
        limit: usize,
    ) -> Result<Changes, StoreError> {
        // A removal is on disk a moment before it is noted: nobody looks in between.
        let removals = self.removals.read().await;
        let found = self.store.changes_after(change, query.clone(), limit).await?;
        let mut changes = Vec::with_capacity(found.rows.len());
        for row in found.rows {
            changes.push(Change { change: row.change, what: What::Job(self.job_of(row).await) });
        }
        let removed = removals
            .0
            .iter()
            .filter(|(at, record)| *at > change && *at <= found.upto && matches(query, record))
            .map(|(at, record)| Change { change: *at, what: What::Removed(record.id.to_string()) });
        changes.extend(removed);
        changes.sort_by_key(|change| change.change);
        Ok(Changes { changes, upto: found.upto, more: found.more })
    }

    /// Removes a record and its log. Whether it was there.
    pub(super) async fn remove_record(&self, row: &Row) -> Result<bool, StoreError> {
        let there = {
            let mut removals = self.removals.write().await;
            let there = self.store.delete(&row.id).await?;
            if there {
                removals.note(self.store.last_change(), Arc::clone(&stored_of(row).record));
            }
            there
        };
        self.remove_log(&row.id).await;
        Ok(there)
    }
}

/// Whether somebody who asks for these wants to hear of this one.
fn matches(query: &Query, record: &JobRecord) -> bool {
    query.org.as_ref().is_none_or(|org| *org == record.org)
        && query.profile.as_ref().is_none_or(|profile| *profile == record.profile)
        && query.labels.iter().all(|(name, value)| record.labels.get(name) == Some(value))
}
