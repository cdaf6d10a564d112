//! Finds, lists and removes jobs: live ones from memory, the others from the store.

use super::job::Job;
use super::registry::Registry;
use super::request::{NotDeleted, NotFound};
use crate::logs::removal;
use crate::store::{Found, Query, Row, RowState, StoreError};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Candidates that a sentence can name.
const SHOWN_MAX: usize = 3;

impl Registry {
    /// The job with this id, or with the only id that begins so; the `job-` may be left out.
    ///
    /// # Errors
    /// When there is none or more than one, or the store cannot be read.
    pub async fn find(&self, id: &str) -> Result<Arc<Job>, NotFound> {
        let id = id.to_ascii_lowercase();
        let prefix = if id.starts_with("job-") { id } else { format!("job-{id}") };
        if prefix == "job-" {
            return Err(NotFound::Unknown);
        }
        let live: Vec<Arc<Job>> = {
            let inner = self.lock();
            if let Some(job) = inner.live.get(&prefix) {
                return Ok(Arc::clone(job));
            }
            let candidates = inner.live.range(prefix.clone()..).take_while(|(id, _)| id.starts_with(&prefix));
            candidates.take(SHOWN_MAX).map(|(_, job)| Arc::clone(job)).collect()
        };
        let stored = self.store.find(None, &prefix).await.map_err(NotFound::Store)?;
        if let Found::One(row) = &stored
            && row.id == prefix
        {
            return Ok(self.job_of(Row::clone(row)).await);
        }
        // A job may be in both, or not yet in the store.
        let mut ids: BTreeSet<String> = live.iter().map(|job| job.id().to_string()).collect();
        match &stored {
            Found::None => {}
            Found::One(row) => drop(ids.insert(row.id.clone())),
            Found::Many(many) => ids.extend(many.iter().cloned()),
        }
        if ids.len() > 1 {
            return Err(NotFound::Ambiguous(ids.into_iter().take(SHOWN_MAX).collect()));
        }
        match (live.into_iter().next(), stored) {
            (Some(job), _) => Ok(job),
            (None, Found::One(row)) => Ok(self.job_of(*row).await),
            (None, _) => Err(NotFound::Unknown),
        }
    }

    /// Jobs, newest first. While the disk takes nothing, what is not on it is left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(&self, query: Query) -> Result<Vec<Arc<Job>>, StoreError> {
        self.settle().await;
        let rows = self.store.list(query).await?;
        let mut jobs = Vec::with_capacity(rows.len());
        for row in rows {
            jobs.push(self.job_of(row).await);
        }
        Ok(jobs)
    }

    /// Removes the record and the output of a job that is over.
    ///
    /// # Errors
    /// [`NotDeleted`].
    pub async fn delete(&self, id: &str) -> Result<(), NotDeleted> {
        // One that is over may still have its task for a moment.
        if self.lock().live.get(id).is_some_and(|job| !job.state().is_over()) {
            return Err(NotDeleted::NotFinished);
        }
        let row = self.store.get(id).await.map_err(NotDeleted::Store)?.ok_or(NotDeleted::Unknown)?;
        if row.state != RowState::Finished {
            return Err(NotDeleted::NotFinished);
        }
        if self.remove_record(&row).await.map_err(NotDeleted::Store)? {
            Ok(())
        } else {
            Err(NotDeleted::Unknown)
        }
    }

    /// Removes a log with all its files. It is retried by the sweep of the next start when that fails.
    pub(super) async fn remove_log(&self, id: &str) {
        let log = self.place.of(id);
        let removed = tokio::task::spawn_blocking(move || removal::delete(&log)).await;
        match removed.map_err(std::io::Error::other) {
            Ok(Ok(())) => {}
            Ok(Err(error)) | Err(error) => tracing::warn!(job = id, %error, "failed to remove a log"),
        }
    }
}
