//! What the daemon says, and what that means for the session.

use runtime_proto::v1::{Job, JobState};
use tonic::Status;

use super::call::{Call, Event};
use super::{Session, is_broken};
use crate::client;
use crate::error::Error;
use crate::signals;

impl Session {
    /// Whether the session goes on.
    pub(super) fn on_event(&mut self, event: Event) -> bool {
        if !matches!(event, Event::Accepted(_) | Event::Job(_)) {
            self.line.progress();
        }
        match event {
            Event::Accepted(id) => {
                self.record.job_id = Some(id);
                self.on_taken();
            }
            Event::Job(job) => self.on_job(*job),
            Event::Started(started) => self.record.started = Some(started),
            Event::Output(chunk) => {
                let taken = self.screen.take(chunk);
                self.record.fail_if(taken);
            }
            Event::Gap(gap) => {
                let skipped = self.screen.skip(&gap);
                self.record.fail_if(skipped);
            }
            Event::Finished(finished) => {
                self.record.finished = Some(*finished);
                return false;
            }
            Event::Planned(plan) => {
                self.record.planned = Some(plan);
                return false;
            }
            Event::Nothing => {}
        }
        true
    }

    /// The job is the daemon's: stdin, our terminal and a cancel may go to it.
    pub(super) fn on_taken(&mut self) {
        self.line.heard();
        self.leave_at = None;
        let started = self.feed.start();
        self.record.fail_if(started);
        if let Some(terminal) = &mut self.terminal {
            let entered = terminal.enter();
            self.size = terminal.size();
            self.record.fail_if(entered);
        }
        if let Some(request) = self.cancel.take() {
            self.cancel(&request.reason, request.kill);
        } else if let Some(signal) = self.record.signal {
            self.cancel(signals::reason(signal), false);
        }
    }

    /// The first message of `Attach`, also after a broken connection.
    pub(super) fn on_job(&mut self, job: Job) {
        let again = self.record.job_id.is_some();
        self.record.job_id = Some(job.job_id.clone());
        self.record.see(&job);
        if job.state() != JobState::Finished {
            self.on_taken();
        }
        if again && !self.feed.survives(&job) {
            self.feed.stop();
            self.record.fail(Error::StdinCut { job: job.job_id });
            self.cancel("stdin was cut by a lost connection", false);
        }
    }

    /// Whether the session goes on, without a stream.
    pub(super) fn on_status(&mut self, status: &Status) -> bool {
        let taken = self.record.job_id.is_some();
        if self.line.can_return()
            && is_broken(status, taken)
            && !self.line.is_worn_out()
            && self.leave_at.is_none()
        {
            self.line.broke();
            return true;
        }
        let error = match taken {
            true if is_broken(status, true) => self.lost(status.message()),
            // Before the last attempt there were others, and one of them may have been heard.
            false if self.line.is_worn_out() && is_broken(status, false) => self.lost(status.message()),
            _ => client::refused(status),
        };
        self.record.fail(error);
        false
    }

    pub(super) fn lost(&self, why: &str) -> Error {
        let why = why.to_owned();
        match (&self.record.job_id, &self.call) {
            (Some(job), _) => Error::ConnectionLost { job: job.clone(), why },
            (None, Call::Attach(start)) => Error::ConnectionLost { job: start.job_id.clone(), why },
            (None, Call::Run(start)) => Error::Unanswered { why, key: start.idempotency_key.clone() },
        }
    }
}
