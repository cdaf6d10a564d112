//! `runtime wait`: until jobs are over. For one job the exit status and the line on stderr are those of `run`.

use std::time::Duration;

use runtime_proto::v1::{Job, JobState, WaitRequest};
use tokio::time::Instant;

use crate::args::{Global, WaitArgs};
use crate::error::Error;
use crate::session::Line;
use crate::text::{escape, outcome};
use crate::verdict::{self, Verdict};
use crate::{json, output, request};

/// Longest single wait that the API takes.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// Waits for each job in turn.
pub fn wait(global: Global, args: WaitArgs) -> Result<u8, Error> {
    let json = global.json;
    let timeout = args.timeout.as_deref().map(|text| request::milliseconds("--timeout", text)).transpose()?;
    let endpoint = super::endpoint(global)?;
    super::runtime()?.block_on(async {
        // A time that no clock holds never comes.
        let deadline = timeout.and_then(|time| Instant::now().checked_add(Duration::from_millis(time)));
        let mut line = Line::to(endpoint).await?;
        let mut status = 0;
        let one = args.jobs.len() == 1;
        for job_id in args.jobs {
            let job = over(&mut line, job_id, deadline).await?;
            let verdict = verdict(&job)?;
            show(&job, &verdict, one, json)?;
            status = if status == 0 { verdict.status } else { status };
        }
        Ok(status)
    })
}

/// The job, once it is over.
async fn over(line: &mut Line, job_id: String, deadline: Option<Instant>) -> Result<Job, Error> {
    loop {
        let left = deadline.map_or(WAIT_MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        // The API takes no time of nothing.
        let timeout = left.clamp(Duration::from_millis(1), WAIT_MAX);
        let request = WaitRequest {
            job_id: job_id.clone(),
            timeout: Some(request::duration(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))),
        };
        let answer = line.ask(true, async |mut jobs| jobs.wait(request.clone()).await).await?;
        let job = answer.job.ok_or_else(|| super::missing("job"))?;
        match job.state() {
            JobState::Finished => return Ok(job),
            _ if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                return Err(Error::WaitTimeout { job: job.job_id });
            }
            _ => {}
        }
    }
}

fn verdict(job: &Job) -> Result<Verdict, Error> {
    let outcome = job.outcome.as_ref().ok_or_else(|| super::missing("outcome"))?;
    Ok(verdict::of_outcome(outcome))
}

fn show(job: &Job, verdict: &Verdict, one: bool, json: bool) -> Result<(), Error> {
    if json {
        return output::print_json(&json::job::job(job));
    }
    if one {
        verdict.line.iter().for_each(|line| output::complain(&format!("runtime: {line}")));
        return Ok(());
    }
    let word = job.outcome.as_ref().map(outcome::word).unwrap_or_default();
    output::print(&format!("{}  {word}\n", escape::line(&job.job_id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_proto::v1::{ExitedOutcome, Outcome, outcome::Cause};

    #[test]
    fn a_finished_job_gives_its_status_and_one_without_an_outcome_is_no_success() {
        let outcome = Outcome {
            cause: Some(Cause::Exited(ExitedOutcome { code: 7 })),
            exit_status: 7,
            ..Default::default()
        };
        let job = Job { outcome: Some(outcome), ..Default::default() };
        assert_eq!(verdict(&job).unwrap(), Verdict { status: 7, line: None });
        assert_eq!(verdict(&Job::default()).unwrap_err().code(), "PROTOCOL");
    }
}
