//! `runtime ps`: jobs, newest first.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;
use runtime_proto::v1::{Job, JobState, ListRequest};

use crate::args::{Global, PsArgs};
use crate::error::Error;
use crate::text::{amount, escape, outcome, table};
use crate::{client, json, output};

/// Most jobs that one answer has (the API's bound).
const PAGE_MAX: u32 = 1_000;
/// Characters of a command line in the table.
const COMMAND_CHARACTERS_MAX: usize = 60;

/// Lists jobs, page by page, up to the number asked for.
pub fn ps(global: Global, args: &PsArgs) -> Result<u8, Error> {
    let json = global.json;
    let jobs = super::with_daemon(global, |channel| async {
        let mut client = client::jobs(channel);
        let mut jobs: Vec<Job> = Vec::new();
        let mut page_token = String::new();
        loop {
            let left = args.max.saturating_sub(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
            if left == 0 {
                return Ok(jobs);
            }
            let state = wanted(args.state.as_deref()).into();
            let request = ListRequest { state, page_size: left.min(PAGE_MAX), page_token };
            let answer = client.list(request).await.map_err(|status| client::refused(&status))?.into_inner();
            jobs.extend(answer.jobs);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return Ok(jobs);
            }
        }
    })?;
    if json {
        jobs.iter().try_for_each(|job| output::print_json(&json::job::job(job)))?;
    } else {
        let now = SystemTime::now();
        let rows = jobs.iter().map(|job| row(job, now)).collect();
        output::print(&table::plain(&["JOB", "STATE", "PROFILE", "AGE", "OUTCOME", "COMMAND"], rows))?;
    }
    Ok(0)
}

fn wanted(state: Option<&str>) -> JobState {
    match state {
        Some("queued") => JobState::Queued,
        Some("starting") => JobState::Starting,
        Some("running") => JobState::Running,
        Some("finished") => JobState::Finished,
        _ => JobState::Unspecified,
    }
}

fn row(job: &Job, now: SystemTime) -> Vec<String> {
    vec![
        escape::line(&job.job_id),
        json::job::state(job.state()),
        escape::line(&job.profile),
        job.create_time.as_ref().and_then(|time| age(time, now)).unwrap_or_default(),
        job.outcome.as_ref().map(outcome::word).unwrap_or_default(),
        escape::cut(&escape::command(&job.argv), COMMAND_CHARACTERS_MAX),
    ]
}

/// How long ago, in whole seconds; `None` for a time that no clock has.
fn age(time: &Timestamp, now: SystemTime) -> Option<String> {
    let then = UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(time.seconds).ok()?))?;
    let passed = now.duration_since(then).unwrap_or_default();
    Some(amount::time(passed.as_secs().saturating_mul(1_000)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_proto::v1::{ExitedOutcome, Outcome, outcome::Cause};

    #[test]
    fn a_row_is_safe_to_print() {
        let job = Job {
            job_id: "job-1".into(),
            state: JobState::Finished.into(),
            argv: vec![b"sh".as_slice().into(), b"\x1b[2J\xff".as_slice().into()],
            profile: "default".into(),
            create_time: Some(Timestamp { seconds: 100, nanos: 0 }),
            outcome: Some(Outcome {
                cause: Some(Cause::Exited(ExitedOutcome { code: 3 })),
                ..Default::default()
            }),
            ..Default::default()
        };
        let now = UNIX_EPOCH + Duration::from_secs(161);
        assert_eq!(
            row(&job, now),
            ["job-1", "finished", "default", "1 min 1 s", "exited 3", "sh '\\x1b[2J\\xff'"]
        );
    }

    #[test]
    fn a_clock_that_went_back_gives_no_negative_age() {
        let time = Timestamp { seconds: 100, nanos: 0 };
        assert_eq!(age(&time, UNIX_EPOCH).unwrap(), "0 ms");
        assert_eq!(age(&Timestamp { seconds: -1, nanos: 0 }, UNIX_EPOCH), None);
    }
}
