//! `runtime ps`: jobs, newest first; with `--watch` then each change of one.

mod watch;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;
use runtime_proto::v1::{Job, JobState, ListRequest};

use crate::args::{Global, PsArgs};
use crate::error::Error;
use crate::text::{amount, escape, outcome, table, when};
use crate::{client, json, output, request};

/// Most jobs that one answer has (the API's bound).
const PAGE_MAX: u32 = 1_000;
/// Characters of a command line in the table.
const COMMAND_CHARACTERS_MAX: usize = 60;
/// The columns.
const HEAD: [&str; 6] = ["JOB", "STATE", "PROFILE", "AGE", "OUTCOME", "COMMAND"];

/// Lists jobs, page by page, up to the number asked for.
pub fn ps(global: Global, args: &PsArgs) -> Result<u8, Error> {
    let first = first_page(args, SystemTime::now())?;
    if args.watch {
        return watch::watch(global, first);
    }
    let json = global.json;
    let jobs_max = if args.all { usize::MAX } else { usize::try_from(args.max).unwrap_or(usize::MAX) };
    let jobs = super::with_daemon(global, |channel| async {
        let mut client = client::jobs(channel);
        let (mut jobs, mut page) = (0, Vec::new());
        let mut page_token = String::new();
        while jobs < jobs_max {
            let page_size = u32::try_from(jobs_max - jobs).unwrap_or(u32::MAX).min(PAGE_MAX);
            let request = ListRequest { page_size, page_token, ..first.clone() };
            let answer = client.list(request).await.map_err(|status| client::refused(&status))?.into_inner();
            jobs += answer.jobs.len();
            // As JSON a million records are printed as they come; a table needs them all to know its widths.
            match json {
                true => answer.jobs.iter().try_for_each(|job| output::print_json(&json::job::job(job)))?,
                false => page.extend(answer.jobs),
            }
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        Ok(page)
    })?;
    if !json {
        let now = SystemTime::now();
        output::print(&table::plain(&HEAD, jobs.iter().map(|job| row(job, now)).collect()))?;
    }
    Ok(0)
}

fn first_page(args: &PsArgs, now: SystemTime) -> Result<ListRequest, Error> {
    let since = args.since.as_deref().map(|text| when::parse(text, now)).transpose();
    Ok(ListRequest {
        state: wanted(args.state.as_deref()).into(),
        labels: request::labels(&args.label)?,
        profile: args.profile.clone().unwrap_or_default(),
        org: args.org.clone().unwrap_or_default(),
        created_after: since.map_err(|message| Error::Usage { message: format!("--since: {message}") })?,
        ..ListRequest::default()
    })
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
    fn filters_become_fields() {
        let args = PsArgs {
            state: Some("running".into()),
            label: vec!["a=1".into(), "b=2".into()],
            profile: Some("python".into()),
            org: Some("acme".into()),
            since: Some("10s".into()),
            ..Default::default()
        };
        let page = first_page(&args, UNIX_EPOCH + Duration::from_secs(100)).unwrap();
        assert_eq!(page.state(), JobState::Running);
        assert_eq!((page.labels.len(), page.profile.as_str(), page.org.as_str()), (2, "python", "acme"));
        assert_eq!(page.created_after, Some(Timestamp { seconds: 90, nanos: 0 }));
        assert!(first_page(&PsArgs { label: vec!["a".into()], ..args }, UNIX_EPOCH).is_err());
    }

    #[test]
    fn a_clock_that_went_back_gives_no_negative_age() {
        let time = Timestamp { seconds: 100, nanos: 0 };
        assert_eq!(age(&time, UNIX_EPOCH).unwrap(), "0 ms");
        assert_eq!(age(&Timestamp { seconds: -1, nanos: 0 }, UNIX_EPOCH), None);
    }
}
