//! Sees an outcome to the disk. Nobody is told of it before, and the launcher keeps it until then.

use super::{End, Event, Held, State, Task};
use crate::jobs::record::Finished;
use crate::jobs::request::Keep;
use crate::jobs::retention;
use crate::logs::{Written, removal};
use crate::metrics::GapCause;
use crate::store::{RowState, StoreError};
use runtime_plan::fault::CrashStep;
use runtime_plan::link::ToLauncher;
use runtime_plan::outcome::{ExitReport, Outcome, Usage};
use runtime_plan::wall::Enforcement;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Between two attempts to write an outcome down, at first and at most.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// What went wrong while cleaning up: so many of it are kept, and so many bytes of each.
const ERRORS_MAX: usize = 16;
const ERROR_BYTES_MAX: usize = 1_024;

/// What a report says of output that the disk did not confirm.
const SYNC_FAILED: &str = "the disk did not confirm some output: a power cut may take it";

/// How a job ended.
pub(super) struct Report {
    pub(super) report: ExitReport,
    pub(super) enforcement: Option<Arc<Enforcement>>,
    /// In microseconds since 1970; 0 is now.
    pub(super) time_us: u64,
}

impl Report {
    /// An end that no launcher has seen.
    pub(super) fn unseen(report: ExitReport) -> Report {
        Report { report, enforcement: None, time_us: 0 }
    }
}

impl Task {
    /// The job was cancelled before it ran.
    pub(super) fn end_cancelled(&mut self) {
        let (by, reason) = self.cancelled.clone().unwrap_or_default();
        self.end_unstarted(Outcome::Cancelled { by, reason });
    }

    /// An outcome of a job that never ran.
    pub(super) fn end_unstarted(&mut self, outcome: Outcome) {
        let now_us = self.registry.faults.now_us();
        let usage =
            Usage { queue_us: Some(now_us.saturating_sub(self.job.record.created_us)), ..Usage::default() };
        let report = ExitReport { outcome, limits_hit: Vec::new(), usage, cleanup_errors: Vec::new() };
        if self.happen(Event::EndedUnstarted) {
            self.report = Some(Report::unseen(report));
            self.output.none(Written::default());
        }
    }

    /// Starts to write the outcome down, when there is one and nothing stands against it.
    pub(super) fn commit_if_due(&mut self) {
        if self.state != State::Committing || self.commit.is_some() || self.commit_at.is_some() {
            return;
        }
        let (registry, log) = (Arc::clone(&self.registry), self.job.log.clone());
        if let Some(Report { mut report, enforcement, time_us }) = self.report.take() {
            let time_us = if time_us == 0 { registry.faults.now_us() } else { time_us };
            let queued_until_us = self.stored.asked_us.unwrap_or(time_us);
            let queue_us = queued_until_us.saturating_sub(self.job.record.created_us);
            report.usage.queue_us.get_or_insert(queue_us);
            let so_far = *self.output.written.borrow();
            report.cleanup_errors.extend(self.output.cut.take());
            report.cleanup_errors.extend(so_far.sync_failed.then(|| SYNC_FAILED.to_owned()));
            bound(&mut report.cleanup_errors);
            let (stdout_bytes, stderr_bytes) = (so_far.stdout_bytes, so_far.stderr_bytes);
            self.stored.finished =
                Some(Finished { time_us, report, enforcement, stdout_bytes, stderr_bytes });
        }
        let row = registry.row(&self.stored, RowState::Finished, None);
        self.commit = Some(tokio::spawn(async move {
            let measured = tokio::task::spawn_blocking(move || removal::measure(&log)).await;
            let mut row = row?;
            // What cannot be measured is found by the sweep when its record goes.
            row.log_bytes = measured.ok().and_then(Result::ok).unwrap_or(0);
            registry.store.put(row).await
        }));
    }

    /// The disk's answer.
    pub(super) async fn committed(&mut self, answer: Result<u64, StoreError>) {
        self.commit = None;
        match answer {
            Ok(_) => self.finish().await,
            // This server leaves; the next one gets the outcome from the launcher.
            Err(StoreError::Closed) => self.commit = Some(tokio::spawn(std::future::pending())),
            Err(error) => {
                if self.commits_failed == 0 {
                    tracing::error!(job = %self.job.id(), %error, "failed to write an outcome down; it is tried again");
                }
                let wait = RETRY_FIRST.saturating_mul(1 << self.commits_failed.min(8)).min(RETRY_MAX);
                self.commits_failed += 1;
                self.commit_at = Some(Instant::now() + wait);
            }
        }
    }

    /// The outcome is on disk: the launcher may forget the job, and clients hear of it.
    async fn finish(&mut self) {
        self.registry.faults.crash_point(CrashStep::FinishedCommitted);
        if !self.happen(Event::Committed) {
            return;
        }
        let Some(finished) = self.stored.finished.take() else { return };
        if self.held == Held::Running && self.events.is_some() {
            let acknowledge = ToLauncher::Acknowledge { job: self.job.id().clone() };
            if self.registry.link.send(acknowledge).await.is_err() {
                tracing::debug!(job = %self.job.id(), "no launcher to acknowledge to");
            }
            self.crash_behind(CrashStep::Acknowledged).await;
        }
        let written = *self.output.written.borrow();
        self.registry.metrics.output_bytes(written.bytes());
        if written.capped_bytes > 0 {
            self.registry.metrics.gap(GapCause::JobCap, written.capped_bytes);
        }
        self.registry.metrics.job_finished(&finished.report.outcome, &finished.report.usage);
        if self.job.record.keep == Keep::Record {
            tokio::spawn(retention::drop_log_later(
                Arc::downgrade(&self.registry),
                self.job.id().to_string(),
            ));
        }
        self.end(End::Finished(Arc::new(finished)));
    }

    /// Gives back what the job held.
    pub(super) fn close(mut self) {
        self.output.stop();
        self.registry.link.unregister(self.job.id());
        match self.held {
            Held::Waiting => self.registry.leave_queue(&self.job.record),
            Held::Running => self.registry.give_place(&self.job.record),
            Held::Nothing => {}
        }
        self.registry.forget(&self.job.record);
    }
}

fn bound(errors: &mut Vec<String>) {
    errors.truncate(ERRORS_MAX);
    for error in errors {
        let end = (0..=ERROR_BYTES_MAX).rev().find(|at| error.is_char_boundary(*at)).unwrap_or(0);
        if error.len() > ERROR_BYTES_MAX {
            error.truncate(end);
        }
    }
}
