//! Tells one client about one job: what has happened so far, then what happens, until the end.
//!
//! It reads the record and the log at the client's pace; nothing waits for it. The same for Run and Attach: only
//! the wrapping differs.

use super::convert::{finished_to_wire, started_to_wire, timestamp_from_us};
use super::errors::{Reason, from_refusal, launcher_gone};
use crate::jobs::{End, Job};
use crate::logs::{self, reader};
use runtime_proto::v1;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Status;

/// A client that hears nothing for so long gets a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Something to tell.
pub(super) enum Event {
    Accepted(v1::JobAccepted),
    Started(v1::JobStarted),
    Output(v1::OutputChunk),
    Finished(Box<v1::JobFinished>),
    Heartbeat,
}

/// One client, and what it has been told.
pub(super) struct Follower<T> {
    pub(super) job: Arc<Job>,
    pub(super) profile_digest: String,
    pub(super) from: reader::From,
    pub(super) to: mpsc::Sender<Result<T, Status>>,
    pub(super) wrap: fn(Event) -> T,
    /// Whether the acceptance has been told, or need not be.
    pub(super) told_accepted: bool,
    /// The same for the start.
    pub(super) told_started: bool,
}

/// The stream is over: the client has gone, or has been told all.
struct Over;

impl<T: Send> Follower<T> {
    /// Returns when the client has gone or the job is over and all is told.
    pub(super) async fn follow(mut self) {
        let mut progress = self.job.progress();
        let mut written = self.job.written();
        let mut log_grows = true;
        let mut log = None;
        loop {
            // In this order: what the record says is never ahead of what the log then holds.
            let now = progress.borrow_and_update().clone();
            let so_far = *written.borrow_and_update();
            if self.tell_progress(&now, &so_far, &mut log).await.is_err() {
                return;
            }
            let quiet_until = Instant::now() + HEARTBEAT;
            tokio::select! {
                () = self.to.closed() => return,
                changed = progress.changed() => if changed.is_err() {
                    // The job's task never ends without an end in the record.
                    let Over = self.give_up(launcher_gone()).await;
                    return;
                },
                changed = written.changed(), if log_grows => log_grows = changed.is_ok(),
                () = tokio::time::sleep_until(quiet_until) => if self.tell(Event::Heartbeat).await.is_err() {
                    return;
                },
            }
        }
    }

    async fn tell_progress(
        &mut self,
        now: &crate::jobs::Progress,
        so_far: &logs::Written,
        log: &mut Option<reader::Reader>,
    ) -> Result<(), Over> {
        match &now.end {
            Some(End::Refused(refusal)) => return Err(self.give_up(from_refusal(refusal)).await),
            Some(End::NoLog(error)) => {
                let text = format!("failed to make the log of the job: {error}: look at the state directory");
                return Err(self.give_up(Reason::LogUnavailable.status(text)).await);
            }
            Some(End::LauncherGone) => return Err(self.give_up(launcher_gone()).await),
            Some(End::Finished(_)) | None => {}
        }
        if !now.state.is_accepted() {
            return Ok(());
        }
        if !self.told_accepted {
            self.told_accepted = true;
            self.tell(Event::Accepted(v1::JobAccepted { job_id: self.job.id.to_string() })).await?;
        }
        if let (false, Some(started)) = (self.told_started, &now.started) {
            self.told_started = true;
            self.tell(Event::Started(started_to_wire(&self.job, started, &self.profile_digest))).await?;
        }
        // Output may be in the log before the launcher's word of the start is here.
        if now.started.is_some() || now.end.is_some() {
            self.tell_output(so_far, log).await?;
        }
        if let Some(End::Finished(finished)) = &now.end {
            let finished = finished_to_wire(&self.job, finished, &self.profile_digest);
            self.tell(Event::Finished(Box::new(finished))).await?;
            return Err(Over);
        }
        Ok(())
    }

    async fn tell_output(
        &mut self,
        so_far: &logs::Written,
        log: &mut Option<reader::Reader>,
    ) -> Result<(), Over> {
        if so_far.entries == 0 {
            return Ok(());
        }
        let reader = match log {
            Some(reader) => reader,
            None => match reader::Reader::open(&self.job.log, self.from) {
                Ok(reader) => log.insert(reader),
                Err(error) => return Err(self.give_up(log_unavailable(&error)).await),
            },
        };
        loop {
            match reader.next(so_far) {
                Ok(Some(chunk)) => self.tell(Event::Output(chunk_to_wire(chunk))).await?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.give_up(log_unavailable(&error)).await),
            }
        }
    }

    async fn tell(&self, event: Event) -> Result<(), Over> {
        self.to.send(Ok((self.wrap)(event))).await.map_err(|_| Over)
    }

    async fn give_up(&self, status: Status) -> Over {
        if self.to.send(Err(status)).await.is_err() {
            tracing::debug!(job = %self.job.id, "the client has gone already");
        }
        Over
    }
}

fn log_unavailable(error: &std::io::Error) -> Status {
    Reason::LogUnavailable
        .status(format!("failed to read the log of the job: {error}: look at the state directory"))
}

fn chunk_to_wire(chunk: reader::Chunk) -> v1::OutputChunk {
    v1::OutputChunk {
        stream: match chunk.stream {
            logs::Stream::Stdout => v1::OutputStream::Stdout,
            logs::Stream::Stderr => v1::OutputStream::Stderr,
        }
        .into(),
        offset_bytes: chunk.offset,
        time: Some(timestamp_from_us(chunk.time_us)),
        data: chunk.data,
    }
}
