//! A job's record as JSON, and the report of `run --report`.

use runtime_proto::v1::{Enforcement, Job, JobState, Outcome};
use serde_json::Value;

use super::{Object, bytes, list, outcome, short, time};

/// A job.
pub fn job(job: &Job) -> Value {
    Object::default()
        .set("job_id", job.job_id.as_str())
        .set("state", state(job.state()))
        .set("argv", list(&job.argv, |argument| bytes(argument)))
        .set("env_names", list(&job.env_names, |name| bytes(name)))
        .set("profile", job.profile.as_str())
        .set_some("create_time", job.create_time.as_ref().map(time))
        .set_some("start_time", job.start_time.as_ref().map(time))
        .set_some("finish_time", job.finish_time.as_ref().map(time))
        .set_some("enforcement", job.enforcement.as_ref().map(outcome::enforcement))
        .set_some("outcome", job.outcome.as_ref().map(outcome::outcome))
        .set("labels", labels(job))
        .set("org", job.org.as_str())
        .set("priority", job.priority)
        .set("terminal", job.terminal)
        .set("stdin_open", job.stdin_open)
        .set("stdout_bytes", job.stdout_bytes)
        .set("stderr_bytes", job.stderr_bytes)
        .set("idempotency_key", job.idempotency_key.as_str())
        .set("adoptions", job.adoptions)
        .set("output_stalled", job.output_stalled.as_str())
        .into()
}

fn labels(job: &Job) -> Value {
    job.labels.iter().fold(Object::default(), |object, (name, value)| object.set(name, value.as_str())).into()
}

/// `queued`, `starting`, `running`, `finished`.
pub fn state(state: JobState) -> String {
    short(state.as_str_name(), "JOB_STATE_").into_owned()
}

/// What `run --report` writes: one object, `schema/report.schema.json` describes it.
#[derive(Debug, Default)]
pub struct Report<'a> {
    /// The job's id; absent when it was never taken.
    pub job_id: Option<&'a str>,
    /// When the command started.
    pub start_time: Option<&'a prost_types::Timestamp>,
    /// When its first process ended.
    pub finish_time: Option<&'a prost_types::Timestamp>,
    /// Why it ended; absent when that is not known.
    pub outcome: Option<&'a Outcome>,
    /// Which walls stood; absent when that is not known.
    pub enforcement: Option<&'a Enforcement>,
    /// What went wrong on our side: code and sentence.
    pub error: Option<(&'a str, String)>,
    /// The exit status of this command.
    pub exit_status: u8,
}

/// The report as JSON.
pub fn report(report: &Report<'_>) -> Value {
    let error = report.error.as_ref().map(|(code, message)| {
        Value::from(Object::default().set("code", *code).set("message", message.as_str()))
    });
    Object::default()
        .set_some("job_id", report.job_id)
        .set_some("start_time", report.start_time.map(time))
        .set_some("finish_time", report.finish_time.map(time))
        .set_some("outcome", report.outcome.map(outcome::outcome))
        .set_some("enforcement", report.enforcement.map(outcome::enforcement))
        .set_some("error", error)
        .set("exit_status", report.exit_status)
        .into()
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
