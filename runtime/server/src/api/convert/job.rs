//! From a job's record to the wire.

use super::{enforcement_to_wire, outcome_to_wire, timestamp_from_us};
use crate::api::errors::Reason;
use crate::jobs::state::State;
use crate::jobs::{End, Finished, Job, JobRecord, Progress, Started};
use crate::logs::Written;
use crate::store::RowState;
use runtime_proto::v1;
use tonic::Status;

/// A record as it is now.
pub fn job_to_wire(job: &Job, progress: &Progress, written: &Written) -> v1::Job {
    let record = &job.record;
    let finished = match &progress.end {
        Some(End::Finished(finished)) => Some(finished),
        _ => None,
    };
    let stood = finished.and_then(|finished| finished.enforcement.as_ref());
    let stands = progress.started.as_ref().map(|started| &started.enforcement);
    let (stdout_bytes, stderr_bytes) = finished
        .map_or((written.stdout_bytes, written.stderr_bytes), |finished| {
            (finished.stdout_bytes, finished.stderr_bytes)
        });
    let stalled = written.stalled.filter(|_| finished.is_none());
    v1::Job {
        job_id: record.id.to_string(),
        state: state_to_wire(progress.state).into(),
        argv: record.argv.clone(),
        env_names: record.env_names.clone(),
        profile: record.profile.clone(),
        create_time: Some(timestamp_from_us(record.created_us)),
        start_time: progress.started.as_ref().map(|started| timestamp_from_us(started.time_us)),
        finish_time: finished.map(|finished| timestamp_from_us(finished.time_us)),
        enforcement: stood.or(stands).map(|walls| enforcement_to_wire(walls, record)),
        outcome: finished.map(|finished| outcome_to_wire(finished)),
        labels: record.labels.clone().into_iter().collect(),
        org: record.org.clone(),
        priority: record.priority,
        terminal: record.terminal,
        stdin_open: finished.is_none() && job.stdin_open(),
        stdout_bytes,
        stderr_bytes,
        idempotency_key: record.key.clone().unwrap_or_default(),
        adoptions: job.adoptions(),
        output_stalled: stalled.map(|stall| stall.text().to_owned()).unwrap_or_default(),
    }
}

/// The start of a job.
pub fn started_to_wire(record: &JobRecord, started: &Started) -> v1::JobStarted {
    v1::JobStarted {
        time: Some(timestamp_from_us(started.time_us)),
        enforcement: Some(enforcement_to_wire(&started.enforcement, record)),
    }
}

/// The end of a job.
pub fn finished_to_wire(record: &JobRecord, finished: &Finished) -> v1::JobFinished {
    let walls = finished.enforcement.as_ref();
    v1::JobFinished {
        time: Some(timestamp_from_us(finished.time_us)),
        outcome: Some(outcome_to_wire(finished)),
        enforcement: walls.map(|walls| enforcement_to_wire(walls, record)),
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

/// A state of the wire as the store has it; `None` is any.
pub fn row_state(state: v1::JobState) -> Option<RowState> {
    match state {
        v1::JobState::Unspecified => None,
        v1::JobState::Queued => Some(RowState::Queued),
        v1::JobState::Starting => Some(RowState::Starting),
        v1::JobState::Running => Some(RowState::Running),
        v1::JobState::Finished => Some(RowState::Finished),
    }
}

/// A state as clients see it: without an outcome on disk nobody is told that a job is over.
pub fn state_to_wire(state: State) -> v1::JobState {
    match state.row() {
        RowState::Queued => v1::JobState::Queued,
        RowState::Starting => v1::JobState::Starting,
        RowState::Running => v1::JobState::Running,
        RowState::Finished => v1::JobState::Finished,
    }
}
