//! What goes, and when: records by age and count, output by the bytes of an org, the output of jobs that asked for it, and
//! logs that no record knows, once they are as old as records may be.
//!
//! A record that goes takes its log along. Output that goes while its record stays leaves a gap that says why.

use super::record::Stored;
use super::registry::{Registry, Totals};
use super::request::Keep;
use crate::logs::{GapReason, removal};
use crate::metrics::GapCause;
use crate::store::{Policy, Row, RowState, StoreError};
use std::sync::{Arc, Weak};
use std::time::{Duration, UNIX_EPOCH};

/// How often it is looked what is too old or too much.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How often the totals are counted while jobs end.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// How long the output of a job stays that wants only its record kept.
const KEEP_RECORD: Duration = Duration::from_secs(60);

/// What is kept of jobs that are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Records for so long.
    pub age: Duration,
    /// So many records.
    pub records: u64,
    /// So many bytes of output of each org.
    pub output_bytes: u64,
}

impl Default for Retention {
    /// 90 days, a million records, 8 GiB.
    fn default() -> Retention {
        Retention {
            age: Duration::from_secs(90 * 24 * 3_600),
            records: 1_000_000,
            output_bytes: 8 * 1024 * 1024 * 1024,
        }
    }
}

/// Until the registry is gone.
pub(super) async fn keep(registry: Weak<Registry>) {
    let Some(strong) = registry.upgrade() else { return };
    let mut changes = strong.store.watch_changes();
    strong.sweep().await;
    drop(strong);
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        let Some(strong) = registry.upgrade() else { return };
        strong.count().await;
        drop(strong);
        tokio::time::sleep(COUNT_EVERY).await;
        let expires = tokio::select! {
            changed = changes.changed() => match changed {
                Ok(()) => false,
                Err(_) => return,
            },
            _ = look.tick() => true,
        };
        let Some(strong) = registry.upgrade() else { return };
        if expires && let Err(error) = strong.expire().await {
            tracing::warn!(%error, "failed to remove what is kept no longer");
        }
    }
}

/// Removes the output of one job after a while.
pub(super) async fn drop_log_later(registry: Weak<Registry>, id: String) {
    tokio::time::sleep(KEEP_RECORD).await;
    let Some(registry) = registry.upgrade() else { return };
    match registry.store.get(&id).await {
        Ok(Some(row)) => registry.drop_log(&row, GapReason::NotKept).await,
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(job = id, %error, "failed to remove the output of a job that is not kept")
        }
    }
}

impl Registry {
    /// Removes what is too old or too much.
    ///
    /// # Errors
    /// The store's; what is left goes with the next look.
    pub(crate) async fn expire(&self) -> Result<(), StoreError> {
        let age_us_max = u64::try_from(self.retention.age.as_micros()).unwrap_or(u64::MAX);
        loop {
            let expirable = self
                .store
                .expirable(Policy {
                    now_us: self.faults.now_us(),
                    age_us_max: Some(age_us_max),
                    records_max: Some(self.retention.records),
                    org_log_bytes_max: Some(self.retention.output_bytes),
                })
                .await?;
            if expirable.records.is_empty() && expirable.logs.is_empty() {
                return Ok(());
            }
            for id in &expirable.records {
                if let Some(row) = self.store.get(id).await? {
                    self.remove_record(&row).await?;
                }
            }
            for id in &expirable.logs {
                let Some(row) = self.store.get(id).await? else { continue };
                self.drop_log(&row, GapReason::OrgCap).await;
                // Whatever the disk said: it is not asked again for the same log.
                self.store.set_log_bytes(id, 0).await?;
            }
        }
    }

    /// Removes the output of a job that is over, and leaves a gap.
    async fn drop_log(&self, row: &Row, reason: GapReason) {
        let log = self.place.of(&row.id);
        let removed = tokio::task::spawn_blocking(move || removal::remove(&log, reason)).await;
        if let Err(error) = removed.map_err(std::io::Error::other).and_then(|removed| removed) {
            tracing::warn!(job = row.id, %error, "failed to remove the output of a job");
            return;
        }
        let cause = if reason == GapReason::OrgCap { GapCause::OrgCap } else { GapCause::NotKept };
        self.metrics.gap(cause, row.log_bytes);
        if let Err(error) = self.store.set_log_bytes(&row.id, 0).await {
            tracing::warn!(job = row.id, %error, "failed to note that the output of a job is gone");
        }
    }

    /// Removes logs that no record knows and that are older than records may be, and output whose time passed while no server
    /// was there. A younger log without a record is no rubbish: the records may have been lost, or be those of an old copy.
    pub(crate) async fn sweep(self: &Arc<Self>) {
        let place = self.place.clone();
        let found = tokio::task::spawn_blocking(move || place.jobs()).await;
        let ids = match found.map_err(std::io::Error::other).and_then(|found| found) {
            Ok(ids) => ids,
            Err(error) => return tracing::warn!(%error, "failed to list the logs"),
        };
        let mut unknown = 0_u64;
        for id in ids {
            // Live jobs first: a job is there before its log is.
            if self.lock().live.contains_key(&id) {
                continue;
            }
            match self.store.get(&id).await {
                Ok(None) if !self.lock().live.contains_key(&id) => {
                    if self.is_too_old(&id) {
                        tracing::info!(job = id, "removing an old log without a record");
                        self.remove_log(&id).await;
                    } else {
                        unknown += 1;
                    }
                }
                Ok(Some(row)) => match due_us(&row) {
                    Some(due_us) if due_us <= self.faults.now_us() => {
                        self.drop_log(&row, GapReason::NotKept).await;
                    }
                    Some(_) => drop(tokio::spawn(drop_log_later(Arc::downgrade(self), id))),
                    None => {}
                },
                Ok(_) => {}
                Err(error) => return tracing::warn!(%error, "failed to compare logs and records"),
            }
        }
        if unknown > 0 {
            tracing::warn!(
                logs = unknown,
                "logs without a record stay in logs/ until they are as old as records may be"
            );
        }
    }

    /// Whether nothing was made or removed in a log for longer than records are kept.
    fn is_too_old(&self, id: &str) -> bool {
        let changed = std::fs::metadata(self.place.of(id)).and_then(|log| log.modified());
        let now = UNIX_EPOCH + Duration::from_micros(self.faults.now_us());
        changed.is_ok_and(|changed| now.duration_since(changed).is_ok_and(|age| age > self.retention.age))
    }

    /// Counts what is kept.
    async fn count(&self) {
        match self.store.tallies().await {
            Ok(tallies) => {
                let totals = tallies.iter().fold(Totals::default(), |sum, tally| Totals {
                    records: sum.records + tally.jobs.finished,
                    output_bytes: sum.output_bytes + tally.log_bytes,
                });
                self.totals.send_replace(totals);
            }
            Err(error) => tracing::warn!(%error, "failed to count the records"),
        }
    }
}

/// When the output of a job goes of which only the record is kept; `None` for others, and when it has gone.
fn due_us(row: &Row) -> Option<u64> {
    let grace_us = u64::try_from(KEEP_RECORD.as_micros()).unwrap_or(u64::MAX);
    let finished_us = row.finished_us.filter(|_| row.state == RowState::Finished && row.log_bytes > 0)?;
    let stored = Stored::decode(&row.record).ok()?;
    (stored.record.keep == Keep::Record).then(|| finished_us.saturating_add(grace_us))
}
