//! Asks the launcher to start a job, and hears what it says of it.

use super::finish::Report;
use super::{End, Event, Held, State, Task};
use crate::jobs::pipes::FromLauncher;
use crate::jobs::record::Started;
use crate::logs::Written;
use crate::store::{RowState, StoreError};
use runtime_plan::fault::CrashStep;
use runtime_plan::link::{Refusal, RefusalReason, ToLauncher};
use runtime_plan::outcome::{Outcome, SpawnFailure};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a job that found no room waits before it joins the queue again.
const DEFER: Duration = Duration::from_secs(1);

impl Task {
    /// Its turn has come: asks the launcher.
    pub(super) async fn start(&mut self) {
        self.held = Held::Running;
        let Some(spec) = self.spec.clone() else { return };
        self.registry.faults.job_starts();
        if self.queued_on_disk {
            (self.stored.launcher, self.stored.asked_us) =
                (Some(self.registry.launcher.clone()), Some(self.registry.faults.now_us()));
            // Before it is asked: a server that finds the row must know that the job may have run.
            if let Err(error) = self.write(RowState::Starting).await {
                tracing::warn!(job = %self.job.id(), %error, "a job is not started while that cannot be written down");
                self.defer(Some(DEFER));
                return;
            }
            self.queued_on_disk = false;
        }
        let record = match self.stored.encode() {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(job = %self.job.id(), %error, "failed to write the record of a job");
                return self.reject(End::NoLog(error.to_string())).await;
            }
        };
        if !self.happen(Event::Admitted) {
            return;
        }
        self.events = Some(self.registry.link.register(self.job.id().clone()));
        self.asked_at = Some(Instant::now());
        let job = self.job.id().clone();
        self.tell(ToLauncher::Start { job, spec: Box::new(spec), record }).await;
        self.crash_behind(CrashStep::StartSent).await;
    }

    /// A crash at this step comes when what was said before is out.
    pub(super) async fn crash_behind(&mut self, step: CrashStep) {
        if self.registry.faults.crashes_at(step) {
            if self.registry.link.flush().await.is_err() {
                tracing::debug!("the launcher is gone");
            }
            self.registry.faults.crash_point(step);
        }
    }

    /// What the launcher says.
    pub(super) async fn hear(&mut self, event: FromLauncher) {
        let faults = self.registry.faults.clone();
        match event {
            FromLauncher::Accepted(pipes) => {
                faults.crash_point(CrashStep::Accepted);
                if self.happen(Event::Accepted) {
                    self.spec = None;
                    self.connect(pipes, false);
                }
            }
            FromLauncher::Refused(refusal) => self.refused(refusal).await,
            FromLauncher::Started { time_us, enforcement, master } => {
                faults.crash_point(CrashStep::Started);
                if self.happen(Event::Started) {
                    let started =
                        Started { time_us: faults.wall_us(time_us), enforcement: Arc::from(enforcement) };
                    self.output_begins(master);
                    self.started(started);
                }
            }
            FromLauncher::Finished { time_us, report, enforcement } => {
                faults.crash_point(CrashStep::FinishedHeard);
                if self.report.is_none() && self.happen(Event::Exited) {
                    let time_us = faults.wall_us(time_us);
                    self.report =
                        Some(Report { report: *report, enforcement: Some(Arc::from(enforcement)), time_us });
                    self.output_must_end();
                }
            }
        }
    }

    fn started(&mut self, started: Started) {
        if let Some(asked_at) = self.asked_at {
            let queued_us = self.stored.asked_us.unwrap_or(0).saturating_sub(self.job.record.created_us);
            self.registry.metrics.job_started(Duration::from_micros(queued_us), asked_at.elapsed());
        }
        self.stored.started = Some(started.clone());
        self.progress.send_modify(|progress| progress.started = Some(Arc::new(started)));
        self.store_soon();
    }

    /// Queues the row as it is now. It is not waited for: the launcher has the job, and the end is written for certain.
    pub(super) fn store_soon(&self) {
        match self.registry.row(&self.stored, self.state.row(), None) {
            Ok(row) => self.registry.put_soon(row),
            Err(error) => {
                tracing::error!(job = %self.job.id(), %error, "failed to write the record of a job")
            }
        }
    }

    /// Writes a row with the spec, and waits for the disk.
    async fn write(&self, state: RowState) -> Result<(), StoreError> {
        let spec = match &self.spec {
            Some(spec) => {
                let sealed = self.registry.seal.close(self.job.id(), spec);
                Some(sealed.map_err(|error| StoreError::Io { act: "write", detail: error.to_string() })?)
            }
            None => None,
        };
        let row = self.registry.row(&self.stored, state, spec)?;
        self.registry.store.put(row).await.map(drop)
    }

    async fn refused(&mut self, refusal: Refusal) {
        self.registry.link.unregister(self.job.id());
        self.events = None;
        if self.cancelled.is_some() && self.state == State::Starting {
            return self.end_cancelled();
        }
        match refusal.reason {
            RefusalReason::ShuttingDown => {
                // The launcher starts nothing any more, whatever it lets finish.
                self.registry.stop();
                if self.job.record.submitted || (self.waited && self.can_be_found()) {
                    self.back_to_queue(None).await;
                } else {
                    self.reject(End::Refused(refusal)).await;
                }
            }
            RefusalReason::TooManyJobs if self.job.record.submitted => self.back_to_queue(Some(DEFER)).await,
            _ if self.job.record.submitted => self.end_unstarted(Outcome::SpawnFailed(SpawnFailure {
                step: "ask the launcher".to_owned(),
                index: 0,
                steps: 0,
                errno: 0,
                wall: None,
                message: refusal.message,
                exit_status: 125,
            })),
            _ => self.reject(End::Refused(refusal)).await,
        }
    }

    async fn back_to_queue(&mut self, after: Option<Duration>) {
        if !self.happen(Event::Deferred) {
            return;
        }
        (self.stored.launcher, self.stored.asked_us) = (None, None);
        self.queued_on_disk = true;
        if let Err(error) = self.write(RowState::Queued).await {
            tracing::warn!(job = %self.job.id(), %error, "failed to write down that a job waits again");
        }
        self.defer(after);
    }

    /// Leaves its place, and looks for another one later.
    fn defer(&mut self, after: Option<Duration>) {
        self.registry.give_place(&self.job.record);
        self.held = Held::Nothing;
        self.rejoin_at = after.map(|after| Instant::now() + after);
    }

    /// It was never taken, and leaves no trace.
    pub(super) async fn reject(&mut self, end: End) {
        if !self.happen(Event::Rejected) {
            return;
        }
        if let Err(error) = self.registry.store.delete(self.job.id().as_str()).await {
            tracing::warn!(job = %self.job.id(), %error, "failed to remove the record of a job that was not taken");
        }
        self.output.none(Written::default());
        self.end(end);
    }
}
