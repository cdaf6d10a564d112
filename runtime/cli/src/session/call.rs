//! The two calls that a session can make, `Run` and `Attach`, brought to one form: inputs out, events in.

use std::pin::Pin;

use runtime_proto::v1::{
    AttachRequest, AttachResponse, AttachStart, Job, JobFinished, JobInput, JobStarted, OutputChunk,
    RunRequest, RunResponse, RunStart, attach_request, attach_response, job_service_client::JobServiceClient,
    run_request, run_response,
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Status, transport::Channel};

/// What comes from the daemon, of either call.
#[derive(Debug)]
pub enum Event {
    /// The job is taken; its id.
    Accepted(String),
    /// The job as it is now.
    Job(Box<Job>),
    /// The command runs.
    Started(JobStarted),
    /// Some output.
    Output(OutputChunk),
    /// The end.
    Finished(Box<JobFinished>),
    /// The answer to `validate_only`.
    Planned(String),
}

/// Events until the end of the stream.
pub type Events = Pin<Box<dyn Stream<Item = Result<Event, Status>> + Send>>;

/// Which call the session makes.
#[derive(Debug)]
pub enum Call {
    /// A new job.
    Run(Box<RunStart>),
    /// A job that there is.
    Attach(AttachStart),
}

/// Makes the call; returns once the daemon has taken it, or refused it.
pub async fn open(
    client: &mut JobServiceClient<Channel>,
    call: Call,
    queue: mpsc::Receiver<JobInput>,
) -> Result<Events, Status> {
    let inputs = ReceiverStream::new(queue);
    match call {
        Call::Run(start) => {
            let request = |request| RunRequest { request: Some(request) };
            let first = tokio_stream::once(request(run_request::Request::Start(*start)));
            let requests = first.chain(inputs.map(move |input| request(run_request::Request::Input(input))));
            let answers = client.run(requests).await?.into_inner();
            Ok(Box::pin(answers.filter_map(|answer| answer.map(of_run).transpose())))
        }
        Call::Attach(start) => {
            let request = |request| AttachRequest { request: Some(request) };
            let first = tokio_stream::once(request(attach_request::Request::Start(start)));
            let requests =
                first.chain(inputs.map(move |input| request(attach_request::Request::Input(input))));
            let answers = client.attach(requests).await?.into_inner();
            Ok(Box::pin(answers.filter_map(|answer| answer.map(of_attach).transpose())))
        }
    }
}

/// `None` for heartbeats, and for events of a later version.
fn of_run(answer: RunResponse) -> Option<Event> {
    match answer.event? {
        run_response::Event::Accepted(accepted) => Some(Event::Accepted(accepted.job_id)),
        run_response::Event::Started(started) => Some(Event::Started(started)),
        run_response::Event::Output(chunk) => Some(Event::Output(chunk)),
        run_response::Event::Finished(finished) => Some(Event::Finished(finished.into())),
        run_response::Event::Planned(planned) => Some(Event::Planned(planned.plan_json)),
        run_response::Event::Heartbeat(_) => None,
    }
}

/// As [`of_run`].
fn of_attach(answer: AttachResponse) -> Option<Event> {
    match answer.event? {
        attach_response::Event::Job(job) => Some(Event::Job(job.into())),
        attach_response::Event::Started(started) => Some(Event::Started(started)),
        attach_response::Event::Output(chunk) => Some(Event::Output(chunk)),
        attach_response::Event::Finished(finished) => Some(Event::Finished(finished.into())),
        attach_response::Event::Heartbeat(_) => None,
    }
}
