//! The calls that are measured. Each answer is checked: a fast wrong one is an error.

use super::fill::{FEW, GROUPS, LABEL};
use super::place::Place;
use crate::error::Error;
use runtime_proto::v1::{
    DeleteRequest, GetRequest, Job, JobSpec, ListRequest, ListResponse, StreamLogsRequest, SubmitRequest,
    WaitRequest, job_service_client::JobServiceClient, outcome::Cause, stream_logs_response::Event,
};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tonic::transport::Channel;

/// Jobs on a page: fewer than the smallest store can give.
const PAGE: u32 = 3;
/// Bytes of the output that is streamed.
pub const OUTPUT_BYTES: u64 = 65_536;

/// What is done.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// Until the job is on disk. It is waited for and deleted, untimed.
    Submit,
    /// The youngest jobs.
    FirstPage,
    /// Those of a label that half of all jobs have.
    Half,
    /// Those of a label that as many jobs have at every size.
    Few,
    /// A page by its token.
    Deep,
    /// A job by the start of its id.
    Prefix,
    /// All output of a finished job.
    Stream,
}

impl Act {
    /// All of it, with names for people.
    pub const ALL: [(Act, &'static str); 7] = [
        (Act::Submit, "submit"),
        (Act::FirstPage, "list, first page"),
        (Act::Half, "list, a label of every second job"),
        (Act::Few, "list, a label of two jobs in all"),
        (Act::Deep, "list, a page deep inside"),
        (Act::Prefix, "get by prefix"),
        (Act::Stream, "stream logs, 64 KiB to the end"),
    ];
}

/// One call, timed. `number` chooses the place deep inside. What it leaves behind is cleared away untimed.
pub async fn call(
    client: &mut JobServiceClient<Channel>,
    number: usize,
    act: Act,
    place: &Place,
    submitted: &JobSpec,
) -> Result<Duration, Error> {
    let page = ListRequest { page_size: PAGE, ..ListRequest::default() };
    let labelled = |group: &str| ListRequest {
        labels: HashMap::from([(LABEL.to_owned(), group.to_owned())]),
        ..page.clone()
    };
    let inside = &place.inside[number % place.inside.len()];
    let begin = Instant::now();
    match act {
        Act::Submit => {
            let id = submit(client, submitted.clone()).await?;
            let elapsed = begin.elapsed();
            wait(client, &id).await?;
            client.delete(DeleteRequest { job_id: id }).await?;
            return Ok(elapsed);
        }
        Act::FirstPage => expect(&client.list(page).await?.into_inner(), u64::from(PAGE))?,
        Act::Half => expect(&client.list(labelled(GROUPS[0])).await?.into_inner(), u64::from(PAGE))?,
        Act::Few => expect(&client.list(labelled(GROUPS[2])).await?.into_inner(), FEW)?,
        Act::Deep => {
            let request = ListRequest { page_token: inside.token.clone(), ..page };
            expect(&client.list(request).await?.into_inner(), u64::from(PAGE))?;
        }
        Act::Prefix => {
            client.get(GetRequest { job_id: inside.prefix.clone() }).await?;
        }
        Act::Stream => stream(client, &place.ran).await?,
    }
    Ok(begin.elapsed())
}

fn expect(page: &ListResponse, jobs: u64) -> Result<(), Error> {
    match page.jobs.len() as u64 == jobs {
        true => Ok(()),
        false => Err(Error::Job(format!("{} jobs on a page, not {jobs}", page.jobs.len()))),
    }
}

/// The output of the first job that really ran.
async fn stream(client: &mut JobServiceClient<Channel>, ran: &[String]) -> Result<(), Error> {
    let job_id = ran.first().cloned().unwrap_or_default();
    let request = StreamLogsRequest { job_id, follow: true, ..StreamLogsRequest::default() };
    let mut answers = client.stream_logs(request).await?.into_inner();
    let mut seen = 0;
    while let Some(answer) = answers.message().await? {
        if let Some(Event::Output(chunk)) = answer.event {
            seen += chunk.data.len() as u64;
        }
    }
    match seen == OUTPUT_BYTES {
        true => Ok(()),
        false => Err(Error::Job(format!("{seen} bytes of output came, not {OUTPUT_BYTES}"))),
    }
}

/// Its id, when it is on disk.
pub async fn submit(client: &mut JobServiceClient<Channel>, spec: JobSpec) -> Result<String, Error> {
    let request = SubmitRequest { spec: Some(spec), ..SubmitRequest::default() };
    let job = client.submit(request).await?.into_inner().job;
    job.map(|job| job.job_id).ok_or_else(|| Error::Job("no job came back".to_owned()))
}

/// Until it is over. A job that does not exit with 0 is an error.
pub async fn wait(client: &mut JobServiceClient<Channel>, id: &str) -> Result<(), Error> {
    let request = WaitRequest { job_id: id.to_owned(), ..WaitRequest::default() };
    let job: Job = client.wait(request).await?.into_inner().job.unwrap_or_default();
    match job.outcome.and_then(|outcome| outcome.cause) {
        Some(Cause::Exited(exited)) if exited.code == 0 => Ok(()),
        other => Err(Error::Job(format!("{other:?}"))),
    }
}
