//! Tells one client about one job: what has happened so far, then what happens, until the end.
//!
//! It reads the record and the log at the client's pace; nothing waits for it. The same for Run and Attach: only
//! the wrapping differs.

use super::Context;
use super::client::{Client, Over};
use super::convert::{Piece, finished_to_wire, started_to_wire};
use super::errors::{Reason, from_refusal, launcher_gone, server_restarting};
use super::output::Output;
use crate::jobs::{End, Job, Progress};
use crate::logs::Written;
use runtime_proto::v1;
use std::sync::Arc;
use tonic::Status;

/// Something to tell.
pub(super) enum Event {
    Accepted(v1::JobAccepted),
    Started(v1::JobStarted),
    Output(v1::OutputChunk),
    Gap(v1::OutputGap),
    Finished(Box<v1::JobFinished>),
    Heartbeat,
}

/// One client, and what it has been told.
pub(super) struct Follower<T> {
    pub(super) context: Arc<Context>,
    pub(super) job: Arc<Job>,
    pub(super) output: Output,
    pub(super) client: Client<T>,
    pub(super) wrap: fn(Event) -> T,
    /// Whether the acceptance has been told, or need not be.
    pub(super) told_accepted: bool,
    /// The same for the start.
    pub(super) told_started: bool,
}

impl<T: Send> Follower<T> {
    /// Returns when the client has gone or the job is over and all is told.
    pub(super) async fn follow(mut self) {
        let mut progress = self.job.progress();
        let mut written = self.job.written();
        let mut log_grows = true;
        loop {
            // In this order: what the record says is never ahead of what the log then holds.
            let now = progress.borrow_and_update().clone();
            let so_far = *written.borrow_and_update();
            if self.tell_progress(&now, &so_far).await.is_err() {
                return;
            }
            tokio::select! {
                () = self.client.gone() => return,
                () = self.context.retired() => {
                    let Over = self.client.give_up(server_restarting()).await;
                    return;
                }
                changed = progress.changed() => if changed.is_err() {
                    // The job's task never ends without an end in the record, unless all of the server does.
                    let Over = self.client.give_up(without_end(&self.context)).await;
                    return;
                },
                changed = written.changed(), if log_grows => log_grows = changed.is_ok(),
                () = self.client.silence() => if self.tell(Event::Heartbeat).await.is_err() {
                    return;
                },
            }
        }
    }

    async fn tell_progress(&mut self, now: &Progress, so_far: &Written) -> Result<(), Over> {
        if let Some(status) = no_outcome(&self.context, now) {
            return Err(self.client.give_up(status).await);
        }
        if !now.state.is_accepted() {
            return Ok(());
        }
        if !self.told_accepted {
            self.told_accepted = true;
            self.tell(Event::Accepted(v1::JobAccepted { job_id: self.job.record.id.to_string() })).await?;
        }
        if let (false, Some(started)) = (self.told_started, &now.started) {
            self.told_started = true;
            self.tell(Event::Started(started_to_wire(&self.job.record, started))).await?;
        }
        // Output may be in the log before the launcher's word of the start is here.
        if now.started.is_some() || now.end.is_some() {
            let wrap = self.wrap;
            let wrap = |piece| match piece {
                Piece::Output(chunk) => wrap(Event::Output(chunk)),
                Piece::Gap(gap) => wrap(Event::Gap(gap)),
            };
            self.output.tell(so_far, &mut self.client, &self.context, wrap).await?;
        }
        if let Some(End::Finished(finished)) = &now.end {
            let finished = finished_to_wire(&self.job.record, finished);
            self.tell(Event::Finished(Box::new(finished))).await?;
            return Err(Over);
        }
        Ok(())
    }

    async fn tell(&mut self, event: Event) -> Result<(), Over> {
        self.client.tell((self.wrap)(event)).await
    }
}

/// What a client is told of a job that ended here, but not with an outcome.
pub(super) fn no_outcome(context: &Context, now: &Progress) -> Option<Status> {
    match &now.end {
        None | Some(End::Finished(_)) => None,
        Some(End::Refused(refusal)) => Some(from_refusal(refusal)),
        Some(End::NoLog(error)) => {
            let text = format!("failed to make the log of the job: {error}: look at the state directory");
            Some(Reason::LogUnavailable.status(text))
        }
        Some(End::Postponed) => Some(context.say(Reason::ShuttingDown.status(
            "the daemon is on its way down; the job waits on disk for the next one: attach to it then",
        ))),
        Some(End::LauncherGone) => Some(launcher_gone()),
    }
}

/// What a client is told when nobody is left who leads its job.
pub(super) fn without_end(context: &Context) -> Status {
    if context.is_retiring() { server_restarting() } else { launcher_gone() }
}
