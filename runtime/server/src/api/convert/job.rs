//! From a job's record to the wire.

use super::{enforcement_to_wire, outcome_to_wire, timestamp};
use crate::api::errors::Reason;
use crate::jobs::state::State;
use crate::jobs::{End, Finished, Job, Progress, Started};
use runtime_proto::v1;
use tonic::Status;

/// A record as it is now. `digest_of` knows the digests of profiles by name.
pub fn job_to_wire(job: &Job, progress: &Progress, digest_of: impl Fn(&str) -> String) -> v1::Job {
    let digest = digest_of(&job.profile);
    let finished = match &progress.end {
        Some(End::Finished(finished)) => Some(finished),
        _ => None,
    };
    let stood = finished.and_then(|finished| finished.enforcement.as_ref());
    let stands = progress.started.as_ref().map(|started| &started.enforcement);
    v1::Job {
        job_id: job.id.to_string(),
        state: state_to_wire(progress.state).into(),
        argv: job.argv.clone(),
        env_names: job.env_names.clone(),
        profile: job.profile.clone(),
        create_time: Some(timestamp(job.created)),
        start_time: progress.started.as_ref().map(|started| timestamp(started.time)),
        finish_time: finished.map(|finished| timestamp(finished.time)),
        enforcement: stood.or(stands).map(|walls| enforcement_to_wire(walls, &job.profile, &digest)),
        outcome: finished.map(|finished| outcome_to_wire(finished)),
    }
}

/// The start of a job.
pub fn started_to_wire(job: &Job, started: &Started, digest: &str) -> v1::JobStarted {
    v1::JobStarted {
        time: Some(timestamp(started.time)),
        enforcement: Some(enforcement_to_wire(&started.enforcement, &job.profile, digest)),
    }
}

/// The end of a job.
pub fn finished_to_wire(job: &Job, finished: &Finished, digest: &str) -> v1::JobFinished {
    let walls = finished.enforcement.as_ref();
    v1::JobFinished {
        time: Some(timestamp(finished.time)),
        outcome: Some(outcome_to_wire(finished)),
        enforcement: walls.map(|walls| enforcement_to_wire(walls, &job.profile, digest)),
    }
}

/// What a filter asks for; `None` is any state.
///
/// # Errors
/// INVALID_ARGUMENT for a number that this version does not know.
pub fn state_from_wire(number: i32) -> Result<Option<v1::JobState>, Status> {
    match v1::JobState::try_from(number) {
        Ok(v1::JobState::Unspecified) => Ok(None),
        Ok(state) => Ok(Some(state)),
        Err(_) => Err(Reason::BadEnum.status(format!("{number} is no job state that this version knows"))),
    }
}

/// A state as clients see it.
pub fn state_to_wire(state: State) -> v1::JobState {
    match state {
        State::Queued => v1::JobState::Queued,
        State::Starting | State::Accepted { .. } => v1::JobState::Starting,
        // Without an outcome nobody is told that it is over.
        State::Running { .. } | State::Draining => v1::JobState::Running,
        State::Finished | State::Rejected | State::Lost => v1::JobState::Finished,
    }
}
