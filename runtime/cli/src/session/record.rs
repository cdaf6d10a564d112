//! What is known of the job at the end of a session.

use runtime_proto::v1::{Job, JobFinished, JobStarted};

use crate::error::Error;

/// What is known of the job at the end of the session.
#[derive(Debug, Default)]
pub struct Record {
    /// Its id, once it was taken.
    pub job_id: Option<String>,
    /// The start, once it was told.
    pub started: Option<JobStarted>,
    /// The end, once it was told.
    pub finished: Option<JobFinished>,
    /// The answer to `validate_only`.
    pub planned: Option<String>,
    /// The first signal upon which we cancelled.
    pub signal: Option<i32>,
    /// The reader of our output went away, upon which we cancelled.
    pub reader_gone: bool,
    /// We left, and the job goes on.
    pub detached: bool,
    /// What went wrong on our side or on the way.
    pub error: Option<Error>,
}

impl Record {
    /// Nothing but a failure.
    pub fn failed(error: Error) -> Record {
        Record { error: Some(error), ..Record::default() }
    }

    /// Keeps the first cause.
    pub fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    /// The same, where there may be none.
    pub fn fail_if(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// What a job's record says of its start, where that was not told on the stream.
    pub fn see(&mut self, job: &Job) {
        if self.started.is_none() && job.start_time.is_some() {
            self.started = Some(JobStarted { time: job.start_time, enforcement: job.enforcement.clone() });
        }
    }
}
